package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConsoleSaysWhereTheSharedEntryIs(t *testing.T) {
	r := openRoom(t)
	admin, operator := r.enter("admin@mizu"), r.enter("operator")
	const address = "https://s.example.jp/e/mizu"
	require.NotContains(t, admin.get("/brand").body, address)
	require.Contains(t, admin.get("/brand").body, "on = true")
	require.Contains(t, operator.get("/tenants").body, "on = true")
	own := *r.tenant("mizu")
	own.Entry.On = true
	require.NoError(t, r.Directory.Apply(t.Context(), own))
	require.Contains(t, admin.get("/brand").body, address)
	require.Contains(t, operator.get("/tenants").body, address)
	require.NotContains(t, r.enter("admin@gasu").get("/brand").body, address)
}
