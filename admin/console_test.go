package admin

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/japanese"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

func bill(to, reference string) message.Draft {
	return message.Draft{To: to, Text: "〇〇県水道局からのお知らせです。{url}", Reference: reference, Page: &message.Page{Title: "お知らせ"}}
}

func (r *room) actions(id tenant.ID) []string {
	entries, err := r.Audit.Day(r.t.Context(), tenant.Only(id), id, time.Now())
	require.NoError(r.t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Action)
	}
	return out
}

// Every route is asked for by every role, and by nobody: what the table does not allow is refused, whatever the handler.
func TestRolesAreEnforcedOnEveryRoute(t *testing.T) {
	r := openRoom(t)
	msg := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0].ID.String()
	people := map[tenant.Role]*browser{tenant.RoleOperator: r.enter("operator"), tenant.RoleAdmin: r.enter("admin@mizu"), tenant.RoleSender: r.enter("sender@mizu"), tenant.RoleViewer: r.enter("viewer@mizu")}
	nobody := r.browser()
	for _, rt := range routes {
		if rt.roles == nil || rt.path == "/signout" {
			continue
		}
		path := strings.NewReplacer("{$}", "", "{id}", msg, "{login}", "nobody", "/binds/{name}", "/binds/docomo-1", "{name}", "docomo").Replace(rt.path)
		ask := func(b *browser) answered {
			if rt.method == "POST" {
				return b.post(path)
			}
			return b.get(path)
		}
		a := ask(nobody)
		require.Equal(t, http.StatusSeeOther, a.status, "%s %s by nobody", rt.method, rt.path)
		require.True(t, strings.HasPrefix(a.header.Get("Location"), "/signin"), rt.path)
		for role, b := range people {
			a := ask(b)
			if !slices.Contains(rt.roles, role) {
				require.Equal(t, http.StatusForbidden, a.status, "%s %s by %s", rt.method, rt.path, role)
				require.NotContains(t, a.body, "C-1")
				continue
			}
			require.NotEqual(t, http.StatusForbidden, a.status, "%s %s by %s", rt.method, rt.path, role)
			require.NotEqual(t, http.StatusInternalServerError, a.status, "%s %s by %s", rt.method, rt.path, role)
		}
	}
}

func TestDetailSaysThatContentHasEnded(t *testing.T) {
	r := openRoom(t)
	id := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0].ID
	day := time.Date(2027, 3, 1, 0, 0, 0, 0, message.Tokyo)
	r.happen("mizu", id, event(message.Kept, &message.Keeping{Day: day}))
	b := r.enter("sender@mizu")
	path := "/messages/" + id.String()
	shown := b.get(path).body
	require.Contains(t, shown, "保存期間の起算日 2027-03-01")
	require.NotContains(t, shown, "消去されました")
	_, err := r.Store.EraseKeys(time.Now().AddDate(0, 0, 1), "mizu", string(message.Notice))
	require.NoError(t, err)
	a := b.get(path)
	require.Equal(t, http.StatusOK, a.status)
	require.Regexp(t, `保存期間が過ぎたため内容は消去されました。消去日時：\d{4}/\d\d/\d\d \d\d:\d\d`, a.body)
	require.NotContains(t, a.body, "水道局からのお知らせです")
	require.NotContains(t, a.body, "C-1")
	a = b.get(path + "/page")
	require.Equal(t, http.StatusGone, a.status)
	require.Contains(t, a.body, "保存期間が過ぎたため内容は消去されました")
}

func TestAnotherTenantsThingsAreNotFound(t *testing.T) {
	r := openRoom(t)
	draft := bill("090-0001-0001", "SECRET-1")
	draft.Claim = &message.Claim{Number: "W-1", Amount: 7440, Due: time.Now().AddDate(0, 0, 9).Format(time.DateOnly)}
	res := r.accept("mizu", message.ViaConsole, draft)[0]
	up := r.upload("mizu", "a.csv", sampleCSV)
	key, stored, err := r.Directory.IssueKey(t.Context(), "mizu", "erp")
	require.NoError(t, err)
	require.NotEmpty(t, key)
	b := r.enter("admin@gasu")
	for _, path := range []string{"/messages/" + res.ID.String(), "/messages/" + res.ID.String() + "/page", "/send?from=" + res.ID.String(), "/uploads/" + up.ID.String()} {
		require.Equal(t, http.StatusNotFound, b.get(path).status, path)
	}
	for _, path := range []string{"/messages/" + res.ID.String() + "/cancel", "/messages/" + res.ID.String() + "/revoke", "/messages/" + res.ID.String() + "/unlock", "/messages/" + res.ID.String() + "/expiry", "/messages/" + res.ID.String() + "/mail", "/messages/" + res.ID.String() + "/readmit", "/messages/" + res.ID.String() + "/certificate",
		"/claims/" + res.Claim.ID.String() + "/settle", "/claims/" + res.Claim.ID.String() + "/amend", "/claims/" + res.Claim.ID.String() + "/charge", "/claims/" + res.Claim.ID.String() + "/withdraw", "/claims/" + res.Claim.ID.String() + "/receipt", "/claims/" + res.Claim.ID.String() + "/refund", "/claims/" + res.Claim.ID.String() + "/resolve", "/claims/" + res.Claim.ID.String() + "/count-deposit",
		"/uploads/" + up.ID.String() + "/release", "/uploads/" + up.ID.String() + "/drop", "/uploads/" + up.ID.String() + "/faults", "/users/sender@mizu", "/keys/" + stored.ID + "/revoke"} {
		require.Equal(t, http.StatusNotFound, b.post(path, "do", "disable").status, path)
	}
	require.NotContains(t, b.get("/messages").body, "SECRET-1")
	require.NotContains(t, b.get("/messages?no="+res.No).body, "SECRET-1")
	require.NotContains(t, b.post("/messages/export").body, "SECRET-1")
	// a sealed search of one tenant says nothing to another
	mine := r.enter("admin@mizu")
	to := mine.post("/messages/search", "reference", "SECRET-1").header.Get("Location")
	require.Contains(t, mine.get(to).body, "SECRET-1")
	require.NotContains(t, b.get(to).body, "SECRET-1")
	require.Equal(t, message.Waiting, r.stateOf("mizu", res.ID.String()))
}

func (r *room) stateOf(id tenant.ID, msg string) message.Phase {
	st := r.state(id, msg)
	return st.Phase
}

func TestForgedFormsAreRefused(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0]
	b := r.enter("sender@mizu")
	path := "/messages/" + res.ID.String() + "/cancel"
	good := b.csrf
	for _, token := range []string{"", "x", r.enter("sender@mizu").csrf} {
		b.csrf = token
		require.Equal(t, http.StatusForbidden, b.post(path).status)
	}
	for header, value := range map[string]string{"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"} {
		req, err := http.NewRequest("POST", b.base+path, strings.NewReader("csrf="+good))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(header, value)
		require.Equal(t, http.StatusForbidden, b.do(req).status, header)
	}
	require.Equal(t, message.Waiting, r.stateOf("mizu", res.ID.String()))
	b.csrf = good
	require.Equal(t, http.StatusSeeOther, b.post(path).status)
	require.Equal(t, message.Withdrawn, r.stateOf("mizu", res.ID.String()))
}

func TestSigningInAndOut(t *testing.T) {
	r := openRoom(t)
	b := r.browser()
	a := b.get("/signin")
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.header.Get("Content-Security-Policy"), "script-src 'self'")
	require.NotContains(t, a.header.Get("Content-Security-Policy"), "unsafe")
	unknown, wrong := b.post("/signin", "login", "nobody", "password", "x"), b.post("/signin", "login", "viewer@mizu", "password", "x")
	require.Equal(t, http.StatusUnauthorized, unknown.status)
	require.Equal(t, strings.ReplaceAll(unknown.body, "nobody", "*"), strings.ReplaceAll(wrong.body, "viewer@mizu", "*"), "an unknown login answers like a wrong password")
	a = b.post("/signin", "login", "Viewer@mizu", "password", testPassword, "next", "/messages")
	require.Equal(t, "/messages", a.header.Get("Location"))
	require.Contains(t, a.header.Get("Set-Cookie"), "HttpOnly")
	require.Equal(t, http.StatusOK, b.get("/messages").status)
	require.Equal(t, "/", r.browser().post("/signin", "login", "viewer@mizu", "password", testPassword, "next", "//evil.example.com").header.Get("Location"))
	kept := b.Jar
	b.get("/messages")
	require.Equal(t, "/signin", b.post("/signout").header.Get("Location"))
	b.Jar = kept
	require.Equal(t, http.StatusSeeOther, b.get("/messages").status)
	require.Contains(t, r.actions("mizu"), "signout")
	require.Contains(t, r.actions("mizu"), "signin.refused")
}

const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}`

func TestNothingThatPeopleTypeBecomesMarkup(t *testing.T) {
	r := openRoom(t)
	shop := *r.tenant("mizu")
	shop.Name = `〇〇<script>alert(1)</script>`
	require.NoError(t, r.Directory.Apply(t.Context(), shop))
	_, err := r.Directory.ChangeUser(t.Context(), "admin@mizu", func(u *tenant.User) error { u.Name = evil[:38]; return nil })
	require.NoError(t, err)
	d := message.Draft{To: "090-0001-0001", Text: "〇〇" + evil[:20] + "{url}", Reference: evil[:60], Page: &message.Page{Title: evil[:40], Lead: evil, Rows: []message.Row{{Item: evil[:40], Value: evil}},
		Survey: &message.Survey{Lead: evil, Items: []message.SurveyItem{{Title: evil[:40], Type: "radio", Choices: []string{evil[:40], "b"}}}}}}
	res := r.accept("mizu", message.ViaConsole, d)[0]
	id := res.ID.String()
	box, err := r.Store.Seal("mizu", "notice", time.Now(), id+"/answer", fmt.Appendf(nil, `{"0":[%q]}`, evil))
	require.NoError(t, err)
	part := message.Submission{Part: 1, Attempt: 1, Carrier: evil, Bind: evil, Reason: evil, SMSCID: evil}
	r.happen("mizu", res.ID, event(message.LookedUp, message.Lookup{Carrier: evil, By: evil}), event(message.Submitting, part), event(message.Submitted, part),
		event(message.Undelivered, message.Report{Part: 1, State: evil, Err: evil, Bind: evil}), event(message.Answered, message.SurveyAnswer{Sealed: box}), event(message.Revoked, message.Act{By: evil, Reason: evil}))
	up := r.upload("mizu", evil[:30]+".csv", "to,text,reference\n"+strings.ReplaceAll(evil, ",", "")+",x,y\n")
	b := r.enter("admin@mizu")
	pages := []string{"/", "/messages", "/messages/" + id, "/send?from=" + id, "/uploads", "/uploads/" + up.ID.String(), "/users", "/keys", "/audit", "/account", "/alerts", "/follow-ups?list=unopened", "/messages?status=" + "%22%3E%3Cscript%3Ealert(1)",
		"/messages?campaign=%3Cscript%3Ealert(1)", "/messages?no=%3Cscript%3Ealert(1)&from=%3Cscript%3Ealert(1)", "/signin?next=%22%3E%3Cscript%3Ealert(1)", "/%3Cscript%3Ealert(1)"}
	for _, path := range pages {
		body := b.get(path).body
		require.NotContains(t, body, "<script>alert", path)
		require.NotContains(t, body, "<img src=x", path)
		require.NotContains(t, body, `"><script`, path)
	}
	a := b.post("/send", "do", "preview", "to", evil, "text", evil, "title", evil, "item0", evil, "key", evil, "q_title0", evil)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.NotContains(t, a.body, "<script>alert")
	require.NotContains(t, b.post("/users", "login", evil, "name", evil).body, "<script>alert")
	require.NotContains(t, b.post("/messages/search", "reference", evil).header.Get("Location"), "script")
}

func TestListPagesAndSearches(t *testing.T) {
	r := openRoom(t)
	var drafts []message.Draft
	for i := range 45 {
		drafts = append(drafts, bill(fmt.Sprintf("090-0001-%04d", 1000+i), fmt.Sprintf("C-%d", i)))
	}
	r.accept("mizu", message.ViaAPI, drafts...)
	hit := r.accept("mizu", message.ViaConsole, bill("090-0001-1367", "会員＝1"))[0]
	b := r.enter("viewer@mizu")
	a := b.get("/messages?size=20&page=2")
	require.Contains(t, a.body, "46 件</b>中 (21 - 40 表示)")
	require.Equal(t, 20, strings.Count(a.body, `class="no"`))
	require.Contains(t, b.get("/messages?size=20&page=9").body, "(41 - 46 表示)")
	require.Contains(t, a.body, "検索条件は設定されていません")
	for _, by := range [][]string{{"number", "090-0001-1367"}, {"last4", "1367"}, {"reference", "会員＝1"}, {"no", hit.No}} {
		to := b.post("/messages/search", by...).header.Get("Location")
		require.NotContains(t, to, "1367")
		body := b.get(to).body
		require.Contains(t, body, hit.No, "%v", by)
		require.Equal(t, 1, strings.Count(body, `class="no"`), "%v", by)
		require.Contains(t, body, "090-****-1367")
		require.NotContains(t, body, "090-0001-1367</td>")
	}
	require.Equal(t, 10, strings.Count(b.get("/messages?size=10&status=waiting").body, `class="no"`))
	// by status: what was looked at is said, and the next page goes on where this one ended
	seen := 0
	for path := "/messages?size=20&status=waiting"; path != ""; {
		body := b.get(path).body
		seen += strings.Count(body, `class="no"`)
		_, next, more := strings.Cut(body, "before=")
		if path = ""; more {
			path = "/messages?size=20&status=waiting&before=" + next[:26]
		}
	}
	require.Equal(t, 46, seen)
	require.Contains(t, b.get("/messages?status=delivered").body, "条件に該当する送信結果はありません")
	require.Contains(t, b.get("/messages?from=2026-99-99").body, "日付を正しく入力してください")
	require.Equal(t, 1, strings.Count(b.get("/messages?via=console").body, `class="no"`))
}

func TestUnmaskingIsOnRecord(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-1367", "C-1"))[0]
	b := r.enter("admin@mizu")
	require.NotContains(t, b.get("/messages").body, "090-0001-1367")
	b.post("/messages/unmask", "on", "1")
	require.Contains(t, b.get("/messages").body, "090-0001-1367")
	require.Contains(t, r.actions("mizu"), "message.unmask")
	entries, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.Equal(t, "message.unmasked_view", entries[0].Action)
	require.Equal(t, res.No, entries[0].Detail)
	for _, e := range entries {
		require.NotContains(t, fmt.Sprint(e), "1367")
	}
	b.get("/messages")
	b.post("/messages/unmask", "on", "0")
	require.NotContains(t, b.get("/messages").body, "090-0001-1367")
	require.NotContains(t, r.enter("admin@mizu").get("/messages").body, "090-0001-1367", "another session is not unmasked")
}

func TestMoneyIsShownToWhoeverNeedsASecondFactorForIt(t *testing.T) {
	r := openRoom(t)
	id := r.fill()["paid"]
	for login, sees := range map[string]bool{"admin@mizu": true, "sender@mizu": false, "viewer@mizu": false} {
		body := r.enter(login).get("/messages/" + id).body
		require.Equal(t, sees, strings.Contains(body, "7,440"), login)
		require.Contains(t, body, "決済手続き完了", login)
	}
}

func TestExportIsSafeAndOnRecord(t *testing.T) {
	r := openRoom(t)
	for _, ref := range []string{"=HYPERLINK(1)", "+81", "-1", "@cmd", "＝全角", "髙﨑①〜♥", "a,\"b\""} {
		r.accept("mizu", message.ViaConsole, bill("090-0001-1367", ref))
	}
	b := r.enter("sender@mizu")
	a := b.post("/messages/export")
	require.Contains(t, a.header.Get("Content-Disposition"), "attachment")
	require.True(t, strings.HasPrefix(a.body, "\ufeff"))
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(a.body, "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 8)
	var refs []string
	for _, row := range rows[1:] {
		require.Equal(t, "090-****-1367", row[2])
		refs = append(refs, row[6])
		for _, cell := range row {
			require.False(t, cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r"), cell)
		}
	}
	require.Equal(t, []string{"a,\"b\"", "髙﨑①〜♥", "'＝全角", "'@cmd", "'-1", "'+81", "'=HYPERLINK(1)"}, refs)
	require.Equal(t, "results.export", r.actions("mizu")[0])
	a = b.post("/messages/export", "encoding", "cp932")
	text, err := japanese.ShiftJIS.NewDecoder().String(a.body)
	require.NoError(t, err)
	require.Contains(t, text, "髙﨑①～〓")
}

func TestCP932KeepsWholeCharactersAtAnyCut(t *testing.T) {
	text := strings.Repeat("送信結果〜♥𠮷", 50)
	for _, n := range []int{1, 2, 3, 5, 7} {
		var b bytes.Buffer
		w := &wholeRunes{w: &cp932{w: &b}}
		for part := range slices.Chunk([]byte(text), n) {
			_, err := w.Write(part)
			require.NoError(t, err)
		}
		got, err := japanese.ShiftJIS.NewDecoder().String(b.String())
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("送信結果～〓〓", 50), got)
	}
}

func TestOneFormIsOneMessage(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	_, key, _ := strings.Cut(b.get("/send").body, `name="key" value="`)
	key = key[:strings.IndexByte(key, '"')]
	form := []string{"key", key, "to", "090-0001-0001", "text", "〇〇県水道局です。{url}", "link", "1", "title", "お知らせ", "item0", "項目", "value0", "内容", "item2", "項目2", "value2", "内容2"}
	a := b.post("/send", append(form, "do", "preview")...)
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.body, "090-****-0001")
	_, frame, _ := strings.Cut(a.body, `iframe src="`)
	frame = frame[:strings.IndexByte(frame, '"')]
	preview := b.get(frame)
	require.Contains(t, preview.body, "内容2")
	require.Contains(t, preview.header.Get("Content-Security-Policy"), "sandbox")
	require.Equal(t, http.StatusNotFound, r.enter("admin@mizu").get(frame).status, "a preview is its maker's")
	b.get("/send")
	first := b.post("/send", append(form, "do", "send")...)
	require.Equal(t, http.StatusSeeOther, first.status, first.body)
	second := b.post("/send", append(form, "do", "send")...)
	place := func(a answered) string { p, _, _ := strings.Cut(a.header.Get("Location"), "?"); return p }
	require.Equal(t, place(first), place(second))
	require.Contains(t, b.get("/messages").body, "1 件</b>中 (1 - 1 表示)")
	bad := b.post("/send", "do", "preview", "to", "03-1234-5678", "text", strings.Repeat("長", 80), "link", "1", "title", strings.Repeat("題", 51), "item4", "x", "value4", strings.Repeat("値", 257), "claim_number", "W-1", "claim_amount", "千円", "key", "k2")
	require.Equal(t, http.StatusUnprocessableEntity, bad.status)
	for _, word := range []string{"固定電話にはSMSを送信できません", "50文字以内で入力してください", "256文字以内で入力してください"} {
		require.Contains(t, bad.body, word)
	}
}

func TestLinkAloneIsShownOnceAndNothingIsSent(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	b.get("/send")
	form := []string{"key", "k1", "to", "090-0001-0001", "text", "消してから送信", "link_only", "1", "title", "お知らせ", "notice_pdf", "1",
		"contact_name", "料金課", "contact_phone", "000-000-0001", "contact_hours", "平日 9:00〜17:00"}
	for i := range message.MaxSurveyItems {
		n := fmt.Sprint(i)
		form = append(form, "q_title"+n, "設問"+n, "q_type"+n, "text")
	}
	preview := b.post("/send", append(form, "do", "preview")...)
	require.Equal(t, http.StatusOK, preview.status, preview.body)
	require.Contains(t, preview.body, "URLを発行する")
	require.NotContains(t, preview.body, `class="bubble"`)
	a := b.post("/send", append(form, "do", "send")...)
	require.Equal(t, http.StatusOK, a.status, a.body)
	link := regexp.MustCompile(`https://s\.example\.jp/\S+?</code>`).FindString(a.body)
	require.NotEmpty(t, link)
	_, id, _ := strings.Cut(a.body, `href="/messages/`)
	id = id[:26]
	st := r.state("mizu", id)
	require.Equal(t, message.LinkOnly, st.PhaseAt(time.Now()))
	require.Zero(t, st.Head.Parts)
	content, err := r.content(&visit{Tenant: r.tenant("mizu"), scope: tenant.Only("mizu")}, ulid.MustParse(id), &st.Head)
	require.NoError(t, err)
	require.True(t, content.Page.NoticePDF)
	require.Equal(t, &message.Contact{Name: "料金課", Phone: "000-000-0001", Hours: "平日 9:00〜17:00"}, content.Page.Contact)
	require.Len(t, content.Page.Survey.Items, message.MaxSurveyItems)
	require.NotContains(t, b.get("/messages/"+id).body, strings.TrimSuffix(link, "</code>"))
	again := b.get("/send?from=" + id).body
	for _, part := range []string{`name="link_only" value="1" checked`, `name="notice_pdf" value="1" checked`, "料金課", "設問19"} {
		require.Contains(t, again, part)
	}
	without := []string{"key", "k2", "to", "090-0001-0001", "text", "本文", "link_only", "1", "do", "send"}
	require.Equal(t, http.StatusUnprocessableEntity, b.post("/send", without...).status, "a link without a page is no SMS")
}

func TestTestMessageGoesToOneself(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	form := []string{"key", "k1", "to", "090-0001-0001", "reference", "C-1", "text", "〇〇県水道局です。{url}", "link", "1", "title", "お知らせ", "claim_number", "W-1", "claim_amount", "100", "claim_due", time.Now().AddDate(0, 0, 9).Format(time.DateOnly)}
	require.Equal(t, http.StatusUnprocessableEntity, b.post("/send", append(form, "do", "test-send")...).status, "without an own number")
	b.get("/account")
	b.post("/account/phone", "phone", "090-0001-7777")
	a := b.post("/send", append(form, "do", "test-send")...)
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	body := b.get("/messages").body
	require.Contains(t, body, "090-****-7777")
	require.Contains(t, body, "テスト送信")
	require.NotContains(t, body, "C-1")
	_, err := r.Payments.ByNumber(t.Context(), tenant.Only("mizu"), "W-1")
	require.Error(t, err, "a test makes no claim")
}

func TestOpenScreensAreLive(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-1367", "C-1"))[0]
	b := r.enter("viewer@mizu")
	req, err := http.NewRequestWithContext(t.Context(), "GET", b.base+"/messages/"+res.ID.String(), nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := b.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Contains(t, resp.Header.Get("Content-Type"), "text/event-stream")
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	wait := func(word string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), word) {
				return
			}
		}
		t.Fatalf("%q never came: %v", word, lines.Err())
	}
	wait("SMS受付完了")
	for deadline := time.Now().Add(10 * time.Second); ; { // the follower may not stand yet: another event makes up for one it missed
		r.happen("mizu", res.ID, event(message.LookedUp, message.Lookup{Carrier: "docomo"}))
		r.happen("mizu", res.ID, event(message.Canceled, message.Act{By: "user:x"}))
		if time.Now().Before(deadline) {
			break
		}
	}
	wait("送信取消")
	require.Equal(t, http.StatusSeeOther, r.browser().get("/messages/"+res.ID.String()).status)
}

func TestUploadIsCheckedThenReleased(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	send := func(token string) answered {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		_ = w.WriteField("csrf", token)
		_ = w.WriteField("class", "notice")
		f, err := w.CreateFormFile("file", "断水.csv")
		require.NoError(t, err)
		_, _ = io.WriteString(f, sampleCSV)
		require.NoError(t, w.Close())
		req, err := http.NewRequest("POST", b.base+"/uploads", &body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", w.FormDataContentType())
		return b.do(req)
	}
	require.Equal(t, http.StatusForbidden, send("forged").status)
	a := send(b.csrf)
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	path := a.header.Get("Location")
	body := ""
	require.Eventually(t, func() bool { body = b.get(path).body; return strings.Contains(body, "正常な2件のみ送信") }, 10*time.Second, 50*time.Millisecond)
	require.Contains(t, body, "固定電話にはSMSを送信できません")
	require.NotContains(t, body, "03-1234-5678")
	require.True(t, strings.HasPrefix(b.post(path+"/faults").body, "\ufeff"))
	b.get(path)
	require.Equal(t, http.StatusSeeOther, b.post(path+"/release", "good_only", "1").status)
	require.Eventually(t, func() bool { return strings.Contains(b.get(path).body, "受付完了") }, 10*time.Second, 50*time.Millisecond)
	require.Contains(t, b.get("/messages").body, "2 件</b>中")
}

func TestEveryScreenIsDrawnInBothLanguages(t *testing.T) {
	r := openRoom(t)
	ids := r.fill()
	up := r.upload("mizu", "a.csv", sampleCSV)
	for login, paths := range map[string][]string{"admin@mizu": {"/", "/messages", "/send", "/uploads", "/uploads/" + up.ID.String(), "/seeds", "/alerts", "/users", "/keys", "/brand", "/audit", "/account", "/account/totp"}, "operator": {"/", "/carriers", "/carriers/docomo/try", "/binds/docomo-1", "/binds/docomo-1?range=year", "/binds/softbank-1?range=day", "/tenants", "/audit", "/account"}} {
		b := r.enter(login)
		if login == "admin@mizu" {
			for _, id := range ids {
				paths = append(paths, "/messages/"+id)
			}
		}
		for _, lang := range []string{"ja", "en"} {
			for _, path := range paths {
				req, err := http.NewRequest("GET", b.base+path, nil)
				require.NoError(t, err)
				req.AddCookie(&http.Cookie{Name: "lang", Value: lang})
				a := b.do(req)
				require.Equal(t, http.StatusOK, a.status, path)
				require.Contains(t, a.body, `<html lang="`+lang+`">`)
				require.Contains(t, a.body, "</html>", path)
				if lang == "en" {
					require.NotContains(t, a.body, "ログアウト")
				}
			}
		}
	}
	b := r.enter("admin@mizu")
	b.get("/alerts")
	claim := r.state("mizu", ids["paid"]).Head.Claim.String()
	require.True(t, strings.HasPrefix(b.post("/claims/"+claim+"/receipt").body, "%PDF"))
	require.Equal(t, "claim.receipt", r.actions("mizu")[0])
}
