package intake

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// room is an intake over a real store, a real directory and a real carrier table; the rooms beside it are played.
type room struct {
	*Intake
	Store     *store.Store
	identity  *identityEdge
	claims    *claimsEdge
	documents documentsEdge
	links     *linksEdge
}

// oneIn is how hard answers to fields are to guess; of others nothing is known.
var oneIn = map[string]uint64{"birth_date": 1_000_000, "customer_number": 1_000_000, "kana_name": 1_000_000, "postcode": 20}

// identityEdge hashes what it is given; "壊" is an answer that it cannot read.
type identityEdge struct {
	store *store.Store
	mu    sync.Mutex
	calls int
	fails error
}

func (e *identityEdge) Enroll(_ context.Context, t *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if e.fails != nil {
		return nil, nil, e.fails
	}
	answers, problems := make([][]message.Answer, len(ids)), make([]message.Problems, len(ids))
	for i := range ids {
		for _, it := range items[i] {
			if it.Value == "壊" {
				problems[i] = append(problems[i], message.Problem{Field: "identity.items[0].value", Code: "pattern"})
				continue
			}
			sum, err := e.store.Keyed(t.ID, "identity/"+ids[i].String()+"/"+it.Field, it.Value)
			if err != nil {
				return nil, nil, err
			}
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Hash: sum[:], OneIn: oneIn[it.Field]})
		}
	}
	return answers, problems, nil
}

// claimsEdge keeps the promise of Claims with real streams: a new claim takes its number, a known one with the same
// amount is joined, another amount is a conflict.
type claimsEdge struct {
	store *store.Store
	plans int
	paid  string // what the last one was for
	mu    sync.Mutex
}

func (e *claimsEdge) Plan(ctx context.Context, t *tenant.Tenant, msg ulid.ULID, c *message.Claim, subject string) (ulid.ULID, []store.Change, *message.Problem, error) {
	e.mu.Lock()
	e.plans, e.paid = e.plans+1, subject
	e.mu.Unlock()
	amount := []byte{byte(c.Amount >> 8), byte(c.Amount)}
	ref, value, err := e.store.Lookup(ctx, tenant.Only(t.ID), store.ByClaimNumber, c.Number)
	if errors.Is(err, store.ErrNotFound) {
		ref = store.Ref{Tenant: t.ID, Kind: store.Claim, ID: newID(time.Now())}
		return ref.ID, []store.Change{{Ref: ref, Events: []store.NewEvent{{Type: 1, Data: msg[:]}}, Names: []store.Name{{Space: store.ByClaimNumber, Key: c.Number, Value: amount, Exclusive: true}}}}, nil, nil
	}
	if err != nil {
		return ulid.ULID{}, nil, nil, err
	}
	if string(value) != string(amount) {
		return ulid.ULID{}, nil, &message.Problem{Field: "claim.amount", Code: "conflict"}, nil
	}
	return ref.ID, []store.Change{{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: 2, Data: msg[:]}}}}, nil, nil
}

type documentsEdge map[string]tenant.ID

func (documentsEdge) Find(_ context.Context, _ tenant.Scope, names []string) ([]string, error) {
	return make([]string, len(names)), nil
}

func (documentsEdge) Pin([]string) func() { return func() {} }

func (documentsEdge) Hold(context.Context, tenant.Scope, []string, time.Time) error { return nil }

func (e documentsEdge) Exists(_ context.Context, scope tenant.Scope, ids []string) (missing []string, err error) {
	for _, id := range ids {
		if owner, ok := e[id]; !ok || !scope.Sees(owner) {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// linksEdge checks at the moment that it is told that the message is on record.
type linksEdge struct {
	t     testing.TB
	store *store.Store
	mu    sync.Mutex
	links []Link
}

func (e *linksEdge) Put(links []Link) {
	for _, l := range links {
		ref, _, err := e.store.Lookup(context.Background(), tenant.Only(l.Tenant), store.ByToken, l.Head.Token)
		if err != nil || ref.ID != l.Message {
			e.t.Errorf("link of message %s told before it is on record: %v", l.Message, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.links = append(e.links, links...)
}

func shop(id tenant.ID) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: "〇〇水道局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders: []tenant.SenderProfile{
			{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "au": "0312345678", "softbank": "21234"}},
			{Name: "otp", Addresses: map[string]string{"docomo": "0570000001"}},
		},
		Templates: []tenant.Template{{Name: "bill", Text: "{name}様 〇〇水道局です。{url}"}},
		Agents:    []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"konbini", "card"}}},
	}
}

func openRoom(t testing.TB) *room {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	tenants, err := tenant.OpenDirectory(t.Context(), st.DirectoryLog())
	require.NoError(t, err)
	for _, id := range []tenant.ID{"mizu", "gasu"} {
		require.NoError(t, tenants.Apply(t.Context(), shop(id)))
	}
	carriers, err := carrier.Open(carrier.Box("../../conf/data/ranges.csv"))
	require.NoError(t, err)
	r := &room{Store: st, identity: &identityEdge{store: st}, claims: &claimsEdge{store: st}, documents: documentsEdge{}, links: &linksEdge{t: t, store: st}}
	r.Intake, err = New(Options{
		Config: Config{LinkHost: "s.example.jp"}, Store: st, Tenants: tenants, Carriers: carriers,
		Identity: r.identity, Claims: r.claims, Documents: r.documents, Links: r.links,
	})
	require.NoError(t, err)
	return r
}

const docomo, au, softbank, rakuten = "090-0001-0001", "090-0002-0001", "090-0003-0001", "090-0004-0001"

func (r *room) accept(t testing.TB, drafts ...message.Draft) []Result {
	t.Helper()
	results, err := r.Accept(context.Background(), Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp", Drafts: drafts})
	require.NoError(t, err)
	require.Len(t, results, len(drafts))
	return results
}

func (r *room) state(t testing.TB, id ulid.ULID) message.State {
	t.Helper()
	events, err := r.Store.Load(context.Background(), tenant.Only("mizu"), store.Ref{Tenant: "mizu", Kind: store.Message, ID: id})
	require.NoError(t, err)
	s, err := stored.State(events)
	require.NoError(t, err)
	return s
}

func (r *room) sms(t testing.TB, id ulid.ULID) message.SMS {
	t.Helper()
	plain, err := r.Store.Open("mizu", id.String()+"/sms", r.state(t, id).Head.SMS)
	require.NoError(t, err)
	var sms message.SMS
	require.NoError(t, message.Event{Data: plain}.Decode(&sms))
	return sms
}

func bill() message.Draft {
	return message.Draft{To: docomo, Text: "〇〇水道局からのお知らせです。{url}", Reference: "C-0001", Page: &message.Page{Title: "お知らせ"}}
}
