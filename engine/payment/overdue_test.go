package payment

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestUnpaidClaimIsSaidToBeOverdueOnce(t *testing.T) {
	r := newRig(t)
	told := func(number string) (n int) {
		s, err := r.ByNumber(t.Context(), scope, number)
		require.NoError(t, err)
		for _, e := range r.events(s.Ref.ID) {
			if e == "overdue" {
				n++
			}
		}
		return n
	}
	untouched, issued, paid, withdrawn := r.claim("A-1", 1000), r.claim("A-2", 1000), r.claim("A-3", 1000), r.claim("A-4", 1000)
	r.mustStart(issued, "konbini_barcode")
	a := r.mustStart(paid, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, time.Hour))
	_, err := r.Patch(t.Context(), r.tenant, "A-4", Patch{Withdrawn: true}, "user:hanako")
	require.NoError(t, err)
	due := r.state(untouched).Due
	r.pass(due.Sub(r.time()))
	r.visitDue()
	require.Zero(t, told("A-1"), "its last second is not over")
	r.crash()
	r.pass(time.Second)
	for range 3 {
		r.visitDue()
		r.pass(time.Minute)
	}
	for number, want := range map[string]int{"A-1": 1, "A-2": 1, "A-3": 0, "A-4": 0} {
		require.Equal(t, want, told(number), number)
	}
	require.Equal(t, Overdue, r.state(untouched).PhaseAt(r.time()))
	require.Equal(t, Overdue, r.state(issued).PhaseAt(r.time()))
	require.False(t, slices.Contains(r.events(withdrawn), "overdue"))

	later := "2027-01-31"
	_, err = r.Patch(t.Context(), r.tenant, "A-1", Patch{Due: &later}, "user:hanako")
	require.NoError(t, err)
	r.visitDue()
	require.Equal(t, 1, told("A-1"))
	r.pass(40 * 24 * time.Hour)
	r.visitDue()
	r.visitDue()
	require.Equal(t, 2, told("A-1"), "once for each due date")
}

// takes is money that the agent has and whose notice is lost.
func (r *rig) takes(a Attempt, at time.Time) {
	r.bank.set(func() {
		p := r.bank.payments[a.ID.String()]
		p.State, p.PaidYen, p.ProvisionalAt = proto.PaymentState_PROVISIONAL, p.Yen, timestamppb.New(at)
	})
}

// All that is due on one day is asked about at once: an agent that cannot answer has not said that nobody paid.
func TestNoAnswerIsNotTakenForOne(t *testing.T) {
	for name, silent := range map[string]func(*bank){
		"too many questions": func(b *bank) { b.busy = &proto.Error{Class: proto.ErrorClass_RATE_LIMITED, Code: "429"} },
		"the module is down": func(b *bank) { b.before = func(string) error { return errNotSent } },
		"no reply":           func(b *bank) { b.before = func(string) error { return errors.New("deadline exceeded") } },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			paid, unpaid := r.claim("A-1", 1000), r.claim("A-2", 1000)
			a := r.mustStart(paid, "konbini_barcode")
			r.mustStart(unpaid, "konbini_barcode")
			r.takes(a, due0.Add(-time.Minute))
			r.bank.set(func() { silent(r.bank) })
			r.pass(due0.Add(time.Second).Sub(r.time()))
			asked := 0
			for range 30 { // beyond the attempts' own end
				asked += r.visitDue()
				r.pass(time.Hour)
			}
			require.Less(t, asked, 80, "not asked all the time")
			require.NotContains(t, r.events(paid), "overdue")
			require.NotContains(t, r.events(unpaid), "attempt_expired")
			r.crash()
			r.bank.set(func() { r.bank.before, r.bank.busy = nil, nil })
			r.visitDue()
			require.Equal(t, Accepted, r.state(paid).Phase)
			require.Empty(t, r.state(paid).Alerts)
			require.NotContains(t, r.events(paid), "overdue")
			require.Equal(t, []string{"attempt_expired", "overdue"}, r.events(unpaid)[4:])
		})
	}
}

func TestAnAgentThatNeverAnswersHoldsUpNothingForLong(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 1000)
	r.mustStart(claim, "konbini_barcode")
	r.bank.before = func(string) error { return errNotSent }
	r.pass(due0.Add(time.Second).Sub(r.time()))
	r.visitDue()
	require.NotContains(t, r.events(claim), "overdue")
	r.pass(askFor)
	r.visitDue()
	require.Contains(t, r.events(claim), "overdue")
	require.NotContains(t, r.events(claim), "attempt_expired")
	r.pass(r.c.Grace)
	r.visitDue()
	require.Contains(t, r.events(claim), "attempt_expired")
}

func TestAnExpiredAttemptIsAskedAboutSomeTimes(t *testing.T) {
	r := newRig(t)
	paid, unpaid := r.claim("A-1", 1000), r.claim("A-2", 1000)
	a := r.mustStart(paid, "konbini_barcode")
	r.mustStart(unpaid, "konbini_barcode")
	r.pass(due0.Add(r.c.Grace).Sub(r.time()))
	r.visitDue()
	require.Equal(t, HasExpired, r.state(paid).Attempts[0].Phase)
	r.takes(a, due0.Add(-time.Minute)) // told late
	before := r.bank.count(&r.bank.gets)
	for range 30 {
		r.pass(24 * time.Hour)
		r.visitDue()
		require.NotEqual(t, Unpaid, r.state(paid).Phase)
		r.bank.set(func() {
			p := r.bank.payments[a.ID.String()]
			p.State, p.ConfirmedAt = proto.PaymentState_CONFIRMED, timestamppb.New(due0)
		})
	}
	require.Equal(t, Paid, r.state(paid).Phase)
	require.LessOrEqual(t, r.bank.count(&r.bank.gets)-before, 6, "two of the one, four of the other")
	require.Equal(t, HasExpired, r.state(unpaid).Attempts[0].Phase)
	require.Zero(t, r.visitDue())
}
