package admin

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestEndOfALinkIsChanged(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0]
	b := r.enter("sender@mizu")
	at, page := "/messages/"+res.ID.String()+"/expiry", "/messages/"+res.ID.String()
	require.Contains(t, b.get(page).body, at)
	until := time.Now().In(message.Tokyo).AddDate(0, 0, 60).Truncate(time.Minute)
	a := b.post(at, "expires", until.Format("2006-01-02T15:04"))
	require.Equal(t, http.StatusSeeOther, a.status)
	shown := b.get(a.header.Get("Location")).body
	require.Contains(t, shown, "URLの有効期限を変更しました。")
	require.Contains(t, shown, "有効期限 "+dateTime(until), "it is among the steps")
	st := r.state("mizu", res.ID.String())
	require.True(t, until.Equal(st.Head.LinkExpires))
	require.Equal(t, "message.expiry", r.actions("mizu")[0])
	for want, expires := range map[string]string{"現在より後の日時にしてください": "2020-01-01T00:00", "送信日時から400日以内にしてください": time.Now().AddDate(2, 0, 0).Format("2006-01-02T15:04"), "変更できませんでした": "x", "必須です": ""} {
		require.Contains(t, b.get(b.post(at, "expires", expires).header.Get("Location")).body, want)
	}
	require.Equal(t, http.StatusForbidden, r.enter("viewer@mizu").post(at, "expires", "2030-01-01T00:00").status)
	require.Equal(t, http.StatusSeeOther, b.post(page+"/revoke").status)
	require.NotContains(t, b.get(page).body, at, "a link that is closed stays closed")
	require.Contains(t, b.get(b.post(at, "expires", until.Add(time.Hour).Format("2006-01-02T15:04")).header.Get("Location")).body, "URLは無効になっています")
	sms := bill("090-0001-0001", "C-2")
	sms.Page, sms.Text = nil, "断水のお知らせです。"
	plain := r.accept("mizu", message.ViaConsole, sms)[0]
	require.Equal(t, http.StatusNotFound, b.post("/messages/"+plain.ID.String()+"/expiry", "expires", until.Format("2006-01-02T15:04")).status)
}
