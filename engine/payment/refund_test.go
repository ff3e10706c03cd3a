package payment

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/plugins/proto"
)

// captured is a claim of 4,400 yen paid by card, at the agent too.
func (r *rig) captured(number string) (ulid.ULID, Attempt) {
	r.t.Helper()
	id := r.claim(number, 4400)
	a := r.mustStart(id, "card")
	n := r.told("paid-"+number, a, proto.PaymentState_CONFIRMED, 4400, time.Hour)
	require.Equal(r.t, 200, r.hook(n).Status)
	r.bank.set(func() { r.bank.payments[a.ID.String()] = n.Payment })
	r.pass(2 * time.Hour)
	return id, a
}

func (r *rig) giveBack(number string, yen int64) (State, error) {
	return r.Refund(r.t.Context(), r.tenant, number, RefundOptions{Yen: yen, Act: message.Act{By: "key:main", Reason: "二重請求"}})
}

func TestRefundInPartsUntilNothingIsLeft(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	s, err := r.giveBack("A-1", 1400)
	require.NoError(t, err)
	require.Equal(t, PartRefunded, s.Phase)
	_, err = r.giveBack("A-1", 3001)
	require.ErrorContains(t, err, "amount")
	r.pass(time.Minute)
	s, err = r.giveBack("A-1", 0)
	require.NoError(t, err)
	require.Equal(t, AllRefunded, s.Phase)
	require.Equal(t, int64(4400), s.Refunded)
	_, err = r.giveBack("A-1", 0)
	require.ErrorContains(t, err, "no confirmed money")
	_, err = r.start(id, "card")
	require.ErrorIs(t, err, ErrPaid, "nobody is asked to pay again what was given back")
	require.Equal(t, 2, r.bank.count(&r.bank.refunds))
}

func TestManyRefundsAtOnceReachTheAgentOnce(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.giveBack("A-1", 0) })
	}
	wg.Wait()
	require.Equal(t, 1, r.bank.count(&r.bank.refunds))
	require.Equal(t, int64(4400), r.state(id).Refunded)
}

func TestLostReplyToARefundIsSettledByAskingAndNeverOrderedAgain(t *testing.T) {
	r := newRig(t)
	id, a := r.captured("A-1")
	r.bank.before = func(call string) error {
		if call == "refunded" {
			return errors.New("connection reset")
		}
		return nil
	}
	s, err := r.giveBack("A-1", 400)
	require.NoError(t, err)
	require.Equal(t, Paid, s.Phase)
	require.Equal(t, int64(400), s.Attempt(a.ID).Refunding)
	_, err = r.giveBack("A-1", 400)
	require.ErrorContains(t, err, "not settled")
	r.crash()
	r.pass(time.Minute)
	r.visitDue()
	require.Equal(t, int64(400), r.state(id).Refunded)
	require.Zero(t, r.state(id).Attempt(a.ID).Refunding)
	require.Equal(t, 1, r.bank.count(&r.bank.refunds))
}

// The program dies between the order and the call, or the call never arrives: the payer gets the money all the same, once.
func TestRefundThatWasNotExecutedIsOrderedUnderItsIDUntilItIs(t *testing.T) {
	t.Run("crash before the call", func(t *testing.T) {
		r := newRig(t)
		id, a := r.captured("A-1")
		order := Refund{ID: ulid.Make(), Attempt: a.ID, Yen: 400, Key: "k-1"}
		_, err := r.append(t.Context(), *r.state(id), r.time(), []store.NewEvent{newEvent(RefundAsked, r.time(), order)}, nil)
		require.NoError(t, err)
		r.crash()
		r.pass(time.Second)
		r.visitDue()
		require.Zero(t, r.bank.count(&r.bank.refunds), "the call may still be running")
		r.pass(time.Minute)
		r.visitDue()
		require.Equal(t, int64(400), r.state(id).Refunded)
		require.Zero(t, r.visitDue())
		require.Equal(t, 1, r.bank.count(&r.bank.refunds))
	})
	t.Run("lost requests and a lost reply", func(t *testing.T) {
		r := newRig(t)
		id, _ := r.captured("A-1")
		r.lose("refund")
		_, err := r.giveBack("A-1", 400)
		require.NoError(t, err)
		for range 10 {
			r.pass(time.Minute)
			r.visitDue()
		}
		require.Zero(t, r.state(id).Refunded)
		r.lose("refunded")
		for range 60 {
			r.pass(time.Minute)
			r.visitDue()
		}
		require.Equal(t, int64(400), r.state(id).Refunded)
		require.Equal(t, 1, r.bank.count(&r.bank.refunds))
		require.Empty(t, r.state(id).Alerts)
		r.lose()
		_, err = r.giveBack("A-1", 0)
		require.NoError(t, err)
		require.Equal(t, AllRefunded, r.state(id).Phase)
	})
}

// lose makes calls of the bank come to nothing, or their replies.
func (r *rig) lose(calls ...string) {
	r.bank.set(func() {
		r.bank.before = func(call string) error {
			if slices.Contains(calls, call) {
				return errors.New("connection reset")
			}
			return nil
		}
	})
}

func TestRefundThatIsNotDoneInItsTermIsAnAlertAndCanBeOrderedAnew(t *testing.T) {
	r := newRig(t)
	id, a := r.captured("A-1")
	r.lose("refund")
	order := func(key string) error {
		_, err := r.Refund(t.Context(), r.tenant, "A-1", RefundOptions{Yen: 400, Key: key, Act: message.Act{By: "user:hanako"}})
		return err
	}
	require.NoError(t, order("k-1"))
	r.lose("refund", "get")
	for range 72 {
		r.pass(time.Hour)
		r.visitDue()
	}
	require.Equal(t, int64(400), r.state(id).Attempt(a.ID).Refunding, "nothing is given up while nobody knows")
	r.lose()
	r.pass(24 * time.Hour)
	r.visitDue()
	require.Zero(t, r.bank.count(&r.bank.refunds), "the agent may have forgotten the key")
	s := r.state(id)
	require.Zero(t, s.Attempt(a.ID).Refunding)
	require.Equal(t, []Alert{{Code: RefundFailed, Attempt: a.ID, Open: true}}, s.Alerts)
	alerts, err := r.Alerts(t.Context(), scope, 10)
	require.NoError(t, err)
	require.Len(t, alerts, 1)
	require.Zero(t, r.visitDue())
	r.crash()
	require.ErrorContains(t, order("k-1"), "refused this refund")
	require.NoError(t, order("k-2"))
	require.Equal(t, int64(400), r.state(id).Refunded)
}

// shows has the agent show, and tell, how much of a payment went back.
func (r *rig) shows(a Attempt, yen int64) {
	r.t.Helper()
	n := r.told(fmt.Sprint("back-", r.time().Unix()), a, proto.PaymentState_CONFIRMED, a.Yen, time.Hour)
	n.Occurred = timestamppb.New(r.time())
	n.Payment.RefundedYen, n.Payment.RefundedAt = yen, n.Occurred
	r.bank.set(func() { r.bank.payments[a.ID.String()] = n.Payment })
	require.Equal(r.t, 200, r.hook(n).Status)
}

// Money that went back by other means before an order is not what was ordered.
func TestLostRefundIsOrderedAgainThoughAsMuchWentBackByOtherMeans(t *testing.T) {
	order := func(r *rig, key string) error {
		_, err := r.Refund(t.Context(), r.tenant, "A-1", RefundOptions{Yen: 400, Key: key, Act: message.Act{By: "key:main"}})
		return err
	}
	for name, before := range map[string]func(*rig, Attempt){
		"at the agent's own screen": func(r *rig, a Attempt) { r.shows(a, 400) },
		"by an order that had been given up": func(r *rig, a Attempt) {
			r.lose("refund")
			require.NoError(t, order(r, "k-1"))
			r.lose()
			r.pass(24 * time.Hour)
			r.visitDue()
			require.ErrorContains(t, order(r, "k-1"), "refused this refund")
			r.shows(a, 400)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id, a := r.captured("A-1")
			before(r, a)
			alerts := r.state(id).Alerts
			r.pass(time.Minute)
			r.lose("refund")
			require.NoError(t, order(r, "k-2"))
			s := r.state(id)
			require.Equal(t, int64(400), s.Refunded)
			require.Equal(t, int64(400), s.Attempt(a.ID).Refunding)
			require.ErrorContains(t, order(r, "k-3"), "not settled")
			r.crash()
			r.lose()
			r.pass(time.Minute)
			r.visitDue()
			s = r.state(id)
			require.Equal(t, int64(800), s.Refunded)
			require.Zero(t, s.Attempt(a.ID).Refunding)
			require.Equal(t, 1, r.bank.count(&r.bank.refunds))
			require.NoError(t, order(r, "k-2"), "known")
			require.Zero(t, r.visitDue())
			require.Equal(t, alerts, r.state(id).Alerts)

			r.pass(48 * time.Hour) // and all of it comes back
			r.shows(a, 0)
			r.visitDue()
			require.Zero(t, r.visitDue())
			s = r.state(id)
			require.Zero(t, s.Attempt(a.ID).Refunding, "no order is left")
			require.Equal(t, []Alert{{Code: RefundFailed, Attempt: a.ID, Open: true}}, s.Alerts)
			r.pass(time.Minute)
			require.NoError(t, order(r, "k-3"))
			s = r.state(id)
			require.Equal(t, int64(400), s.Refunded)
			require.Zero(t, s.Attempt(a.ID).Refunding)
		})
	}
}

func TestRefundThatIsRefusedLaterIsAnAlert(t *testing.T) {
	for name, done := range map[string]bool{"refused": false, "refused, for it was done": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id, a := r.captured("A-1")
			r.lose("refund")
			_, err := r.giveBack("A-1", 0)
			require.NoError(t, err)
			r.bank.set(func() {
				r.bank.refusal = &proto.Error{Class: proto.ErrorClass_INVALID, Code: "nothing_left"}
				r.bank.before = func(call string) error {
					if call == "refund" && done {
						r.bank.set(func() {
							p := r.bank.payments[a.ID.String()]
							p.RefundedYen, p.RefundedAt = p.PaidYen, timestamppb.New(r.time())
						})
					}
					return nil
				}
			})
			r.pass(time.Minute)
			r.visitDue()
			s := r.state(id)
			require.Zero(t, s.Attempt(a.ID).Refunding)
			if done {
				require.Equal(t, AllRefunded, s.Phase)
				require.Empty(t, s.Alerts)
				return
			}
			require.Equal(t, Paid, s.Phase)
			require.Equal(t, RefundFailed, s.Alerts[0].Code)
		})
	}
}

// The agent gives money back, and the payer's bank does not take it.
func TestRefundThatComesBackIsAnAlertAndCorrectsTheReceipt(t *testing.T) {
	r := newRig(t)
	id, a := r.captured("A-1")
	r.given(id, ReceiptOptions{})
	comesBack := func(left int64) {
		t.Helper()
		r.pass(48 * time.Hour)
		r.shows(a, left)
		require.Equal(t, 1, r.visitDue())
		require.Zero(t, r.visitDue())
		s := r.state(id)
		require.Zero(t, s.Attempt(a.ID).Refunding)
		require.Equal(t, []Alert{{Code: RefundFailed, Attempt: a.ID, Open: true}}, s.Alerts)
	}
	_, err := r.giveBack("A-1", 0)
	require.NoError(t, err)
	require.Equal(t, int64(4400), r.state(id).Receipt().Refunded)
	comesBack(0)
	require.Equal(t, Paid, r.state(id).Phase)
	require.Equal(t, 1, r.bank.count(&r.bank.refunds), "it is not ordered again by itself")

	doc, _ := r.given(id, ReceiptOptions{})
	require.Equal(t, "000000000003", doc.Receipt.Number)
	require.Zero(t, doc.Receipt.Refund.Yen)
	require.Equal(t, "000000000002", doc.Receipt.Refund.Corrects)
	require.Empty(t, doc.Receipt.Refund.Taxes)
	again, _ := r.given(id, ReceiptOptions{})
	require.Equal(t, doc.Receipt.Number, again.Receipt.Number)

	_, err = r.Resolve(t.Context(), scope, id, r.state(id).Version, message.Act{By: "user:hanako"})
	require.NoError(t, err)
	for _, yen := range []int64{400, 1000} {
		r.pass(time.Minute)
		_, err = r.giveBack("A-1", yen)
		require.NoError(t, err)
	}
	s := *r.state(id)
	require.Equal(t, int64(1400), s.Refunded)
	require.False(t, s.NeedsAttention())
	comesBack(1000)
	s = *r.state(id)
	require.True(t, s.Attempts[0].refunds[1].refused, "the one of 400")
	require.False(t, s.Attempts[0].refunds[2].refused)
}

func TestRefusedRefundLeavesThePaymentAsItWas(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	r.bank.set(func() { r.bank.refusal = &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "too_old"} })
	_, err := r.giveBack("A-1", 0)
	require.ErrorContains(t, err, "too_old")
	require.Equal(t, Paid, r.state(id).Phase)
	r.bank.set(func() { r.bank.refusal = nil })
	s, err := r.giveBack("A-1", 0)
	require.NoError(t, err)
	require.Equal(t, AllRefunded, s.Phase)
}

func TestMoneyOfAKonbiniIsNotGivenBackByTheAgent(t *testing.T) {
	r := newRig(t)
	r.paid("A-1")
	_, err := r.giveBack("A-1", 0)
	require.ErrorContains(t, err, "not given back through the agent")
	require.Zero(t, r.bank.count(&r.bank.refunds))
}
