package payment

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// An account that was registered is an end of the attempt: whatever is told before or after it but money, it stays. The claim is to be
// paid as before, unless its sender debits it.
func TestRegistrationIsNoPayment(t *testing.T) {
	page, done := view(RequiresAction, 0, time.Minute), view(WasRegistered, 0, time.Hour)
	failed, canceled, expired := view(HasFailed, 0, 2*time.Hour), view(WasCanceled, 0, 2*time.Hour), view(HasExpired, 0, 2*time.Hour)
	money := view(IsConfirmed, 1000, 3*time.Hour)
	for name, c := range map[string]struct {
		facts   []Fact
		attempt string
		claim   Phase
	}{
		"at the page":               {[]Fact{page}, RequiresAction, InProgress},
		"registered":                {[]Fact{page, done}, WasRegistered, IsRegistered},
		"told twice":                {[]Fact{page, done, done}, WasRegistered, IsRegistered},
		"then believed to be over":  {[]Fact{page, done, expired}, WasRegistered, IsRegistered},
		"canceled in between":       {[]Fact{page, canceled, done}, WasRegistered, IsRegistered},
		"an old failure comes late": {[]Fact{done, failed, page}, WasRegistered, IsRegistered},
		"money all the same":        {[]Fact{page, done, money}, IsConfirmed, Paid},
	} {
		s := newScript(1000)
		s.start(1)
		for _, f := range c.facts {
			s.fact(f)
		}
		kept := s.state(t)
		require.Equal(t, c.attempt, kept.Attempts[0].Phase, name)
		require.Equal(t, c.attempt == WasRegistered, !kept.RegisteredAt().IsZero(), name)
		if c.claim == IsRegistered {
			require.Equal(t, Unpaid, kept.Phase, name)
			require.Equal(t, Overdue, kept.PhaseAt(due0.Add(time.Hour)), name)
		}
		got := s.debited().state(t)
		require.Equal(t, c.attempt, got.Attempts[0].Phase, name)
		require.Equal(t, c.claim, got.Phase, name)
		require.Equal(t, c.claim == Paid, got.Received > 0, name)
		if c.claim == IsRegistered {
			require.Equal(t, IsRegistered, got.PhaseAt(due0.Add(time.Hour)), "%s: nothing is overdue", name)
			require.Nil(t, got.Live(), name)
			require.False(t, got.LastFact().IsZero(), "%s: the page shows it on", name)
			require.Empty(t, got.Alerts, name)
		}
	}
	settled := newScript(1000)
	settled.start(1)
	require.Equal(t, SettledElse, settled.fact(done).add(Settled, message.Act{}).statePtr(t).Phase, "the money came by the account")
}

// debited is the script of a claim that is debited from an account that is registered.
func (s *script) debited() *script {
	var h Head
	if err := json.Unmarshal(s.events[0].Data, &h); err != nil {
		panic(err)
	}
	h.Debit = true
	s.events[0].Data = encode(h)
	return s
}

func TestAfterARegistrationTheClaimIsStillToBePaid(t *testing.T) {
	r := newRig(t)
	r.mods.methods = append(r.mods.methods[:len(r.mods.methods):len(r.mods.methods)],
		&proto.PaymentMethod{Code: "account", Kind: proto.MethodKind_ACCOUNT_REGISTRATION, LabelJa: "口座振替", LabelEn: "Direct debit", MaxYen: 9_999_999, Redirect: true, CancelBlocksPayment: true})
	r.tenant.Agents[0].Methods = append(r.tenant.Agents[0].Methods, "account")
	registered := func(d *message.Claim) ulid.ULID {
		planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), d, "")
		require.NoError(t, err)
		require.Nil(t, problem)
		require.NoError(t, r.commit(t.Context(), planned.Changes))
		a := r.mustStart(planned.ID, "account")
		require.Equal(t, 200, r.hook(&proto.PaymentNotice{NoticeId: d.Number, Occurred: timestamppb.New(day0.Add(time.Hour)), Payment: &proto.Payment{
			AttemptId: a.ID.String(), AgentPaymentId: "20261122000000001", State: proto.PaymentState_REGISTERED, Yen: 1000,
		}}).Status)
		return planned.ID
	}
	claim := registered(draft("A-1", 1000))
	s := r.state(claim)
	require.Equal(t, Unpaid, s.Phase)
	require.Equal(t, day0.Add(time.Hour), s.RegisteredAt())
	require.Equal(t, day0.Add(time.Hour), s.JSON(r.time()).Registered)
	for _, m := range r.Methods(r.tenant, s) {
		require.NotEqual(t, "account", m.Code, "it is registered once")
	}
	_, err := r.start(claim, "account")
	require.ErrorIs(t, err, ErrNotOffered)
	a := r.mustStart(claim, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, 2*time.Hour))
	s = r.state(claim)
	require.Equal(t, Paid, s.Phase)
	require.Empty(t, s.Alerts)
	require.Equal(t, a.ID, s.Current().ID)

	debit := draft("A-2", 1000)
	debit.Debit = true
	claim = registered(debit)
	s = r.state(claim)
	require.Equal(t, IsRegistered, s.Phase)
	require.Equal(t, "registered", string(s.JSON(r.time()).State))
	_, err = r.start(claim, "card")
	require.ErrorIs(t, err, ErrRegistered)
	_, err = parseView(&proto.Payment{State: proto.PaymentState_REGISTERED, PaidYen: 1})
	require.Error(t, err, "a module may lie")
}

// Only what is a payer's number learns who pays.
func TestPayerIsToldForHisNumberAlone(t *testing.T) {
	r := newRig(t)
	r.mods.methods = append(r.mods.methods[:len(r.mods.methods):len(r.mods.methods)],
		&proto.PaymentMethod{Code: "payer", Kind: proto.MethodKind_PAYER_NUMBER, LabelJa: "専用番号", LabelEn: "Own number", MaxYen: 300_000, CancelBlocksPayment: true, Stores: []*proto.Store{{Code: "konbini_a"}}})
	r.tenant.Agents[0].Methods = append(r.tenant.Agents[0].Methods, "payer")
	for method, want := range map[string]string{"payer": "0123abcd", "card": ""} {
		a, err := r.Start(t.Context(), r.tenant, r.claim("A-"+method, 1000), StartOptions{Method: method, Payer: "0123abcd", MessageID: ulid.Make()})
		require.NoError(t, err)
		require.Empty(t, a.Store, "any store takes it")
		r.bank.mu.Lock()
		require.Equal(t, want, r.bank.last.Payer)
		r.bank.mu.Unlock()
	}
}

func TestRestAndOverOfATransfer(t *testing.T) {
	s := newScript(1000)
	s.start(1)
	s.fact(view(Awaiting, 0, time.Minute)).add(Deposited, Deposit{Attempt: ulid.ULID{15: 1}, ID: "s1", Yen: 400, Paid: day0.Add(time.Hour)})
	j := s.statePtr(t).JSON(day0)
	require.Equal(t, [2]int64{600, 0}, [2]int64{j.Remaining, j.Overpaid})
	s.add(Deposited, Deposit{Attempt: ulid.ULID{15: 1}, ID: "s2", Yen: 700, Paid: day0.Add(2 * time.Hour)})
	j = s.statePtr(t).JSON(day0)
	require.Equal(t, [2]int64{0, 100}, [2]int64{j.Remaining, j.Overpaid})
	require.Equal(t, Overpaid, j.Alerts[0].Code)
}
