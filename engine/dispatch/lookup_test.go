package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// source is a lookup module: numbers ending in 01 changed hands, in 02 were ported to au, in 03 have no line.
type source struct {
	mu      sync.Mutex
	fails   bool
	blocked chan struct{} // nil: it answers at once
	asked   map[string]int
	calls   int
}

func (s *source) Number(string) proto.NumberClient                { return s }
func (s *source) Describe(string) (*proto.DescribeResponse, bool) { return nil, false }
func (s *source) set(change func())                               { s.mu.Lock(); defer s.mu.Unlock(); change() }
func (s *source) count(f func() int) int                          { s.mu.Lock(); defer s.mu.Unlock(); return f() }
func (s *source) timesAsked(number string) int                    { return s.count(func() int { return s.asked[number] }) }

func (s *source) Lookup(ctx context.Context, in *proto.LookupRequest, _ ...grpc.CallOption) (*proto.LookupResponse, error) {
	s.mu.Lock()
	fails, blocked := s.fails, s.blocked
	s.calls++
	for _, q := range in.Queries {
		s.asked[q.Number]++
	}
	s.mu.Unlock()
	if fails {
		return nil, status.Error(codes.Unavailable, in.Queries[0].Number)
	}
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	out := &proto.LookupResponse{}
	for _, q := range in.Queries {
		r := &proto.NumberResult{InService: proto.Certainty_YES}
		switch {
		case strings.HasSuffix(q.Number, "01") && q.RegisteredOn != "":
			r.ChangedHands = proto.Certainty_YES
		case strings.HasSuffix(q.Number, "02"):
			r.Carrier = "au"
		case strings.HasSuffix(q.Number, "03"):
			r.InService = proto.Certainty_NO
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

// asking is a rig with a lookup module.
func asking(t *testing.T, change func(l *carrier.Lookup)) *rig {
	r := newRig(t, smsc.Config{})
	r.modules = &source{asked: map[string]int{}}
	r.lookup = carrier.DefaultLookup()
	r.lookup.Module, r.lookup.DeadlineMS = "number/test", 10_000
	if change != nil {
		change(&r.lookup)
	}
	return r
}

// chain is of the rig's module; nil: there is none.
func (r *rig) chain() *carrier.Chain {
	if r.modules == nil {
		return nil
	}
	require.NoError(r.t, r.carriers.Reload(carrier.Config{Ranges: filepath.Join(r.dir, "ranges.csv"), Carriers: []carrier.Carrier{
		{Name: "docomo", Simulated: true, Senders: []carrier.AddressForm{carrier.FormPhone}, IDRule: "hex/decimal"},
		{Name: "au", Simulated: true, Senders: []carrier.AddressForm{carrier.FormPhone}},
	}, Lookup: r.lookup}))
	return carrier.NewChain(carrier.ChainOptions{Table: r.carriers, Modules: r.modules, Log: slog.New(slog.NewTextHandler(r.t.Output(), nil))})
}

// registered accepts a message whose sender knows since when the number is the recipient's.
func (r *rig) registered(number string) store.Ref {
	return r.acceptSMS(message.SMS{Number: number, Text: "お知らせです。", Registered: "2024-05-05"}, nil)
}

func (r *rig) events(ref store.Ref, typ message.Type) (found []message.Submission) {
	events, err := r.store.Load(r.t.Context(), tenant.Only("suido"), ref)
	require.NoError(r.t, err)
	for _, e := range dlr.Events(events) {
		if e.Type == typ {
			var d message.Submission
			require.NoError(r.t, e.Decode(&d))
			found = append(found, d)
		}
	}
	return found
}

func TestNumberThatChangedHandsIsStoppedBeforeAnythingIsSubmitted(t *testing.T) {
	r := asking(t, nil)
	stranger := r.registered("+819000010001")
	unasked := r.accept("+819000020001", "お知らせです。", nil) // its sender gave no day
	moved := r.accept("+819000010002", "お知らせです。", nil)
	dead := r.accept("+819000010003", "お知らせです。", nil)
	same := r.registered("+819000010004")
	// A code asks where its message has a day: a stranger must not get it. Without one nobody waits for a lookup.
	otp := func(h *message.Head) { h.Class, h.Lane = message.OTP, message.LaneCode }
	theirs := r.acceptSMS(message.SMS{Number: "+819000010001", Text: "認証番号", Registered: "2024-05-05"}, otp)
	code := r.accept("+819000030001", "認証番号", otp)
	r.start()
	require.Equal(t, carrier.StopChangedHands, r.eventually(theirs, message.Rejected).Reason)
	r.eventually(code, message.Arrived)
	require.Zero(t, r.modules.timesAsked("+819000030001"))
	s := r.eventually(stranger, message.Rejected)
	require.Equal(t, carrier.StopChangedHands, s.Reason)
	require.True(t, s.Over())
	require.Empty(t, r.events(stranger, message.Submitting))
	require.Equal(t, carrier.StopNotInService, r.eventually(dead, message.Rejected).Reason)
	r.eventually(same, message.Arrived)
	r.eventually(unasked, message.Arrived)
	require.Eventually(t, func() bool { s := r.state(moved); return s.Carrier == "au" && s.FoundBy == message.ByModule }, 10*time.Second, 10*time.Millisecond)
	for _, number := range []string{"819000010001", "819000010002", "819000010003"} {
		require.Zero(t, r.received(number))
	}
	queues, err := r.store.Queues()
	require.NoError(t, err)
	require.Equal(t, []string{message.Queue("au", message.LaneNotice)}, queues)
}

func TestWhatNeedsNoLookupIsNotHeldBack(t *testing.T) {
	r := asking(t, func(l *carrier.Lookup) { l.Ask = "registered" })
	open := make(chan struct{})
	r.modules.blocked = open
	var waiting []store.Ref
	for i := range 100 {
		waiting = append(waiting, r.registered(fmt.Sprintf("+819000011%03d", 100+i*8)))
	}
	r.start()
	for i := range 20 {
		r.eventually(r.accept(fmt.Sprintf("+8190000200%02d", i), "お知らせです。", nil), message.Arrived)
	}
	code := r.accept("+819000030000", "認証番号", func(h *message.Head) { h.Class, h.Lane = message.OTP, message.LaneCode })
	r.eventually(code, message.Arrived)
	for _, ref := range waiting {
		require.Equal(t, message.Waiting, r.state(ref).Phase)
	}
	r.sends.Rewind() // what is found again is not asked again
	r.eventually(r.accept("+819000020099", "お知らせです。", nil), message.Arrived)
	close(open)
	for _, ref := range waiting {
		r.eventually(ref, message.Arrived)
	}
	require.LessOrEqual(t, r.modules.count(func() int { return r.modules.calls }), 20, "many in a call")
	require.Equal(t, 1, r.modules.timesAsked("+819000011300"))
	require.Equal(t, 1, r.received("819000011300"))
	require.Zero(t, r.modules.timesAsked("+819000020001"))
}

func TestLookupThatFailsFollowsThePolicy(t *testing.T) {
	log := &lockedBuffer{}
	r := asking(t, nil)
	r.modules.fails = true
	r.log = slog.New(slog.NewTextHandler(log, nil))
	held, sent := r.registered("+819000010010"), r.accept("+819000010011", "お知らせです。", nil)
	r.start()
	r.eventually(sent, message.Arrived)
	require.Eventually(t, func() bool { return r.state(held).Reason == message.ReasonLookup }, 10*time.Second, 10*time.Millisecond)
	s := r.state(held)
	require.Equal(t, message.Waiting, s.Phase)
	require.WithinRange(t, s.RetryAt, time.Now().Add(50*time.Second), time.Now().Add(91*time.Second))
	require.Zero(t, r.received("819000010010"))
	require.NotContains(t, log.String(), "00001001", "a number is in the log")
}

// TestMessageKeepsTheCarrierThatWasTold: else it would go to and fro when the module fails between two carriers.
func TestMessageKeepsTheCarrierThatWasTold(t *testing.T) {
	r := asking(t, nil)
	r.start()
	moved := r.accept("+819000010002", "お知らせです。", nil)
	require.Eventually(t, func() bool { return r.state(moved).Carrier == "au" }, 10*time.Second, 10*time.Millisecond)
	r.stop()
	s := r.state(moved)
	n, err := carrier.ParseNumber("+819000010002")
	require.NoError(t, err)
	p := r.sends.pumps["au"]
	a, ask, hold := p.find(&s, carrier.Query{Number: n}, &carrier.Result{Failed: true})
	require.False(t, ask)
	require.Zero(t, hold)
	require.Equal(t, "au", a.Carrier.Name)
}

func TestMessageThatWaitedAsideIsFoundAgainAfterARestart(t *testing.T) {
	r := asking(t, nil)
	r.modules.blocked = make(chan struct{})
	ref := r.registered("+819000010010")
	r.start()
	require.Eventually(t, func() bool { return r.modules.timesAsked("+819000010010") == 1 }, 10*time.Second, 10*time.Millisecond)
	r.stop()
	require.Equal(t, message.Waiting, r.state(ref).Phase)
	r.modules.set(func() { r.modules.blocked = nil })
	r.start()
	r.eventually(ref, message.Arrived)
	require.Equal(t, 1, r.received("819000010010"))
}

// TestQuestionsAsideAreBounded: what finds no room comes again one after the other, as fast as the module answers.
func TestQuestionsAsideAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLookups(carrier.NewChain(carrier.ChainOptions{}))
		id := func(i int) store.Ref {
			return store.Ref{Tenant: "suido", ID: ulid.ULID{byte(i), byte(i >> 8), byte(i >> 16)}}
		}
		for i := range asideMax {
			require.True(t, l.put(question{ref: id(i), lane: message.LaneBulk}))
		}
		require.False(t, l.put(question{ref: id(asideMax), lane: message.LaneBulk}))
		require.True(t, l.hold(id(5)))
		require.False(t, l.hold(id(asideMax)))
		l.pace = 10 * time.Millisecond
		now := time.Now()
		require.Equal(t, now.Add(asideWait), l.later(now))
		require.Equal(t, now.Add(asideWait+10*time.Millisecond), l.later(now))
		for range 10_000 {
			require.LessOrEqual(t, l.later(now), now.Add(asideLong))
		}
	})
}

// lockedBuffer is a log that many goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
