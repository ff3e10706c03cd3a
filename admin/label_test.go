package admin

import (
	"net/http"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The codes that tenants may name are those that the console shows, all of them.
func TestLabelCodesAreTheConsoles(t *testing.T) {
	kinds := map[string][]string{}
	for _, k := range tenant.LabelKinds {
		kinds[k.Name] = slices.Sorted(slices.Values(k.Codes))
		for _, code := range k.Codes {
			for _, lang := range []string{"ja", "en"} {
				word := usualWord(k.Name, code, lang)
				require.NotEmpty(t, word, k.Name+"."+code)
				require.LessOrEqual(t, len([]rune(usualWord(k.Name, code, "ja"))), tenant.MaxLabel)
			}
		}
		require.NotEqual(t, "label."+k.Name, settingWord("label."+k.Name, "ja"))
	}
	require.Equal(t, slices.Sorted(slices.Values(statusCodes)), kinds[tenant.LabelStatus])
	var phases []string
	for phase := range payTones {
		phases = append(phases, string(phase))
	}
	slices.Sort(phases)
	require.Equal(t, phases, kinds[tenant.LabelClaim])
	require.Equal(t, slices.Sorted(slices.Values(append(phases, tenant.OutcomeAnswered))), kinds[tenant.LabelOutcome])
}

func TestTenantsReadTheirOwnStatusWords(t *testing.T) {
	r := openRoom(t)
	part := message.Submission{Part: 1, Attempt: 1, Carrier: "docomo", Bind: "sim-docomo"}
	sent := func(id tenant.ID, msg ulid.ULID) {
		r.happen(id, msg, event(message.Submitting, part), event(message.Submitted, part), event(message.Delivered, message.Report{Part: 1}), event(message.Opened, message.Opening{}))
	}
	paid, attempt := r.begun("W-1", 7440)
	sent("mizu", paid)
	r.paid("mizu", paid.String(), attempt, 7440)
	elsewhere := r.accept("gasu", message.ViaAPI, bill("090-0001-0001", "C-1"))[0].ID
	sent("gasu", elsewhere)
	mine, theirs := paid.String(), elsewhere.String()
	b, other := r.enter("admin@mizu"), r.enter("admin@gasu")
	b.get("/settings")
	form := append(settingsOf(b), "label.status.waiting", "受付", "label.status.delivered", " 到達 ", "label.status.paid", "<b>入金</b>", "label.status.opened", "開封", "label.claim.paid", "入金確認済み",
		"label.outcome.paid", "入金", "label.access.opened", "閲覧", "label.submission.ok", "=SUM(A1)", "label_en.status.paid", "Money in")
	require.Equal(t, http.StatusSeeOther, b.post("/settings", form...).status)
	require.Equal(t, tenant.Labels{"status": {"waiting": "受付", "delivered": "到達", "paid": "<b>入金</b>", "opened": "開封"}, "claim": {"paid": "入金確認済み"},
		"outcome": {"paid": "入金"}, "access": {"opened": "閲覧"}, "submission": {"ok": "=SUM(A1)"}}, r.tenant("mizu").Labels)
	require.Contains(t, b.get("/audit").body, "status.delivered: 到達")

	list := b.get("/messages?status=paid")
	require.Contains(t, list.body, `<option value="paid" selected>&lt;b&gt;入金&lt;/b&gt;</option>`, "the filter")
	require.Contains(t, list.body, `<span class="badge done">&lt;b&gt;入金&lt;/b&gt;</span>`, "the list")
	require.Contains(t, list.body, "閲覧")
	require.NotContains(t, list.body, "決済手続き完了")
	require.Contains(t, b.get("/").body, "&lt;b&gt;入金&lt;/b&gt;</a>", "home")
	detail := b.get("/messages/" + mine).body
	for _, want := range []string{"<h3>受付</h3>", "<h3>到達</h3>", "<h3>開封</h3>", "入金確認済み", "=SUM(A1)"} {
		require.Contains(t, detail, want)
	}
	for _, not := range []string{"SMS受付完了", "SMS送信完了", "期限付URLアクセス済", "決済手続き完了", "SMS送信OK</dd>"} {
		require.NotContains(t, detail, not)
	}
	row := linesOf(t, b.post("/messages/export").body)[r.state("mizu", mine).Head.No]
	require.Equal(t, []string{"<b>入金</b>", "paid", "閲覧", "入金", "入金確認済み"}, []string{row["ステータス"], row["ステータスコード"], row["アクセス"], row["決済/回答"], row["決済状況"]})
	b.post("/lang", "lang", "en", "next", "/")
	english := b.get("/messages").body
	require.Contains(t, english, "Money in")
	require.Contains(t, english, "Opened", "what has no English word of its own has the usual one")
	b.post("/lang", "lang", "ja", "next", "/")

	// nobody else reads them
	for _, path := range []string{"/messages", "/messages/" + theirs, "/settings"} {
		body := other.get(path).body
		require.NotContains(t, body, "開封", path)
		require.Contains(t, body, "期限付URLアクセス済", path)
	}

	// an empty field is the usual word again
	b.get("/settings")
	require.Equal(t, http.StatusSeeOther, b.post("/settings", settingsOf(b)...).status)
	require.Nil(t, r.tenant("mizu").Labels)
	require.Contains(t, b.get("/messages").body, "決済手続き完了")
}

func TestFaultOfALabelStandsBesideItsField(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	b.get("/settings")
	a := b.post("/settings", append(settingsOf(b), "label.status.delivered", "とても長い長い長い長い長い長いステータスです", "label_en.claim.paid", "one\ttwo")...)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Regexp(t, `name="label.status.delivered" value="とても[^>]*aria-invalid="true"><em>\d+文字あります。20文字以内で入力してください`, a.body)
	require.Regexp(t, `name="label_en.claim.paid"[^>]*aria-invalid="true"><em>前後に空白のない1行で`, a.body)
	require.Contains(t, a.body, `<details class="more" open><summary>決済状況`)
	require.Contains(t, a.body, `<details class="more"><summary>アクセス`)
	require.Nil(t, r.tenant("mizu").Labels)
}
