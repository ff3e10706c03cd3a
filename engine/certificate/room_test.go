package certificate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const suido = tenant.ID("suido")

// memory is a store in memory that can be copied and can fail.
type memory struct {
	streams map[store.Ref][]store.Event
	log     []store.Event
	now     func() time.Time
	left    int // commits until the power fails; negative: it does not
}

var errPower = errors.New("the power failed")

func (m *memory) Commit(_ context.Context, txs ...store.Tx) ([]error, error) {
	if m.left == 0 {
		return nil, errPower
	}
	m.left--
	for _, tx := range txs {
		for _, c := range tx {
			have := m.streams[c.Ref]
			if c.Expect != store.Any && c.Expect != len(have) {
				return []error{&store.ConflictError{Ref: c.Ref, Expect: c.Expect, Have: len(have)}}, nil
			}
			for _, e := range c.Events {
				at := e.At
				if at.IsZero() {
					at = m.now()
				}
				ev := store.Event{Ref: c.Ref, Seq: uint32(len(have)), Type: e.Type, At: at, Data: e.Data}
				have, m.log = append(have, ev), append(m.log, ev)
			}
			m.streams[c.Ref] = have
		}
	}
	return make([]error, len(txs)), nil
}

func (m *memory) Load(_ context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error) {
	if events := m.streams[ref]; scope.Sees(ref.Tenant) && events != nil {
		return events, nil
	}
	return nil, store.ErrNotFound
}

func (m *memory) LoadMany(ctx context.Context, scope tenant.Scope, refs []store.Ref) ([][]store.Event, error) {
	all := make([][]store.Event, len(refs))
	for i, ref := range refs {
		all[i], _ = m.Load(ctx, scope, ref)
	}
	return all, nil
}

func (m *memory) Lookup(context.Context, tenant.Scope, store.Space, string) (store.Ref, []byte, error) {
	return store.Ref{}, nil, store.ErrNotFound
}

func (m *memory) Search(_ context.Context, scope tenant.Scope, q store.Query) ([]store.Ref, error) {
	var refs []store.Ref
	for _, ref := range slices.SortedFunc(maps.Keys(m.streams), func(a, b store.Ref) int { return b.ID.Compare(a.ID) }) {
		if ref.Kind == q.Kind && scope.Sees(ref.Tenant) && (q.Before.IsZero() || ref.ID.Compare(q.Before) < 0) && len(refs) < q.Limit {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func (m *memory) Follow(context.Context, string, func([]store.Event, bool) error) error {
	panic("the tests give the batches themselves")
}

func (m *memory) Keyed(id tenant.ID, purpose, value string) ([16]byte, error) {
	sum := sha256.Sum256([]byte(string(id) + "/" + purpose + "/" + value))
	return [16]byte(sum[:16]), nil
}

func (m *memory) Open(_ tenant.ID, _ string, box []byte) ([]byte, error) {
	if len(box) == 0 {
		return nil, store.ErrErased
	}
	return box, nil
}

// rig is a room over a memory, with a clock of its own.
type rig struct {
	t    testing.TB
	m    *memory
	c    *Certificates
	dir  string
	now  time.Time
	met  int // events of the log that the reader was given
	sync string
	ids  byte
}

func newRig(t testing.TB, dir string) *rig {
	r := &rig{t: t, dir: dir, now: time.Date(2026, 11, 27, 9, 0, 0, 0, message.Tokyo), sync: proof.Synchronised}
	r.m = &memory{streams: map[store.Ref][]store.Event{}, now: func() time.Time { return r.now }, left: -1}
	if _, err := os.Stat(r.key()); err != nil {
		_, err := proof.NewKey(r.key(), false, r.now)
		require.NoError(t, err)
	}
	r.start()
	return r
}

func (r *rig) key() string { return filepath.Join(r.dir, "certificate.key") }

// start makes the room anew, as a start of the program does; the reader meets all of the log again.
func (r *rig) start() {
	r.t.Helper()
	c := DefaultConfig()
	c.Key, c.ClockSource = r.key(), "ntp.example.jp"
	r.startWith(c)
}

func (r *rig) startWith(config Config) {
	r.t.Helper()
	var err error
	r.c, err = New(Options{Config: config, Dir: r.dir, Store: r.m, Now: func() time.Time { return r.now },
		Clock: func() proof.Clock {
			return proof.Clock{State: r.sync, Source: config.ClockSource, Offset: 3 * time.Microsecond, At: r.now.UTC()}
		},
		Directory: func() *tenant.Snapshot {
			return &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{suido: {ID: suido, Name: "〇〇県水道局"}}}
		}})
	require.NoError(r.t, err)
	require.NoError(r.t, r.c.load(r.t.Context()))
	r.met = 0
}

// work lets the reader and the timer do what there is to do, batches of a few events.
func (r *rig) work() error {
	for {
		if err := r.c.tick(r.t.Context()); err != nil {
			return err
		}
		if r.met == len(r.m.log) {
			return nil
		}
		end := min(len(r.m.log), r.met+3)
		if err := r.c.take(r.t.Context(), slices.Clone(r.m.log[r.met:end])); err != nil {
			return err
		}
		r.met = end
	}
}

func (r *rig) id() ulid.ULID {
	r.ids++
	id := ulid.ULID{14: r.ids}
	require.NoError(r.t, id.SetTime(ulid.Timestamp(r.now)))
	return id
}

func (r *rig) commit(changes ...store.Change) {
	r.t.Helper()
	errs, err := r.m.Commit(r.t.Context(), store.Tx(changes))
	require.NoError(r.t, errors.Join(append(errs, err)...))
}

// accept commits a message with a page and a claim, as intake does.
func (r *rig) accept(class message.Class) store.Ref {
	ref, claim := store.Ref{Tenant: suido, Kind: store.Message, ID: r.id()}, store.Ref{Tenant: suido, Kind: store.Claim, ID: r.id()}
	h := &message.Head{V: 1, No: "20261127000000001", Class: class, Masked: "090-****-2345", Carrier: "docomo", Sender: "default", Parts: 1, Claim: claim.ID,
		Token: "a/SECRETTOKEN", URL: "https://kk.example.jp/a/SECRETTOKEN", Answers: []message.Answer{{Field: "birth_date", Hash: []byte("hash of an answer")}}}
	sms, page := message.SMS{Number: "+819012342345", Text: "お知らせです。" + h.URL}, []byte(`{"page":{"title":"債権譲渡通知"}}`)
	Committer{r.c.o.Config}.Commit(h, &sms, page)
	h.SMS, h.Page = encode(sms), page
	r.commit(store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}}},
		store.Change{Ref: claim, Events: []store.NewEvent{{Type: byte(payment.Made), Data: encode(payment.Head{V: 1, Number: "2026-1", Terms: payment.Terms{Amount: 7440, Tax: -1}})}}})
	return ref
}

// add appends an event to a message.
func (r *rig) add(ref store.Ref, typ message.Type, data any) {
	r.commit(store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(typ), Data: message.Encode(data)}}})
}

func (r *rig) published() string {
	data, err := os.ReadFile(r.c.PublishedFile())
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(r.t, err)
	}
	return string(data)
}

// verify makes the certificate and checks it as a stranger does, against published file and keys.
func (r *rig) verify(ref store.Ref, content bool) (*proof.Certificate, *proof.Report) {
	r.t.Helper()
	c, err := r.c.Make(r.t.Context(), tenant.Only(ref.Tenant), ref, content)
	require.NoError(r.t, err)
	data, err := c.Encode()
	require.NoError(r.t, err)
	c, err = proof.Parse(data)
	require.NoError(r.t, err)
	published, err := proof.ParsePublished([]byte(r.published()))
	require.NoError(r.t, err)
	keys, err := r.c.Keys()
	require.NoError(r.t, err)
	report := proof.Verify(c, proof.Options{Published: published, Keys: keys})
	if report.Fault != nil {
		r.t.Fatal(report.Fault)
	}
	return c, report
}

func raw(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
