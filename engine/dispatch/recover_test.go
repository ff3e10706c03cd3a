package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// underWay is a message as a crash between the commit and the response leaves it.
func (r *rig) underWay(number string, at time.Time) store.Ref {
	ref := r.accept(number, "お知らせです。", nil)
	r.commit(store.Change{Ref: ref, Expect: 1, Due: &store.Due{Queue: doubtQueue("docomo"), At: at},
		Events: []store.NewEvent{{Type: byte(message.Submitting), Data: message.Encode(message.Submission{Part: 1, Attempt: 1})}}})
	return ref
}

func (r *rig) commit(c store.Change) {
	r.t.Helper()
	errs, err := r.store.Commit(r.t.Context(), store.Tx{c})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

// pump is docomo's, without a bind.
func (r *rig) pump(s Store) *pump {
	p := newPump(Options{Store: s, Directory: r.directory, Carriers: r.carriers, Log: slog.New(slog.DiscardHandler)}, "docomo")
	p.set.Store(&settings{carrier: r.carriers.Carriers()[0], config: Config{DoubtWait: 3600}})
	return p
}

// opening lets the recipient open the link between the reading and the first commit.
type opening struct {
	*store.Store
	ref  store.Ref
	done bool
}

func (o *opening) Commit(ctx context.Context, txs ...store.Tx) ([]error, error) {
	if !o.done {
		o.done = true
		if _, err := o.Store.Commit(ctx, store.Tx{{Ref: o.ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Opened)}}}}); err != nil {
			return nil, err
		}
	}
	return o.Store.Commit(ctx, txs...)
}

func TestSubmissionInDoubtIsRecoveredAlthoughItsLinkIsOpenedMeanwhile(t *testing.T) {
	r := newRig(t, smsc.Config{})
	ref := r.underWay("+819000010001", time.Now())
	require.NoError(t, r.pump(&opening{Store: r.store, ref: ref}).recover(t.Context()))
	require.Equal(t, message.Doubtful, r.state(ref).Phase)
	queues, err := r.store.Queues()
	require.NoError(t, err)
	require.Equal(t, []string{message.Queue("docomo", message.LaneNotice)}, queues, "it waits to be repeated")
}

func TestSubmissionInDoubtIsRecoveredAlthoughTheClockWasSetBack(t *testing.T) {
	r := newRig(t, smsc.Config{})
	ref := r.underWay("+819000010001", time.Now().Add(time.Hour))
	require.NoError(t, r.pump(r.store).recover(t.Context()))
	require.Equal(t, message.Doubtful, r.state(ref).Phase)
}

func TestDoubtfulSegmentIsNotForgottenWhenAnotherIsAccepted(t *testing.T) {
	r := newRig(t, smsc.Config{})
	text := strings.Repeat("長いお知らせです。", 10)
	ref := r.accept("+819000010001", text, nil)
	require.Equal(t, 2, r.state(ref).Head.Parts)
	soon, later := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	r.commit(store.Change{Ref: ref, Expect: 1, Due: &store.Due{Queue: message.Queue("docomo", message.LaneNotice), At: soon}, Events: []store.NewEvent{
		{Type: byte(message.InDoubt), Data: message.Encode(message.Submission{Part: 1, Attempt: 1, Policy: message.DoubtWait, Until: later})},
		{Type: byte(message.Retrying), Data: message.Encode(message.Submission{Part: 2, Attempt: 1, Until: soon})},
	}})
	r.start()
	require.Eventually(t, func() bool { return r.state(ref).Parts[1].SMSCID != "" }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, message.Doubtful, r.state(ref).Parts[0].Phase)
	require.Zero(t, r.state(ref).Parts[0].Attempt, "it is not repeated before its time")
	at, waits, err := r.store.NextDue(message.Queue("docomo", message.LaneNotice), store.Cursor{})
	require.NoError(t, err)
	require.True(t, waits)
	require.WithinDuration(t, later, at, time.Second)
}

func TestAnswerWithAnImpossibleIDIsRecorded(t *testing.T) {
	r := newRig(t, smsc.Config{})
	ref := r.underWay("+819000010001", time.Now())
	f := &flight{ref: ref, lane: message.LaneNotice, parts: 1, flying: 1}
	r.pump(r.store).settle("docomo-1", []session.Result{{Owner: &part{flight: f, n: 1, attempt: 1}, Outcome: session.Answered, MessageID: []byte(strings.Repeat("9a", 200))}})
	require.Equal(t, message.Confirming, r.state(ref).Phase)
}

func TestLongThrottlingSlowsTheTries(t *testing.T) {
	p := newRig(t, smsc.Config{}).pump(nil)
	now := time.Now()
	for attempt, wait := range map[int]time.Duration{1: time.Second, 5: 5 * time.Second, 500: time.Minute} {
		_, _, until := p.judge(&part{attempt: attempt}, pdu.StatusThrottled, now)
		require.Equal(t, now.Add(wait), until)
	}
}

// TestSegmentsFillTheWindowAndNoMore: what is recorded as being submitted is what the window holds, in PDUs.
func TestSegmentsFillTheWindowAndNoMore(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.window = 6
	var refs []store.Ref
	for i := range 6 {
		refs = append(refs, r.accept(fmt.Sprintf("+81900%03d9500", i), strings.Repeat("長いお知らせです。", 20), nil)) // never answered
	}
	r.start()
	require.Eventually(t, func() bool {
		doubtful, sending := 0, 0
		for _, ref := range refs {
			for _, p := range r.state(ref).Parts {
				switch p.Phase {
				case message.Sending:
					sending++
				case message.Doubtful:
					doubtful++
				}
			}
		}
		require.LessOrEqual(t, sending, r.window)
		return doubtful == 18
	}, 15*time.Second, 20*time.Millisecond)
}

// TestWhatWaitsForACarrierThatIsNoMoreMoves: the operator renamed it, or took it out.
func TestWhatWaitsForACarrierThatIsNoMoreMoves(t *testing.T) {
	r := newRig(t, smsc.Config{})
	waiting, doubtful := r.accept("+819000010001", "お知らせです。", nil), r.accept("+819000010002", "お知らせです。", nil)
	r.commit(store.Change{Ref: waiting, Expect: 1, Due: &store.Due{Queue: message.Queue("willcom", message.LaneBulk)}})
	r.commit(store.Change{Ref: doubtful, Expect: 1, Due: &store.Due{Queue: doubtQueue("willcom")},
		Events: []store.NewEvent{{Type: byte(message.Submitting), Data: message.Encode(message.Submission{Part: 1, Attempt: 1})}}})
	r.config.Doubt = string(message.DoubtResend)
	r.start()
	r.eventually(waiting, message.Arrived)
	r.eventually(doubtful, message.Arrived)
}

// TestWhatCannotBeEncodedIsRefused: tried again it would stand before all others for ever.
func TestWhatCannotBeEncodedIsRefused(t *testing.T) {
	r := newRig(t, smsc.Config{})
	ref := r.underWay("+819000010001", time.Now())
	f := &flight{ref: ref, lane: message.LaneNotice, parts: 1, flying: 1}
	b := bind.New(bind.Options{Config: bind.Default(), Log: slog.New(slog.DiscardHandler)})
	r.pump(r.store).results(b, []session.Result{{Owner: &part{flight: f, n: 1, attempt: 1}, Outcome: session.NotSent, Err: fmt.Errorf("submit: %w", &pdu.FieldError{})}})
	require.Equal(t, message.Rejected, r.state(ref).Phase)
	queues, err := r.store.Queues()
	require.NoError(t, err)
	require.Empty(t, queues)
}
