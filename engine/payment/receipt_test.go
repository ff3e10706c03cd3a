package payment

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// paid is a claim with 確報.
func (r *rig) paid(number string) ulid.ULID {
	r.t.Helper()
	claim := r.claim(number, 7440)
	a := r.mustStart(claim, "konbini_barcode")
	require.Equal(r.t, 200, r.hook(r.told(number, a, proto.PaymentState_CONFIRMED, 7440, time.Hour)).Status)
	return claim
}

func TestReceiptOnlyAfterConfirmation(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	_, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"})
	require.ErrorIs(t, err, ErrNotConfirmed)
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	_, _, err = r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"})
	require.ErrorIs(t, err, ErrNotConfirmed, "速報 is not enough")
	r.hook(r.told("n2", a, proto.PaymentState_CONFIRMED, 7440, 2*time.Hour))
	pdf, name, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"})
	require.NoError(t, err)
	require.Equal(t, "receipt-000000000001.pdf", name)

	doc := r.pen.docs[0]
	require.Equal(t, "〇〇株式会社", doc.Issuer.Name)
	require.Empty(t, doc.Issuer.RegistrationNumber, "its lines state no rate of tax")
	require.Equal(t, "〇〇利用料", doc.Title)
	require.Equal(t, "書留 太郎", doc.Receipt.PayerName)
	require.Equal(t, "コンビニ支払（バーコード）", doc.Receipt.MethodLabel)
	require.Equal(t, "26112200000001", doc.Receipt.AgentReceiptNumber)
	require.Equal(t, day0.Add(time.Hour), doc.Receipt.Paid.AsTime())
	require.Equal(t, "〇〇利用料", doc.Claim.Lines[0].Name)

	r.tenant.Issuer.Address = "elsewhere"
	r.crash()
	again, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "en"})
	require.NoError(t, err)
	require.Equal(t, pdf, again, "a browser that asks twice gets the same bytes")
	require.Len(t, r.pen.docs, 1)
	_, _, err = r.Receipt(t.Context(), r.tenant, ulid.Make(), ReceiptOptions{Lang: "ja"})
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A 確報 that comes days later, with its own time alone, does not move the day of payment.
func TestReceiptSaysWhenMoneyWasTaken(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	r.pass(due0.Sub(day0) + 72*time.Hour)
	r.report("kakuho.csv", ofFile(a, 7440, r.time().Sub(day0)))
	s := r.state(claim)
	require.Equal(t, Paid, s.Phase)
	require.Empty(t, s.Alerts, "it was paid in time")
	require.Equal(t, day0.Add(time.Hour), s.PaidAt())
	_, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{})
	require.NoError(t, err)
	require.Equal(t, day0.Add(time.Hour), r.pen.docs[0].Receipt.Paid.AsTime())
}

func TestCrashBetweenNumberAndCopy(t *testing.T) {
	r := newRig(t)
	claim := r.paid("A-1")
	r.pen.fail = errors.New("no paper")
	_, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"})
	require.Error(t, err)
	number := r.state(claim).Receipt().Number
	r.crash()
	r.pen.fail = nil
	r.pass(48 * time.Hour)
	pdf, name, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"})
	require.NoError(t, err)
	require.Equal(t, "receipt-"+number+".pdf", name)
	require.Equal(t, day0, r.pen.docs[0].Receipt.Issued.AsTime(), "what was issued is what is drawn")
	require.NotEmpty(t, pdf)
	require.NotEmpty(t, r.state(claim).Receipt().Document)
}

func TestReceiptNumbersHaveNoGaps(t *testing.T) {
	r := newRig(t)
	var claims []ulid.ULID
	for i := range 12 {
		claims = append(claims, r.paid(fmt.Sprintf("A-%d", i)))
	}
	var wg sync.WaitGroup
	for _, claim := range claims {
		for range 3 { // the payer taps more than once
			wg.Go(func() {
				if _, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{Lang: "ja"}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	r.crash() // what the numbers are is not a matter of memory
	last := r.paid("B-1")
	_, _, err := r.Receipt(t.Context(), r.tenant, last, ReceiptOptions{Lang: "ja"})
	require.NoError(t, err)
	var numbers []string
	for _, claim := range append(claims, last) {
		numbers = append(numbers, r.state(claim).Receipt().Number)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		require.Equal(t, receiptNumber(i+1), n)
	}
	ref := register(r.tenant.ID, "receipts")
	events, err := r.s.Load(t.Context(), tenant.Only(r.tenant.ID), ref)
	require.NoError(t, err)
	require.NoError(t, CheckRegister(t.Context(), r.s, ref, events))
	events[3].Data, events[4].Data = events[4].Data, events[3].Data
	require.ErrorContains(t, CheckRegister(t.Context(), r.s, ref, events), "is not that of claim")
	require.NoError(t, CheckRegister(t.Context(), r.s, register(r.tenant.ID, "attention"), events))
}

func TestTimelineAndWords(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	s := r.state(claim)
	require.Equal(t, Timeline{Phase: Unpaid}, r.Timeline(s, r.time(), "ja"))
	a := r.mustStart(claim, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	s = r.state(claim)
	tl := r.Timeline(s, r.time(), "ja")
	require.Equal(t, "コンビニ支払（バーコード）", tl.MethodLabel)
	require.Equal(t, "20261122000000001", tl.AgentID)
	require.Equal(t, "26112200000001", tl.ReceiptNumber)
	require.Equal(t, "コンビニA", r.StoreLabel(&Attempt{Start: Start{Module: "payment/sandbox", Method: "konbini_number"}}, "konbini_a", "ja"))
	require.Equal(t, day0.Add(time.Hour), tl.ProvisionalAt)
	require.Equal(t, "----", ColumnLabel(AwaitingMoney, "ja"))
	require.Equal(t, "決済手続き中", ConsoleLabel(AwaitingMoney, "ja"))
	require.Equal(t, "決済完了（速報）", ColumnLabel(tl.Phase, "ja"))
	require.Equal(t, "お支払情報（受付）", PayerLabel(tl.Phase, "ja"))
	for _, ph := range Phases {
		for _, lang := range []string{"ja", "en"} {
			require.NotEmpty(t, PayerLabel(ph, lang), ph)
			require.NotEmpty(t, ConsoleLabel(ph, lang), ph)
		}
	}
	for _, code := range AlertCodes {
		require.NotEmpty(t, AlertLabel(code, "ja"))
		require.NotEmpty(t, AlertLabel(code, "en"))
	}
	b, err := json.Marshal(s.JSON(r.time()))
	require.NoError(t, err)
	require.JSONEq(t, `{"number":"A-1","state":"accepted","amount":7440,"tax":676,"due":"2026-12-31","received":7440,"confirmed":0,
		"paid_at":"2026-11-22T02:00:00Z","created_at":"2026-11-22T01:00:00Z","messages":["`+s.Messages[0].String()+`"],
		"attempts":[{"id":"`+a.ID.String()+`","method":"konbini_barcode","state":"provisional","amount":7440,
		"started_at":"2026-11-22T01:00:00Z","issued_at":"2026-11-22T01:00:00Z","provisional_at":"2026-11-22T02:00:00Z",
		"agent_payment_id":"20261122000000001","agent_receipt_number":"26112200000001","store":"konbini_a","received":7440}]}`, string(b))
	require.False(t, regexp.MustCompile(`9190808`).Match(b), "numbers to pay with are the payer's")
}
