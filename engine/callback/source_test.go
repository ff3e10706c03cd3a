package callback

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func asStored(ref store.Ref, types []byte, data [][]byte) []store.Event {
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	events := make([]store.Event, len(types))
	for i := range types {
		events[i] = store.Event{Ref: ref, Seq: uint32(i), Type: types[i], At: at.Add(time.Duration(i) * time.Minute), Data: data[i]}
	}
	return events
}

func messageEvents(head message.Head, events ...event) []store.Event {
	types, data := []byte{byte(message.Accepted)}, [][]byte{message.Encode(head)}
	for _, e := range events {
		types, data = append(types, byte(e.typ)), append(data, message.Encode(e.data))
	}
	return asStored(store.Ref{Tenant: mizu, Kind: store.Message, ID: ulid.Make()}, types, data)
}

func told(t *testing.T, s Source, events []store.Event) []string {
	t.Helper()
	notices, err := s.Tell(events)
	require.NoError(t, err)
	var types []string
	for _, n := range notices {
		types = append(types, n.Type)
	}
	return types
}

func TestWhatAMessageTells(t *testing.T) {
	part := func(n int) message.Submission { return message.Submission{Part: n, Attempt: 1, Carrier: "docomo"} }
	report := func(n int) message.Report { return message.Report{Part: n, Carrier: "docomo", State: "DELIVRD"} }
	one, two := message.Head{V: 1, Parts: 1}, message.Head{V: 1, Parts: 2}
	for name, c := range map[string]struct {
		head   message.Head
		events []event
		want   []string
	}{
		"one segment":            {one, life, lifeTold},
		"two segments":           {two, []event{{message.Submitting, part(1)}, {message.Submitting, part(2)}, {message.Submitted, part(1)}, {message.Submitted, part(2)}, {message.Delivered, report(2)}, {message.Delivered, report(1)}}, []string{MessageAccepted, MessageSubmitted, MessageDelivered}},
		"one of two arrives not": {two, []event{{message.Submitting, part(1)}, {message.Submitted, part(1)}, {message.Submitting, part(2)}, {message.Submitted, part(2)}, {message.Undelivered, report(1)}, {message.Delivered, report(2)}}, []string{MessageAccepted, MessageSubmitted, MessageUndelivered}},
		"retried":                {one, []event{submitting, {message.Retrying, part(1)}, submitting, submitted}, []string{MessageAccepted, MessageSubmitted}},
		"in doubt, then known":   {one, []event{submitting, {message.InDoubt, part(1)}, submitted, delivered, delivered}, []string{MessageAccepted, MessageInDoubt, MessageSubmitted, MessageDelivered}},
		"doubted twice":          {one, []event{submitting, {message.InDoubt, part(1)}, submitting, {message.InDoubt, part(1)}}, []string{MessageAccepted, MessageInDoubt, MessageInDoubt}},
		"refused":                {one, []event{{message.Refused, part(1)}}, []string{MessageAccepted, MessageRefused}},
		"lapsed":                 {one, []event{{message.Lapsed, nil}}, []string{MessageAccepted, MessageLapsed}},
		"canceled":               {one, []event{{message.Canceled, message.Act{By: "x"}}}, []string{MessageAccepted, MessageCanceled}},
		"opened by a machine, then by a person, then again": {one, []event{{message.Opened, message.Opening{Doubtful: "early"}}, {message.Opened, message.Opening{}}, {message.Opened, message.Opening{}}}, []string{MessageAccepted, MessageOpened, MessageOpened}},
		"answered once":        {one, []event{{message.Answered, message.SurveyAnswer{}}, {message.Answered, message.SurveyAnswer{}}, {message.Viewed, nil}, {message.Viewed, nil}}, []string{MessageAccepted, MessageAnswered, MessageViewed}},
		"a code of the engine": {message.Head{V: 1, Parts: 1, For: ulid.Make()}, life, nil},
	} {
		require.Equal(t, c.want, told(t, messages{}, messageEvents(c.head, c.events...)), name)
	}
}

func TestWhatAClaimTells(t *testing.T) {
	attempt := ulid.Make()
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	head := payment.Head{V: 1, Number: "C-1", Terms: payment.Terms{Amount: 1000, Due: due}}
	start := payment.Start{ID: attempt, Method: "konbini_number", Yen: 1000, Due: due}
	fact := func(state string, revoked bool) payment.Fact {
		return payment.Fact{Attempt: attempt, Seen: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), View: payment.View{State: state, Revoked: revoked, Yen: 1000}}
	}
	late := fact(payment.IsConfirmed, false)
	late.View.ProvisionalAt, late.View.ConfirmedAt = due.Add(time.Hour), due.Add(time.Hour)
	provisional, confirmed, issued := fact(payment.IsProvisional, false), fact(payment.IsConfirmed, false), fact(payment.Awaiting, false)
	refunded := confirmed
	refunded.View.Refunded, refunded.View.RefundedAt = 1000, confirmed.Seen.Add(time.Hour)
	half := payment.Deposit{Attempt: attempt, ID: "s1", Yen: 500, Paid: confirmed.Seen}
	rest := payment.Deposit{Attempt: attempt, ID: "s2", Yen: 500, Paid: confirmed.Seen}
	revoked := fact(payment.Awaiting, true)
	revoked.Seen = revoked.Seen.Add(time.Hour)
	for name, c := range map[string]struct {
		events []any
		want   []string
	}{
		"paid at a convenience store":  {[]any{start, issued, provisional, confirmed}, []string{ClaimIssued, ClaimAccepted, ClaimConfirmed}},
		"said again":                   {[]any{start, issued, provisional, provisional, confirmed, confirmed}, []string{ClaimIssued, ClaimAccepted, ClaimConfirmed}},
		"given back":                   {[]any{start, issued, confirmed, refunded}, []string{ClaimIssued, ClaimConfirmed, ClaimRefunded}},
		"transferred in two parts":     {[]any{start, issued, half, rest}, []string{ClaimIssued, ClaimPartly, ClaimConfirmed}},
		"taken back":                   {[]any{start, issued, provisional, revoked}, []string{ClaimIssued, ClaimAccepted, ClaimRevoked}},
		"canceled":                     {[]any{start, issued, fact(payment.WasCanceled, false)}, []string{ClaimIssued, ClaimCanceled}},
		"expired":                      {[]any{start, issued, fact(payment.HasExpired, false)}, []string{ClaimIssued, ClaimExpired}},
		"paid too late":                {[]any{start, issued, late}, []string{ClaimIssued, ClaimConfirmed, ClaimAlert}},
		"settled elsewhere":            {[]any{payment.Settled}, []string{ClaimSettled}},
		"the rest settled elsewhere":   {[]any{start, issued, half, payment.Settlement{Had: 500}, fact(payment.WasCanceled, false)}, []string{ClaimIssued, ClaimPartly, ClaimSettled}},
		"withdrawn, paid all the same": {[]any{start, issued, payment.Withdrawn, confirmed}, []string{ClaimIssued, ClaimWithdrawn, ClaimConfirmed, ClaimAlert}},
	} {
		types, data := []byte{byte(payment.Made)}, [][]byte{encode(t, head)}
		for _, e := range c.events {
			switch e := e.(type) {
			case payment.Start:
				types, data = append(types, byte(payment.Started)), append(data, encode(t, e))
			case payment.Fact:
				types, data = append(types, byte(e.Type())), append(data, encode(t, e))
			case payment.Deposit:
				types, data = append(types, byte(payment.Deposited)), append(data, encode(t, e))
			case payment.Settlement:
				types, data = append(types, byte(payment.Settled)), append(data, encode(t, e))
			case payment.Type:
				types, data = append(types, byte(e)), append(data, encode(t, message.Act{By: "x"}))
			}
		}
		events := asStored(store.Ref{Tenant: mizu, Kind: store.Claim, ID: ulid.Make()}, types, data)
		require.Equal(t, c.want, told(t, claims{}, events), name)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// TestMoreEventsOnlyAddNotices: a delivery holds a position, so what has been told must never be numbered anew. Every
// notice is also one that its event may lead to: else nobody would look.
func TestMoreEventsOnlyAddNotices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var events []event
		for range rapid.IntRange(0, 12).Draw(rt, "events") {
			part := rapid.IntRange(1, 2).Draw(rt, "part")
			s := message.Submission{Part: part, Attempt: 1}
			events = append(events, rapid.SampledFrom([]event{
				{message.Submitting, s}, {message.Submitted, s}, {message.Retrying, s}, {message.InDoubt, s}, {message.Refused, s},
				{message.Delivered, message.Report{Part: part}}, {message.Undelivered, message.Report{Part: part}}, {message.Lapsed, nil}, {message.Canceled, nil},
				{message.Opened, message.Opening{}}, {message.Opened, message.Opening{Doubtful: "early"}}, {message.Identified, nil}, {message.Viewed, nil},
				{message.Answered, message.SurveyAnswer{}}, {message.Locked, message.Lock{}}, {message.LookedUp, message.Lookup{}},
			}).Draw(rt, "event"))
		}
		all := messageEvents(message.Head{V: 1, Parts: 2}, events...)
		whole, err := messages{}.Tell(all)
		require.NoError(rt, err)
		n := 0
		for i := range all {
			some, err := messages{}.Tell(all[:i+1])
			require.NoError(rt, err)
			for j, notice := range some {
				require.Equal(rt, whole[j].Pos, notice.Pos)
				require.Equal(rt, whole[j].Type, notice.Type)
			}
			for _, notice := range some[n:] {
				require.Contains(rt, messages{}.May(all[i].Type), notice.Type)
				require.Equal(rt, At(uint32(i), 0), notice.Pos)
			}
			n = len(some)
		}
	})
}

func TestEventsThatACallbackAsksFor(t *testing.T) {
	for _, c := range []struct {
		events []string
		typ    string
		want   bool
	}{
		{nil, ClaimAlert, true}, {[]string{"message.*"}, MessageViewed, true}, {[]string{"message.*"}, ClaimAlert, false},
		{[]string{MessageDelivered}, MessageDelivered, true}, {[]string{MessageDelivered}, MessageUndelivered, false}, {[]string{"claim.*"}, ClaimIssued, true},
	} {
		require.Equal(t, c.want, wants(&tenant.Callback{Events: c.events}, c.typ), "%v %s", c.events, c.typ)
	}
	for _, typ := range Types {
		require.True(t, knownEvent(typ))
	}
	require.False(t, knownEvent("*"))
	require.False(t, knownEvent("callback.*"))
}
