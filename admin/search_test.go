package admin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// What a mask hides has 10,000 values: a viewer does not get through them.
func TestMaskedNumberIsNotFoundByTrying(t *testing.T) {
	r := openRoom(t)
	r.accept("mizu", message.ViaConsole, bill("090-0001-1367", "C-1"))
	now := time.Now()
	r.Now = func() time.Time { return now }
	b := r.enter("viewer@mizu")
	try := func(n int) answered { return b.post("/messages/search", "number", fmt.Sprintf("090%04d1367", n)) }
	for i := range viewerLookups {
		require.Equal(t, http.StatusSeeOther, try(100+i).status)
		require.Equal(t, http.StatusSeeOther, try(100).status, "the same again is nothing new")
	}
	again := r.enter("viewer@mizu")
	a := again.post("/messages/search", "number", "09000011367")
	require.Equal(t, http.StatusTooManyRequests, a.status, "another session does not help")
	require.Contains(t, a.body, "電話番号での検索は1時間に30回までです。")
	require.Equal(t, http.StatusSeeOther, b.post("/messages/search", "last4", "1367").status)
	require.Equal(t, http.StatusSeeOther, r.enter("sender@mizu").post("/messages/search", "number", "09000011367").status)
	entries, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	looked := map[string]int{}
	for _, e := range entries {
		if e.Action == "messages.search" && e.Target == "090-****-1367" {
			looked[e.By]++
		}
	}
	require.Equal(t, map[string]int{"user:viewer@mizu": viewerLookups, "user:sender@mizu": 1}, looked)
	now = now.Add(time.Hour)
	require.Equal(t, http.StatusSeeOther, r.enter("viewer@mizu").post("/messages/search", "number", "09000011367").status)
}
