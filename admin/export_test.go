package admin

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// linesOf are the lines of a file by the number of their message, each by the column.
func linesOf(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\ufeff"))).ReadAll()
	require.NoError(t, err)
	out, no := map[string]map[string]string{}, slices.Index(rows[0], "No.")
	for _, row := range rows[1:] {
		out[row[no]] = map[string]string{}
		for i, c := range row {
			out[row[no]][rows[0][i]] = c
		}
	}
	return out
}

func TestExportTellsHowEachClaimStands(t *testing.T) {
	r := openRoom(t)
	paid, _ := r.byCard("R-1")
	open := r.accept("mizu", message.ViaAPI, claimed("W-1"))[0]
	day := message.Day(time.Now().AddDate(0, 0, 1))
	r.happen("mizu", open.ID, store.NewEvent{Type: byte(message.Promised), Data: message.Encode(message.Promise{Word: message.PromisePay, By: day})})
	bare := r.accept("mizu", message.ViaAPI, bill("090-0001-0001", "C-1"))[0]

	lines := linesOf(t, r.enter("admin@mizu").post("/messages/export").body)
	got := lines[r.state("mizu", paid.String()).Head.No]
	require.Equal(t, "R-1", got["請求番号"])
	require.Equal(t, "4400", got["請求金額"])
	require.Equal(t, "4400", got["入金額"])
	require.Equal(t, "2030-12-31", got["支払期限"])
	require.NotEmpty(t, got["決済方法"])
	require.NotEmpty(t, got["入金日時"])
	require.NotEmpty(t, got["確報日時"])
	require.Equal(t, "決済手続き完了（確報）", got["決済状況"])
	require.Empty(t, got["支払予定の申告"])
	got = lines[open.No]
	require.Equal(t, "W-1", got["請求番号"])
	require.Equal(t, "0", got["入金額"])
	require.Empty(t, got["入金日時"])
	require.Equal(t, "支払予定", got["支払予定の申告"])
	require.Equal(t, day, got["支払予定日"])
	require.Empty(t, lines[bare.No]["請求番号"])

	got = linesOf(t, r.enter("sender@mizu").post("/messages/export").body)[open.No]
	require.Equal(t, "W-1", got["請求番号"])
	require.Empty(t, got["請求金額"], "amounts are for administrators")
	require.Empty(t, got["入金額"])
}

func TestListIsSearchedByClaim(t *testing.T) {
	r := openRoom(t)
	first, second := r.accept("mizu", message.ViaAPI, claimed("W-1"))[0], r.accept("mizu", message.ViaAPI, claimed("W-2"))[0]
	b := r.enter("sender@mizu")
	to := b.post("/messages/search", "claim", " W-1 ").header.Get("Location")
	at, err := url.Parse(to)
	require.NoError(t, err)
	require.Equal(t, "W-1", at.Query().Get("claim"))
	a := b.get(to)
	require.Contains(t, a.body, first.No)
	require.NotContains(t, a.body, second.No)
	require.Contains(t, a.body, "請求番号: W-1")
	require.Len(t, linesOf(t, b.post("/messages/export", "claim", "W-1").body), 1)
	require.Contains(t, b.get("/messages?claim=W-9").body, "この番号の請求はありません。")
	require.Equal(t, http.StatusUnprocessableEntity, b.post("/messages/export", "claim", "W-9").status)
	require.NotContains(t, r.enter("admin@gasu").get("/messages?claim=W-1").body, first.No)
}

func TestExportsOfOneTenantLeavePlacesToOthers(t *testing.T) {
	r := openRoom(t)
	mizu, gasu := r.enter("sender@mizu"), r.enter("sender@gasu")
	var done func()
	for range exportsOfOne {
		var err error
		done, err = r.turn(&visit{User: r.Directory.Now().Users["sender@mizu"]})
		require.NoError(t, err)
	}
	require.Equal(t, http.StatusServiceUnavailable, mizu.post("/messages/export").status)
	require.Equal(t, http.StatusOK, gasu.post("/messages/export").status)
	done()
	require.Equal(t, http.StatusOK, mizu.post("/messages/export").status)
	require.Equal(t, http.StatusOK, mizu.post("/messages/export").status, "it gave its place back")
}
