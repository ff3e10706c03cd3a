package admin

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestClaimIsAmendedByAnAdministrator(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaAPI, claimed("W-1"))[0]
	at, back := "/claims/"+res.Claim.ID.String()+"/amend", "/messages/"+res.ID.String()
	b := r.enter("admin@mizu")
	require.Contains(t, b.get(back).body, at)
	day := message.Day(time.Now().AddDate(0, 0, 40))
	a := b.post(at, "message", res.ID.String(), "amount", "8,000", "due", day, "tax", "", "reason", "検針の誤り")
	require.Equal(t, http.StatusSeeOther, a.status)
	require.Contains(t, b.get(a.header.Get("Location")).body, "請求内容を変更しました。")
	c, err := r.Payments.Claim(t.Context(), tenant.Only("mizu"), res.Claim.ID)
	require.NoError(t, err)
	require.EqualValues(t, 8000, c.Amount)
	require.Equal(t, day, message.Day(c.Due))
	require.Equal(t, "user:admin@mizu", c.Statements[0].By)
	require.Equal(t, "検針の誤り", c.Statements[0].Reason)
	require.Equal(t, "claim.amend", r.actions("mizu")[0])
	require.Contains(t, b.get(back).body, "検針の誤り", "it is among the steps")

	for _, bad := range [][]string{{"amount", "x"}, {"amount", "0"}, {"due", "x"}, {"due", "2020-01-01"}, {}} {
		a := b.post(at, append([]string{"message", res.ID.String()}, bad...)...)
		require.Equal(t, http.StatusSeeOther, a.status)
		require.Contains(t, b.get(a.header.Get("Location")).body, "変更できませんでした：", bad)
	}
	sender := r.enter("sender@mizu")
	require.NotContains(t, sender.get(back).body, at)
	require.Equal(t, http.StatusForbidden, sender.post(at, "amount", "1").status)
	paying, err := r.Payments.Start(t.Context(), r.tenant("mizu"), res.Claim.ID, payment.StartOptions{Method: "card", MessageID: res.ID, ReturnURL: "https://s.example.jp/r"})
	require.NoError(t, err)
	r.paid("mizu", res.ID.String(), paying, 8000)
	require.NotContains(t, b.get(back).body, at, "what was paid stays as it is")
}

// partly is a message whose claim of 7,440 yen was paid in part, 4,000 yen, by transfer.
func (r *room) partly(number string) (msg, claim ulid.ULID) {
	r.t.Helper()
	msg, attempt := r.begun(number, 7440)
	claim = r.state("mizu", msg.String()).Head.Claim
	data, err := json.Marshal(payment.Deposit{Attempt: attempt.ID, ID: number, Yen: 4000, Paid: time.Now()})
	require.NoError(r.t, err)
	errs, err := r.Store.Commit(r.t.Context(), store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Claim, ID: claim}, Expect: store.Any,
		Events: []store.NewEvent{{Type: byte(payment.Deposited), At: time.Now(), Data: data}}}})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
	return msg, claim
}

// A part was transferred: the due date alone is offered, and moves the end of its account.
func TestDueDateOfAPartlyPaidClaimIsAmended(t *testing.T) {
	r := openRoom(t)
	msg, claim := r.partly("W-1")
	at, b := "/claims/"+claim.String()+"/amend", r.enter("admin@mizu")
	body := b.get("/messages/" + msg.String()).body
	require.Contains(t, body, at)
	require.NotContains(t, body, `name="amount"`)
	day := "2031-01-31"
	a := b.post(at, "message", msg.String(), "due", day, "reason", "")
	require.Contains(t, b.get(a.header.Get("Location")).body, "請求内容を変更しました。")
	c, err := r.Payments.Claim(t.Context(), tenant.Only("mizu"), claim)
	require.NoError(t, err)
	require.Equal(t, day, message.Day(c.Due))
	require.Equal(t, day, message.Day(c.Live().Due))
	require.False(t, c.Live().Void)
}

// A part was transferred, and the rest came in cash: it is settled with the amount that remains.
func TestRestOfAPartlyPaidClaimIsSettled(t *testing.T) {
	r := openRoom(t)
	msg, claim := r.partly("W-1")
	at, back, b := "/claims/"+claim.String()+"/settle", "/messages/"+msg.String(), r.enter("admin@mizu")
	body := b.get(back).body
	require.Contains(t, body, `action="`+at+`"`)
	require.Contains(t, body, "残額 3,440円 を別の方法で入金済みとして")
	require.NotContains(t, body, claim.String()+"/withdraw", "money was received")
	a := b.post(at, "message", msg.String(), "rest", "7440", "reason", "")
	require.Contains(t, b.get(a.header.Get("Location")).body, "入金の状況が変わりました。残額を確認してください", "other than the page said")
	a = b.post(at, "message", msg.String(), "reason", "")
	require.Contains(t, b.get(a.header.Get("Location")).body, "入金の状況が変わりました。残額を確認してください", "a page from before the part came: all of it was settled elsewhere")
	a = b.post(at, "message", msg.String(), "rest", "3440", "reason", "窓口で現金")
	body = b.get(a.header.Get("Location")).body
	for _, said := range []string{"消込済みにしました。", "消込済み</span>", "残額 3,440円 ", "窓口で現金"} {
		require.Contains(t, body, said)
	}
	require.NotContains(t, body, at)
	c, err := r.Payments.Claim(t.Context(), tenant.Only("mizu"), claim)
	require.NoError(t, err)
	require.Equal(t, payment.SettledElse, c.Phase)
	require.Empty(t, c.Alerts)
}
