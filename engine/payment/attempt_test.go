package payment

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

func TestHundredStartsReachTheAgentOnce(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	var wg sync.WaitGroup
	got := make([]Attempt, 100)
	for i := range got {
		wg.Go(func() {
			a, err := r.start(claim, "konbini_barcode")
			if err != nil {
				t.Error(err)
			}
			got[i] = a
		})
	}
	wg.Wait()
	require.Equal(t, 1, r.bank.count(&r.bank.creates))
	for _, a := range got {
		require.Equal(t, got[0].ID, a.ID)
	}
	s := r.state(claim)
	require.Equal(t, AwaitingMoney, s.Phase)
	require.Len(t, s.Attempts, 1)
	require.Equal(t, "20261122000000001", s.Attempts[0].AgentID)
	require.Len(t, VoucherOf(s.Attempts[0], r.time()).Barcode, 44)
	require.Equal(t, "書留 太郎", s.Content.Payer)
	by, err := r.ByAttempt(t.Context(), scope, s.Attempts[0].ID)
	require.NoError(t, err)
	require.Equal(t, "A-1", by.Number)
	_, err = r.ByAttempt(t.Context(), tenant.Only("other"), s.Attempts[0].ID)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestLostReplyIsSettledByGetAndNeverCreatedAgain(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.bank.lost = func() error { return status.Error(codes.Unavailable, "connection reset") }
	a, err := r.start(claim, "konbini_barcode")
	require.NoError(t, err)
	require.Equal(t, AttemptUnknown, a.Phase)
	require.Nil(t, a.Voucher)

	_, err = r.start(claim, "konbini_barcode") // the payer tries again meanwhile
	require.NoError(t, err)
	require.Equal(t, 0, r.visitDue(), "not before its time")
	r.pass(time.Second)
	require.Equal(t, 1, r.visitDue())
	require.Equal(t, Awaiting, r.state(claim).Attempts[0].Phase)
	require.Equal(t, 1, r.bank.count(&r.bank.creates))
	require.Equal(t, []string{"made", "joined", "attempt_started", "attempt_unknown", "attempt_issued"}, r.events(claim))
	require.Equal(t, 0, r.visitDue())
}

func TestUnknownThatNeverArrivedFailsAfterPatience(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.bank.before = func(call string) error {
		if call == "create" {
			return status.Error(codes.Unavailable, "went down")
		}
		return nil
	}
	_, err := r.start(claim, "konbini_barcode")
	require.NoError(t, err)
	asked := 0
	for range 60 {
		r.pass(time.Second)
		if s := r.state(claim); !s.Attempts[0].Settling() {
			break
		}
		asked += r.visitDue()
	}
	require.GreaterOrEqual(t, asked, 4)
	require.LessOrEqual(t, asked, 10, "the waits grow")
	r.pass(time.Minute)
	r.visitDue()
	s := r.state(claim)
	require.Equal(t, HasFailed, s.Attempts[0].Phase)
	require.Equal(t, Unpaid, s.Phase)
	r.bank.set(func() { r.bank.before = nil })
	require.Equal(t, Awaiting, r.mustStart(claim, "konbini_barcode").Phase)
	require.Equal(t, 2, r.bank.count(&r.bank.creates))
}

func TestCrashBetweenStartedAndCreate(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	s := r.state(claim)
	start, _, err := r.offer(r.tenant, s, StartOptions{Method: "konbini_barcode"}, r.time())
	require.NoError(t, err)
	_, err = r.append(t.Context(), *s, r.time(), []store.NewEvent{newEvent(Started, r.time(), start)},
		[]store.Name{{Space: store.ByAttempt, Key: start.ID.String(), Exclusive: true}})
	require.NoError(t, err)
	r.crash()

	require.Equal(t, InProgress, r.state(claim).Phase)
	for range 20 {
		r.pass(10 * time.Second)
		r.visitDue()
	}
	require.Equal(t, HasFailed, r.state(claim).Attempts[0].Phase)
	require.Equal(t, 0, r.bank.count(&r.bank.creates))
	require.Equal(t, Awaiting, r.mustStart(claim, "konbini_barcode").Phase)
}

func TestCrashBetweenCreateAndIssued(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.bank.lost = func() error {
		r.s.Close() // power is gone before the reply can be written down
		return nil
	}
	_, err := r.start(claim, "konbini_barcode")
	require.ErrorIs(t, err, store.ErrClosed)
	r.open()
	require.Equal(t, AttemptStarted, r.state(claim).Attempts[0].Phase)
	r.pass(r.c.CreateTimeout + 2*time.Second)
	require.Equal(t, 1, r.visitDue())
	s := r.state(claim)
	require.Equal(t, AwaitingMoney, s.Phase)
	require.NotNil(t, s.Attempts[0].Voucher)
	require.Equal(t, 1, r.bank.count(&r.bank.creates))
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	_, err := r.start(claim, "bank_transfer")
	require.ErrorIs(t, err, ErrNotOffered)
	_, err = r.Start(t.Context(), r.tenant, claim, StartOptions{Method: "konbini_number", Store: "konbini_z"})
	require.ErrorIs(t, err, ErrNotOffered)
	dear := r.claim("A-2", 300_001)
	_, err = r.start(dear, "konbini_barcode")
	require.ErrorIs(t, err, ErrNotOffered, "more than the method takes")
	s := r.state(dear)
	require.Len(t, r.Methods(r.tenant, s), 1)
	_, err = r.Start(t.Context(), &tenant.Tenant{ID: "other"}, claim, StartOptions{Method: "card"})
	require.ErrorIs(t, err, store.ErrNotFound)

	r.bank.refusal = &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "limit"}
	a, err := r.start(claim, "card")
	require.ErrorIs(t, err, ErrDeclined)
	require.Equal(t, "declined:limit", a.Reason)
	r.bank.refusal = &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "maintenance"}
	_, err = r.start(claim, "card")
	require.ErrorIs(t, err, ErrUnavailable)
	r.bank.refusal = nil
	r.bank.before = func(string) error { return errNotSent }
	a, err = r.start(claim, "card")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, "not_sent", a.Reason)
	r.bank.before = nil
	require.Equal(t, RequiresAction, r.mustStart(claim, "card").Phase, "the payer may choose again")

	for _, c := range []struct {
		number string
		patch  Patch
	}{{"A-3", Patch{Withdrawn: true}}, {"A-4", Patch{Settled: true}}} {
		claim := r.claim(c.number, 1000)
		_, err := r.Patch(t.Context(), r.tenant, c.number, c.patch, "user:hanako")
		require.NoError(t, err)
		_, err = r.start(claim, "card")
		require.ErrorIs(t, err, ErrNotAsked)
	}
	r.pass(due0.Sub(day0) + time.Second)
	_, err = r.start(r.claimedAt(t, "A-5"), "card")
	require.ErrorIs(t, err, ErrOverdue)
}

// claimedAt is a claim whose due date has passed.
func (r *rig) claimedAt(t *testing.T, number string) (id [16]byte) {
	t.Helper()
	now := r.time()
	r.pass(day0.Sub(now))
	id = r.claim(number, 1000)
	r.pass(now.Sub(day0))
	return id
}

func TestChangingTheMethodCancelsFirst(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	card := r.mustStart(claim, "card")
	number := r.mustStart(claim, "konbini_number") // a canceled card page cannot be paid: no warning
	require.Equal(t, WasCanceled, r.state(claim).Attempt(card.ID).Phase)
	_, err := r.start(claim, "konbini_barcode")
	require.ErrorIs(t, err, ErrWarn, "a number that was shown can still be paid")
	_, err = r.Cancel(t.Context(), scope, claim, false)
	require.ErrorIs(t, err, ErrWarn)
	require.Equal(t, Awaiting, r.state(claim).Attempt(number.ID).Phase)
	barcode, err := r.Start(t.Context(), r.tenant, claim, StartOptions{Method: "konbini_barcode", Warned: true})
	require.NoError(t, err)
	s := r.state(claim)
	require.Equal(t, barcode.ID, s.Live().ID)
	require.Equal(t, 2, r.bank.count(&r.bank.cancels))

	// Paid with the old number all the same, and then with the new one.
	require.Equal(t, 200, r.hook(r.told("n1", number, proto.PaymentState_PROVISIONAL, 7440, time.Hour)).Status)
	s = r.state(claim)
	require.Equal(t, Accepted, s.Phase)
	require.Equal(t, []Alert{{Code: PaidAfterCancel, Attempt: number.ID, Open: true}}, s.Alerts)
	_, err = r.start(claim, "card")
	require.ErrorIs(t, err, ErrPaid)
	r.hook(r.told("n2", barcode, proto.PaymentState_CONFIRMED, 7440, 2*time.Hour))
	alerts, err := r.Alerts(t.Context(), scope, 10)
	require.NoError(t, err)
	require.Len(t, alerts, 1)
	require.Equal(t, int64(14880), alerts[0].Received)
	require.Contains(t, alerts[0].Alerts, Alert{Code: SecondPayment, Open: true})
	resolved, err := r.Resolve(t.Context(), scope, claim, alerts[0].Version, message.Act{By: "user:hanako", Reason: "返金済み"})
	require.NoError(t, err)
	require.False(t, resolved.NeedsAttention())
	alerts, err = r.Alerts(t.Context(), scope, 10)
	require.NoError(t, err)
	require.Empty(t, alerts)
	alerts, err = r.Alerts(t.Context(), tenant.Only("other"), 10)
	require.NoError(t, err)
	require.Empty(t, alerts)
}

func TestCancelThatMeetsMoneyFindsIt(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	r.bank.set(func() {
		p := r.bank.payments[a.ID.String()]
		p.State, p.PaidYen, p.ProvisionalAt = proto.PaymentState_PROVISIONAL, 7440, r.told("", a, 0, 1, 0).Payment.ProvisionalAt
	})
	_, err := r.Start(t.Context(), r.tenant, claim, StartOptions{Method: "card", Warned: true})
	require.ErrorIs(t, err, ErrPaid)
	require.Equal(t, Accepted, r.state(claim).Phase)
	require.Equal(t, 1, r.bank.count(&r.bank.creates))
}

func TestWithdrawnClaimIsCanceledWithTheAgent(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.mustStart(claim, "konbini_barcode")
	s, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Withdrawn: true, Reason: "二重請求"}, "key:main")
	require.NoError(t, err)
	require.Equal(t, IsWithdrawn, s.Phase)
	require.Nil(t, VoucherOf(s.Attempts[0], r.time()))
	fails := 2
	r.bank.set(func() {
		r.bank.before = func(call string) error {
			if fails--; fails >= 0 {
				return status.Error(codes.Unavailable, "down")
			}
			return nil
		}
	})
	for range 6 {
		r.pass(time.Second)
		r.visitDue()
	}
	s = *r.state(claim)
	require.Equal(t, WasCanceled, s.Attempts[0].Phase)
	require.True(t, s.Over())
	require.Equal(t, 1, r.bank.count(&r.bank.cancels))
	require.Equal(t, 0, r.visitDue())
}

func TestNumberThatItsAgentNeverCancelsExpires(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.mustStart(claim, "konbini_barcode")
	_, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Settled: true}, "key:main")
	require.NoError(t, err)
	asked := 0
	r.bank.set(func() {
		r.bank.before = func(call string) error {
			if call == "cancel" {
				asked++
				return status.Error(codes.Unavailable, "not supported")
			}
			return nil
		}
	})
	for range 24 * 60 / 5 {
		r.pass(5 * time.Minute)
		r.visitDue()
	}
	require.Less(t, asked, 40, "an agent that does not cancel is asked less and less often")
	r.pass(due0.Sub(r.time()) + r.c.Grace)
	r.pass(time.Hour)
	r.visitDue()
	s := r.state(claim)
	require.Equal(t, HasExpired, s.Attempts[0].Phase)
	require.True(t, s.Over(), "nothing is asked for ever")
	require.Zero(t, r.visitDue())
}

func TestAttemptsOfADayAreBounded(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	for range attemptsDay {
		a := r.mustStart(claim, "card")
		require.Equal(t, RequiresAction, a.Phase)
		_, err := r.Cancel(t.Context(), scope, claim, true)
		require.NoError(t, err)
	}
	_, err := r.start(claim, "card")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, attemptsDay, r.bank.count(&r.bank.creates))
	r.pass(24*time.Hour + time.Second)
	r.mustStart(claim, "card")
}

// Somebody presses again and again while the agent is down: it is there again, and so is the payment.
func TestOutageShutsNobodyOut(t *testing.T) {
	r := newRig(t)
	for number, down := range map[string]func(){
		"B-1": func() { r.bank.before = func(string) error { return errNotSent } },
		"B-2": func() { r.bank.refusal = &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "maintenance"} },
	} {
		claim := r.claim(number, 7440)
		r.bank.set(down)
		for range attemptsDay {
			_, err := r.start(claim, "card")
			require.ErrorIs(t, err, ErrUnavailable)
		}
		r.bank.set(func() { r.bank.before, r.bank.refusal = nil, nil })
		_, err := r.start(claim, "card")
		require.ErrorIs(t, err, ErrUnavailable)
		require.Len(t, r.state(claim).Attempts, attemptsDay, "the stream does not grow for ever")
		r.crash()
		for range 10 {
			r.pass(unaskedFor)
			r.bank.set(down)
			_, err := r.start(claim, "card")
			require.ErrorIs(t, err, ErrUnavailable)
			r.bank.set(func() { r.bank.before, r.bank.refusal = nil, nil })
		}
		r.pass(unaskedFor)
		require.Equal(t, RequiresAction, r.mustStart(claim, "card").Phase)
	}
	claim := r.claim("B-3", 7440)
	r.bank.refusal = &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "limit"}
	for range attemptsDay {
		_, err := r.start(claim, "card")
		require.ErrorIs(t, err, ErrDeclined)
	}
	r.pass(unaskedFor)
	_, err := r.start(claim, "card")
	require.ErrorIs(t, err, ErrUnavailable, "what the agent was asked counts for a day")
}

func TestAmountMustBeTheOneThatWasShown(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	amount := int64(9000)
	_, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Amount: &amount}, "key:main")
	require.NoError(t, err)
	_, err = r.Start(t.Context(), r.tenant, claim, StartOptions{Method: "card", Yen: 7440})
	require.ErrorIs(t, err, ErrAmended)
	require.Zero(t, r.bank.count(&r.bank.creates))
	_, err = r.Start(t.Context(), r.tenant, claim, StartOptions{Method: "card", Yen: 9000})
	require.NoError(t, err)
}

func TestExpiryAsksOnceMore(t *testing.T) {
	r := newRig(t)
	unpaid, paid := r.claim("A-1", 7440), r.claim("A-2", 7440)
	r.mustStart(unpaid, "konbini_barcode")
	a := r.mustStart(paid, "konbini_barcode")
	r.bank.set(func() { // paid on the last day; the notice was lost
		p := r.bank.payments[a.ID.String()]
		p.State, p.PaidYen, p.ProvisionalAt = proto.PaymentState_PROVISIONAL, 7440, r.told("", a, 0, 1, 0).Payment.ProvisionalAt
	})
	r.pass(due0.Sub(day0) + time.Second)
	s := r.state(unpaid)
	require.Equal(t, Overdue, s.PhaseAt(r.time()))
	r.pass(time.Second)
	require.Equal(t, 2, r.visitDue())
	require.Contains(t, r.events(unpaid), "overdue")
	require.NotContains(t, r.events(paid), "overdue", "the agent was asked before it was said")
	require.Equal(t, Accepted, r.state(paid).Phase)
	require.Equal(t, Awaiting, r.state(unpaid).Attempts[0].Phase, "news travel slowly")
	r.pass(r.c.Grace)
	r.visitDue()
	require.Equal(t, HasExpired, r.state(unpaid).Attempts[0].Phase)
	s = r.state(paid)
	require.Equal(t, Accepted, s.Phase)
	require.Empty(t, s.Alerts, "it was paid in time")
}

func TestRefreshAsksOnceAMinute(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	r.mustStart(claim, "card")
	for range 5 {
		_, err := r.Refresh(t.Context(), scope, claim)
		require.NoError(t, err)
	}
	require.Equal(t, 1, r.bank.count(&r.bank.gets))
	before := len(r.events(claim))
	r.pass(time.Minute)
	_, err := r.Refresh(t.Context(), scope, claim)
	require.NoError(t, err)
	require.Equal(t, 2, r.bank.count(&r.bank.gets))
	require.Len(t, r.events(claim), before, "what is known is not written again")
	_, err = r.Refresh(t.Context(), tenant.Only("other"), claim)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestPayerWhoGoesAwayLeavesNoDoubt(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	ctx, cancel := context.WithCancel(t.Context())
	r.bank.before = func(string) error { cancel(); return nil }
	a, err := r.Start(ctx, r.tenant, claim, StartOptions{Method: "konbini_barcode"})
	require.NoError(t, err)
	require.Equal(t, Awaiting, a.Phase)
}

// Run does by itself, on the real clock, what the tests above do step by step.
func TestRunSettlesAndStops(t *testing.T) {
	r := newRig(t)
	r.c.SettleFirst, r.c.SettleMost = 5*time.Millisecond, 50*time.Millisecond
	claim := r.claim("A-1", 7440)
	r.bank.lost = func() error { return status.Error(codes.Unavailable, "reset") }
	r.mustStart(claim, "konbini_barcode")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	require.Eventually(t, func() bool {
		r.pass(10 * time.Millisecond)
		s, err := r.Claim(t.Context(), scope, claim)
		return err == nil && s.Phase == AwaitingMoney
	}, 30*time.Second, 5*time.Millisecond)
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Equal(t, 1, r.bank.count(&r.bank.creates))
}
