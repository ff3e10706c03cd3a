package admin

import (
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
)

// byCard makes a message whose claim of 4,400 yen was paid by card.
func (r *room) byCard(number string) (msg, claim ulid.ULID) {
	r.t.Helper()
	res := r.accept("mizu", message.ViaAPI, message.Draft{To: "090-0001-0077", Text: "{url}", Class: "billing", Page: &message.Page{Title: "ご請求"},
		Claim: &message.Claim{Number: number, Amount: 4400, Due: "2030-12-31", Payer: "書留 太郎"}})[0]
	claim = res.Claim.ID
	a, err := r.Payments.Start(r.t.Context(), r.tenant("mizu"), claim, payment.StartOptions{Method: "card", MessageID: res.ID, ReturnURL: "https://s.example.jp/r"})
	require.NoError(r.t, err)
	r.paid("mizu", res.ID.String(), a, 4400)
	return res.ID, claim
}

var keyPattern = regexp.MustCompile(`name="key" value="([^"]+)"`)

func TestRefundIsAskedForConfirmedAndOrderedOnce(t *testing.T) {
	r := openRoom(t)
	msg, claim := r.byCard("R-1")
	b := r.enter("admin@mizu")
	at := "/claims/" + claim.String() + "/refund"
	require.Contains(t, b.get("/messages/"+msg.String()).body, at+"?message="+msg.String())
	form := b.get(at + "?message=" + msg.String()).body
	attempt := regexp.MustCompile(`<option value="([^"]+)"`).FindStringSubmatch(form)[1]
	fields := func(kv ...string) []string {
		return append([]string{"message", msg.String(), "attempt", attempt}, kv...)
	}
	for _, bad := range [][]string{{"how", "part", "amount", "0", "reason", "x"}, {"how", "part", "amount", "4401", "reason", "x"}, {"how", "part", "amount", "x", "reason", "x"}, {"how", "whole", "reason", ""}} {
		a := b.post(at, fields(bad...)...)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, bad)
		require.Contains(t, a.body, `role="alert"`)
	}
	a := b.post(at, fields("how", "part", "amount", "1,400", "reason", "二重請求")...)
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.body, "1,400円を返金する")
	require.Contains(t, a.body, "3,000円")
	state := func() *payment.State {
		s, err := r.Payments.Claim(t.Context(), tenant.Only("mizu"), claim)
		require.NoError(t, err)
		return &s
	}
	require.Zero(t, state().Refunded, "nothing is given back before it is confirmed")

	key := keyPattern.FindStringSubmatch(a.body)[1]
	var wg sync.WaitGroup
	for range 5 { // a hasty hand
		wg.Go(func() {
			if a := b.post(at, fields("amount", "1400", "reason", "二重請求", "key", key)...); a.status != http.StatusSeeOther {
				t.Error(a.status)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1400), state().Refunded)
	require.Equal(t, payment.PartRefunded, state().Phase)
	body := b.get("/messages/" + msg.String()).body
	for _, want := range []string{"一部返金", "返金依頼", "二重請求", "1,400円"} {
		require.Contains(t, body, want)
	}
	require.Contains(t, b.get("/audit").body, "返金")

	a = b.post(at, fields("how", "whole", "reason", "解約")...)
	key = keyPattern.FindStringSubmatch(a.body)[1]
	require.Equal(t, http.StatusSeeOther, b.post(at, fields("amount", "3000", "reason", "解約", "key", key)...).status)
	require.Equal(t, payment.AllRefunded, state().Phase)
	require.Contains(t, b.get(at).body, "返金できる入金はありません")
	require.NotContains(t, b.get("/messages/"+msg.String()).body, at)

	for login, want := range map[string]int{"sender@mizu": http.StatusForbidden, "viewer@mizu": http.StatusForbidden, "admin@gasu": http.StatusNotFound} {
		require.Equal(t, want, r.enter(login).get(at).status, login)
	}
}

func TestRefundShowsInTheReceipts(t *testing.T) {
	r := openRoom(t)
	msg, claim := r.byCard("R-2")
	b := r.enter("admin@mizu")
	b.get("/messages/" + msg.String())
	require.Contains(t, b.post("/claims/"+claim.String()+"/receipt").header.Get("Content-Disposition"), "receipt-000000000001.pdf")
	_, err := r.Payments.Refund(t.Context(), r.tenant("mizu"), "R-2", payment.RefundOptions{Yen: 400, Act: message.Act{By: "user:admin@mizu", Reason: "値引き"}})
	require.NoError(t, err)
	body := b.get("/messages/" + msg.String()).body
	for _, want := range []string{"000000000001", "000000000002", "返金訂正", "訂正前の領収書"} {
		require.Contains(t, body, want)
	}
	require.Contains(t, b.post("/claims/"+claim.String()+"/receipt", "number", "000000000001").header.Get("Content-Disposition"), "receipt-000000000001.pdf")
	require.Contains(t, b.post("/claims/"+claim.String()+"/receipt", "number", "").header.Get("Content-Disposition"), "receipt-000000000002.pdf")
	require.Equal(t, http.StatusNotFound, b.post("/claims/"+claim.String()+"/receipt", "number", "000000000009").status)
}
