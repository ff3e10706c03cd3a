package admin

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// asking makes a message that asks for a birth date and a code.
func (r *room) asking(to string) store.Ref {
	r.t.Helper()
	res := r.accept("mizu", message.ViaAPI, message.Draft{To: to, Text: "{url}", Class: "notice", Page: &message.Page{Title: "お知らせ"},
		Identity: &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}, Code: true}})[0]
	return store.Ref{Tenant: "mizu", Kind: store.Message, ID: res.ID}
}

// Five wrong tries lock a message; whoever may send unlocks it on its screen, and its recipient goes on.
func TestALockedMessageIsUnlocked(t *testing.T) {
	r := openRoom(t)
	ref := r.asking("090-0001-0078")
	try := func(birth string) identity.Result {
		t.Helper()
		got, _, err := r.Identity.Items(t.Context(), r.tenant("mizu"), ref, map[string]string{"birth_date": birth})
		require.NoError(t, err)
		return got
	}
	for range identity.MaxTries {
		try("19990101")
	}
	require.Equal(t, identity.Locked, try("19980101"))
	path := "/messages/" + ref.ID.String()
	b := r.enter("sender@mizu")
	const button = "/unlock\""
	body := b.get(path).body
	require.Contains(t, body, "本人認証がロックされています")
	require.Contains(t, body, button)
	require.NotContains(t, r.enter("viewer@mizu").get(path).body, button)
	other := r.enter("sender@gasu")
	other.get("/")
	require.Equal(t, http.StatusNotFound, other.post(path+"/unlock").status)
	require.Equal(t, identity.Locked, try("19980101"), "it is another tenant's")

	a := b.post(path + "/unlock")
	require.Equal(t, http.StatusSeeOther, a.status)
	body = b.get(a.header.Get("Location")).body
	require.Contains(t, body, "本人認証のロックを解除しました")
	require.NotContains(t, body, "本人認証がロックされています")
	require.Equal(t, "message.unlock", r.actions("mizu")[0])
	require.Contains(t, r.enter("admin@mizu").get("/audit").body, "認証ロック解除")
	require.Equal(t, identity.Mismatch, try("19990101"), "all tries are there again")
	require.Equal(t, identity.NeedCode, try("19980101"))
}

// From four fifths of a tenant's codes of the day on its home says so, and when none is left.
func TestHomeWarnsOfTheBudgetOfCodes(t *testing.T) {
	r := openRoom(t)
	next := shop("mizu", "〇〇県水道局")
	next.Policy.CodesPerDay = 5
	require.NoError(t, r.Directory.Apply(t.Context(), next))
	b := r.enter("sender@mizu")
	for i := range 5 {
		got, err := r.Identity.SendCode(t.Context(), r.tenant("mizu"), r.asking(fmt.Sprintf("090-0001-01%02d", i)), identity.Asking{})
		require.NoError(t, err)
		require.Equal(t, identity.Sent, got)
		body, said := b.get("/").body, fmt.Sprintf("本日の上限 5件のうち %d件を使用しました", i+1)
		switch {
		case i < 3:
			require.NotContains(t, body, "本日の上限")
		case i == 3:
			require.Contains(t, body, `<span class="badge warn">認証番号</span> `+said)
		default:
			require.Contains(t, body, `<span class="badge bad">認証番号</span> `+said)
		}
	}
	require.NotContains(t, r.enter("sender@gasu").get("/").body, "本日の上限", "it is the tenant's own")
}
