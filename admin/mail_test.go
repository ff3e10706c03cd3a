package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

func TestPaymentNumberIsMailedAtTheSendersOrder(t *testing.T) {
	r := openRoom(t)
	draft := claimed("W-1")
	draft.Recipient = &message.Recipient{Email: "taro@example.jp"}
	res := r.accept("mizu", message.ViaAPI, draft)[0]
	page := "/messages/" + res.ID.String()
	b := r.enter("sender@mizu")
	require.NotContains(t, b.get(page).body, page+"/mail", "there is no number yet")
	require.Contains(t, b.get(b.post(page+"/mail", "address", "taro@example.jp").header.Get("Location")).body, "番号が発行されていません")
	_, err := r.Payments.Start(t.Context(), r.tenant("mizu"), res.Claim.ID, payment.StartOptions{Method: "konbini_barcode", MessageID: res.ID, ReturnURL: "https://s.example.jp/r"})
	require.NoError(t, err)
	shown := b.get(page).body
	require.Contains(t, shown, page+"/mail")
	require.Contains(t, shown, "t***@e***.jp")
	a := b.post(page+"/mail", "address", "", "lang", "ja")
	require.Equal(t, http.StatusSeeOther, a.status)
	shown = b.get(a.header.Get("Location")).body
	require.Contains(t, shown, "お支払い番号のメール送信を受け付けました。")
	require.Contains(t, shown, "宛先 t***@e***.jp")
	require.Equal(t, "user:sender@mizu", r.state("mizu", res.ID.String()).Mails[0].By)
	require.Equal(t, "message.mail", r.actions("mizu")[0])
	require.NotContains(t, b.get(page).body, "taro@", "a whole address is on no screen")
	for want, address := range map[string]string{"メールアドレスを確認してください": "taro", "受け付けました": "a@example.jp"} {
		require.Contains(t, b.get(b.post(page+"/mail", "address", address).header.Get("Location")).body, want)
	}
	b.post(page+"/mail", "address", "b@example.jp")
	require.Contains(t, b.get(b.post(page+"/mail", "address", "c@example.jp").header.Get("Location")).body, "上限に達しました")
	require.Equal(t, http.StatusForbidden, r.enter("viewer@mizu").post(page+"/mail").status)
}
