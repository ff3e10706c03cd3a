package dispatch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// rig is a store, a simulated docomo and a dispatcher between them.
type rig struct {
	t         testing.TB
	dir       string
	smsc      *smsc.Carrier
	store     *store.Store
	directory *tenant.Directory
	carriers  *carrier.Table
	config    Config
	list      DoNotSend
	modules   *source // that tells of numbers; nil: none does
	lookup    carrier.Lookup
	log       *slog.Logger
	said      Campaigns
	claims    Claims
	window    int
	rate      int
	response  int         // seconds; 0: 1
	sends     *Dispatcher // of the last start
	metrics   *prometheus.Registry
	stop      func()
}

func newRig(t testing.TB, cfg smsc.Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), config: Config{DoubtWait: 3600}, window: 100, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	cfg.Name, cfg.Listen, cfg.Accounts = "docomo", "127.0.0.1:0", []smsc.Account{{SystemID: "kakitome", Password: "secret"}}
	if cfg.MessageID == "" {
		cfg.MessageID, cfg.ReceiptID = "hex", "decimal"
	}
	var err error
	r.smsc, err = smsc.New(cfg, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.smsc.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })

	require.NoError(t, store.NewMasterKey(filepath.Join(r.dir, "key")))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "password"), []byte("secret\n"), 0o600))
	ranges := filepath.Join(r.dir, "ranges.csv")
	require.NoError(t, os.WriteFile(ranges, []byte("0900,docomo\n0700,au\n"), 0o600))
	r.carriers, err = carrier.Open(carrier.Config{Ranges: ranges, Carriers: []carrier.Carrier{
		{Name: "docomo", Simulated: true, Senders: []carrier.AddressForm{carrier.FormPhone}, IDRule: "hex/decimal"},
		{Name: "au", Simulated: true, Senders: []carrier.AddressForm{carrier.FormPhone}, MaxSegments: 2},
	}})
	require.NoError(t, err)
	r.open()
	require.NoError(t, r.directory.Apply(t.Context(), tenant.Tenant{ID: "suido", Name: "〇〇県水道局", Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}}}))
	t.Cleanup(func() { require.NoError(t, r.store.Close()) })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.store, err = store.Open(store.Options{Dir: filepath.Join(r.dir, "data"), MasterKey: filepath.Join(r.dir, "key"), MinFree: 1})
	require.NoError(r.t, err)
	r.directory, err = tenant.OpenDirectory(r.t.Context(), r.store.DirectoryLog())
	require.NoError(r.t, err)
}

// bind is a configuration of a bind to the rig's carrier.
func (r *rig) bind(name string) bind.Config {
	b := bind.Default()
	b.Name, b.Carrier, b.Address, b.SystemID, b.PasswordFile, b.Response = name, "docomo", r.smsc.Addr(), "kakitome", filepath.Join(r.dir, "password"), cmp.Or(r.response, 1)
	b.Window, b.Rate = r.window, r.rate
	return b
}

// start runs a dispatcher with these binds, docomo-1 if none are given, until the test ends or stop is called.
func (r *rig) start(names ...string) {
	r.t.Helper()
	if len(names) == 0 {
		names = []string{"docomo-1"}
	}
	var binds []bind.Config
	for _, name := range names {
		binds = append(binds, r.bind(name))
	}
	r.metrics = prometheus.NewRegistry()
	d, err := New(Options{Store: r.store, Directory: r.directory, Carriers: r.carriers, Binds: binds, Config: r.config, DoNotSend: r.list, Lookups: r.chain(), Campaigns: r.said, Claims: r.claims, Registerer: r.metrics, Log: r.log})
	require.NoError(r.t, err)
	r.sends = d
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); require.NoError(r.t, <-done) })
	r.t.Cleanup(func() { r.stop() })
}

// accept stores a message as intake does.
func (r *rig) accept(number, text string, change func(*message.Head)) store.Ref {
	r.t.Helper()
	return r.acceptSMS(message.SMS{Number: number, Text: text}, change)
}

func (r *rig) acceptSMS(sms message.SMS, change func(*message.Head)) store.Ref {
	r.t.Helper()
	text := sms.Text
	ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
	plain, err := json.Marshal(sms)
	require.NoError(r.t, err)
	box, err := r.store.Seal("suido", "notice", time.Now(), ref.ID.String()+"/sms", plain)
	require.NoError(r.t, err)
	h := message.Head{V: 1, Class: message.Notice, Lane: message.LaneNotice, Carrier: "docomo", Parts: (message.Units(text) + 66) / 67, ValidUntil: time.Now().Add(time.Hour), SMS: box}
	if message.Units(text) <= 70 {
		h.Parts = 1
	}
	if change != nil {
		change(&h)
	}
	errs, err := r.store.Commit(r.t.Context(), store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}},
		Due: &store.Due{Queue: message.Queue("docomo", h.Lane), At: h.SendAt}}})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
	return ref
}

func (r *rig) state(ref store.Ref) message.State {
	r.t.Helper()
	events, err := r.store.Load(r.t.Context(), tenant.Only("suido"), ref)
	require.NoError(r.t, err)
	s, err := message.Fold(dlr.Events(events))
	require.NoError(r.t, err)
	return s
}

func (r *rig) eventually(ref store.Ref, phase message.Phase) message.State {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.state(ref).Phase == phase }, 10*time.Second, 10*time.Millisecond, "phase is %s, not %s", r.state(ref).Phase, phase)
	return r.state(ref)
}

func (r *rig) received(dest string) (n int) {
	for _, m := range r.smsc.Ledger(0) {
		if m.Dest == dest {
			n++
		}
	}
	return n
}

func TestMessageIsDeliveredAndEachStepHasItsTime(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	ref := r.accept("+819000012345", "〇〇県水道局からお知らせです。", nil)
	s := r.eventually(ref, message.Arrived)
	for name, at := range map[string]time.Time{"looked up": s.LookedUpAt, "submitting": s.SubmittingAt, "submitted": s.SubmittedAt, "delivered": s.DeliveredAt} {
		require.False(t, at.IsZero(), name)
	}
	got := r.smsc.Ledger(0)
	require.Len(t, got, 1)
	require.Equal(t, "〇〇県水道局からお知らせです。", got[0].Text)
	require.Equal(t, "0312345678", got[0].Source)
	require.Equal(t, "819000012345", got[0].Dest)
}

func TestLongMessageIsDeliveredWhenAllSegmentsAre(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	text := string(bytes.Repeat([]byte("長いお知らせです。"), 20))
	ref := r.accept("+819000012345", text, nil)
	s := r.eventually(ref, message.Arrived)
	require.Len(t, s.Parts, 3)
	got := r.smsc.Ledger(0)
	require.Len(t, got, 1)
	require.Equal(t, text, got[0].Text)
}

func TestOutcomesOfTheCarrier(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	for number, phase := range map[string]message.Phase{
		"+819000019401": message.Rejected,     // ESME_RINVDSTADR
		"+819000019601": message.NotDelivered, // UNDELIV
		"+819000019701": message.Arrived,      // receipt ahead of the response
		"+819000019704": message.Arrived,      // receipt twice
		"+819000019710": message.Arrived,      // receipt as data_sm
		"+819000019702": message.Confirming,   // no receipt
	} {
		r.eventually(r.accept(number, "お知らせです。", nil), phase)
	}
}

func TestThrottledMessageComesAgainWithoutUsingUpItsTries(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	s := r.eventually(r.accept("+819000019458", "お知らせです。", nil), message.Arrived)
	require.Equal(t, 3, s.Parts[0].Attempt)
	require.Zero(t, s.Parts[0].Refusals)
}

// TestRateOfABindHoldsForCodesAndBulkTogether: at the carrier no more has arrived than the rate allows since the start and a burst; what
// came late on the way does not count against it.
func TestRateOfABindHoldsForCodesAndBulkTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, smsc.Config{})
	r.rate = 100
	bulk, codes := r.acceptMany(150, message.LaneBulk), r.acceptMany(100, message.LaneCode)
	began := time.Now()
	r.start()
	for _, ref := range append(bulk, codes...) {
		r.eventually(ref, message.Arrived)
	}
	got := r.smsc.Ledger(0)
	require.Len(t, got, 250)
	slices.SortFunc(got, func(a, b smsc.Message) int { return a.Received.Compare(b.Received) })
	for i, m := range got {
		require.LessOrEqual(t, float64(i+1), 100*m.Received.Sub(began).Seconds()+10+1)
	}
}

// TestThrottlingCarrierIsGivenWhatItBears: without a rate the first window is nearly all refused, and little of what follows.
func TestThrottlingCarrierIsGivenWhatItBears(t *testing.T) {
	t.Parallel()
	r := newRig(t, smsc.Config{Rate: 60})
	refs := r.acceptMany(200, message.LaneBulk)
	r.start()
	for _, ref := range refs {
		require.Eventually(t, func() bool { return r.state(ref).Phase == message.Arrived }, 30*time.Second, 20*time.Millisecond)
	}
	refused := r.smsc.Counts().Refused["ESME_RTHROTTLED"]
	require.Less(t, int(refused), r.window+40, "beyond the first window a fifth at the most")
	require.Positive(t, r.sends.Status()[0].Pace)
}

func TestTemporaryRefusalWaitsForItsStep(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	ref := r.accept("+819000019408", "お知らせです。", nil)
	require.Eventually(t, func() bool { return r.state(ref).Parts[0].Refusals == 1 }, 10*time.Second, 10*time.Millisecond)
	s := r.state(ref)
	require.Equal(t, message.Waiting, s.Phase)
	require.WithinDuration(t, time.Now().Add(backOff[0]), s.RetryAt, 10*time.Second)
}

func TestNoAnswerIsInDoubtAndFollowsThePolicy(t *testing.T) {
	t.Run("wait", func(t *testing.T) {
		r := newRig(t, smsc.Config{})
		r.start()
		s := r.eventually(r.accept("+819000019500", "お知らせです。", nil), message.Doubtful)
		require.False(t, s.Over())
		require.WithinDuration(t, time.Now().Add(time.Hour), s.RetryAt, time.Minute)
	})
	t.Run("resend", func(t *testing.T) {
		r := newRig(t, smsc.Config{})
		r.config.Doubt = string(message.DoubtResend)
		r.start()
		s := r.eventually(r.accept("+819000019502", "お知らせです。", nil), message.Arrived)
		require.Equal(t, 2, s.Parts[0].Attempt)
	})
	t.Run("a code fails", func(t *testing.T) {
		r := newRig(t, smsc.Config{})
		r.config.Doubt = string(message.DoubtResend)
		r.start()
		ref := r.accept("+819000019501", "認証番号", func(h *message.Head) { h.Class, h.Lane = message.OTP, message.LaneCode })
		require.Eventually(t, func() bool { s := r.state(ref); return s.Over() }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, 1, r.state(ref).Parts[0].Attempt)
	})
}

// TestLateAcceptanceEndsTheRepeating: the carrier answers after the response timeout, the first submission while the second waits.
func TestLateAcceptanceEndsTheRepeating(t *testing.T) {
	for name, second := range map[string]smsc.Fault{
		"in doubt":  {Latency: smsc.Duration(time.Minute)},
		"throttled": {Latency: smsc.Duration(2 * time.Second), Status: "ESME_RTHROTTLED"},
		"refused":   {Latency: smsc.Duration(2 * time.Second), Status: "ESME_RINVDSTADR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second.Suffix, second.Times, second.Receipt = "9510", 1, "never"
			r := newRig(t, smsc.Config{Faults: []smsc.Fault{{Suffix: "9510", Times: 1, Latency: smsc.Duration(4500 * time.Millisecond), Receipt: "never"}, second}})
			r.response = 3 // the second has gone long before the first is answered, also on a laden machine
			r.config.Doubt, r.config.DoubtWait = string(message.DoubtResend), 1
			r.start()
			ref := r.accept("+819000019510", "お知らせです。", nil)
			require.Eventually(t, func() bool {
				events, err := r.store.Load(t.Context(), tenant.Only("suido"), ref)
				require.NoError(t, err)
				return len(events) == 7 // accepted, looked up, submitting, in doubt, submitting, submitted, and the second's end
			}, 20*time.Second, 10*time.Millisecond)
			require.Equal(t, message.Confirming, r.state(ref).Phase)
			require.Eventually(t, func() bool {
				queues, err := r.store.Queues()
				require.NoError(t, err)
				return len(queues) == 0
			}, 10*time.Second, 10*time.Millisecond, "nothing is to be sent any more")
			require.Equal(t, 2, r.state(ref).Parts[0].Attempt)
		})
	}
}

func TestResendingHasAnEnd(t *testing.T) {
	r := newRig(t, smsc.Config{})
	p := r.pump(nil)
	p.set.Store(&settings{config: Config{Doubt: string(message.DoubtResend), DoubtWait: 60}})
	now := time.Now()
	for doubts, want := range map[int]struct {
		policy message.Doubt
		until  time.Time
	}{0: {message.DoubtResend, now}, 1: {message.DoubtWait, now.Add(time.Minute)}, 2: {message.DoubtWait, now.Add(time.Minute)}, 3: {message.DoubtFail, time.Time{}}, 9: {message.DoubtFail, time.Time{}}} {
		policy, until := p.doubt(message.Notice, doubts, now)
		require.Equal(t, want.policy, policy, doubts)
		require.Equal(t, want.until, until, doubts)
	}
}

func TestStateDecidesNotTheQueue(t *testing.T) {
	r := newRig(t, smsc.Config{})
	canceled := r.accept("+819000010001", "お知らせです。", nil)
	lapsed := r.accept("+819000010002", "お知らせです。", func(h *message.Head) { h.ValidUntil = time.Now().Add(-time.Second) })
	later := r.accept("+819000010003", "お知らせです。", func(h *message.Head) { h.SendAt = time.Now().Add(time.Hour) })
	moved := r.accept("+817000010004", "お知らせです。", nil) // au's by now
	unapproved := r.accept("+819000010006", "お知らせです。", func(h *message.Head) { h.Sender = "campaign" })
	_, err := r.store.Commit(t.Context(), store.Tx{{Ref: canceled, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Canceled)}}}})
	require.NoError(t, err)
	r.start()
	r.eventually(lapsed, message.Expired)
	r.eventually(r.accept("+819000010005", "お知らせです。", nil), message.Arrived)
	require.Eventually(t, func() bool { return r.state(moved).Carrier == "au" }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, message.Waiting, r.state(moved).Phase)
	queues, err := r.store.Queues()
	require.NoError(t, err)
	require.Contains(t, queues, message.Queue("au", message.LaneNotice), "it waits for a bind of au")
	require.Equal(t, "no_sender", r.eventually(unapproved, message.Rejected).Reason)
	require.Equal(t, message.Withdrawn, r.state(canceled).Phase)
	require.Equal(t, message.Waiting, r.state(later).Phase)
	require.Len(t, r.smsc.Ledger(0), 1)
}

// TestMovedMessageIsNotLongerThanItsCarrierTakes: at intake it was another carrier's. Half of it is of no use, so what was begun goes on.
func TestMovedMessageIsNotLongerThanItsCarrierTakes(t *testing.T) {
	r := newRig(t, smsc.Config{})
	text := strings.Repeat("長いお知らせです。", 20) // three segments
	long, begun := r.accept("+817000010001", text, nil), r.accept("+817000010002", text, nil)
	_, err := r.store.Commit(t.Context(), store.Tx{{Ref: begun, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Submitted), Data: message.Encode(message.Submission{Part: 1, Attempt: 1})}}}})
	require.NoError(t, err)
	r.start()
	s := r.eventually(long, message.Rejected)
	require.Equal(t, "too_many_segments", s.Reason)
	require.Equal(t, "au", s.Carrier)
	require.Eventually(t, func() bool { return r.state(begun).Carrier == "au" }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, message.Waiting, r.state(begun).Phase)
	require.Empty(t, r.smsc.Ledger(0))
}

// TestSubmissionsUnderWayAtARestartAreInDoubt: what was recorded as being submitted, and nothing else, is given to the policy.
func TestSubmissionsUnderWayAtARestartAreInDoubt(t *testing.T) {
	r := newRig(t, smsc.Config{})
	var refs []store.Ref
	for i := range 20 {
		ref := r.accept(fmt.Sprintf("+8190000100%02d", i), "お知らせです。", nil)
		if i < 10 { // as a crash between the commit and the response leaves it
			_, err := r.store.Commit(t.Context(), store.Tx{{Ref: ref, Expect: 1, Due: &store.Due{Queue: doubtQueue("docomo"), At: time.Now()},
				Events: []store.NewEvent{{Type: byte(message.Submitting), Data: message.Encode(message.Submission{Part: 1, Attempt: 1})}}}})
			require.NoError(t, err)
		}
		refs = append(refs, ref)
	}
	r.config.Doubt = string(message.DoubtResend)
	r.start()
	for i, ref := range refs {
		s := r.eventually(ref, message.Arrived)
		require.Equal(t, i < 10, s.Parts[0].Doubts == 1)
	}
	r.stop()
	queues, err := r.store.Queues()
	require.NoError(t, err)
	require.Empty(t, queues, "everything has left the queues")
}

func TestThousandsAreEachSubmittedOnce(t *testing.T) {
	r := newRig(t, smsc.Config{NoBuiltinFaults: true})
	const n = 1000
	refs := make([]store.Ref, n)
	for i := range refs {
		refs[i] = r.accept(fmt.Sprintf("+81900001%04d", i), "お知らせです。", func(h *message.Head) { h.Lane = message.LaneBulk })
	}
	r.start()
	for _, ref := range refs {
		require.Eventually(t, func() bool { return r.state(ref).Phase == message.Arrived }, 60*time.Second, 10*time.Millisecond)
	}
	seen := map[string]bool{}
	for _, m := range r.smsc.Ledger(0) {
		require.False(t, seen[m.Dest], "sent twice")
		seen[m.Dest] = true
	}
	require.Len(t, seen, n)
}

func TestCarrierThatComesBackGetsWhatWaited(t *testing.T) {
	r := newRig(t, smsc.Config{})
	require.NoError(t, r.smsc.SetTrouble(smsc.Trouble{Down: true}))
	r.start()
	ref := r.accept("+819000012345", "お知らせです。", nil)
	require.NoError(t, r.smsc.SetTrouble(smsc.Trouble{}))
	s := r.eventually(ref, message.Arrived)
	require.Equal(t, 1, s.Parts[0].Attempt)
	require.Equal(t, 1, r.received("819000012345"))
}

// asked is a do-not-send list of one number.
type asked string

func (a asked) Refuses(_ context.Context, _ tenant.ID, _ message.Class, n carrier.Number) (bool, error) {
	return n.E164() == string(a), nil
}

// TestNumberThatAskedForNothingMoreIsRefused: a STOP that comes while a message waits still counts.
func TestNumberThatAskedForNothingMoreIsRefused(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.list = asked("+819000012345")
	r.start()
	s := r.eventually(r.accept("+819000012345", "お知らせです。", nil), message.Rejected)
	require.Equal(t, "do_not_send", s.Reason)
	r.eventually(r.accept("+819000012346", "お知らせです。", nil), message.Arrived)
	require.Zero(t, r.received("819000012345"))
}
