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

	"github.com/kakitome/kakitome/plugins/proto"
)

// withPool offers transfers to as many accounts.
func withPool(t *testing.T, n int) *rig {
	r := newRig(t)
	for i := range n {
		r.bank.places = append(r.bank.places, fmt.Sprintf("9999-101-1-%07d", i+1))
	}
	r.mods.methods = append(slices.Clone(sandboxMethods), &proto.PaymentMethod{Code: "bank_transfer", Kind: proto.MethodKind_BANK_TRANSFER, LabelJa: "銀行振込", LabelEn: "Bank transfer", MinYen: 1, MaxYen: 9_999_999, Pool: true})
	r.tenant.Agents[0].Methods = append(r.tenant.Agents[0].Methods, "bank_transfer")
	return r
}

func (r *rig) transferred(place, id string, yen int64) []ReportLine {
	r.t.Helper()
	lines, err := r.Report(r.t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: "meisai.csv", Body: rows(r.t, &proto.ReportRow{Line: 1, AgentPaymentId: place, Deposit: &proto.Deposit{Id: id, Yen: yen, At: timestamppb.New(r.time())}})})
	require.NoError(r.t, err)
	return lines
}

func TestNoTwoPaymentsHaveOneAccount(t *testing.T) {
	const n = 12
	r := withPool(t, n)
	var claims []ulid.ULID
	for i := range n {
		claims = append(claims, r.claim(fmt.Sprint("A-", i), 1000))
	}
	r.mustStart(claims[0], "bank_transfer")
	var mu sync.Mutex
	taken := map[string]bool{}
	var wg sync.WaitGroup
	for _, c := range claims {
		for range 2 {
			wg.Go(func() {
				a, err := r.start(c, "bank_transfer")
				if err != nil && !errors.Is(err, ErrSettling) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				taken[a.Place] = true
			})
		}
	}
	wg.Wait()
	delete(taken, "")
	require.Len(t, taken, n)
	for _, c := range claims {
		require.Len(t, r.state(c).Attempts, 1)
	}
	require.Equal(t, 1, r.bank.count(&r.bank.pools), "the pool is asked for once a minute")
	_, err := r.start(r.claim("B-1", 1000), "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "no place of 12 is free")
}

func TestAnAccountIsUsedAgainAfterItsQuarantineAlone(t *testing.T) {
	r := withPool(t, 1)
	first := r.claim("A-1", 3000)
	a := r.mustStart(first, "bank_transfer")
	r.crash()
	_, err := r.start(r.claim("A-2", 1000), "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)

	require.Equal(t, reportDiffers, r.transferred(a.Place, "d1", 1000)[0].Result)
	s := r.state(first)
	require.Equal(t, PartlyPaid, s.Phase)
	require.Equal(t, PartPaid, s.Attempts[0].Phase)
	require.NotNil(t, VoucherOf(s.Attempts[0], r.time()), "the rest can still be transferred")
	r.transferred(a.Place, "d2", 2500)
	s = r.state(first)
	require.Equal(t, Paid, s.Phase)
	require.Equal(t, Overpaid, s.Alerts[0].Code)
	require.True(t, s.NeedsAttention())

	// Long after: what still comes is the first one's, until the quarantine is over.
	r.pass(a.Due.Add(r.c.Grace).Sub(r.time()) + quarantine - time.Hour)
	r.transferred(a.Place, "d3", 500)
	require.Equal(t, int64(4000), r.state(first).Received)
	late := draft("A-3", 2000)
	late.Due = r.time().AddDate(0, 1, 0).Format(time.DateOnly)
	planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), late)
	require.NoError(t, err)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), planned.Changes))
	_, err = r.start(planned.ID, "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)
	r.pass(2 * time.Hour)
	b := r.mustStart(planned.ID, "bank_transfer")
	require.Equal(t, a.Place, b.Place)
	r.transferred(b.Place, "d4", 2000)
	require.Equal(t, Paid, r.state(planned.ID).Phase)
	require.Equal(t, int64(4000), r.state(first).Received)
}

// A payer who chooses again, and a module that is down, take one account of the pool.
func TestAClaimHasOneAccountHoweverOftenItIsBegun(t *testing.T) {
	r := withPool(t, 3)
	down := func(yes bool) {
		r.bank.set(func() {
			r.bank.before = func(call string) error {
				if yes && call == "create" {
					return errNotSent
				}
				return nil
			}
		})
	}
	first, second, third, fourth := r.claim("A-1", 1000), r.claim("A-2", 1000), r.claim("A-3", 1000), r.claim("A-4", 1000)
	down(true)
	for _, c := range []ulid.ULID{first, second, third, fourth} {
		for range 3 {
			_, err := r.start(c, "bank_transfer")
			require.ErrorIs(t, err, ErrUnavailable)
		}
		require.NotEmpty(t, r.state(c).Attempts[2].Place)
	}
	down(false)
	taken := r.mustStart(second, "bank_transfer").Place
	a := r.mustStart(first, "bank_transfer")
	require.NotEqual(t, taken, a.Place)
	for range 6 {
		_, err := r.Start(t.Context(), r.tenant, first, StartOptions{Method: "card", Warned: true})
		require.NoError(t, err)
		require.Equal(t, a.Place, r.mustStart(first, "bank_transfer").Place)
	}
	_, err := r.Cancel(t.Context(), scope, first, true)
	require.NoError(t, err)
	down(true)
	_, err = r.start(first, "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)
	down(false)
	r.crash()
	r.mustStart(third, "bank_transfer")
	_, err = r.start(fourth, "bank_transfer")
	require.ErrorContains(t, err, "no place of 3 is free", "one was shown to the first one's payer")
	require.Equal(t, reportApplied, r.transferred(a.Place, "d1", 1000)[0].Result)
	require.Equal(t, Paid, r.state(first).Phase)
}

func TestALostReplyOfAnAccountIsSettledByAsking(t *testing.T) {
	r := withPool(t, 3)
	r.bank.lost = func() error { return errors.New("connection reset") }
	id := r.claim("A-1", 1000)
	a := r.mustStart(id, "bank_transfer")
	require.Equal(t, AttemptUnknown, a.Phase)
	require.NotEmpty(t, a.Place)
	r.bank.lost = nil
	r.pass(time.Second)
	r.visitDue()
	require.Equal(t, AwaitingMoney, r.state(id).Phase)
	require.Equal(t, a.Place, r.state(id).Attempts[0].Voucher.Account.Number)
}
