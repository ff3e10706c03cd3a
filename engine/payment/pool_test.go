package payment

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
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
	return r.fed(transferOf(place, id, yen, r.time()))
}

func transferOf(place, id string, yen int64, at time.Time) *proto.ReportRow {
	return &proto.ReportRow{Line: 1, AgentPaymentId: place, Deposit: &proto.Deposit{Id: id, Yen: yen, At: timestamppb.New(at)}}
}

// fed gives a file of rows.
func (r *rig) fed(all ...*proto.ReportRow) []ReportLine {
	r.t.Helper()
	lines, err := r.Report(r.t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: "meisai.csv", Body: rows(r.t, all...)})
	require.NoError(r.t, err)
	return lines
}

// claimDue is a claim of 2,000 yen that is due in a month.
func (r *rig) claimDue(number string) ulid.ULID {
	r.t.Helper()
	c := draft(number, 2000)
	c.Due = r.time().AddDate(0, 1, 0).Format(time.DateOnly)
	planned, problem, err := r.Plan(r.t.Context(), r.tenant, ulid.Make(), c, "")
	require.NoError(r.t, err)
	require.Nil(r.t, problem)
	require.NoError(r.t, r.commit(r.t.Context(), planned.Changes))
	return planned.ID
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
	late := r.claimDue("A-3")
	_, err = r.start(late, "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)
	r.pass(2 * time.Hour)
	b := r.mustStart(late, "bank_transfer")
	require.Equal(t, a.Place, b.Place)
	r.transferred(b.Place, "d4", 2000)
	require.Equal(t, Paid, r.state(late).Phase)
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

// A statement of a month that is fed when the account is another's: each transfer is of whoever had the account on its day.
func TestAnOldStatementIsNotOfTheNextPayment(t *testing.T) {
	r := withPool(t, 1)
	first := r.claim("A-1", 3000)
	a := r.mustStart(first, "bank_transfer")
	r.pass(24 * time.Hour)
	before, paid := transferOf(a.Place, "d0", 700, day0.AddDate(0, 0, -1)), transferOf(a.Place, "d1", 2000, r.time())
	require.Equal(t, "A-1", r.fed(paid)[0].Claim)
	missed := transferOf(a.Place, "d2", 1000, r.time().Add(48*time.Hour))

	r.pass(a.Due.Add(r.c.Grace).Sub(r.time()) + quarantine + time.Minute)
	last := transferOf(a.Place, "d3", 100, r.time())
	require.Equal(t, "A-1", r.fed(last)[0].Claim, "on the day on which the account is given on")
	r.pass(time.Hour)
	second := r.claimDue("B-1")
	b := r.mustStart(second, "bank_transfer")
	require.Equal(t, a.Place, b.Place)
	r.crash()

	month := []*proto.ReportRow{before, paid, missed, last}
	var got []string
	for range 2 {
		got = nil
		for _, l := range r.fed(month...) {
			got = append(got, l.Claim+" "+l.Result)
		}
		require.Equal(t, "it came before the payment began whose account it is now", r.fed(before)[0].Detail)
	}
	require.Equal(t, []string{" not_ours", "A-1 differs", "A-1 differs", "A-1 differs"}, got)
	require.Equal(t, int64(3100), r.state(first).Received)
	require.Zero(t, r.state(second).Received)
	require.Equal(t, "B-1", r.fed(transferOf(b.Place, "d4", 2000, r.time()))[0].Claim, "of the same day, and nobody knows it")
	require.Equal(t, Paid, r.state(second).Phase)
}

// A deposit that counts from before deposits had names is found by who had the account.
func TestADepositOfAnEarlierVersionIsOfWhoeverHasIt(t *testing.T) {
	r := withPool(t, 1)
	first := r.claim("A-1", 3000)
	a := r.mustStart(first, "bank_transfer")
	r.pass(a.Due.Add(r.c.Grace).Sub(r.time()) + quarantine + time.Minute)
	s, now := r.state(first), r.time()
	require.NoError(t, r.commit(t.Context(), store.Tx{{Ref: s.Ref, Expect: s.Version, Events: []store.NewEvent{newEvent(Deposited, now, Deposit{Attempt: a.ID, ID: "d1", Yen: 3000, Paid: now})}}}))
	r.pass(time.Hour)
	second := r.claimDue("B-1")
	r.mustStart(second, "bank_transfer")
	require.Equal(t, ReportLine{Line: 1, Result: reportKnown, Claim: "A-1", Yen: 3000}, r.fed(transferOf(a.Place, "d1", 3000, now))[0])
	require.Zero(t, r.state(second).Received)
}

// What a file of another kind tells of may be a transfer that counts, or another one like it: it neither counts nor is lost.
func TestATransferInDoubtCountsByAPersonAlone(t *testing.T) {
	r := withPool(t, 1)
	id := r.claim("A-1", 3000)
	a := r.mustStart(id, "bank_transfer")
	told := func(series, deposit string, yen int64, former ...string) ReportLine {
		row := transferOf(a.Place, deposit, yen, r.time())
		row.Deposit.Series, row.Deposit.FormerIds = series, former
		return r.fed(row)[0]
	}
	s, now := r.state(id), r.time()
	require.NoError(t, r.commit(t.Context(), store.Tx{{Ref: s.Ref, Expect: s.Version, Events: []store.NewEvent{newEvent(Deposited, now, Deposit{Attempt: a.ID, ID: "old", Yen: 500, Paid: now})}}}))
	require.Equal(t, int64(500), r.state(id).Received, "as an earlier version recorded it")
	told("01", "n1", 500, "xx", "old")
	require.Equal(t, int64(500), r.state(id).Received, "known by its former id")
	told("01", "n2", 1000)
	told("01", "n3", 1000)
	require.Equal(t, int64(2500), r.state(id).Received, "two of one series are two")

	doubtful := told("csv", "c1", 1000)
	require.Equal(t, reportDoubtful, doubtful.Result)
	require.NotEmpty(t, doubtful.Detail)
	s = r.state(id)
	require.Equal(t, int64(2500), s.Received)
	require.Equal(t, []Alert{{DepositInDoubt, a.ID, true}}, s.Alerts)
	r.crash()
	require.Equal(t, reportDoubtful, told("csv", "c1", 1000).Result)
	require.Equal(t, s.Version, r.state(id).Version, "the same file again changes nothing")
	alerts, err := r.Alerts(t.Context(), scope, 10)
	require.NoError(t, err)
	require.Len(t, alerts, 1)
	resolve := func(seen int) error {
		_, err := r.Resolve(t.Context(), scope, id, seen, message.Act{By: "user:hanako", Reason: "同じ入金"})
		return err
	}
	require.ErrorContains(t, resolve(s.Version-1), "has changed", "nobody saw the one that came since")
	require.Len(t, r.state(id).Attempts[0].Doubts(), 1)
	require.NoError(t, resolve(s.Version))
	require.NoError(t, resolve(s.Version), "pressed twice")
	require.False(t, r.state(id).NeedsAttention())
	require.Equal(t, reportDiffers, told("csv", "c1", 1000).Result, "it is no longer in doubt, and 500 yen are missing")

	told("csv/x", "x1", 500)
	require.True(t, r.state(id).NeedsAttention(), "another one opens the alert again")
	require.Equal(t, "x1", r.state(id).Attempts[0].Doubts()[0].ID)
	for range 2 {
		_, err = r.CountDeposit(t.Context(), scope, id, "x1", message.Act{By: "user:hanako", Reason: "別の入金"})
		require.NoError(t, err)
	}
	s = r.state(id)
	require.Equal(t, Paid, s.Phase)
	require.False(t, s.NeedsAttention())
	require.Equal(t, reportKnown, told("csv/x", "x1", 500).Result)
	require.Equal(t, []string{"deposited", "deposited", "deposited", "deposit_doubted", "resolved", "deposit_doubted", "deposited"}, r.events(id)[4:])
	_, err = r.CountDeposit(t.Context(), scope, id, "x2", message.Act{By: "user:hanako"})
	require.ErrorIs(t, err, store.ErrNotFound)

	rec, err := r.Reconcile(t.Context(), r.tenant, "sandbox", message.Day(now))
	require.NoError(t, err)
	require.Equal(t, 4, rec.Totals[Agrees].Lines, "the former id is that of the file: %+v", rec.Lines)
	require.Equal(t, Total{1, 0, 1000}, rec.Totals[OnlyTheirs], "what was found to be the same")
}

func TestATransferIsNoLongerInDoubtWhereItsOwnSeriesHasIt(t *testing.T) {
	r := withPool(t, 1)
	id := r.claim("A-1", 3000)
	a := r.mustStart(id, "bank_transfer")
	told := func(series, deposit string) string {
		row := transferOf(a.Place, deposit, 1500, r.time())
		row.Deposit.Series = series
		return r.fed(row)[0].Result
	}
	told("01", "n1")
	told("03", "n1")
	require.Equal(t, int64(1500), r.state(id).Received, "one id is one transfer")
	require.Equal(t, reportDoubtful, told("03", "n2"))
	require.Equal(t, reportApplied, told("01", "n2"))
	require.Equal(t, Paid, r.state(id).Phase)
	require.Empty(t, r.state(id).Alerts)
}

// The bank's own files by the real module: one transfer in all kinds of them, and two that cannot be told apart.
func TestABanksFilesCountATransferOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	r := newRig(t)
	h := startModules(t, "payment/banktransfer")
	r.opt.Agents = h
	require.NoError(t, h.Configure(t.Context(), "payment/banktransfer", Instance("acme", "bank"), "acme",
		[]byte(`{"holder":"〇〇ケンスイドウキヨク","accounts":[{"bank":"9999","bank_name":"〇〇銀行","branch":"101","branch_name":"振込専用","from":"0000001","to":"0000002"}]}`)))
	r.tenant.Agents = append(r.tenant.Agents, tenant.Agent{Name: "bank", Module: "payment/banktransfer", Hook: strings.Repeat("f", 32), Methods: []string{"bank_transfer"}})
	first, second := r.claim("A-1", 10_000), r.claim("A-2", 10_000)
	of := map[string]ulid.ULID{}
	for _, c := range []ulid.ULID{first, second} {
		of[r.mustStart(c, "bank_transfer").Place] = c
	}
	paid := func(n string) *State { return r.state(of["9999-101-1-"+n]) }

	const day, payer = "081122", "KAKITOME TARO"
	pad := func(parts ...string) string {
		line := strings.Join(parts, "")
		return line + strings.Repeat(" ", 200-len(line)) + "\n"
	}
	notice := func(n, inquiry string) string {
		return pad("1010", day, day, day, "9999", fmt.Sprintf("%-15s101%-15s1", "", ""), n) +
			pad("2", inquiry, day, day, "0000005000", strings.Repeat("0", 20), fmt.Sprintf("%-48s", payer)) +
			pad("8", "000001", "000000005000", strings.Repeat("0", 18)) + pad("9")
	}
	statement := func(n, inquiry string) string {
		return pad("1030", day, day, day, "9999", fmt.Sprintf("%-15s101%-15s0001000", "", ""), n) +
			pad("2", inquiry, day, day, "111", "000000005000", strings.Repeat("0", 12), fmt.Sprintf("%-23s%-10s%-48s", "", "", payer)) +
			pad("8", "000001", "0000000005000", strings.Repeat("0", 19)) + pad("9")
	}
	sheet := func(n, inquiry string) string {
		return "取引日,金融機関コード,支店番号,口座番号,入金額,明細番号,振込依頼人名\n2026/11/22,9999,101," + n + ",5000," + inquiry + ",ＫＡＫＩＴＯＭＥ ＴＡＲＯ\n"
	}
	give := func(name, body string) string {
		lines, err := r.Report(t.Context(), r.tenant, ReportFile{Agent: "bank", Name: name, Body: []byte(body)})
		require.NoError(t, err)
		require.Len(t, lines, 1)
		return lines[0].Result
	}
	for name, body := range map[string]string{"n.txt": notice("0000001", "000011"), "m.txt": statement("0000001", "00000011"), "m.csv": sheet("1", "11")} {
		give(name, body)
	}
	require.Equal(t, int64(5000), paid("0000001").Received)
	require.Empty(t, paid("0000001").Alerts)

	give("n1.txt", notice("0000002", "000000"))
	give("n1.txt", notice("0000002", "000000"))
	require.Empty(t, paid("0000002").Alerts, "the same notice again")
	require.Equal(t, reportDoubtful, give("n2.txt", notice("0000002", "000000")), "the same bytes, under another name")
	require.Equal(t, reportDoubtful, give("m2.txt", statement("0000002", "00000000")))
	s := paid("0000002")
	require.Equal(t, int64(5000), s.Received)
	require.Equal(t, DepositInDoubt, s.Alerts[0].Code)
	require.Len(t, s.Attempts[0].Doubts(), 2)
	rec, err := r.Reconcile(t.Context(), r.tenant, "bank", "2026-11-22")
	require.NoError(t, err)
	require.Equal(t, Total{2, 10_000, 10_000}, rec.Totals[Agrees])
	require.Equal(t, Total{2, 0, 10_000}, rec.Totals[OnlyTheirs])
}

func TestOfManyFilesOneCountsADeposit(t *testing.T) {
	r := newRig(t)
	var claims []ulid.ULID
	var wg sync.WaitGroup
	for i := range 8 {
		claims = append(claims, r.claim(fmt.Sprint("A-", i), 1000))
		row := transferOf("", "d1", 1000, r.time())
		row.AttemptId = r.mustStart(claims[i], "konbini_barcode").ID.String()
		wg.Go(func() {
			if _, err := r.Report(t.Context(), r.tenant, ReportFile{Agent: "sandbox", Body: rows(t, row)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var received int64
	for _, c := range claims {
		received += r.state(c).Received
	}
	require.Equal(t, int64(1000), received)
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
