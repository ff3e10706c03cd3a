package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// What the sender stated about a claim stands in its timeline, with who, why and when.
func TestClaimTimelineHasWhatTheSenderStated(t *testing.T) {
	day := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	var events []store.Event
	add := func(typ payment.Type, data any) {
		events = append(events, store.Event{Ref: store.Ref{Kind: store.Claim}, Seq: uint32(len(events)), Type: byte(typ), At: day.Add(time.Duration(len(events)) * time.Hour), Data: message.Encode(data)})
	}
	terms := payment.Terms{Amount: 7440, Tax: 551, Due: day.AddDate(0, 1, 0)}
	add(payment.Made, payment.Head{V: 1, Number: "A-1", Terms: terms})
	terms.Amount, terms.By = 5000, "key:kaikei"
	add(payment.Amended, terms)
	add(payment.Settled, message.Act{By: "key:kaikei", Reason: "窓口"})
	s, err := payment.Fold(events)
	require.NoError(t, err)
	require.Equal(t, []api.Entry{
		{At: day, Of: "claim", Event: "made"},
		{At: day.Add(time.Hour), Of: "claim", Event: "amended", Detail: map[string]string{"by": "key:kaikei"}},
		{At: day.Add(2 * time.Hour), Of: "claim", Event: "settled_elsewhere", Detail: map[string]string{"by": "key:kaikei", "reason": "窓口"}},
	}, apiClaim(&s, true).Timeline)
}

// till gives money of cards back.
type till struct {
	proto.PaymentAgentClient
	back []string // the attempts whose money it gave back
}

func (t *till) Payment(string) proto.PaymentAgentClient { return t }
func (t *till) Describe(string) (*proto.DescribeResponse, bool) {
	return &proto.DescribeResponse{PaymentMethods: []*proto.PaymentMethod{{Code: "card", Kind: proto.MethodKind_CARD, Refunds: true}}}, true
}

func (t *till) Refund(_ context.Context, in *proto.RefundRequest, _ ...grpc.CallOption) (*proto.RefundResponse, error) {
	t.back = append(t.back, in.AttemptId)
	return &proto.RefundResponse{Payment: &proto.Payment{AttemptId: in.AttemptId, State: proto.PaymentState_CONFIRMED, Yen: 7440, PaidYen: 7440,
		ConfirmedAt: timestamppb.Now(), RefundedYen: in.Yen, RefundedAt: timestamppb.Now()}}, nil
}

// A claim was paid twice by card: its timeline names both attempts, and the sender has one of them given back by the API.
func TestRefundOfADoublePaymentNamesItsAttempt(t *testing.T) {
	r, agent := newPaidRig(t, tenant.PaidSMS{}), &till{}
	payments, err := payment.New(payment.Options{Store: r.s, Agents: agent, Config: payment.DefaultConfig(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	claims := apiClaims{payments}
	ref, happens := r.claim("A-1")
	happens(payment.IsConfirmed)
	second, at := ulid.Make(), time.Now()
	r.commit(store.Change{Ref: ref, Expect: store.Any, Names: []store.Name{{Space: store.ByClaimNumber, Key: "A-1"}}, Events: []store.NewEvent{
		jsonEvent(payment.Started, payment.Start{ID: second, Agent: "sandbox", Module: "payment/sandbox", Method: "card", Yen: 7440, Due: at.Add(time.Hour)}),
		jsonEvent(payment.Confirmed, payment.Fact{Attempt: second, Seen: at, From: "notice", View: payment.View{State: payment.IsConfirmed, Yen: 7440, Paid: 7440, ConfirmedAt: at}}),
	}})
	_, problem, err := claims.Change(t.Context(), &r.shop, "A-1", api.ClaimChange{Action: "refund"}, "key:kaikei")
	require.NoError(t, err)
	require.Equal(t, "attempt", problem.Field)
	c, err := claims.Get(t.Context(), "mizu", "A-1")
	require.NoError(t, err)
	var attempts []string
	for _, e := range c.Timeline {
		if e.Event == "confirmed" {
			attempts = append(attempts, e.Detail["attempt"])
		}
	}
	require.Len(t, attempts, 2)
	require.Contains(t, attempts, second.String())
	c, problem, err = claims.Change(t.Context(), &r.shop, "A-1", api.ClaimChange{Action: "refund", Attempt: second.String()}, "key:kaikei")
	require.NoError(t, err)
	require.Nil(t, problem)
	require.Equal(t, int64(7440), c.Refunded)
	require.Equal(t, "paid", c.Status)
	require.Equal(t, []string{second.String()}, agent.back)
}

// The sender's system deals with an alert of a claim as it saw it, and not with what came since.
func TestAlertsAreResolvedByAPI(t *testing.T) {
	r := newPaidRig(t, tenant.PaidSMS{})
	payments, err := payment.New(payment.Options{Store: r.s, Agents: &till{}, Config: payment.DefaultConfig(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	claims := apiClaims{payments}
	ref, happens := r.claim("A-1")
	happens(payment.IsConfirmed)
	paid := func(names ...store.Name) {
		attempt, at := ulid.Make(), time.Now()
		r.commit(store.Change{Ref: ref, Expect: store.Any, Names: names, Events: []store.NewEvent{
			jsonEvent(payment.Started, payment.Start{ID: attempt, Agent: "sandbox", Module: "payment/sandbox", Method: "card", Yen: 7440, Due: at.Add(time.Hour)}),
			jsonEvent(payment.Confirmed, payment.Fact{Attempt: attempt, Seen: at, From: "notice", View: payment.View{State: payment.IsConfirmed, Yen: 7440, Paid: 7440, ConfirmedAt: at}}),
		}})
	}
	paid(store.Name{Space: store.ByClaimNumber, Key: "A-1"})
	seen, err := claims.Get(t.Context(), "mizu", "A-1")
	require.NoError(t, err)
	require.NotEmpty(t, seen.Alerts)
	paid()
	_, problem, err := claims.Change(t.Context(), &r.shop, "A-1", api.ClaimChange{Action: "resolve", Version: &seen.Version}, "key:kaikei")
	require.NoError(t, err)
	require.Equal(t, "conflict", problem.Code)
	seen, err = claims.Get(t.Context(), "mizu", "A-1")
	require.NoError(t, err)
	for range 2 {
		c, problem, err := claims.Change(t.Context(), &r.shop, "A-1", api.ClaimChange{Action: "resolve", Version: &seen.Version, Reason: "返金済み"}, "key:kaikei")
		require.NoError(t, err)
		require.Nil(t, problem)
		require.Empty(t, c.Alerts)
		require.Equal(t, seen.Version+1, c.Version, "what is dealt with stays so")
	}
	all, err := claims.Alerts(t.Context(), "mizu", 10)
	require.NoError(t, err)
	require.Empty(t, all)
}
