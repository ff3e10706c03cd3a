package callback

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// got is one post as a receiver saw it.
type got struct {
	url, id string
	header  http.Header
	raw     []byte
	Type    string
	Data    struct {
		ID        ulid.ULID
		To        string
		Reference string
		Status    string
		Challenge string
		Answers   map[string][]string
		Promise   *message.Promise
		Number    string
		Alerts    []string
		Sequence  int
	}
}

// world is the receivers: it answers by script and keeps what came.
type world struct {
	mu     sync.Mutex // guards what follows
	posts  []got
	answer func(g got) (egress.Reply, error) // nil: 200
	came   chan struct{}                     // size 1
}

func (w *world) CheckURL(address string) error {
	if address == "https://inside/" {
		return &egress.RefusedError{Why: "private"}
	}
	return nil
}

func (w *world) Post(_ context.Context, address string, header http.Header, body []byte) (egress.Reply, error) {
	g := got{url: address, id: header.Get(HeaderID), header: header, raw: body}
	if err := json.Unmarshal(body, &g); err != nil {
		return egress.Reply{}, err
	}
	w.mu.Lock()
	answer := w.answer
	w.mu.Unlock()
	reply := egress.Reply{Status: 200}
	var err error
	switch {
	case g.Type == CallbackChallenge:
		reply.Body, err = json.Marshal(Challenge{g.Data.Challenge})
	case answer != nil:
		reply, err = answer(g)
	}
	w.mu.Lock()
	w.posts = append(w.posts, g)
	w.mu.Unlock()
	select {
	case w.came <- struct{}{}:
	default:
	}
	return reply, err
}

func (w *world) script(answer func(g got) (egress.Reply, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// seen lists what came to an address, challenges aside.
func (w *world) seen(url string) []got {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []got
	for _, g := range w.posts {
		if g.url == url && g.Type != CallbackChallenge {
			all = append(all, g)
		}
	}
	return all
}

func types(all []got, id ulid.ULID) []string {
	var types []string
	for _, g := range all {
		if g.Data.ID == id {
			types = append(types, g.Type)
		}
	}
	return types
}

// room is callbacks over a real store and a real directory; only the receivers are played.
type room struct {
	*Callbacks
	t      *testing.T
	opt    store.Options
	config Config
	world  *world
	cancel context.CancelFunc
	done   chan error
}

const mizu, gasu = tenant.ID("mizu"), tenant.ID("gasu")

// quick is a configuration for tests in which time passes as it does.
var quick = Config{Retry: []time.Duration{time.Millisecond, 2 * time.Millisecond}, ProbeFirst: time.Millisecond, ProbeMost: 4 * time.Millisecond}

func openRoom(t *testing.T, c Config) *room {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	r := &room{t: t, config: c, world: &world{came: make(chan struct{}, 1)}, opt: store.Options{
		Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 1 << 20, Pace: -1, Flush: time.Hour,
		Fatal: func(err error) { t.Error(err) },
	}}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *room) start() {
	r.t.Helper()
	st, err := store.Open(r.opt)
	require.NoError(r.t, err)
	tenants, err := tenant.OpenDirectory(context.Background(), st.DirectoryLog())
	require.NoError(r.t, err)
	if len(tenants.Now().Tenants) == 0 {
		for _, id := range []tenant.ID{mizu, gasu} {
			require.NoError(r.t, tenants.Apply(context.Background(), tenant.Tenant{ID: id, Name: "〇〇県水道局", Brand: tenant.Brand{Phone: "000-000-0000"}}))
		}
	}
	r.Callbacks, err = New(Options{Store: st, Directory: tenants, Poster: r.world, Config: r.config, Log: slog.New(slog.DiscardHandler)})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() { r.done <- r.Run(ctx) }()
}

func (r *room) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	if err := <-r.done; !errors.Is(err, context.Canceled) {
		r.t.Error(err)
	}
	r.cancel = nil
	require.NoError(r.t, r.Store.Close())
}

func (r *room) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

func (r *room) put(id tenant.ID, name string, s Spec) string {
	r.t.Helper()
	secret, err := r.Put(r.t.Context(), id, name, s)
	require.NoError(r.t, err)
	return secret
}

// event is one event of a message.
type event struct {
	typ  message.Type
	data any
}

var number = "+819000010001"

// accept makes a message with more events behind the head.
func (r *room) accept(id tenant.ID, events ...event) store.Ref {
	r.t.Helper()
	ref := store.Ref{Tenant: id, Kind: store.Message, ID: ulid.Make()}
	plain, err := json.Marshal(message.SMS{Number: number, Text: "x", Reference: "C-1"})
	require.NoError(r.t, err)
	box, err := r.Store.Seal(id, "notice", time.Now(), ref.ID.String()+"/sms", plain)
	require.NoError(r.t, err)
	head := message.Head{V: 1, No: "20261122000000001", Class: message.Notice, Masked: "090-****-0001", Parts: 1, Carrier: "docomo", SMS: box}
	r.commit(store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(head)}}})
	for _, e := range events {
		r.add(ref, e)
	}
	return ref
}

func (r *room) add(ref store.Ref, e event) {
	r.t.Helper()
	r.commit(store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(e.typ), Data: message.Encode(e.data)}}})
}

func (r *room) commit(ch store.Change) {
	r.t.Helper()
	errs, err := r.Store.Commit(context.Background(), store.Tx{ch})
	require.NoError(r.t, errors.Join(append(errs, err)...))
}

// until waits until the receivers have seen what is asked for.
func (r *room) until(ok func() bool) {
	r.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-r.world.came:
		case <-again.C:
		case <-limit.C:
			r.t.Fatal("it never came to that")
		}
	}
}

// idle waits until nothing is due, and nothing waits for later.
func (r *room) idle(name string) {
	r.t.Helper()
	cb, err := r.find(mizu, name)
	require.NoError(r.t, err)
	r.until(func() bool {
		_, there, err := r.Store.NextDue(queueOf(cb.ID), store.Cursor{})
		require.NoError(r.t, err)
		return !there
	})
}

var (
	submitting = event{message.Submitting, message.Submission{Part: 1, Attempt: 1, Carrier: "docomo"}}
	submitted  = event{message.Submitted, message.Submission{Part: 1, Attempt: 1, Carrier: "docomo", SMSCID: "1"}}
	delivered  = event{message.Delivered, message.Report{Part: 1, Carrier: "docomo", State: "DELIVRD"}}
	life       = []event{submitting, submitted, delivered, {message.Opened, message.Opening{}}, {message.Identified, nil}, {message.Viewed, nil}}
	lifeTold   = []string{MessageAccepted, MessageSubmitted, MessageDelivered, MessageOpened, MessageIdentified, MessageViewed}
)

func timedOut(got) (egress.Reply, error) { return egress.Reply{}, context.DeadlineExceeded }
