package retention

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const mizu = tenant.ID("mizu")

// room is a store with a clock of its own and a retention over it.
type room struct {
	t      testing.TB
	dir    string
	mu     sync.Mutex // guards now
	now    time.Time
	store  *store.Store
	ret    *Retention
	tenant *tenant.Tenant
	claims claims
	gone   map[string]bool // tokens
}

// claims are known by their ids.
type claims map[ulid.ULID]payment.State

func (c claims) Claim(_ context.Context, _ tenant.Scope, id ulid.ULID) (payment.State, error) {
	s, ok := c[id]
	if !ok {
		return s, store.ErrNotFound
	}
	return s, nil
}

func (r *room) Forget(tokens []string) error {
	for _, t := range tokens {
		r.gone[t] = true
	}
	return nil
}

func newRoom(t testing.TB) *room {
	r := &room{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 10, 9, 0, 0, 0, message.Tokyo), claims: claims{}, gone: map[string]bool{},
		tenant: &tenant.Tenant{ID: mizu}}
	require.NoError(t, store.NewMasterKey(filepath.Join(r.dir, "key")))
	r.open()
	t.Cleanup(func() { require.NoError(t, r.store.Close()) })
	return r
}

func (r *room) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *room) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *room) open() {
	c := DefaultConfig()
	c.Share = 100
	r.reopen(store.Options{Cache: 4 << 20, ValueLogSize: 1 << 20, Pace: -1}, c)
}

func (r *room) reopen(o store.Options, c Config) {
	o.Dir, o.MasterKey, o.MinFree, o.Now = filepath.Join(r.dir, "store"), filepath.Join(r.dir, "key"), 1, r.clock
	o.Log, o.Fatal = slog.New(slog.DiscardHandler), func(err error) { panic(err) }
	var err error
	r.store, err = store.Open(o)
	require.NoError(r.t, err)
	r.ret, err = New(Options{Config: c, Store: r.store, Claims: r.claims, Links: r, Audit: audit.New(r.store), State: filepath.Join(r.dir, "retention.json"), Now: r.clock,
		Directory: func() *tenant.Snapshot {
			return &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{mizu: r.tenant}}
		}})
	require.NoError(r.t, err)
}

func (r *room) newID() ulid.ULID { return ulid.MustNew(ulid.Timestamp(r.clock()), rand.Reader) }

// accept commits a message with a page, delivered at once when it is sent.
func (r *room) accept(class message.Class, change func(*message.Head)) store.Ref {
	ref := store.Ref{Tenant: mizu, Kind: store.Message, ID: r.newID()}
	now := r.clock()
	h := &message.Head{V: 1, No: r.store.NextNo(now), Class: class, Masked: "080-****-0000", Token: "a/" + ref.ID.String(), LinkExpires: now.AddDate(0, 0, 30)}
	h.StateUntil = h.LinkExpires
	if change != nil {
		change(h)
	}
	seal := func(part string) []byte {
		box, err := r.store.Seal(mizu, string(class), now, ref.ID.String()+"/"+part, []byte("needle "+part+" "+ref.ID.String()))
		require.NoError(r.t, err)
		return box
	}
	h.SMS, h.Page = seal("sms"), seal("page")
	r.commit(store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}},
		Names: []store.Name{{Space: store.ByNo, Key: h.No}, {Space: store.ByToken, Key: h.Token}},
		Terms: []store.Term{{Field: intake.FieldNumber, Value: "hash of " + ref.ID.String()}, {Field: intake.FieldClass, Value: string(class)}}})
	r.commit(store.Change{Ref: ref, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Answered), Data: message.Encode(message.SurveyAnswer{Sealed: seal("answer")})}}})
	return ref
}

func (r *room) commit(c store.Change) {
	r.t.Helper()
	errs, err := r.store.Commit(context.Background(), store.Tx{c})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

func (r *room) sweep() *Report {
	r.t.Helper()
	report, err := r.ret.Sweep(context.Background(), false)
	require.NoError(r.t, err)
	return report
}

func (r *room) state(ref store.Ref) message.State {
	r.t.Helper()
	events, err := r.store.Load(context.Background(), tenant.Only(mizu), ref)
	require.NoError(r.t, err)
	st, err := stored.State(events)
	require.NoError(r.t, err)
	return st
}

// lives checks that all, or nothing, of a message can be read, by every way to it.
func (r *room) lives(ref store.Ref, want bool) {
	r.t.Helper()
	st := r.state(ref)
	for part, box := range map[string][]byte{"sms": st.Head.SMS, "page": st.Head.Page, "answer": st.Survey} {
		plain, err := r.store.Open(mizu, ref.ID.String()+"/"+part, box)
		if want {
			require.NoError(r.t, err, part)
			require.Equal(r.t, "needle "+part+" "+ref.ID.String(), string(plain))
		} else {
			require.ErrorIs(r.t, err, store.ErrErased, part)
		}
	}
	_, _, err := r.store.Lookup(context.Background(), tenant.Only(mizu), store.ByToken, st.Head.Token)
	found, searchErr := r.store.Search(context.Background(), tenant.Only(mizu), store.Query{Kind: store.Message, Limit: 10,
		Terms: []store.Term{{Field: intake.FieldNumber, Value: "hash of " + ref.ID.String()}}})
	require.NoError(r.t, searchErr)
	require.Equal(r.t, want, err == nil && len(found) == 1 && !r.gone[st.Head.Token])
	_, _, err = r.store.Lookup(context.Background(), tenant.Only(mizu), store.ByNo, st.Head.No)
	require.NoError(r.t, err, "the record stays, by its number")
}

func TestContentEndsWithItsTerm(t *testing.T) {
	r := newRoom(t)
	r.tenant.Policy.Retention = []tenant.Retention{{Class: "ad", Months: 1}}
	notice, legal, ad := r.accept(message.Notice, nil), r.accept(message.LegalNotice, nil), r.accept(message.Ad, nil)
	for _, ref := range []store.Ref{notice, legal, ad} {
		r.lives(ref, true)
	}
	at := func(y int, m time.Month, d, h int) {
		r.mu.Lock()
		r.now = time.Date(y, m, d, h, 0, 0, 0, message.Tokyo)
		r.mu.Unlock()
	}
	at(2026, 2, 10, 23)
	require.Empty(t, r.sweep().Days, "the day is not over")
	at(2026, 2, 11, 0)
	require.Equal(t, []Day{{Tenant: mizu, Class: "ad", Day: "2026-01-10", Due: time.Date(2026, 2, 11, 0, 0, 0, 0, message.Tokyo), Over: 1}}, r.sweep().Days)
	r.lives(ad, false)
	r.lives(notice, true)
	at(2026, 4, 11, 0)
	dry, err := r.ret.Sweep(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, dry.Days, 1)
	r.lives(notice, true)
	require.Equal(t, dry.Days, r.sweep().Days)
	r.lives(notice, false)
	r.lives(legal, true)
	require.Empty(t, r.sweep().Days)
	at(2031, 1, 10, 23)
	r.sweep()
	r.lives(legal, true)
	at(2031, 1, 11, 0)
	r.sweep()
	r.lives(legal, false)
	require.Equal(t, 3.0, testutil.ToFloat64(r.ret.metrics.messages))
	entries, err := audit.New(r.store).Day(t.Context(), tenant.Only(mizu), mizu, r.clock())
	require.NoError(t, err)
	require.Equal(t, "legal_notice 2026-01-10", entries[0].Target)
	require.NoError(t, filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.False(t, bytes.Contains(b, []byte("needle")), path)
		}
		return err
	}))
}

// TestLivingMessageIsKept: an open link, a claim that shows its state, an SMS that is still to go; each until its end.
func TestLivingMessageIsKept(t *testing.T) {
	r := newRoom(t)
	start := r.clock()
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	claim := r.newID()
	r.claims[claim] = payment.State{Attempts: []*payment.Attempt{{Received: 100, StartedAt: day(60)}}}
	open := r.accept(message.Billing, func(h *message.Head) { h.LinkExpires = day(200) })
	paid := r.accept(message.Billing, func(h *message.Head) { h.Claim = claim })
	waits := r.accept(message.Billing, func(h *message.Head) { h.Parts, h.Carrier = 1, "docomo" })
	over := r.accept(message.Billing, nil)
	r.pass(95 * 24 * time.Hour)
	report := r.sweep()
	require.Len(t, report.Days, 1)
	require.Equal(t, [2]int{1, 3}, [2]int{report.Days[0].Over, report.Days[0].Kept})
	r.lives(over, false)
	for _, ref := range []store.Ref{open, paid, waits} {
		r.lives(ref, true)
		require.Equal(t, 3, r.state(ref).Version, "sealed anew once")
	}
	r.commit(store.Change{Ref: waits, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Lapsed)}}})

	// An answer to a link that was kept is sealed where the rest of it is.
	require.NotEqual(t, start.Format(time.DateOnly), message.Day(r.state(open).ContentAt))

	require.NoError(t, r.store.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, "store", "index"))) // the list of what is kept follows from the log
	r.open()
	for n, want := range map[int][3]bool{130: {true, true, false}} { // behind lookAgain
		r.pass(time.Duration(n-95) * 24 * time.Hour)
		r.sweep()
		r.lives(open, want[0])
		r.lives(paid, want[1])
		r.lives(waits, want[2])
	}
	r.pass(25 * 24 * time.Hour) // 155: 90 days behind the payment
	r.sweep()
	r.lives(paid, false)
	r.lives(open, true)
	r.pass(50 * 24 * time.Hour)
	r.sweep()
	r.lives(open, false)
}

func TestFilesWaitForTheLastLink(t *testing.T) {
	r := newRoom(t)
	docs := document.New(r.store, r.clock)
	var pdf bytes.Buffer
	page := fpdf.New("P", "mm", "A4", "")
	page.AddPage()
	require.NoError(t, page.Output(&pdf))
	id, err := docs.Put(t.Context(), mizu, "a.pdf", pdf.Bytes())
	require.NoError(t, err)
	require.NoError(t, docs.Hold(t.Context(), tenant.Only(mizu), []string{id}, r.clock().AddDate(0, 0, 150)))
	r.pass(100 * 24 * time.Hour)
	report := r.sweep()
	require.Contains(t, report.Days[0].Waits, "link")
	require.True(t, report.Days[0].Late)
	require.NotZero(t, testutil.ToFloat64(r.ret.metrics.lag))
	_, _, err = docs.Get(t.Context(), tenant.Only(mizu), id)
	require.NoError(t, err)
	r.pass(90 * 24 * time.Hour)
	require.Empty(t, r.sweep().Days[0].Waits)
	_, _, err = docs.Get(t.Context(), tenant.Only(mizu), id)
	require.ErrorIs(t, err, store.ErrErased)
	require.ErrorIs(t, docs.Hold(t.Context(), tenant.Only(mizu), []string{id}, r.clock()), store.ErrErased)
	require.Zero(t, testutil.ToFloat64(r.ret.metrics.lag))
}

// TestKeysOfWhatIsInForceStay: secrets are sealed once and used for years.
func TestKeysOfWhatIsInForceStay(t *testing.T) {
	r := newRoom(t)
	boxes := map[string][]byte{}
	for _, class := range []string{"callback", "agent", "account", "donotsend", "any"} {
		var err error
		boxes[class], err = r.store.Seal(mizu, class, r.clock(), "x", []byte(class))
		require.NoError(t, err)
	}
	r.pass(20 * 365 * 24 * time.Hour)
	require.Empty(t, r.sweep().Days)
	for class, box := range boxes {
		plain, err := r.store.Open(mizu, "x", box)
		require.NoError(t, err)
		require.Equal(t, class, string(plain))
	}
}

// TestSweepWhileMessagesAreTaken runs sweeps beside commits, and beside answers to what they keep.
func TestSweepWhileMessagesAreTaken(t *testing.T) {
	r := newRoom(t)
	var living []store.Ref
	for range 20 {
		living = append(living, r.accept(message.Notice, func(h *message.Head) { h.LinkExpires = r.now.AddDate(1, 0, 0) }))
		r.accept(message.Notice, nil)
	}
	r.pass(100 * 24 * time.Hour)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			ref := living[i%len(living)]
			r.commit(store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Opened), Data: []byte("{}")}}})
			if i%10 == 0 {
				r.accept(message.Billing, nil)
			}
		}
	}()
	report := r.sweep()
	<-done
	require.Equal(t, [2]int{20, 20}, [2]int{report.Days[0].Over, report.Days[0].Kept}, fmt.Sprint(report))
	for _, ref := range living {
		r.lives(ref, true)
	}
}

// TestKeptMessageIsLetGoAfterACrash: the process ended between the destruction of the key and the word that nothing is kept under it.
func TestKeptMessageIsLetGoAfterACrash(t *testing.T) {
	r := newRoom(t)
	start := r.clock()
	ref := r.accept(message.Billing, func(h *message.Head) { h.LinkExpires = start.AddDate(0, 0, 200) })
	r.pass(95 * 24 * time.Hour)
	r.sweep()
	r.lives(ref, true)
	under := message.Day(r.state(ref).ContentAt)
	_, err := r.store.EraseKey(mizu, string(message.Billing), under)
	require.NoError(t, err)
	r.sweep()
	r.lives(ref, false)
	require.NoError(t, r.store.EachKept(t.Context(), mizu, func(k store.Kept) error { return errors.New("kept") }))
}

// TestWrongClockEndsNothingByItself: whoever starts a machine whose clock is years ahead loses nothing.
func TestWrongClockEndsNothingByItself(t *testing.T) {
	r := newRoom(t)
	ref := r.accept(message.Notice, nil)
	require.NoError(t, r.store.Close())
	r.open()
	require.NoError(t, r.ret.doubt())
	r.pass(100 * 24 * time.Hour)
	require.ErrorContains(t, r.ret.doubt(), "days ahead of the record")
	r.ret.o.Synchronised = func() bool { return false }
	require.Error(t, r.ret.doubt())
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		require.NoError(t, r.ret.Run(ctx))
	})
	r.lives(ref, true)
	r.ret.o.Synchronised = func() bool { return true }
	require.NoError(t, r.ret.doubt())
	r.ret.o.Synchronised = nil
	r.sweep() // by the command
	r.lives(ref, false)
	require.NoError(t, r.ret.doubt(), "his word holds")
	r.pass(100 * 24 * time.Hour)
	require.Error(t, r.ret.doubt(), "for the clock as it was, not for one that is set while it runs")
}

func TestInterruptedSweepGoesOn(t *testing.T) {
	r := newRoom(t)
	for range 5 {
		r.accept(message.Notice, nil)
	}
	r.pass(100 * 24 * time.Hour)
	d := r.ret.due()[0]
	require.NoError(t, r.ret.end(t.Context(), &pace{share: 100}, &d, false)) // and the process ends
	require.NoError(t, r.store.Close())
	r.open()
	report := r.sweep()
	require.Empty(t, report.Days)
	require.Equal(t, 15, report.Swept.Boxes)
	require.Zero(t, report.Groups)
	require.Len(t, r.gone, 5)
	require.Zero(t, r.sweep().Swept.Groups)
}
