package intake

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// entriesEdge makes keys of what it is given.
type entriesEdge struct{ fails error }

func (e *entriesEdge) EntryKeys(_ context.Context, _ *tenant.Tenant, people []identity.Person) ([]string, error) {
	var keys []string
	for _, p := range people {
		key := p.Name + p.Birth + p.Phone
		if p.Name == "壱" { // it cannot be read
			key = ""
		}
		keys = append(keys, key)
	}
	return keys, e.fails
}

var mizunoAsked = []message.IdentityItem{{Field: "kana_name", Value: "ミズノ"}, {Field: "birth_date", Value: "19980101"}}

// entryRoom is a room whose tenant mizu has a shared entry page; found are the messages of ミズノ there.
func entryRoom(t *testing.T) (r *room, found func(id tenant.ID) []store.Ref) {
	r = openRoom(t)
	r.Entries = &entriesEdge{}
	mizu := shop("mizu")
	mizu.Entry.On = true
	require.NoError(t, r.Tenants.Apply(t.Context(), mizu))
	return r, func(id tenant.ID) []store.Ref {
		terms := []store.Term{{Field: FieldEntry, Value: "ミズノ19980101+819000010001"}}
		refs, err := r.Store.Search(t.Context(), tenant.Only(id), store.Query{Kind: store.Message, Terms: terms, Limit: 10})
		require.NoError(t, err)
		return refs
	}
}

func TestTextWithTheSharedEntryNeedsNoLink(t *testing.T) {
	r, found := entryRoom(t)
	draft := func(reference, text string, items ...message.IdentityItem) message.Draft {
		d := bill()
		d.Reference, d.Text, d.Identity = reference, text, &message.Identity{Items: items, Code: true}
		return d
	}
	const page = "水道局 https://s.example.jp/e/mizu"
	accepted := func(d message.Draft) (Result, string) {
		t.Helper()
		res := r.accept(t, d)[0]
		require.True(t, res.Accepted(), "%v %v", res.Problems, res.Err)
		return res, r.sms(t, res.ID).Text
	}

	res, text := accepted(draft("C-1", page, mizunoAsked...))
	require.Equal(t, page, text)
	require.Empty(t, res.Warnings)
	require.Equal(t, res.ID, found("mizu")[0].ID)
	require.Empty(t, found("gasu"), "tenants are apart")
	res, text = accepted(draft("C-2", "〇〇水道局です。s.example.jp/e/mizu", append(mizunoAsked, message.IdentityItem{Field: "phone", Value: "09000010001"})...))
	require.NotContains(t, text, res.URL)
	require.Len(t, found("mizu"), 2)

	// Without the address the link stands there as ever, and it is found all the same.
	for i, words := range []string{"〇〇水道局です。", "〇〇 {url}", "〇〇 https://s.example.jp/e/mizu2", "〇〇 https://s.example.jp/e/mizu/x"} {
		res, text = accepted(draft("D-"+string(rune('0'+i)), words, mizunoAsked...))
		require.Contains(t, text, res.URL, words)
		require.Len(t, found("mizu"), 3+i)
	}
	res, text = accepted(draft("D-9", page+" {url}", mizunoAsked...))
	require.Contains(t, text, res.URL)
	require.Empty(t, res.Warnings)
	res, _ = accepted(draft("D-10", page+" https://www.example.jp", mizunoAsked...))
	require.Equal(t, "holds another URL beside the link", res.Warnings[0].Detail)
	n := len(found("mizu"))

	// Who is asked for anything else, or for less, finds nothing there: the link is sent, and the sender is told.
	for name, items := range map[string][]message.IdentityItem{
		"more":          append(mizunoAsked[:2:2], message.IdentityItem{Field: "customer_number", Value: "1"}),
		"a name alone":  mizunoAsked[:1],
		"another phone": append(mizunoAsked[:2:2], message.IdentityItem{Field: "phone", Value: "09000010002"}),
		"another level": {{Field: "kana_name", Value: "ミズノ", Level: "L1"}, mizunoAsked[1]},
	} {
		res, text = accepted(draft("E-"+name, page, items...))
		require.Contains(t, text, res.URL, name)
		require.Equal(t, "its recipient does not find it at the shared entry page", res.Warnings[0].Detail, name)
		require.NotEqual(t, res.Warnings[0].Text("ja"), res.Warnings[0].Text("en"))
	}
	d := draft("F-1", page)
	d.Identity = nil
	res, text = accepted(d)
	require.Contains(t, text, res.URL)
	require.Len(t, found("mizu"), n)

	// Where there is no shared entry, its address is any URL.
	require.NoError(t, r.Tenants.Apply(t.Context(), shop("mizu")))
	res, text = accepted(draft("G-1", page, mizunoAsked...))
	require.Contains(t, text, res.URL)
	require.Len(t, found("mizu"), n)
}

func TestFollowUpIsNotFoundByWhatItDoesNotAsk(t *testing.T) {
	r, found := entryRoom(t)
	d := bill()
	d.Text = "再度のご案内 https://s.example.jp/e/mizu"
	results, err := r.Accept(t.Context(), Request{Tenant: "mizu", Via: message.ViaConsole, By: "user:x", Drafts: []message.Draft{d}, Resends: []*Resend{{
		Of: newID(time.Now()), With: func(context.Context, ulid.ULID, time.Time) ([]store.Change, *message.Problem, error) {
			return nil, nil, nil
		},
	}}})
	require.NoError(t, err)
	require.True(t, results[0].Accepted(), "%v %v", results[0].Problems, results[0].Err)
	require.Contains(t, r.sms(t, results[0].ID).Text, results[0].URL)
	require.Empty(t, found("mizu"))
}

func TestNobodyIsAcceptedWhoCouldNotBeFound(t *testing.T) {
	r, found := entryRoom(t)
	r.Entries = &entriesEdge{fails: errors.New("the module does not answer")}
	d := bill()
	d.Identity = &message.Identity{Items: mizunoAsked, Code: true}
	require.ErrorContains(t, r.accept(t, d)[0].Err, "does not answer")

	r.Entries = &entriesEdge{}
	d.Identity.Items = []message.IdentityItem{{Field: "kana_name", Value: "壱"}, mizunoAsked[1]}
	require.True(t, r.accept(t, d)[0].Accepted(), "it has its link")
	d.Text = "水道局 s.example.jp/e/mizu"
	require.Equal(t, message.Problems{notAtEntry("text")}, r.accept(t, d)[0].Problems)
	require.Empty(t, found("mizu"))
}
