package dlr

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
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

// answered keeps what receipts are answered, and gives all of it so far.
func answered(m *Matcher) func() []pdu.Status {
	var all []pdu.Status
	var mu sync.Mutex // Take and Run answer
	m.respond = func(batch []session.Response) int {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range batch {
			all = append(all, r.Status)
		}
		return 0
	}
	return func() []pdu.Status {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
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
		require.Empty(t, statuses(), "it waits")
		ctx, cancel := context.WithTimeout(t.Context(), 2*hold)
		defer cancel()
		require.NoError(t, m.Run(ctx))
		require.Equal(t, []pdu.Status{pdu.StatusReceiverTemporaryError}, statuses())
	})
}

// opened is a store, and how a message of so many segments is in it; its submissions have the ids.
func opened(t *testing.T) (s *store.Store, submitted func(key string, ids ...string) store.Ref) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key"), MinFree: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, func(key string, ids ...string) store.Ref {
		t.Helper()
		ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
		change := store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(message.Head{V: 1, Parts: len(ids)})}},
			Names: []store.Name{{Space: store.ByKey, Key: key, Until: time.Now().Add(-time.Minute), WhileOpen: true}}}
		for i, id := range ids {
			change.Events = append(change.Events, store.NewEvent{Type: byte(message.Submitted), Data: message.Encode(message.Submission{Part: i + 1, Attempt: 1, SMSCID: id})})
			change.Names = append(change.Names, store.Name{Space: store.BySMSCID, Key: Key("docomo", id), Value: Part(i+1, len(ids)), Until: time.Now().Add(time.Hour)})
		}
		errs, err := s.Commit(t.Context(), store.Tx{change})
		require.NoError(t, err)
		require.NoError(t, errs[0])
		return ref
	}
}

func phase(t *testing.T, s *store.Store, ref store.Ref) message.Phase {
	t.Helper()
	events, err := s.Load(t.Context(), tenant.Operator(), ref)
	require.NoError(t, err)
	folded, err := message.Fold(Events(events))
	require.NoError(t, err)
	return folded.Phase
}

func came(texts ...string) (batch []session.Incoming) {
	for _, text := range texts {
		batch = append(batch, session.Incoming{Command: pdu.CmdDeliverSM, SM: *receipt(text), Received: time.Now()})
	}
	return batch
}

// none is a store that knows no id.
type none struct{ full }

func (none) LookupMany(_ context.Context, _ tenant.Scope, _ store.Space, keys []string) []store.Found {
	return slices.Repeat([]store.Found{{Err: store.ErrNotFound}}, len(keys))
}

// TestReceiptOfNobodyIsAcknowledgedWhenNoResponseCanNameIt: until then it comes again, and holds its answer back only the first time.
func TestReceiptOfNobodyIsAcknowledgedWhenNoResponseCanNameIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMatcher("docomo", IDRule{Text, Text}, none{}, slog.New(slog.DiscardHandler), nil)
		m.Set(IDRule{Text, Text}, time.Minute)
		statuses := answered(m)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = m.Run(ctx) })
		m.Take(ctx, "docomo-1", came("id:a stat:DELIVRD"))
		time.Sleep(hold / 2)
		synctest.Wait()
		require.Empty(t, statuses(), "its response may just be recorded")
		time.Sleep(hold)
		synctest.Wait()
		require.Equal(t, []pdu.Status{pdu.StatusReceiverTemporaryError}, statuses())
		time.Sleep(session.LateFor)
		m.Take(ctx, "docomo-1", came("id:a stat:DELIVRD"))
		require.Equal(t, pdu.StatusReceiverTemporaryError, statuses()[1], "at once")
		require.Zero(t, testutil.ToFloat64(m.metrics.orphans))
		time.Sleep(time.Minute)
		m.Take(ctx, "docomo-1", came("id:a stat:DELIVRD", "id:b stat:DELIVRD"))
		require.Equal(t, []pdu.Status{pdu.StatusOK}, statuses()[2:])
		require.EqualValues(t, 1, testutil.ToFloat64(m.metrics.orphans))
		time.Sleep(2 * hold)
		synctest.Wait()
		require.EqualValues(t, 1, testutil.ToFloat64(m.metrics.ahead), "b")
		time.Sleep(time.Minute + session.LateFor + againFor + 2*expireEvery)
		synctest.Wait()
		require.Zero(t, testutil.ToFloat64(m.metrics.ahead), "it never came again")
		require.EqualValues(t, 2, testutil.ToFloat64(m.metrics.orphans))
		cancel()
		wg.Wait()
	})
}

func TestLastOfSeveralSegmentsEndsTheMessageAlsoInOneBatch(t *testing.T) {
	s, submitted := opened(t)
	submitted("k", "a", "b")
	_, _, err := s.Lookup(t.Context(), tenant.Only("suido"), store.ByKey, "k")
	require.NoError(t, err, "the message is open")

	m := NewMatcher("docomo", IDRule{Text, Text}, s, slog.New(slog.DiscardHandler), nil)
	statuses := answered(m)
	require.Empty(t, m.match(t.Context(), []arrival{arrived("a"), arrived("b")}))
	require.Equal(t, []pdu.Status{pdu.StatusOK, pdu.StatusOK}, statuses())
	_, _, err = s.Lookup(t.Context(), tenant.Only("suido"), store.ByKey, "k")
	require.ErrorIs(t, err, store.ErrNotFound, "the message is final, and with it the names that it holds while it is open")
}

// TestRepeatedIDIsTheNewestSubmissions: carriers use ids again; a receipt is of the submission that had its id last.
func TestRepeatedIDIsTheNewestSubmissions(t *testing.T) {
	s, submitted := opened(t)
	m := NewMatcher("docomo", IDRule{Text, Text}, s, slog.New(slog.DiscardHandler), nil)
	answered(m)
	before := submitted("k1", "a")
	m.Take(t.Context(), "docomo-1", came("id:a stat:DELIVRD"))
	open := submitted("k2", "b") // its own receipt never came
	after, other := submitted("k3", "a"), submitted("k4", "b")
	m.Take(t.Context(), "docomo-1", came("id:a stat:UNDELIV", "id:b stat:DELIVRD"))
	require.Equal(t, [4]message.Phase{message.Arrived, message.Confirming, message.NotDelivered, message.Arrived},
		[4]message.Phase{phase(t, s, before), phase(t, s, open), phase(t, s, after), phase(t, s, other)})
}

// TestUnknownEndsNothing: a carrier that does not know may still say DELIVRD, and nothing is free to be sent again meanwhile.
func TestUnknownEndsNothing(t *testing.T) {
	s, submitted := opened(t)
	ref := submitted("k", "a")
	m := NewMatcher("docomo", IDRule{Text, Text}, s, slog.New(slog.DiscardHandler), nil)
	statuses := answered(m)
	m.Take(t.Context(), "docomo-1", came("id:a stat:UNKNOWN", "id:a stat:MYSTERY"))
	require.Equal(t, message.Confirming, phase(t, s, ref))
	require.EqualValues(t, 1, testutil.ToFloat64(m.metrics.unreadable))
	_, _, err := s.Lookup(t.Context(), tenant.Only("suido"), store.ByKey, "k")
	require.NoError(t, err, "the message is open")
	m.Take(t.Context(), "docomo-1", came("id:a stat:DELIVERED"))
	require.Equal(t, message.Arrived, phase(t, s, ref))
	require.Equal(t, []pdu.Status{pdu.StatusOK, pdu.StatusOK, pdu.StatusOK}, statuses())
}

// TestIDThatNoNameHoldsEndsNoDoubt: it is held like any that nobody knows, and not tried for ever.
func TestIDThatNoNameHoldsEndsNoDoubt(t *testing.T) {
	for length, want := range map[int]message.Phase{IDMax: message.Arrived, IDMax + 1: message.Doubtful, 40_000: message.Doubtful} {
		s, _ := opened(t)
		ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
		event := func(typ message.Type, d any) store.NewEvent {
			return store.NewEvent{Type: byte(typ), Data: message.Encode(d)}
		}
		errs, err := s.Commit(t.Context(), store.Tx{{Ref: ref, Events: []store.NewEvent{
			event(message.Accepted, message.Head{V: 1, Parts: 1}), event(message.Submitting, message.Submission{Part: 1, Attempt: 1}), event(message.InDoubt, message.Submission{Part: 1, Attempt: 1, Policy: message.DoubtWait, Until: time.Now().Add(time.Hour)}),
		}}})
		require.NoError(t, errors.Join(append(errs, err)...))
		m := NewMatcher("docomo", IDRule{Text, Text}, s, slog.New(slog.DiscardHandler), nil)
		answered(m)
		m.Doubted(Doubt{Ref: ref, Part: 1, Total: 1, Attempt: 1, Number: PhoneOf("09000010001"), Written: time.Now()})
		in := came("id:a submit date:" + time.Now().In(message.Tokyo).Format("0601021504") + " stat:DELIVRD")
		in[0].SM.Source.Addr, in[0].Received = []byte("819000010001"), time.Now().Add(-time.Minute)
		in[0].SM.TLVs, err = pdu.AppendTLV(in[0].SM.TLVs, pdu.TagReceiptedMessageID, strings.Repeat("9", length)+"\x00")
		require.NoError(t, err)
		m.Take(t.Context(), "docomo-1", in)
		require.Equal(t, want, phase(t, s, ref))
		if want == message.Doubtful {
			require.EqualValues(t, 1, testutil.ToFloat64(m.metrics.ahead))
		}
	}
}

// TestDoubtOfAnotherPhoneMovesNothing: what is ahead is looked through only for a phone that is in doubt.
func TestDoubtOfAnotherPhoneMovesNothing(t *testing.T) {
	m := NewMatcher("docomo", IDRule{Text, Text}, none{}, slog.New(slog.DiscardHandler), nil)
	answered(m)
	in := came("id:a stat:DELIVRD")
	in[0].SM.Source.Addr, in[0].Received = []byte("819000010001"), time.Now().Add(-time.Minute)
	m.Take(t.Context(), "docomo-1", in)
	require.Len(t, m.ahead, 1)
	m.Doubted(Doubt{Number: PhoneOf("09000010002")})
	require.Len(t, m.ahead, 1)
	m.Doubted(Doubt{Number: PhoneOf("09000010001")})
	require.Empty(t, m.ahead)
	require.Len(t, m.named, 1)
}
