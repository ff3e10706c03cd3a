package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// claimsEdge plays engine/payment for both intake and the API.
type claimsEdge struct {
	store *store.Store
	mu    sync.Mutex
	known map[ulid.ULID]Claim
	fails error
}

func (e *claimsEdge) Plan(ctx context.Context, t *tenant.Tenant, msg ulid.ULID, c *message.Claim, _ string) (ulid.ULID, []store.Change, *message.Problem, error) {
	ref, _, err := e.store.Lookup(ctx, tenant.Only(t.ID), store.ByClaimNumber, c.Number)
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(err, store.ErrNotFound) {
		ref = store.Ref{Tenant: t.ID, Kind: store.Claim, ID: ulid.Make()}
		e.known[ref.ID] = Claim{Number: c.Number, Amount: c.Amount, Due: c.Due, Status: "open", CreatedAt: time.Now(), Timeline: []Entry{{At: time.Now(), Of: "claim", Event: "made"}}}
		return ref.ID, []store.Change{{Ref: ref, Events: []store.NewEvent{{Type: 1, Data: msg[:]}}, Names: []store.Name{{Space: store.ByClaimNumber, Key: c.Number, Exclusive: true}}}}, nil, nil
	}
	if e.known[ref.ID].Amount != c.Amount {
		return ulid.ULID{}, nil, &message.Problem{Field: "claim.amount", Code: "conflict"}, nil
	}
	return ref.ID, []store.Change{{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: 2, Data: msg[:]}}}}, nil, nil
}

func (e *claimsEdge) Find(_ context.Context, _ tenant.ID, ids []ulid.ULID, timeline bool) ([]Claim, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	claims := make([]Claim, len(ids))
	for i, id := range ids {
		if claims[i] = e.known[id]; !timeline {
			claims[i].Timeline = nil
		}
	}
	return claims, nil
}

func (e *claimsEdge) Get(ctx context.Context, id tenant.ID, number string) (Claim, error) {
	if e.fails != nil {
		return Claim{}, e.fails
	}
	ref, _, err := e.store.Lookup(ctx, tenant.Only(id), store.ByClaimNumber, number)
	if err != nil {
		return Claim{}, err
	}
	c, err := e.Find(ctx, id, []ulid.ULID{ref.ID}, true)
	return c[0], err
}

func (e *claimsEdge) Alerts(_ context.Context, id tenant.ID, _ int) (all []Claim, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.known {
		if len(c.Alerts) > 0 && id == "mizu" {
			all = append(all, c)
		}
	}
	return all, e.fails
}

func (e *claimsEdge) Change(ctx context.Context, t *tenant.Tenant, number string, ch ClaimChange, by string) (Claim, *message.Problem, error) {
	c, err := e.Get(ctx, t.ID, number)
	if err != nil {
		return c, nil, err
	}
	if c.Status == "withdrawn" {
		return c, &message.Problem{Field: "action", Code: "conflict"}, nil
	}
	ref, _, _ := e.store.Lookup(ctx, tenant.Only(t.ID), store.ByClaimNumber, number)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch ch.Action {
	case "amend":
		c.Amount = *ch.Amount
	case "withdraw":
		c.Status = "withdrawn"
	case "resolve":
		c.Alerts = nil
	}
	c.Timeline = append(c.Timeline, Entry{At: time.Now(), Of: "claim", Event: ch.Action, Detail: map[string]string{"by": by}})
	e.known[ref.ID] = c
	return c, nil, nil
}

// receipted lets a claim have a receipt.
func (e *claimsEdge) receipted(number string) {
	e.alter(number, func(c *Claim) { c.Receipt = "000000000001" })
}

func (e *claimsEdge) alter(number string, how func(*Claim)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, c := range e.known {
		if c.Number == number {
			how(&c)
			e.known[id] = c
		}
	}
}

func (e *claimsEdge) Receipt(ctx context.Context, t *tenant.Tenant, number, paper, lang, by string) ([]byte, string, *message.Problem, error) {
	c, err := e.Get(ctx, t.ID, number)
	switch {
	case err != nil:
		return nil, "", nil, err
	case c.Receipt == "":
		return nil, "", &message.Problem{Field: "status", Code: "conflict", Detail: "there is no receipt before the payment is confirmed"}, nil
	case paper != "" && paper != c.Receipt:
		return nil, "", nil, store.ErrNotFound
	}
	return []byte(minimalPDF + lang + by), "receipt-" + c.Receipt + ".pdf", nil, nil
}

// mailsEdge plays engine/email: it has a number for one message.
type mailsEdge struct {
	number ulid.ULID
	orders []email.Order
	err    error
}

func (e *mailsEdge) Order(_ context.Context, t *tenant.Tenant, o email.Order) error {
	switch {
	case e.err != nil:
		return e.err
	case o.Message.ID != e.number || o.Message.Tenant != "mizu":
		return store.ErrNotFound
	case o.Address == "x":
		return email.ErrAddress
	}
	e.orders = append(e.orders, o)
	return nil
}

// unlocksEdge plays engine/identity.
type unlocksEdge struct{ store *store.Store }

func (e unlocksEdge) Unlock(ctx context.Context, ref store.Ref, by string) error {
	errs, err := e.store.Commit(ctx, store.Tx{{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Unlocked), Data: message.Encode(message.Act{By: by})}}}})
	return errors.Join(append(errs, err)...)
}

// resendsEdge plays engine/followup: what it sends is a message of its own.
type resendsEdge struct {
	intake *intake.Intake
	store  *store.Store
}

func (e resendsEdge) Resend(ctx context.Context, t *tenant.Tenant, id ulid.ULID, o ResendOrder, by string) (intake.Result, error) {
	switch _, err := e.store.Load(ctx, tenant.Only(t.ID), store.Ref{Tenant: t.ID, Kind: store.Message, ID: id}); {
	case err != nil:
		return intake.Result{}, err
	case o.Template != "":
		return intake.Result{}, message.Problems{{Field: "template", Code: "unknown"}}
	case o.Text == "paid":
		return intake.Result{Problems: message.Problems{{Field: "id", Code: "conflict"}}}, nil
	}
	d := message.Draft{To: "09000010001", Text: "again", Key: o.Key}
	results, err := e.intake.Accept(ctx, intake.Request{Tenant: t.ID, Via: message.ViaResend, By: by, Drafts: []message.Draft{d}})
	if err != nil {
		return intake.Result{}, err
	}
	return results[0], nil
}

type identityEdge struct{ fails error }

func (e *identityEdge) Enroll(_ context.Context, _ *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	answers := make([][]message.Answer, len(ids))
	for i := range items {
		for _, it := range items[i] {
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Hash: []byte("x"), OneIn: 1_000_000})
		}
	}
	return answers, make([]message.Problems, len(ids)), e.fails
}

// minimalPDF is the least that is a PDF.
const minimalPDF = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"

type noLinks struct{}

func (noLinks) Put([]intake.Link) {}

// room is a served API over a real store, directory, carrier table and intake, reached over TCP through a proxy's headers.
type room struct {
	*Server
	t        testing.TB
	url      string
	claims   *claimsEdge
	mails    *mailsEdge
	identity *identityEdge
	keys     map[tenant.ID]string
	logs     *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const home = "192.0.2.10" // an address on the list of all tenants

func shop(id tenant.ID) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: "〇〇水道局", Allow: []string{"192.0.2.0/24", "2001:db8::/32"}, Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "au": "0312345678"}}},
		Agents:  []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"konbini"}}},
	}
}

func openRoom(t testing.TB, change ...func(*Options)) *room {
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
	r := &room{t: t, claims: &claimsEdge{store: st, known: map[ulid.ULID]Claim{}}, identity: &identityEdge{}, mails: &mailsEdge{}, keys: map[tenant.ID]string{}, logs: &logBuffer{}}
	for _, id := range []tenant.ID{"mizu", "gasu"} {
		require.NoError(t, tenants.Apply(t.Context(), shop(id)))
		r.keys[id], _, err = tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../conf/data/ranges.csv"))
	require.NoError(t, err)
	docs := document.New(st, nil)
	in, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: st, Tenants: tenants, Carriers: carriers, Identity: r.identity, Claims: r.claims, Documents: docs, Links: noLinks{}})
	require.NoError(t, err)
	o := Options{Config: Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: in, Store: st, Claims: r.claims, Resends: resendsEdge{in, st}, Unlocks: unlocksEdge{st}, Readmits: donotsend.New(st), Mails: r.mails, Documents: docs, Log: slog.New(slog.NewJSONHandler(r.logs, nil))}
	for _, c := range change {
		c(&o)
	}
	r.Server, err = New(o)
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	r.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return r
}

// call is one request; the zero parts are a tenant's that is let in.
type call struct {
	method, path, body string
	tenant             tenant.ID
	header             map[string]string // "" takes a header away
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v), "%s", a.body)
}

func (r *room) do(c call) answer {
	r.t.Helper()
	if c.tenant == "" {
		c.tenant = "mizu"
	}
	req, err := http.NewRequestWithContext(context.Background(), c.method, r.url+c.path, strings.NewReader(c.body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+r.keys[c.tenant])
	req.Header.Set("X-Forwarded-For", home)
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return answer{res.StatusCode, res.Header, b}
}

const bill = `{"to":"090-0001-0001","text":"〇〇水道局からのお知らせです。{url}","reference":"C-0001","page":{"title":"お知らせ"}}`

func (r *room) send(id tenant.ID, body string) Accepted {
	r.t.Helper()
	a := r.do(call{method: "POST", path: "/v1/messages", body: body, tenant: id})
	require.Equal(r.t, 202, a.status, "%s", a.body)
	var acc Accepted
	a.into(r.t, &acc)
	require.Equal(r.t, "/v1/messages/"+acc.ID, a.header.Get("Location"))
	return acc
}
