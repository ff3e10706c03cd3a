package admin

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

func TestSenderSeesWhoIsTheWrongPersonAndTakesItBack(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0]
	n, err := carrier.ParseNumber("090-0001-0001")
	require.NoError(t, err)
	listed := func() bool {
		no, err := r.DoNotSend.Refuses(t.Context(), "mizu", message.Notice, n)
		require.NoError(t, err)
		return no
	}
	require.NoError(t, r.DoNotSend.Disown(t.Context(), store.Ref{Tenant: "mizu", Kind: store.Message, ID: res.ID}, time.Now()))
	b := r.enter("sender@mizu")
	path := "/messages/" + res.ID.String()
	page := b.get(path).body
	for _, want := range []string{"番号違いの申告", "「お心当たりのない方」の申告", "申告を取り消す"} {
		require.Contains(t, page, want)
	}
	require.Contains(t, b.get("/messages?status=disowned").body, res.No)
	list := b.get("/do-not-send").body
	for _, want := range []string{"090-****-0001", "番号違い（別の方）", "No. " + res.No, "URLの「お心当たりのない方」"} {
		require.Contains(t, list, want)
	}
	require.NotContains(t, r.enter("viewer@mizu").get(path).body, "/readmit")

	require.True(t, listed())
	require.Equal(t, http.StatusSeeOther, b.post(path+"/readmit").status)
	require.False(t, listed())
	page = b.get(path).body
	require.Contains(t, page, "番号違いの申告を取消")
	require.NotContains(t, page, "/readmit")
	require.NotContains(t, b.get("/messages?status=disowned").body, res.No)
	require.Equal(t, http.StatusSeeOther, b.post(path+"/readmit").status, "again: nothing changes")
}
