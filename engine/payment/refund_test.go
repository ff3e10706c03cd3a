package payment

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
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
