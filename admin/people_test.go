package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamesThatTheDirectoryRefusesAreRefusedByTheForm(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	for _, name := range []string{"a.b", ".a", "-a", "_a", "A", "", "a b"} {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/keys", "name", name).status, name)
	}
	for _, login := range []string{".abc", "_abc", "@abc", "-abc", "ab"} {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/users", "login", login, "name", "書留 三郎", "role", "viewer").status, login)
	}
	require.NotContains(t, r.actions("mizu"), "key.issue")
	require.NotContains(t, r.actions("mizu"), "user.add")
	require.Equal(t, http.StatusOK, b.post("/keys", "name", "erp").status)
	a := b.post("/keys", "name", "erp")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "この名前のAPIキーは使用中です。")
	require.Equal(t, http.StatusSeeOther, b.post("/keys/"+r.Directory.Now().KeysOf("mizu")[0].ID+"/revoke").status)
	require.Equal(t, http.StatusOK, b.post("/keys", "name", "erp").status)
}
