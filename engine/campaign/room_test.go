package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

var mizu = tenant.Only("mizu")

// edge plays the rooms behind intake: answers are hashed as they are, but "壊" cannot be read; claims take their number
// once; links are not looked at.
type edge struct{ store *store.Store }

func (e edge) Enroll(_ context.Context, t *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	answers, problems := make([][]message.Answer, len(ids)), make([]message.Problems, len(ids))
	for i := range ids {
		for n, it := range items[i] {
			if it.Value == "壊" {
				problems[i] = append(problems[i], message.Problem{Field: fmt.Sprintf("identity.items[%d].value", n), Code: "pattern"})
				continue
			}
			sum, err := e.store.Keyed(t.ID, "identity/"+ids[i].String()+"/"+it.Field, it.Value)
			if err != nil {
				return nil, nil, err
			}
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Hash: sum[:], OneIn: map[bool]uint64{true: 20, false: 1_000_000}[it.Field == "postcode"]})
		}
	}
	return answers, problems, nil
}

func (e edge) Plan(ctx context.Context, t *tenant.Tenant, msg ulid.ULID, c *message.Claim, _ string) (ulid.ULID, []store.Change, *message.Problem, error) {
	amount := fmt.Append(nil, c.Amount)
	ref, value, err := e.store.Lookup(ctx, tenant.Only(t.ID), store.ByClaimNumber, c.Number)
	if errors.Is(err, store.ErrNotFound) {
		ref = store.Ref{Tenant: t.ID, Kind: store.Claim, ID: newID(time.Now())}
		return ref.ID, []store.Change{{Ref: ref, Events: []store.NewEvent{{Type: 1, Data: msg[:]}}, Names: []store.Name{{Space: store.ByClaimNumber, Key: c.Number, Value: amount, Exclusive: true}}}}, nil, nil
	}
	if err == nil && string(value) != string(amount) {
		return ulid.ULID{}, nil, &message.Problem{Field: "claim.amount", Code: "conflict"}, nil
	}
	return ref.ID, []store.Change{{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: 2, Data: msg[:]}}}}, nil, err
}

func (edge) Find(_ context.Context, _ tenant.Scope, names []string) ([]string, error) {
	return names, nil
}

func (edge) Pin([]string) func() { return func() {} }

func (edge) Hold(context.Context, tenant.Scope, []string, time.Time) error { return nil }

func (edge) Exists(context.Context, tenant.Scope, []string) (missing []string, err error) {
	return nil, nil
}

func (edge) Put([]intake.Link) {}

// room is campaigns over a real store, a real intake, a real directory and the real table of carriers.
type room struct {
	*Campaigns
	t      testing.TB
	opt    store.Options
	door   *door
	cancel context.CancelFunc
	done   chan error
}

// door is the intake, with a hook before each call.
type door struct {
	*intake.Intake
	mu     sync.Mutex
	before func(accept bool, r intake.Request) error
}

func (d *door) hook(accept bool, r intake.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.before == nil {
		return nil
	}
	return d.before(accept, r)
}

func (d *door) Validate(ctx context.Context, r intake.Request) ([]intake.Result, error) {
	if err := d.hook(false, r); err != nil {
		return nil, err
	}
	return d.Intake.Validate(ctx, r)
}

func (d *door) Accept(ctx context.Context, r intake.Request) ([]intake.Result, error) {
	if err := d.hook(true, r); err != nil {
		return nil, err
	}
	return d.Intake.Accept(ctx, r)
}

func openRoom(t testing.TB) *room {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	r := &room{t: t, opt: store.Options{
		Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 64 << 20,
		Fatal: func(err error) { t.Error(err) },
	}}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// start opens all rooms, but does not run the workers.
func (r *room) start() {
	r.t.Helper()
	st, err := store.Open(r.opt)
	require.NoError(r.t, err)
	tenants, err := tenant.OpenDirectory(context.Background(), st.DirectoryLog())
	require.NoError(r.t, err)
	if len(tenants.Now().Tenants) == 0 {
		for _, id := range []tenant.ID{"mizu", "gasu"} {
			require.NoError(r.t, tenants.Apply(context.Background(), tenant.Tenant{
				ID: id, Name: "〇〇県水道局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
				Senders:   []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "au": "0312345678", "softbank": "21234"}}},
				Templates: []tenant.Template{{Name: "bill", Text: "{name}様 〇〇県水道局です。{url}"}},
				Agents:    []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"konbini", "card"}}},
			}))
		}
	}
	carriers, err := carrier.Open(carrier.Box("../../conf/data/ranges.csv"))
	require.NoError(r.t, err)
	e := edge{st}
	in, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: st, Tenants: tenants, Carriers: carriers, Identity: e, Claims: e, Documents: e, Links: e})
	require.NoError(r.t, err)
	r.door = &door{Intake: in}
	r.Campaigns, err = New(Options{Store: st, Tenants: tenants, Carriers: carriers, Intake: r.door, Log: slog.New(slog.DiscardHandler)})
	require.NoError(r.t, err)
}

// run starts the workers.
func (r *room) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() { r.done <- r.Run(ctx) }()
}

// stop stops the workers and closes the store.
func (r *room) stop() {
	if r.cancel != nil {
		r.cancel()
		require.NoError(r.t, <-r.done)
		r.cancel = nil
	}
	if r.Campaigns != nil {
		require.NoError(r.t, r.Store.Close())
		r.Campaigns = nil
	}
}

// reopen ends all as a restart does. What was not committed is gone: nothing of this package is kept but in the store.
func (r *room) reopen() {
	r.t.Helper()
	r.stop()
	r.start()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func file(b []byte) File {
	return File{Name: "請求.csv", Size: int64(len(b)), SHA256: digest(b), Via: "api", By: "key:erp"}
}

// upload brings a file to where it is checked.
func (r *room) upload(b []byte) ulid.ULID {
	r.t.Helper()
	st, resumed, err := r.Begin(context.Background(), "mizu", file(b))
	require.NoError(r.t, err)
	require.False(r.t, resumed)
	st, err = r.Append(context.Background(), mizu, st.ID, 0, strings.NewReader(string(b)))
	require.NoError(r.t, err)
	require.Equal(r.t, Checking, st.Phase)
	return st.ID
}

// until waits for the upload to be in the phase, or over.
func (r *room) until(id ulid.ULID, p Phase) *State {
	r.t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	limit := time.After(2 * time.Minute) // a laden machine with the race detector is slow
	for {
		st, err := r.State(context.Background(), mizu, id)
		require.NoError(r.t, err)
		if st.Phase == p {
			return st
		}
		require.False(r.t, st.Over(), "the upload is %s (%s)", st.Phase, st.Reason)
		select {
		case <-changed:
		case <-limit:
			require.FailNow(r.t, "the upload stays "+string(st.Phase), "waiting for %s: %+v", p, st)
		}
	}
}

// check uploads a file and waits until it is staged.
func (r *room) check(b []byte) *State {
	r.t.Helper()
	return r.until(r.upload(b), Staged)
}

func (r *room) list(id ulid.ULID, l List) []Finding {
	r.t.Helper()
	found, err := r.Findings(context.Background(), mizu, id, l, 0, 1000)
	require.NoError(r.t, err)
	return found
}

// messages are those of the upload.
func (r *room) messages(id ulid.ULID) []store.Ref {
	r.t.Helper()
	terms, err := intake.Filter{Campaign: id}.Terms(r.Store, "mizu")
	require.NoError(r.t, err)
	var all []store.Ref
	q := store.Query{Kind: store.Message, Terms: terms, Limit: 1000}
	for {
		refs, err := r.Store.Search(context.Background(), mizu, q)
		require.NoError(r.t, err)
		all = append(all, refs...)
		if len(refs) < q.Limit {
			return all
		}
		q.Before = refs[len(refs)-1].ID
	}
}

func (r *room) head(ref store.Ref) message.Head {
	r.t.Helper()
	events, err := r.Store.Load(context.Background(), mizu, ref)
	require.NoError(r.t, err)
	s, err := stored.State(events)
	require.NoError(r.t, err)
	return s.Head
}

func due() string { return time.Now().AddDate(0, 0, 30).In(message.Tokyo).Format("2006/1/2") }

// bills is a file of n good rows.
func bills(n int) []byte {
	var b strings.Builder
	b.WriteString("電話番号,会員情報,本文,タイトル,表:使用水量\r\n")
	for i := range n {
		fmt.Fprintf(&b, "0900001%04d,C-%d,〇〇県水道局です。{url},お知らせ,%dm3\r\n", i%10000, i, i)
	}
	return []byte(b.String())
}
