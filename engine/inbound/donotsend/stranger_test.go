package donotsend

import (
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// send commits a message to a number.
func (l *List) send(t testing.TB, to string) store.Ref {
	t.Helper()
	m := store.Ref{Tenant: "mizu", Kind: store.Message, ID: ulid.Make()}
	now := time.Now()
	box, err := l.store.Seal("mizu", string(message.Notice), now, m.ID.String()+"/sms", message.Encode(message.SMS{Number: number(t, to).E164(), Text: "x"}))
	require.NoError(t, err)
	h := &message.Head{V: 1, No: "20261128000000001", Class: message.Notice, SMS: box}
	errs, err := l.store.Commit(t.Context(), store.Tx{{Ref: m, Events: []store.NewEvent{{Type: byte(message.Accepted), At: now, Data: message.Encode(h)}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	return m
}

func (l *List) disowned(t testing.TB, m store.Ref) bool {
	t.Helper()
	st, err := l.message(t.Context(), m)
	require.NoError(t, err)
	return !st.DisownedAt.IsZero()
}

func TestDisownedMessageListsItsNumberUntilItIsTakenBack(t *testing.T) {
	l, _ := fresh(t)
	n := number(t, "090-0001-0001")
	first, second, other := l.send(t, "090-0001-0001"), l.send(t, "090-0001-0001"), l.send(t, "090-0001-0002")
	for range 2 {
		require.NoError(t, l.Disown(t.Context(), first, time.Now()))
	}
	require.True(t, l.disowned(t, first) && l.refuses(t, "mizu", message.Billing, n))
	require.False(t, l.disowned(t, second) || l.disowned(t, other))
	require.False(t, l.refuses(t, "gasu", message.Billing, n), "another tenant's list")
	e, err := l.Find(t.Context(), "mizu", n)
	require.NoError(t, err)
	require.Equal(t, [3]string{"wrong_person", "No. 20261128000000001", "link"}, [3]string{string(e.Reason), e.Note, e.By})

	// Of two messages to one number the first one's word is what holds it.
	require.NoError(t, l.Disown(t.Context(), second, time.Now()))
	require.NoError(t, l.Readmit(t.Context(), second, "user:tanto", time.Now()))
	require.False(t, l.disowned(t, second))
	require.True(t, l.refuses(t, "mizu", message.Billing, n))
	for range 2 {
		require.NoError(t, l.Readmit(t.Context(), first, "user:tanto", time.Now()))
	}
	require.False(t, l.disowned(t, first) || l.refuses(t, "mizu", message.Billing, n))

	// Again, after the entry was taken off the list by itself.
	require.NoError(t, l.Disown(t.Context(), first, time.Now()))
	e, err = l.Find(t.Context(), "mizu", n)
	require.NoError(t, err)
	require.NoError(t, l.Remove(t.Context(), "mizu", e.ID, "user:tanto"))
	require.True(t, l.disowned(t, first), "the link stays closed")
	require.NoError(t, l.Readmit(t.Context(), first, "user:tanto", time.Now()))
	require.False(t, l.disowned(t, first))

	// A number that asked to be left alone before stays listed.
	require.NoError(t, l.Add(t.Context(), "mizu", []Addition{{Number: number(t, "090-0001-0002"), Reason: Stop, By: "phone", At: time.Now()}})[0].Err)
	require.NoError(t, l.Disown(t.Context(), other, time.Now()))
	require.NoError(t, l.Readmit(t.Context(), other, "user:tanto", time.Now()))
	require.True(t, l.refuses(t, "mizu", message.Billing, number(t, "090-0001-0002")))
	require.ErrorIs(t, l.Disown(t.Context(), store.Ref{Tenant: "mizu", Kind: store.Message, ID: ulid.Make()}, time.Now()), store.ErrNotFound)
}

func TestDisownedByManyAtOnceIsOneEntry(t *testing.T) {
	l, _ := fresh(t)
	var all []store.Ref
	for range 4 {
		all = append(all, l.send(t, "090-0001-0001"))
	}
	var wg sync.WaitGroup
	for _, m := range all {
		for range 3 {
			wg.Go(func() {
				if err := l.Disown(t.Context(), m, time.Now()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	made := 0
	for _, m := range all {
		st, err := l.message(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, 2, st.Version, "once")
		if !st.DisownedEntry.IsZero() {
			made++
		}
	}
	require.Equal(t, 1, made)
	entries, _, err := l.Page(t.Context(), "mizu", Query{Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
