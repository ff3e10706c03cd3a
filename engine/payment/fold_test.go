package payment

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

var (
	day0 = time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	due0 = time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC)
)

// script makes the events of one claim.
type script struct {
	events []store.Event
	now    time.Time
}

func newScript(amount int64) *script {
	s := &script{now: day0}
	s.add(Made, Head{V: 1, Number: "A-1", Terms: Terms{Amount: amount, Tax: -1, Due: due0}})
	return s
}

func (s *script) add(t Type, data any) *script {
	s.now = s.now.Add(time.Second)
	s.events = append(s.events, store.Event{Seq: uint32(len(s.events)), Type: byte(t), At: s.now, Data: encode(data)})
	return s
}

func (s *script) start(n byte) ulid.ULID {
	id := ulid.ULID{15: n}
	s.add(Started, Start{ID: id, Agent: "sandbox", Module: "payment/sandbox", Method: "konbini_barcode", Yen: 1000, Due: due0})
	return id
}

func (s *script) fact(f Fact) *script { return s.add(f.Type(), f) }

func (s *script) state(t testing.TB) State {
	t.Helper()
	st, err := Fold(s.events)
	require.NoError(t, err)
	return st
}

func view(state string, paid int64, after time.Duration) Fact {
	f := Fact{Attempt: ulid.ULID{15: 1}, View: View{State: state, Yen: 1000, Paid: paid, AgentID: "20261122000000001"}, Seen: day0.Add(after), From: sourceNotice}
	if paid > 0 {
		f.View.ProvisionalAt = f.Seen
	}
	if state == IsConfirmed {
		f.View.ConfirmedAt = f.Seen
	}
	return f
}

func revokedView(state string, after time.Duration) Fact {
	f := view(state, 0, after)
	f.View.Revoked = true
	return f
}

func refundedView(paid, refunded int64, after time.Duration) Fact {
	f := view(IsConfirmed, paid, 48*time.Hour)
	f.Seen = day0.Add(after)
	f.View.Refunded, f.View.RefundedAt = refunded, f.Seen
	return f
}

// Every arrow of a payment's life that this version has.
func TestArrows(t *testing.T) {
	issued, prov := view(Awaiting, 0, time.Minute), view(IsProvisional, 1000, time.Hour)
	conf := view(IsConfirmed, 1000, 48*time.Hour)
	chargedBack := refundedView(1000, 1000, 99*time.Hour)
	chargedBack.View.ChargedBack = true
	late := view(IsProvisional, 1000, due0.Sub(day0)+time.Hour)
	bare := view(IsConfirmed, 1000, due0.Sub(day0)+48*time.Hour) // as a file tells it
	bare.View.ProvisionalAt = time.Time{}
	bareAgain := bare
	bareAgain.Seen = bare.Seen.Add(time.Hour)
	codes := func(alerts []Alert) (all []string) {
		for _, a := range alerts {
			all = append(all, a.Code)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		facts   []Fact
		attempt string
		claim   Phase
		alerts  []string
	}{
		{"nothing yet", nil, AttemptStarted, InProgress, nil},
		{"issued", []Fact{issued}, Awaiting, AwaitingMoney, nil},
		{"at the agent's page", []Fact{view(RequiresAction, 0, time.Minute)}, RequiresAction, InProgress, nil},
		{"card paid", []Fact{view(RequiresAction, 0, time.Minute), conf}, IsConfirmed, Paid, nil},
		{"card declined", []Fact{view(RequiresAction, 0, time.Minute), view(HasFailed, 0, time.Hour)}, HasFailed, Unpaid, nil},
		{"速報", []Fact{issued, prov}, IsProvisional, Accepted, nil},
		{"速報, 確報", []Fact{issued, prov, conf}, IsConfirmed, Paid, nil},
		{"確報 without 速報", []Fact{issued, conf}, IsConfirmed, Paid, nil},
		{"速報, 確報 after the end without its time", []Fact{issued, prov, bare}, IsConfirmed, Paid, nil},
		{"速報, 確報 and the same without its time", []Fact{issued, prov, conf, bare}, IsConfirmed, Paid, nil},
		{"速報, 速報取消, 確報 after the end without a time of its own", []Fact{issued, prov, revokedView(Awaiting, 2*time.Hour), bare}, IsConfirmed, Paid, []string{PaidAfterExpiry}},
		{"速報, 確報 without its time, late 速報取消", []Fact{issued, prov, bare, revokedView(Awaiting, bare.Seen.Sub(day0)+time.Minute), bareAgain}, IsConfirmed, Paid, []string{RevokedAfterConfirm}},
		{"速報取消", []Fact{issued, prov, revokedView(Awaiting, 2*time.Hour)}, Awaiting, AwaitingMoney, nil},
		{"速報取消 past the end", []Fact{issued, prov, revokedView(HasExpired, 2*time.Hour)}, HasExpired, Unpaid, nil},
		{"速報取消, then paid again", []Fact{issued, prov, revokedView(Awaiting, 2*time.Hour), view(IsProvisional, 1000, 3*time.Hour)}, IsProvisional, Accepted, nil},
		{"late 速報取消 after 確報", []Fact{issued, prov, conf, revokedView(Awaiting, 72*time.Hour)}, IsConfirmed, Paid, []string{RevokedAfterConfirm}},
		{"old 速報取消 after 確報", []Fact{issued, conf, revokedView(Awaiting, 2*time.Hour)}, IsConfirmed, Paid, nil},
		{"canceled", []Fact{issued, view(WasCanceled, 0, time.Hour)}, WasCanceled, Unpaid, nil},
		{"paid after cancel", []Fact{issued, view(WasCanceled, 0, time.Minute), prov}, IsProvisional, Accepted, []string{PaidAfterCancel}},
		{"expired", []Fact{issued, view(HasExpired, 0, time.Hour)}, HasExpired, Unpaid, nil},
		{"paid in time, told after expiry", []Fact{issued, view(HasExpired, 0, due0.Sub(day0)+24*time.Hour), prov}, IsProvisional, Accepted, nil},
		{"paid after expiry", []Fact{issued, view(HasExpired, 0, due0.Sub(day0)), late}, IsProvisional, Accepted, []string{PaidAfterExpiry}},
		{"paid twice", []Fact{issued, view(IsProvisional, 2000, time.Hour)}, IsProvisional, Accepted, []string{SecondPayment}},
		{"paid too little", []Fact{issued, view(IsConfirmed, 400, time.Hour)}, IsConfirmed, PartlyPaid, []string{AmountDiffers}},
		{"refunded", []Fact{issued, conf, refundedView(1000, 1000, 72*time.Hour)}, WasRefunded, AllRefunded, nil},
		{"refunded in part", []Fact{issued, conf, refundedView(1000, 400, 72*time.Hour)}, WasPartBack, PartRefunded, nil},
		{"the rest refunded too", []Fact{issued, conf, refundedView(1000, 400, 72*time.Hour), refundedView(1000, 1000, 73*time.Hour)}, WasRefunded, AllRefunded, nil},
		{"refund that failed at the bank", []Fact{issued, conf, refundedView(1000, 1000, 72*time.Hour), refundedView(1000, 0, 80*time.Hour)}, IsConfirmed, Paid, nil},
		{"確報 told again after the refund", []Fact{issued, refundedView(1000, 1000, 72*time.Hour), view(IsConfirmed, 1000, 90*time.Hour)}, WasRefunded, AllRefunded, nil},
		{"速報取消 after the refund", []Fact{issued, conf, refundedView(1000, 1000, 72*time.Hour), revokedView(Awaiting, 90*time.Hour)}, WasRefunded, AllRefunded, []string{RevokedAfterConfirm}},
		{"paid twice, one of them refunded", []Fact{issued, view(IsConfirmed, 2000, time.Hour), refundedView(2000, 1000, 72*time.Hour)}, WasPartBack, Paid, nil},
		{"charged back", []Fact{issued, conf, chargedBack}, WasChargedBack, AllRefunded, []string{ChargedBack}},
		{"money on an attempt that was believed failed", []Fact{view(HasFailed, 0, time.Minute), prov}, IsProvisional, Accepted, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(1000)
			s.start(1)
			for _, f := range c.facts {
				s.fact(f)
			}
			got := s.state(t)
			require.Equal(t, c.attempt, got.Attempts[0].Phase)
			require.Equal(t, c.claim, got.Phase)
			require.Equal(t, c.alerts, codes(got.Alerts))
		})
	}
}

// A transfer to an account comes in parts, twice, too much, after the account was withdrawn.
func TestDeposits(t *testing.T) {
	account := view(Awaiting, 0, time.Minute)
	deposit := func(id string, yen int64, after time.Duration) Deposit {
		return Deposit{Attempt: ulid.ULID{15: 1}, ID: id, Yen: yen, Paid: day0.Add(after)}
	}
	part, rest := deposit("s1", 400, time.Hour), deposit("s2", 600, 2*time.Hour)
	type unsure Deposit
	inDoubt := func(id string, yen int64) unsure { return unsure(deposit(id, yen, time.Hour)) }
	for _, c := range []struct {
		name     string
		events   []any
		attempt  string
		claim    Phase
		received int64
		alerts   []string
	}{
		{"all at once", []any{account, deposit("s1", 1000, time.Hour)}, IsConfirmed, Paid, 1000, nil},
		{"a part", []any{account, part}, PartPaid, PartlyPaid, 400, nil},
		{"the rest", []any{account, part, rest}, IsConfirmed, Paid, 1000, nil},
		{"the rest first, the statements read again", []any{account, rest, part, rest, part}, IsConfirmed, Paid, 1000, nil},
		{"too much", []any{account, part, deposit("s3", 700, time.Hour)}, IsConfirmed, Paid, 1100, []string{Overpaid}},
		{"twice", []any{account, deposit("s1", 1000, time.Hour), deposit("s4", 1000, time.Hour)}, IsConfirmed, Paid, 2000, []string{SecondPayment}},
		{"a part, and no more until the end", []any{account, part, view(HasExpired, 0, 99*time.Hour)}, HasExpired, PartlyPaid, 400, []string{AmountDiffers}},
		{"the rest after the end", []any{account, part, view(HasExpired, 0, 99*time.Hour), rest}, IsConfirmed, Paid, 1000, nil},
		{"after it was canceled", []any{account, view(WasCanceled, 0, time.Minute), deposit("s1", 1000, time.Hour)}, IsConfirmed, Paid, 1000, []string{PaidAfterCancel}},
		{"one that may be the same", []any{account, part, inDoubt("x1", 400)}, PartPaid, PartlyPaid, 400, []string{DepositInDoubt}},
		{"it is another", []any{account, part, inDoubt("x1", 400), deposit("x1", 400, time.Hour), inDoubt("x1", 400)}, PartPaid, PartlyPaid, 800, nil},
		{"the rest settled elsewhere", []any{account, part, Settlement{Had: 400}}, PartPaid, SettledElse, 400, nil},
		{"and canceled", []any{account, part, Settlement{Had: 400}, view(WasCanceled, 0, 9*time.Hour)}, WasCanceled, SettledElse, 400, nil},
		{"and transferred too", []any{account, part, Settlement{Had: 400}, deposit("s5", 100, time.Hour)}, PartPaid, SettledElse, 500, []string{SecondPayment}},
		{"of more than there is", []any{account, part, Settlement{Had: 500}}, PartPaid, SettledElse, 400, []string{AmountDiffers}},
		{"all settled before a part came", []any{account, Settlement{}, part}, PartPaid, PartlyPaid, 400, []string{SecondPayment}},
		{"one id with two amounts", []any{account, part, deposit("s1", 500, time.Hour)}, PartPaid, PartlyPaid, 500, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(1000)
			s.start(1)
			for _, e := range c.events {
				switch e := e.(type) {
				case Fact:
					s.fact(e)
				case Settlement:
					s.add(Settled, e)
				case unsure:
					s.add(Doubted, e)
				default:
					s.add(Deposited, e)
				}
			}
			got := s.state(t)
			require.Equal(t, c.attempt, got.Attempts[0].Phase)
			require.Equal(t, c.claim, got.Phase)
			require.Equal(t, c.received, got.Received)
			var codes []string
			for _, a := range got.Alerts {
				codes = append(codes, a.Code)
			}
			require.Equal(t, c.alerts, codes)
			require.Equal(t, c.attempt == PartPaid, got.Live() != nil, "the account is shown while a part is missing")
		})
	}
}

// The rest was settled elsewhere; then what had come is taken back, given back, or comes again.
func TestPartAfterTheRestWasSettled(t *testing.T) {
	part, settled := view(IsProvisional, 400, time.Hour), Settlement{Had: 400}
	second := view(IsConfirmed, 300, 9*time.Hour)
	second.Attempt = ulid.ULID{15: 2}
	refunded := refundedView(400, 400, 72*time.Hour)
	for _, c := range []struct {
		name   string
		events []any
		phase  Phase
		alerts []Alert
	}{
		{"as it was", []any{part, settled, view(IsConfirmed, 400, 48*time.Hour)}, SettledElse, nil},
		{"taken back", []any{part, settled, revokedView(Awaiting, 2*time.Hour)}, SettledElse, []Alert{{Code: AmountDiffers, Open: true}}},
		{"told of in another order", []any{revokedView(Awaiting, 2*time.Hour), settled, part}, SettledElse, []Alert{{Code: AmountDiffers, Open: true}}},
		{"taken back and paid again", []any{part, settled, revokedView(Awaiting, 2*time.Hour), view(IsProvisional, 400, 3*time.Hour)}, SettledElse, nil},
		{"taken back, less came otherwise", []any{part, settled, revokedView(Awaiting, 2*time.Hour), second}, SettledElse, []Alert{{Code: AmountDiffers, Open: true}}},
		{"more came otherwise", []any{part, settled, second}, SettledElse, []Alert{{AmountDiffers, part.Attempt, true}, {AmountDiffers, second.Attempt, true}, {Code: SecondPayment, Open: true}}},
		{"given back", []any{view(IsConfirmed, 400, time.Hour), settled, refunded}, AllRefunded, nil},
		{"given back, more came otherwise", []any{view(IsConfirmed, 400, time.Hour), settled, refunded, second}, PartRefunded, []Alert{{AmountDiffers, second.Attempt, true}, {Code: SecondPayment, Open: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(1000)
			s.start(1)
			s.start(2)
			for _, e := range c.events {
				if f, ok := e.(Fact); ok {
					s.fact(f)
				} else {
					s.add(Settled, e)
				}
			}
			got := s.state(t)
			require.Equal(t, c.phase, got.Phase)
			require.Equal(t, c.alerts, got.Alerts)
		})
	}

	// A part of it is taken back, somebody deals with that, and then the other part.
	s := newScript(1000)
	s.start(1)
	s.start(2)
	other := view(IsProvisional, 300, time.Hour)
	other.Attempt = ulid.ULID{15: 2}
	s.fact(part).fact(other).add(Settled, Settlement{Had: 700}).fact(revokedView(Awaiting, 2*time.Hour))
	alert := Alert{Code: AmountDiffers}
	st := s.add(Resolved, Resolution{Alerts: []string{alert.Key()}}).state(t)
	require.False(t, st.NeedsAttention())
	back := revokedView(Awaiting, 3*time.Hour)
	back.Attempt = other.Attempt
	st = s.fact(back).state(t)
	require.True(t, st.NeedsAttention(), "further money is gone")
}

func TestUnknownIsSettledByAnyView(t *testing.T) {
	s := newScript(1000)
	id := s.start(1)
	s.add(Unknown, Doubt{Attempt: id, Reason: "no_reply"})
	require.Equal(t, AttemptUnknown, s.state(t).Attempts[0].Phase)
	require.Equal(t, InProgress, s.state(t).Phase)
	s.fact(view(Awaiting, 0, time.Minute))
	require.Equal(t, Awaiting, s.state(t).Attempts[0].Phase)
}

func TestStatedFacts(t *testing.T) {
	withdrawn := newScript(1000)
	withdrawn.start(1)
	withdrawn.fact(view(Awaiting, 0, time.Minute)).add(Withdrawn, message.Act{By: "key:main"})
	st := withdrawn.state(t)
	require.Equal(t, IsWithdrawn, st.Phase)
	require.True(t, st.Attempts[0].Void, "what was issued must not be shown any more")
	require.False(t, st.Over(), "it can still be paid")
	st = withdrawn.fact(view(IsConfirmed, 1000, time.Hour)).state(t)
	require.Equal(t, Paid, st.Phase)
	require.Equal(t, PaidAfterWithdrawal, st.Alerts[0].Code)

	settled := newScript(1000)
	settled.start(1)
	st = settled.fact(view(IsConfirmed, 1000, time.Hour)).add(Settled, message.Act{}).state(t)
	require.Equal(t, SecondPayment, st.Alerts[0].Code)
	require.True(t, st.NeedsAttention())
	st = settled.add(Resolved, Resolution{Alerts: []string{st.Alerts[0].Key()}}).state(t)
	require.False(t, st.NeedsAttention())

	amended := newScript(1000)
	amended.start(1)
	st = amended.fact(view(Awaiting, 0, time.Minute)).add(Amended, Terms{Amount: 900, Tax: -1, Due: due0}).state(t)
	require.True(t, st.Attempts[0].Void)
	require.Equal(t, Unpaid, st.Phase)
	st = amended.fact(view(IsProvisional, 1000, time.Hour)).state(t)
	require.Equal(t, AmountDiffers, st.Alerts[0].Code)
	require.Equal(t, Overdue, newScript(1000).statePtr(t).PhaseAt(due0.Add(time.Second)))
}

// Somebody deals with what is there; money that comes after that is another thing to deal with.
func TestFurtherMoneyOpensAResolvedAlertAgain(t *testing.T) {
	open := func(s State) (keys []string) {
		for _, a := range s.Alerts {
			if a.Open {
				keys = append(keys, a.Code)
			}
		}
		return keys
	}
	deposit := func(id string, yen int64) Deposit {
		return Deposit{Attempt: ulid.ULID{15: 1}, ID: id, Yen: yen, Paid: day0.Add(time.Hour)}
	}
	chargedBack := func(yen int64, after time.Duration) Fact {
		f := refundedView(1000, yen, after)
		f.View.ChargedBack = true
		return f
	}
	second := view(IsConfirmed, 1000, 2*time.Hour)
	second.Attempt = ulid.ULID{15: 2}
	third := second
	third.View.Paid, third.Seen = 2000, second.Seen.Add(time.Hour)
	paid := view(IsConfirmed, 1000, time.Hour)
	for _, c := range []struct {
		name          string
		before, after []any
		was, want     []string
	}{
		{"nothing more", []any{view(IsProvisional, 2000, time.Hour)}, []any{view(IsConfirmed, 2000, 2*time.Hour)}, []string{SecondPayment}, nil},
		{"a third time with one slip", []any{view(IsProvisional, 2000, time.Hour)}, []any{view(IsProvisional, 3000, 2*time.Hour)}, []string{SecondPayment}, []string{SecondPayment}},
		{"again after a 速報取消", []any{view(IsProvisional, 2000, time.Hour)}, []any{view(IsProvisional, 1000, 2*time.Hour), view(IsProvisional, 2000, 3*time.Hour)}, []string{SecondPayment}, []string{SecondPayment}},
		{"still too much", []any{deposit("s1", 1000), deposit("s2", 100)}, []any{deposit("s3", 100)}, []string{Overpaid}, []string{Overpaid}},
		{"another attempt's", []any{paid, second}, []any{third}, []string{SecondPayment}, []string{SecondPayment, SecondPayment}},
		{"charged back again", []any{chargedBack(400, 72*time.Hour)}, []any{chargedBack(1000, 73*time.Hour)}, []string{ChargedBack}, []string{ChargedBack}},
		{"told again of a 速報取消", []any{paid, revokedView(Awaiting, 2*time.Hour)}, []any{revokedView(Awaiting, 3*time.Hour)}, []string{RevokedAfterConfirm}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(1000)
			s.start(1)
			s.start(2)
			add := func(events []any) State {
				for _, e := range events {
					if f, ok := e.(Fact); ok {
						s.fact(f)
					} else {
						s.add(Deposited, e)
					}
				}
				return s.state(t)
			}
			st := add(c.before)
			require.Equal(t, c.was, open(st))
			var keys []string
			for _, a := range st.Alerts {
				keys = append(keys, a.Key())
			}
			require.Empty(t, open(s.add(Resolved, Resolution{Alerts: keys}).state(t)))
			require.Equal(t, c.want, open(add(c.after)))
		})
	}
}

func (s *script) statePtr(t testing.TB) *State {
	st := s.state(t)
	return &st
}

// taking is one time that money was taken, as the simulated agent knows it.
type taking struct{ confirmed, revoked bool }

// simulate draws the life of one payment at an agent, as the full views that it tells in order, and the truth at its end.
func simulate(t *rapid.T, attempt ulid.ULID, start time.Duration) (facts []Fact, standing, refunded int64, confirmed bool) {
	var takings []taking
	ended := ""
	at := day0.Add(start)
	var first, firstConfirmed, refundedAt time.Time
	bare := rapid.Bool().Draw(t, "bare") // its 確報 leaves out when money was taken
	tell := func() {
		v := View{State: Awaiting, Yen: 1000, AgentID: "p" + attempt.String()}
		if ended != "" {
			v.State = ended
		}
		standing, confirmed = 0, false
		for _, k := range takings {
			if !k.revoked {
				standing += 1000
				confirmed = confirmed || k.confirmed
			}
		}
		switch {
		case confirmed:
			v.State, v.ConfirmedAt, v.Refunded, v.RefundedAt = IsConfirmed, firstConfirmed, refunded, refundedAt
		case standing > 0:
			v.State = IsProvisional
		}
		if standing > 0 {
			v.Paid = standing
			if !bare || !confirmed {
				v.ProvisionalAt = first
			}
		}
		v.Revoked = len(takings) > 0 && standing == 0
		facts = append(facts, Fact{Attempt: attempt, View: v, Seen: at, From: sourceNotice, Notice: fmt.Sprint(len(facts))})
	}
	tell()
	for range rapid.IntRange(0, 8).Draw(t, "steps") {
		at = at.Add(time.Duration(rapid.IntRange(1, 100_000).Draw(t, "pause")) * time.Millisecond)
		open := slices.IndexFunc(takings, func(k taking) bool { return !k.confirmed && !k.revoked })
		switch what := rapid.SampledFrom([]string{"take", "confirm", "revoke", "cancel", "expire", "refund"}).Draw(t, "what"); {
		case what == "take" && len(takings) < 3:
			takings = append(takings, taking{})
			if standing == 0 {
				first = at
			}
		case what == "confirm" && open >= 0:
			takings[open].confirmed = true
			if firstConfirmed.IsZero() {
				firstConfirmed = at
			}
		case what == "revoke" && open >= 0:
			takings[open].revoked = true
		case what == "cancel" && standing == 0 && ended == "":
			ended = WasCanceled
		case what == "refund" && confirmed && open < 0 && refunded < standing:
			refunded, refundedAt = min(standing, refunded+int64(rapid.IntRange(1, 1500).Draw(t, "back"))), at
		case what == "expire" && standing == 0 && ended == "":
			ended = HasExpired
		default:
			continue
		}
		tell()
	}
	return facts, standing, refunded, confirmed
}

// summary is all that readers see of a state.
func summary(s *State) string {
	for _, a := range s.Attempts {
		a.IssuedAt = a.IssuedAt.UTC()
	}
	return string(encode(struct {
		Phase                         Phase
		Received, Confirmed, Refunded int64
		Alerts                        []Alert
		Attempts                      []*Attempt
	}{s.Phase, s.Received, s.Confirmed, s.Refunded, s.Alerts, s.Attempts}))
}

// However notices are ordered, repeated and interleaved, and whether or not those that say nothing new are kept: the same
// state, no yen lost, none counted twice, and nothing confirmed is ever undone.
func TestFactsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := newScript(1000)
		var facts []Fact
		var events []store.NewEvent
		var standing, confirmed, refunded int64
		payments, most := 0, int64(0)
		for n := range rapid.IntRange(1, 3).Draw(t, "attempts") {
			id := base.start(byte(n + 1))
			told, s, back, c := simulate(t, id, time.Duration(n)*time.Hour)
			facts = append(facts, told...)
			standing += s
			refunded += back
			if c {
				confirmed += s
			}
			for i := range rapid.IntRange(0, 2).Draw(t, "deposits") {
				d := Deposit{Attempt: id, ID: fmt.Sprint(n, "/", i), Yen: int64(rapid.IntRange(1, 1200).Draw(t, "deposit")), Paid: day0.Add(time.Duration(i) * time.Hour)}
				events = append(events, store.NewEvent{Type: byte(Deposited), At: day0, Data: encode(d)})
				standing, confirmed, s = standing+d.Yen, confirmed+d.Yen, s+d.Yen
			}
			if s > back {
				payments++
			}
			most = max(most, s-back)
		}
		for _, f := range facts {
			events = append(events, store.NewEvent{Type: byte(f.Type()), At: day0, Data: encode(f)})
		}
		amount := int64(1000)
		settled, had := false, int64(0)
		for _, said := range []Type{Amended, Withdrawn, Settled} { // what the sender says, whatever the agent tells meanwhile
			if !rapid.Bool().Draw(t, said.String()) {
				continue
			}
			var data any = message.Act{By: "user:a", Reason: "x"}
			if said == Settled {
				settled = true
			}
			if said == Settled && rapid.Bool().Draw(t, "the rest") {
				had = max(1, standing+int64(rapid.IntRange(-1500, 1500).Draw(t, "since"))) // more came since, or was taken back
				if rapid.Bool().Draw(t, "nothing since") {
					had = max(1, standing)
				}
				data = Settlement{Act: message.Act{By: "user:a"}, Had: had}
			}
			if said == Amended {
				amount = int64(rapid.IntRange(500, 2000).Draw(t, "amount"))
				data = Terms{Amount: amount, Tax: -1, Due: due0} // another day prolongs the account that is there by then
			}
			events = append(events, store.NewEvent{Type: byte(said), At: day0, Data: encode(data)})
		}
		twice := payments > 1 || most > max(1000, amount)
		inOrder := &script{events: slices.Clone(base.events), now: base.now}
		for _, e := range events {
			inOrder.events = append(inOrder.events, store.Event{Type: e.Type, At: e.At, Data: e.Data})
		}
		want, err := Fold(inOrder.events)
		if err != nil {
			t.Fatal(err)
		}
		if want.Received != standing || want.Confirmed != confirmed {
			t.Fatalf("received %d, confirmed %d; the agent says %d and %d", want.Received, want.Confirmed, standing, confirmed)
		}
		if want.Refunded != refunded {
			t.Fatalf("%d went back; the agent says %d", want.Refunded, refunded)
		}
		if twice && !slices.ContainsFunc(want.Alerts, func(a Alert) bool { return a.Code == SecondPayment || a.Code == Overpaid }) {
			t.Fatalf("second money and no alert:\n%s", summary(&want))
		}

		raised := func(code string) bool {
			return slices.Contains(want.Alerts, Alert{Code: code, Open: true})
		}
		switch {
		case settled && standing > had && standing > refunded && !raised(SecondPayment):
			t.Fatalf("settled with %d and more came, and no alert:\n%s", had, summary(&want))
		case had > standing != raised(AmountDiffers):
			t.Fatalf("settled with %d, of which %d stand:\n%s", had, standing, summary(&want))
		case had >= standing && had > 0 && payments < 2 && (raised(SecondPayment) || want.Phase == PartlyPaid):
			t.Fatalf("the rest was settled with %d and no more came:\n%s", had, summary(&want))
		}

		shuffled := rapid.Permutation(append(slices.Clone(events), events[:rapid.IntRange(0, len(events)).Draw(t, "repeats")]...)).Draw(t, "order")
		all, err := Fold(base.events)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := Fold(base.events)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range shuffled {
			before := confirmedAttempts(&all)
			if all, err = all.extend([]store.NewEvent{e}); err != nil {
				t.Fatal(err)
			}
			for _, id := range before {
				if all.Attempt(id).Confirmed == 0 {
					t.Fatalf("attempt %s was confirmed and is not any more", id)
				}
			}
			next, err := kept.extend([]store.NewEvent{e})
			if err != nil {
				t.Fatal(err)
			}
			var f Fact
			if slices.Contains([]Type{Deposited, Amended, Withdrawn, Settled}, Type(e.Type)) || json.Unmarshal(e.Data, &f) != nil || kept.learns(&next, &f) {
				kept = next
			}
		}
		if got := summary(&all); got != summary(&want) {
			t.Fatalf("another order gave another state:\n%s\n%s", got, summary(&want))
		}
		if got := summary(&kept); got != summary(&want) {
			t.Fatalf("dropping what was known gave another state:\n%s\n%s", got, summary(&want))
		}
	})
}

func confirmedAttempts(s *State) (ids []ulid.ULID) {
	for _, a := range s.Attempts {
		if a.Confirmed > 0 {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// Whatever an agent tells and however late: when attempts are started only while none lives and no money stands, there is
// never more than one that lives.
func TestAtMostOneLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScript(1000)
		var told []Fact
		n := byte(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			st, err := Fold(s.events)
			if err != nil {
				t.Fatal(err)
			}
			lives := 0
			for _, a := range st.Attempts {
				if a.Lives() {
					lives++
				}
			}
			if lives > 1 {
				t.Fatalf("%d attempts live:\n%s", lives, summary(&st))
			}
			if lives == 0 && st.Received == 0 && n < 5 && rapid.Bool().Draw(t, "start") {
				n++
				facts, _, _, _ := simulate(t, s.start(n), time.Duration(n)*time.Hour)
				told = append(told, facts...)
				continue
			}
			if len(told) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(told)-1).Draw(t, "which")
			s.fact(told[i])
			if live := st.Live(); live != nil && rapid.IntRange(0, 4).Draw(t, "host") == 0 {
				s.fact(Fact{Attempt: live.ID, View: View{State: WasCanceled}, Seen: s.now, From: sourceHost})
			}
		}
	})
}
