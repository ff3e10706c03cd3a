package payment

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

const showFor = 10 * time.Minute

// RefreshVoucher gives barcodes whose free digits count.
func (b *bank) RefreshVoucher(_ context.Context, in *proto.RefreshVoucherRequest) (*proto.RefreshVoucherResponse, error) {
	if err := b.hook("renew"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renewals++
	if b.refusal != nil {
		return &proto.RefreshVoucherResponse{Error: b.refusal}, nil
	}
	p := b.payments[in.AttemptId]
	p.Voucher = &proto.Voucher{Barcode: fmt.Sprintf("9190808103021001997%06d1753026123100074406", b.renewals), Expires: p.Voucher.Expires,
		ShownUntil: timestamppb.New(in.Call.Now.AsTime().Add(showFor))}
	return &proto.RefreshVoucherResponse{Payment: p}, nil
}

// renewing is a claim whose barcode may be shown for ten minutes.
func renewing(t *testing.T) (*rig, Attempt) {
	r := newRig(t)
	m := pb.CloneOf(sandboxMethods[0])
	m.Refreshes = true
	r.mods.methods = append([]*proto.PaymentMethod{m}, sandboxMethods[1:]...)
	r.bank.showFor = showFor
	a := r.mustStart(r.claim("A-1", 7440), "konbini_barcode")
	require.Equal(t, day0.Add(showFor), a.Voucher.ShownUntil)
	return r, a
}

// of is the claim of an attempt.
func (r *rig) of(a Attempt) ulid.ULID {
	r.t.Helper()
	s, err := r.ByAttempt(r.t.Context(), scope, a.ID)
	require.NoError(r.t, err)
	return s.Ref.ID
}

func TestBarcodePastItsTimeIsNotShownAndRenewed(t *testing.T) {
	r, a := renewing(t)
	claim := r.of(a)
	first := a.Voucher.Barcode
	require.Equal(t, first, VoucherOf(&a, r.time()).Barcode)
	require.False(t, Printable(VoucherOf(&a, r.time())), "paper cannot be drawn anew")
	refresh := func() *Attempt {
		s, err := r.Refresh(t.Context(), scope, claim)
		require.NoError(t, err)
		return s.Attempts[0]
	}
	r.pass(5 * time.Minute)
	require.Equal(t, first, refresh().Voucher.Barcode)
	require.Zero(t, r.bank.count(&r.bank.renewals), "it may be shown on for a while: the agent is asked how it stands")
	r.pass(4*time.Minute + 30*time.Second)
	got := refresh()
	require.Equal(t, 1, r.bank.count(&r.bank.renewals))
	require.NotEqual(t, first, got.Voucher.Barcode)
	require.Equal(t, a.ID, got.ID)
	require.Equal(t, r.time().Add(showFor), got.Voucher.ShownUntil)
	require.Equal(t, a.IssuedAt, got.IssuedAt, "it was issued once")
	r.pass(showFor)
	require.Nil(t, VoucherOf(got, r.time()))
	require.True(t, got.Stale(r.time()))
	for range 5 {
		got = refresh()
	}
	require.Equal(t, 2, r.bank.count(&r.bank.renewals), "once a minute for each claim")
	require.NotNil(t, VoucherOf(got, r.time()))
	require.Equal(t, []string{"made", "joined", "attempt_started", "attempt_issued", "attempt_issued", "attempt_issued"}, r.events(claim))

	r.crash()
	require.Equal(t, got.Voucher, r.state(claim).Attempts[0].Voucher)
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	require.Equal(t, Accepted, r.state(claim).Phase)
	refresh()
	require.Equal(t, 2, r.bank.count(&r.bank.renewals), "who has paid needs none")
}

func TestAgentWithoutAnotherBarcodeLeavesNone(t *testing.T) {
	for _, c := range []struct {
		name    string
		refusal *proto.Error
		fault   error
		want    [][2]int // by minute: asked for another barcode, and how it stands
	}{
		{"refuses for now", &proto.Error{Class: proto.ErrorClass_RATE_LIMITED, Code: "try_later"}, nil, [][2]int{{1, 0}, {2, 0}, {2, 1}, {3, 1}}},
		{"says that it has changed", &proto.Error{Class: proto.ErrorClass_CONFLICT}, nil, [][2]int{{1, 0}, {1, 1}, {2, 1}, {2, 2}}},
		{"does not serve", nil, status.Error(codes.Unimplemented, "no"), [][2]int{{1, 0}, {1, 1}, {2, 1}, {2, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a := renewing(t)
			claim := r.of(a)
			r.bank.set(func() { r.bank.refusal = c.refusal })
			count := r.calls(func(call string) error {
				if call == "renew" {
					return c.fault
				}
				return nil
			})
			r.pass(showFor)
			for _, want := range c.want {
				for range 5 {
					s, err := r.Refresh(t.Context(), scope, claim)
					require.NoError(t, err)
					require.Equal(t, AwaitingMoney, s.Phase)
					require.Nil(t, VoucherOf(s.Attempts[0], r.time()))
				}
				require.Equal(t, want, [2]int{count("renew"), count("get")})
				r.pass(gateInterval)
			}
			r.bank.set(func() { r.bank.refusal, r.bank.before = nil, nil })
			s, err := r.Refresh(t.Context(), scope, claim)
			require.NoError(t, err)
			require.NotNil(t, VoucherOf(s.Attempts[0], r.time()))
		})
	}
}

// Whatever the order of what the agent said, what may be shown longest is what is shown.
func TestLatestBarcodeStandsInAnyOrder(t *testing.T) {
	shown := func(at time.Duration, state string, barcode string) Fact {
		f := view(state, 0, at)
		f.View.Voucher = &Voucher{Barcode: barcode, ShownUntil: day0.Add(at + showFor)}
		return f
	}
	revoked := shown(6*time.Minute, Awaiting, "1")
	revoked.View.Revoked = true
	facts := []Fact{shown(0, Awaiting, "1"), shown(5*time.Minute, Awaiting, "2"), revoked}
	revoked.View.Voucher = &Voucher{Barcode: "1", ShownUntil: day0.Add(showFor)}
	facts[2] = revoked
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2, 1}, {0, 2, 1, 0}} {
		s := newScript(1000)
		s.start(1)
		for _, i := range order {
			s.fact(facts[i])
		}
		require.Equal(t, "2", s.state(t).Attempts[0].Voucher.Barcode, order)
	}
}
