package admin

import (
	"bytes"
	"encoding/csv"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
)

// begun makes a message whose claim somebody began to pay.
func (r *room) begun(number string, yen int64) (msg ulid.ULID, a payment.Attempt) {
	r.t.Helper()
	res := r.accept("mizu", message.ViaAPI, message.Draft{To: "090-0001-0078", Text: "{url}", Class: "billing", Reference: number, Page: &message.Page{Title: "ご請求"},
		Claim: &message.Claim{Number: number, Amount: yen, Due: "2030-12-31"}})[0]
	a, err := r.Payments.Start(r.t.Context(), r.tenant("mizu"), res.Claim.ID, payment.StartOptions{Method: "konbini_barcode", MessageID: res.ID})
	require.NoError(r.t, err)
	return res.ID, a
}

// give uploads a file of the agent.
func (b *browser) give(agent, day, name, text string) answered {
	b.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for k, v := range map[string]string{"csrf": b.csrf, "agent": agent, "day": day} {
		require.NoError(b.t, w.WriteField(k, v))
	}
	f, err := w.CreateFormFile("file", name)
	require.NoError(b.t, err)
	_, err = f.Write([]byte(text))
	require.NoError(b.t, err)
	require.NoError(b.t, w.Close())
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+"/reconciliation/report", &form)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(req)
}

// shownVersion is the version of the claim whose alerts a page shows; empty: it names none.
func shownVersion(body string) string {
	_, at, _ := strings.Cut(body, `name="version" value="`)
	version, _, _ := strings.Cut(at, `"`)
	return version
}

// A transfer that may be counted already waits in 要対応 for somebody to say what it is.
func TestATransferInDoubtIsCountedOrNot(t *testing.T) {
	r := openRoom(t)
	msg, a := r.begun("Q-1", 1000)
	b := r.enter("admin@mizu")
	day := message.Day(time.Now())
	file := a.ID.String() + " 500\n"
	b.give("sandbox", day, "transfers-01", file)
	b.give("sandbox", day, "transfers-03", file)
	require.Contains(t, b.get(b.give("sandbox", day, "transfers-csv", file).header.Get("Location")).body, "重複の疑い 1")
	s, err := r.Payments.ByNumber(t.Context(), tenant.Only("mizu"), "Q-1")
	require.NoError(t, err)
	require.Equal(t, int64(500), s.Received)
	for _, path := range []string{"/alerts", "/messages/" + msg.String()} {
		body := b.get(path).body
		require.Contains(t, body, "重複の疑いがある入金")
		require.Equal(t, 2, strings.Count(body, "別の入金として計上する</button>"), path)
	}
	require.NotContains(t, r.enter("sender@mizu").get("/messages/"+msg.String()).body, "別の入金として計上する")
	count := "/claims/" + s.Ref.ID.String() + "/count-deposit"
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").post(count, "deposit", "transfers-03/0").status)
	require.Equal(t, http.StatusNotFound, b.post(count, "deposit", "transfers-99/0").status)
	require.Contains(t, b.post(count, "deposit", "transfers-03/0", "message", msg.String(), "reason", "通帳で確認").header.Get("Location"), "/messages/"+msg.String())
	require.Equal(t, "claim.count_deposit", r.actions("mizu")[0])
	body := b.get("/messages/" + msg.String()).body
	require.Equal(t, 1, strings.Count(body, "別の入金として計上する</button>"))
	require.Contains(t, body, "通帳で確認")
	alerts := b.get("/alerts").body
	b.give("sandbox", day, "transfers-05", file) // while somebody looks at the page
	for _, stale := range []string{alerts, body, ""} {
		again := b.get(b.post("/claims/"+s.Ref.ID.String()+"/resolve", "version", shownVersion(stale), "reason", "同じ入金").header.Get("Location")).body
		require.Contains(t, again, "請求の状況が変わりました")
		require.Equal(t, 2, strings.Count(again, "別の入金として計上する</button>"))
	}
	b.post("/claims/"+s.Ref.ID.String()+"/resolve", "version", shownVersion(b.get("/messages/"+msg.String()).body), "reason", "同じ入金")
	require.NotContains(t, b.get("/alerts").body, "Q-1")
	s, err = r.Payments.ByNumber(t.Context(), tenant.Only("mizu"), "Q-1")
	require.NoError(t, err)
	require.Equal(t, payment.Paid, s.Phase)
	require.Equal(t, int64(1000), s.Received)
}

func TestOursIsReconciledWithTheAgentsFile(t *testing.T) {
	r := openRoom(t)
	msg, agrees := r.begun("Q-1", 7440)
	r.paid("mizu", msg.String(), agrees, 7440)
	missing, unheard := r.begun("Q-2", 500)
	r.paid("mizu", missing.String(), unheard, 500)
	_, differs := r.begun("Q-3", 3000)
	b := r.enter("admin@mizu")
	day := message.Day(time.Now())
	at := "/reconciliation?agent=sandbox&day=" + day
	body := b.get(at).body
	require.Contains(t, body, "まだ取り込まれていません")
	require.Contains(t, body, "当方のみ")

	good := agrees.ID.String() + " 7440\n" + differs.ID.String() + " 2500\n" + ulid.Make().String() + " 900\n"
	a := b.give("sandbox", day, "kakuho.txt", good+"broken\n")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "4行目：paid_yen: want yen, 1 to 9999999")
	require.Contains(t, a.body, "何も変更されていません")
	require.NotContains(t, b.get(at).body, "Q-3")
	require.Equal(t, http.StatusSeeOther, b.give("sandbox", day, "kakuho.txt", good).status)
	body = b.get(at).body
	for _, want := range []string{"Q-1", "Q-2", "Q-3", "該当なし", "kakuho.txt", `href="/messages/` + msg.String() + `"`, `href="/messages/` + missing.String() + `"`, "7,440円", "2,500円"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, b.get(at+"&only=only_theirs").body, "Q-1")
	sheet := b.post("/reconciliation/export", "agent", "sandbox", "day", day)
	lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(sheet.body, "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 5)
	require.Equal(t, []string{"reconciliation.export", "report.read", "report.read"}, r.actions("mizu")[:3])

	require.Equal(t, http.StatusNotFound, b.get("/reconciliation?agent=nobody&day="+day).status)
	require.Equal(t, http.StatusNotFound, b.give("nobody", day, "x", good).status)
	require.NotContains(t, r.enter("admin@gasu").get(at).body, "Q-1")
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").get(at).status)
	stranger := r.enter("admin@mizu")
	stranger.csrf = "x"
	require.Equal(t, http.StatusForbidden, stranger.give("sandbox", day, "x", good).status)
	s, err := r.Payments.ByNumber(t.Context(), tenant.Only("mizu"), "Q-3")
	require.NoError(t, err)
	require.Equal(t, payment.PartlyPaid, s.Phase)
}

// What was begun with an agent that was replaced is still paid, told of in its files, and compared, also where no agent followed it.
func TestAnAgentThatWasReplacedIsReconciled(t *testing.T) {
	r := openRoom(t)
	_, old := r.begun("Q-1", 7440)
	b := r.enter("admin@mizu")
	day := message.Day(time.Now())
	for _, c := range []struct {
		now   []tenant.Agent
		shown string
	}{
		{[]tenant.Agent{{Name: "second", Module: "payment/sandbox", Methods: []string{"card"}}}, `<option selected>second</option><optgroup label="以前の決済代行"><option>sandbox</option></optgroup>`},
		{nil, `<optgroup label="以前の決済代行"><option>second</option><option selected>sandbox</option></optgroup>`},
	} {
		next := shop("mizu", "〇〇県水道局")
		next.Agents = c.now
		require.NoError(t, r.Directory.Apply(t.Context(), next))
		path := "/reconciliation"
		if c.now == nil {
			require.NotContains(t, b.get(path).body, "契約が登録されていません")
			path += "?agent=sandbox"
		}
		require.Contains(t, b.get(path).body, c.shown)
	}
	require.Contains(t, b.get("/reconciliation?agent=sandbox&day="+day).body, "確報ファイルの取り込み")
	require.Equal(t, http.StatusSeeOther, b.give("sandbox", day, "kakuho.txt", old.ID.String()+" 7440\n").status)
	body := b.get("/reconciliation?agent=sandbox&day=" + day).body
	require.Contains(t, body, "Q-1")
	require.Contains(t, body, "kakuho.txt")
	require.Contains(t, r.enter("admin@gasu").get("/reconciliation").body, `<option selected>sandbox</option></select>`)
}
