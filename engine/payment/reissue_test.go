package payment

import (
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/plugins/proto"
)

// given returns the model that a receipt was drawn from when it was asked for.
func (r *rig) given(claim ulid.ULID, o ReceiptOptions) (*proto.Document, []byte) {
	r.t.Helper()
	pdf, _, err := r.Receipt(r.t.Context(), r.tenant, claim, o)
	require.NoError(r.t, err)
	r.pen.mu.Lock()
	defer r.pen.mu.Unlock()
	return r.pen.docs[len(r.pen.docs)-1], pdf
}

func TestEachFurtherCopyIsMarkedAndRecorded(t *testing.T) {
	r := newRig(t)
	claim := r.paid("A-1")
	doc, first := r.given(claim, ReceiptOptions{})
	require.Zero(t, doc.Receipt.Copy)

	_, again := r.given(claim, ReceiptOptions{})
	require.Equal(t, first, again, "to show and to save it, a browser asks twice")
	doc, _ = r.given(claim, ReceiptOptions{By: "user:hanako"})
	require.Equal(t, uint32(1), doc.Receipt.Copy, "somebody else")
	r.pass(time.Minute)
	doc, copied := r.given(claim, ReceiptOptions{By: "user:hanako"})
	require.Equal(t, uint32(1), doc.Receipt.Copy, "the same copy for who got it")
	require.Equal(t, day0, doc.Receipt.Copied.AsTime())
	r.pass(time.Hour)
	r.crash()
	doc, later := r.given(claim, ReceiptOptions{})
	require.Equal(t, uint32(2), doc.Receipt.Copy)
	require.Equal(t, r.time(), doc.Receipt.Copied.AsTime())
	require.NotEqual(t, copied, later)
	require.Equal(t, "000000000001", doc.Receipt.Number, "a copy takes no number")
	require.Equal(t, day0, doc.Receipt.Issued.AsTime())

	s := r.state(claim)
	require.Equal(t, 2, s.Receipt().Copies)
	_, kept, err := r.opt.Documents.Get(t.Context(), scope, s.Receipt().Document)
	require.NoError(t, err)
	require.Equal(t, first, kept, "the first copy stays as it was")
	require.Equal(t, []string{"receipt_issued", "receipt_kept", "receipt_reissued", "receipt_reissued"}, r.events(claim)[len(r.events(claim))-4:])
	require.Equal(t, []ReceiptJSON{{Number: "000000000001", Issued: day0, Copies: 2}}, s.JSON(r.time()).Receipts)
}

func TestCopiesThatAreAskedForAtOnceAreCounted(t *testing.T) {
	r := newRig(t)
	claim := r.paid("A-1")
	r.given(claim, ReceiptOptions{})
	r.pass(time.Hour)
	var wg sync.WaitGroup
	for _, by := range []string{"user:a", "user:b", "user:c", "user:a", "user:b", "user:c"} {
		wg.Go(func() {
			if _, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{By: by}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.GreaterOrEqual(t, r.state(claim).Receipt().Copies, 3, "one for each of them at least")
	require.Len(t, r.state(claim).Receipts, 1)
}

func TestRefundCorrectsTheReceiptUnderItsOwnNumber(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	doc, first := r.given(id, ReceiptOptions{Lang: "en"})
	require.True(t, doc.Receipt.Card)
	require.Nil(t, doc.Receipt.Refund)
	other, _ := r.captured("B-1")
	r.given(other, ReceiptOptions{})

	_, err := r.giveBack("A-1", 1400)
	require.NoError(t, err)
	require.Equal(t, "000000000003", r.state(id).Receipt().Number, "the correction has its number at once")
	require.Equal(t, int64(1400), r.state(id).Receipt().Refunded)
	r.pass(time.Minute)
	doc, _ = r.given(id, ReceiptOptions{})
	require.Equal(t, "000000000003", doc.Receipt.Number)
	require.Equal(t, "000000000001", doc.Receipt.Refund.Corrects)
	require.Equal(t, int64(1400), doc.Receipt.Refund.Yen)
	require.Equal(t, int64(4400), doc.Claim.Yen)
	require.Equal(t, "en", doc.Lang, "as the one before")
	require.Zero(t, doc.Receipt.Copy, "its first copy")

	r.pass(time.Hour)
	_, err = r.giveBack("A-1", 0)
	require.NoError(t, err)
	doc, _ = r.given(id, ReceiptOptions{})
	require.Equal(t, "000000000004", doc.Receipt.Number)
	require.Equal(t, "000000000003", doc.Receipt.Refund.Corrects)
	require.Equal(t, int64(4400), doc.Receipt.Refund.Yen)

	// The first one is still there, and a copy of it is marked.
	r.pass(time.Hour)
	doc, _ = r.given(id, ReceiptOptions{Number: "000000000001"})
	require.Equal(t, uint32(1), doc.Receipt.Copy)
	require.Nil(t, doc.Receipt.Refund)
	_, kept, err := r.opt.Documents.Get(t.Context(), scope, r.state(id).Receipts[0].Document)
	require.NoError(t, err)
	require.Equal(t, first, kept)
	_, _, err = r.Receipt(t.Context(), r.tenant, id, ReceiptOptions{Number: "000000000002"})
	require.ErrorIs(t, err, store.ErrNotFound, "that is another claim's")

	ref := register(r.tenant.ID, "receipts")
	events, err := r.s.Load(t.Context(), scope, ref)
	require.NoError(t, err)
	require.Len(t, events, 4, "without gaps")
	require.NoError(t, CheckRegister(t.Context(), r.s, ref, events))
}

func TestRefundWithoutAReceiptIsStatedByTheFirst(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	_, err := r.giveBack("A-1", 400)
	require.NoError(t, err)
	require.Nil(t, r.state(id).Receipt(), "nobody holds one that is wrong")
	doc, _ := r.given(id, ReceiptOptions{})
	require.Equal(t, "000000000001", doc.Receipt.Number)
	require.Equal(t, int64(400), doc.Receipt.Refund.Yen)
	require.Empty(t, doc.Receipt.Refund.Corrects)
}

// What was paid too much and goes back leaves the receipt as it is.
func TestReturnOfTheExcessCorrectsNothing(t *testing.T) {
	s := &State{Terms: Terms{Amount: 500}, Confirmed: 1000, Refunded: 500, Phase: Paid}
	require.True(t, s.owesReceipt())
	require.Zero(t, s.givenBack())
	s.Receipts = []*Paper{{Receipt: Receipt{Number: "1"}}}
	require.False(t, s.owesReceipt())
	s.Refunded = 600
	require.Equal(t, int64(100), s.givenBack())
	require.True(t, s.owesReceipt())
	s.Confirmed, s.Refunded, s.Phase = 300, 100, PartRefunded
	s.Receipts = nil
	require.False(t, s.owesReceipt(), "a part of what was asked for has no receipt")
}

func TestTaxesOfAReceiptAreThoseOfItsLines(t *testing.T) {
	r := newRig(t)
	tax := int64(171)
	c := &message.Claim{Number: "T-1", Amount: 2581, Tax: &tax, Due: "2026-12-31", Lines: []message.Line{
		{Name: "弁当", Quantity: 2, Unit: 540, Amount: 1080, TaxRate: 8}, {Name: "容器", Quantity: 1, Unit: 1001, Amount: 1001, TaxRate: 10}, {Name: "保証金", Quantity: 1, Unit: 500, Amount: 500}}}
	planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), c, "")
	require.NoError(t, err)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), planned.Changes))
	a := r.mustStart(planned.ID, "card")
	n := r.told("n", a, proto.PaymentState_CONFIRMED, 2581, time.Hour)
	require.Equal(t, 200, r.hook(n).Status)
	r.bank.set(func() { r.bank.payments[a.ID.String()] = n.Payment })
	doc, _ := r.given(planned.ID, ReceiptOptions{})
	totals := func(all []*proto.RateTotal) (out [][3]int64) {
		for _, x := range all {
			out = append(out, [3]int64{int64(x.Rate), x.Yen, x.TaxYen})
		}
		return out
	}
	require.Equal(t, [][3]int64{{10, 1001, 91}, {8, 1080, 80}, {0, 500, 0}}, totals(doc.Claim.Taxes))
	require.Equal(t, uint32(8), doc.Claim.Lines[0].TaxRate)
	require.Equal(t, "T9234567890123", doc.Issuer.RegistrationNumber)
	require.Equal(t, "弁当 ほか2件", doc.Title)

	_, err = r.giveBack("T-1", 100)
	require.NoError(t, err)
	r.pass(time.Hour)
	doc, _ = r.given(planned.ID, ReceiptOptions{})
	require.Empty(t, doc.Receipt.Refund.Taxes, "how a part falls on the rates is not known")
	_, err = r.giveBack("T-1", 0)
	require.NoError(t, err)
	r.pass(time.Hour)
	doc, _ = r.given(planned.ID, ReceiptOptions{})
	require.Equal(t, [][3]int64{{10, 1001, 91}, {8, 1080, 80}, {0, 500, 0}}, totals(doc.Receipt.Refund.Taxes))

	wrong := int64(1)
	_, err = r.Patch(t.Context(), r.tenant, "T-1", Patch{Tax: &wrong}, "key:main")
	require.Error(t, err)
}

func TestANumberThatCannotBeOneMakesNoInvoice(t *testing.T) {
	r := newRig(t)
	r.tenant.Issuer.Registration = "T1234567890123" // as it may have been stored once
	claim := r.paid("A-1")
	doc, _ := r.given(claim, ReceiptOptions{})
	require.Empty(t, doc.Issuer.RegistrationNumber)
}

func TestTheSameKeyIsTheSameRefund(t *testing.T) {
	r := newRig(t)
	id, _ := r.captured("A-1")
	order := func(key string, yen int64) error {
		_, err := r.Refund(t.Context(), r.tenant, "A-1", RefundOptions{Yen: yen, Key: key, Act: message.Act{By: "user:hanako", Reason: "二重請求"}})
		return err
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := order("k-1", 400); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, order("k-1", 0))
	require.Equal(t, 1, r.bank.count(&r.bank.refunds))
	require.ErrorContains(t, order("k-1", 500), "another refund")
	require.ErrorContains(t, order("k 1", 500), "key")
	r.pass(time.Minute)
	require.NoError(t, order("k-2", 400))
	require.Equal(t, int64(800), r.state(id).Refunded)
	r.bank.set(func() { r.bank.refusal = &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "too_old"} })
	require.ErrorContains(t, order("k-3", 100), "too_old")
	require.ErrorContains(t, order("k-3", 100), "refused this refund")
	require.Equal(t, 3, r.bank.count(&r.bank.refunds))
}
