package dlr

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

func arrived(id string) arrival {
	return arrival{receipt: Receipt{ID: id, State: Delivered}, bind: "docomo-1", received: time.Now()}
}

// answered keeps what receipts are answered.
func answered(m *Matcher) *[]pdu.Status {
	var all []pdu.Status
	m.respond = func(batch []session.Response) int {
		for _, r := range batch {
			all = append(all, r.Status)
		}
		return 0
	}
	return &all
}

// full is a store that knows every id and can record nothing.
type full struct{ err error }

func (f full) LookupMany(_ context.Context, _ tenant.Scope, _ store.Space, keys []string) []store.Found {
	return slices.Repeat([]store.Found{{Ref: store.Ref{Tenant: "suido", Kind: store.Message}, Value: Part(1, 1)}}, len(keys))
}
func (f full) LoadMany(context.Context, tenant.Scope, []store.Ref) ([][]store.Event, error) {
	return nil, f.err
}
func (f full) Commit(context.Context, ...store.Tx) ([]error, error) { return nil, f.err }

func TestReceiptThatCouldNotBeRecordedIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMatcher("docomo", IDRule{Text, Text}, full{store.ErrBusy}, slog.New(slog.DiscardHandler), nil)
		statuses := answered(m)
		m.keep(m.match(t.Context(), []arrival{arrived("a")}))
		require.Empty(t, *statuses, "it waits")
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		require.NoError(t, m.Run(ctx))
		require.Equal(t, []pdu.Status{pdu.StatusReceiverTemporaryError}, *statuses)
	})
}

func TestLastOfSeveralSegmentsEndsTheMessageAlsoInOneBatch(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key"), MinFree: 1})
	require.NoError(t, err)
	defer s.Close()
	ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
	key := store.Name{Space: store.ByKey, Key: "k", Until: time.Now().Add(-time.Minute), WhileOpen: true}
	errs, err := s.Commit(t.Context(), store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(message.Head{V: 1, Parts: 2})}}, Names: []store.Name{
		key, {Space: store.BySMSCID, Key: Key("docomo", "a"), Value: Part(1, 2)}, {Space: store.BySMSCID, Key: Key("docomo", "b"), Value: Part(2, 2)}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	_, _, err = s.Lookup(t.Context(), tenant.Only("suido"), store.ByKey, "k")
	require.NoError(t, err, "the message is open")

	m := NewMatcher("docomo", IDRule{Text, Text}, s, slog.New(slog.DiscardHandler), nil)
	statuses := answered(m)
	require.Empty(t, m.match(t.Context(), []arrival{arrived("a"), arrived("b")}))
	require.Equal(t, []pdu.Status{pdu.StatusOK, pdu.StatusOK}, *statuses)
	_, _, err = s.Lookup(t.Context(), tenant.Only("suido"), store.ByKey, "k")
	require.ErrorIs(t, err, store.ErrNotFound, "the message is final, and with it the names that it holds while it is open")
}
