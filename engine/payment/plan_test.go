package payment

import (
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

func TestSameNumberJoinsRefusesOrAmends(t *testing.T) {
	r := newRig(t)
	first := r.claim("A-1", 7440)
	require.Equal(t, first, r.claim("A-1", 7440))
	s := r.state(first)
	require.Len(t, s.Messages, 2)
	require.Equal(t, Unpaid, s.Phase)

	plan := func(c *message.Claim) (Planned, *message.Problem) {
		t.Helper()
		p, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), c, "")
		require.NoError(t, err)
		return p, problem
	}
	_, problem := plan(draft("A-1", 8000))
	require.Equal(t, "conflict", problem.Code)
	require.Equal(t, "claim.amount", problem.Field)
	require.Equal(t, "A-1", problem.Value)
	later := draft("A-1", 7440)
	later.Due = "2027-01-31"
	_, problem = plan(later)
	require.Equal(t, "conflict", problem.Code)
	require.Equal(t, "claim.due", problem.Field)

	later.Amend = true
	p, problem := plan(later)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), p.Changes))
	s = r.state(first)
	require.Equal(t, "2027-01-31", s.JSON(day0).Due)
	require.Len(t, s.Messages, 3)
	require.Equal(t, []string{"made", "joined", "joined", "amended", "joined"}, r.events(first))

	a := r.mustStart(first, "konbini_barcode")
	dearer := draft("A-1", 9000)
	dearer.Amend = true
	p, problem = plan(dearer)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), p.Changes))
	require.True(t, r.state(first).Attempt(a.ID).Void)
	r.pass(time.Second)
	require.Equal(t, 1, r.visitDue())
	require.Equal(t, WasCanceled, r.state(first).Attempt(a.ID).Phase, "the old number is canceled with the agent")

	b := r.mustStart(first, "card")
	require.Equal(t, int64(9000), b.Yen)
	r.hook(r.told("n1", b, proto.PaymentState_CONFIRMED, 9000, time.Hour))
	_, problem = plan(later)
	require.Equal(t, "conflict", problem.Code, "what was paid is not amended")
	_, problem = plan(draft("A-1", 9000))
	require.Nil(t, problem, "a message about a paid claim shows that it is paid")

	past := draft("A-9", 1)
	past.Due = "2026-01-01"
	_, problem = plan(past)
	require.Equal(t, "past", problem.Code)
	odd := draft("A-9", 1)
	odd.Methods = []string{"card", "gold"}
	_, problem = plan(odd)
	require.Equal(t, "claim.methods[1]", problem.Field)
}

func TestTwoPlansOfOneNumberMakeOneClaim(t *testing.T) {
	r := newRig(t)
	ids := make([]ulid.ULID, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			for { // as intake does
				p, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), draft("A-1", 500), "")
				if err != nil || problem != nil {
					t.Error(err, problem)
					return
				}
				if r.commit(t.Context(), p.Changes) == nil {
					ids[i] = p.ID
					return
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	require.Len(t, r.state(ids[0]).Messages, 16)
}

func TestNumbersAreTheTenantsOwn(t *testing.T) {
	r := newRig(t)
	id := r.claim("A-1", 500)
	p, problem, err := r.Plan(t.Context(), &tenant.Tenant{ID: "other"}, ulid.Make(), draft("A-1", 900), "")
	require.NoError(t, err)
	require.Nil(t, problem)
	require.NotEqual(t, id, p.ID)
	_, err = r.ByNumber(t.Context(), tenant.Only("other"), "A-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.Claim(t.Context(), tenant.Only("other"), id)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// The lines of a claim may be without tax: another tax would not lead from them to the amount.
func TestTaxOfLinesWithoutItIsNotAnother(t *testing.T) {
	r := newRig(t)
	tax := int64(1000)
	c := &message.Claim{Number: "A-1", Amount: 11000, Tax: &tax, Due: "2026-12-31", Lines: []message.Line{{Name: "〇〇利用料", Quantity: 1, Unit: 10000, Amount: 10000}}}
	planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), c, "")
	require.NoError(t, err)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), planned.Changes))
	for _, other := range []int64{0, 999, 1001} {
		_, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Tax: &other}, "key:main")
		var ps message.Problems
		require.ErrorAs(t, err, &ps)
		require.Equal(t, "tax mismatch", ps[0].Field+" "+ps[0].Code)
		require.Equal(t, other, ps[0].Got)
	}
	s := r.state(planned.ID)
	require.Equal(t, []string{"made", "joined"}, r.events(planned.ID), "nothing was written")
	require.Equal(t, int64(1000), s.Tax)
	_, err = r.Patch(t.Context(), r.tenant, "A-1", Patch{Tax: &tax}, "key:main")
	require.NoError(t, err)
}

func TestSenderStatesFacts(t *testing.T) {
	r := newRig(t)
	id := r.claim("A-1", 7440)
	patch := func(p Patch) (State, error) { return r.Patch(t.Context(), r.tenant, "A-1", p, "key:main") }
	bad := func(p Patch, field, code string) {
		t.Helper()
		_, err := patch(p)
		var ps message.Problems
		require.ErrorAs(t, err, &ps)
		require.Equal(t, field, ps[0].Field)
		require.Equal(t, code, ps[0].Code)
	}
	amount, tax, due, odd := int64(8000), int64(9000), "2026-12-25", "soon"
	bad(Patch{}, "settled", "mismatch")
	bad(Patch{Settled: true, Withdrawn: true}, "settled", "mismatch")
	bad(Patch{Amount: new(int64)}, "amount", "range")
	bad(Patch{Tax: &tax}, "tax", "range")
	bad(Patch{Due: &odd}, "due", "pattern")
	old := "2026-11-01"
	bad(Patch{Due: &old}, "due", "past")

	s, err := patch(Patch{Amount: &amount, Due: &due, Reason: "検針の誤り"})
	require.NoError(t, err)
	require.Equal(t, "検針の誤り", s.Statements[0].Reason)
	require.Equal(t, int64(8000), s.Amount)
	require.Equal(t, int64(-1), s.Tax, "the tax was that of another amount")
	require.Equal(t, "書留 太郎", s.Content.Payer)
	require.Empty(t, s.Content.Lines, "the lines were those of another amount")
	require.Equal(t, Amended, s.Statements[0].Type)
	require.Equal(t, "key:main", s.Statements[0].By)
	_, err = patch(Patch{Amount: &amount})
	require.NoError(t, err)
	require.Equal(t, 3, r.state(id).Version, "saying it again changes nothing")

	a := r.mustStart(id, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 8000, time.Hour))
	bad(Patch{Withdrawn: true}, "withdrawn", "conflict")
	bad(Patch{Amount: &amount, Tax: new(int64)}, "amount", "conflict")
	r.hook(r.told("n2", a, proto.PaymentState_CONFIRMED, 8000, time.Hour))
	bad(Patch{Settled: true}, "settled", "conflict")

	r.claim("B-1", 100)
	s, err = r.Patch(t.Context(), r.tenant, "B-1", Patch{Settled: true, Reason: "窓口"}, "user:hanako")
	require.NoError(t, err)
	require.Equal(t, SettledElse, s.Phase)
	require.Equal(t, "窓口", s.SettledBy.Reason)
	_, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), draft("B-1", 100), "")
	require.NoError(t, err)
	require.Equal(t, "conflict", problem.Code)
	_, err = r.Patch(t.Context(), r.tenant, "Z-9", Patch{Settled: true}, "user:hanako")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestConfigNamesItsFaults(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	c.WebhookBase, c.Grace, c.HookRate, c.Renderer, c.SettleFirst = "ftp://x/", -1, 0, "", time.Hour
	err := c.Validate()
	for _, field := range []string{"webhook_base", "grace", "hook_rate", "renderer", "settle_first"} {
		require.ErrorContains(t, err, field)
	}
	c = DefaultConfig()
	c.WebhookBase = "https://pay.example.jp/hooks"
	require.ErrorContains(t, c.Validate(), "slash")
}
