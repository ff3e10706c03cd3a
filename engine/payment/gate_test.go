package payment

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
)

// calls counts what the agent is asked; fail answers instead of it, where it returns something.
func (r *rig) calls(fail func(call string) error) func(call string) int {
	var mu sync.Mutex
	n := map[string]int{}
	r.bank.set(func() {
		r.bank.before = func(call string) error {
			mu.Lock()
			n[call]++
			mu.Unlock()
			return fail(call)
		}
	})
	return func(call string) int {
		mu.Lock()
		defer mu.Unlock()
		return n[call]
	}
}

// press does all that somebody at the page of a claim can press.
func (r *rig) press(claim ulid.ULID) {
	r.t.Helper()
	_, err := r.Refresh(r.t.Context(), scope, claim)
	require.NoError(r.t, err)
	for _, method := range []string{"card", "konbini_number", "konbini_barcode"} {
		_, err = r.Start(r.t.Context(), r.tenant, claim, StartOptions{Method: method, Store: "konbini_a", Warned: true})
		if !errors.Is(err, ErrSettling) && !errors.Is(err, ErrUnavailable) {
			require.NoError(r.t, err)
		}
	}
	_, err = r.Cancel(r.t.Context(), scope, claim, true)
	if !errors.Is(err, ErrSettling) && !errors.Is(err, ErrUnavailable) {
		require.NoError(r.t, err)
	}
}

func TestWhoPressesWhileAnAttemptIsSettledAsksOnceAMinute(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	count := r.calls(func(string) error { return status.Error(codes.Unavailable, "down") })
	a := r.mustStart(claim, "konbini_barcode")
	require.Equal(t, AttemptUnknown, a.Phase)
	for minute := range 4 {
		for range 12 {
			r.press(claim)
			require.Equal(t, minute+1, count("get"))
			r.pass(5 * time.Second)
		}
	}
	require.Equal(t, 1, count("create"))
	require.Zero(t, count("cancel"), "nobody knows yet whether there is anything to cancel")

	// The agent is there again: who presses next learns it, and may choose again.
	r.bank.set(func() { r.bank.before = nil })
	_, err := r.Cancel(t.Context(), scope, claim, true)
	require.NoError(t, err)
	require.Equal(t, Unpaid, r.state(claim).Phase)
	require.Equal(t, Awaiting, r.mustStart(claim, "konbini_number").Phase)
}

// The engine's own questions about a lost reply are soon, few, and count for who presses.
func TestPressesAddNothingToTheSettlingOfALostReply(t *testing.T) {
	for _, pressed := range []bool{false, true} {
		r := newRig(t)
		claim := r.claim("A-1", 7440)
		count := r.calls(func(string) error { return status.Error(codes.Unavailable, "down") })
		r.mustStart(claim, "konbini_barcode")
		r.pass(500 * time.Millisecond)
		require.Equal(t, 1, r.visitDue())
		for range 590 {
			if pressed {
				r.press(claim)
			}
			r.pass(100 * time.Millisecond)
			r.visitDue()
		}
		require.Equal(t, 7, count("get"), "at 0.5, 1, 2, 4, 8, 16, 32 seconds")
	}
}

func TestOrderToCancelIsRepeatedOnceAMinute(t *testing.T) {
	for name, fail := range map[string]func(r *rig, a Attempt){
		"no reply": func(*rig, Attempt) {},
		"conflict, and no word of how it stands": func(r *rig, a Attempt) {
			r.bank.set(func() {
				r.bank.payments[a.ID.String()].PaidYen = 7440
				r.bank.busy = &proto.Error{Class: proto.ErrorClass_RATE_LIMITED}
			})
		},
	} {
		r := newRig(t)
		claim := r.claim("A-1", 7440)
		a := r.mustStart(claim, "konbini_barcode")
		fail(r, a)
		count := r.calls(func(call string) error {
			if call == "cancel" && name == "no reply" {
				return status.Error(codes.Unavailable, "down")
			}
			return nil
		})
		for minute := range 3 {
			for range 12 {
				r.press(claim)
				require.Equal(t, minute+1, count("cancel"), name)
				require.Equal(t, minute+1, count("get"), name)
				r.pass(5 * time.Second)
			}
		}
		require.Equal(t, AwaitingMoney, r.state(claim).Phase, name)
		require.Zero(t, count("create"), name)
	}
}

func TestWhoPressesManyTimesAtOnceCancelsOnce(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Cancel(t.Context(), scope, claim, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, r.bank.count(&r.bank.cancels))
	require.Equal(t, WasCanceled, r.state(claim).Attempt(a.ID).Phase)
}
