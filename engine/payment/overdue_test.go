package payment

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestUnpaidClaimIsSaidToBeOverdueOnce(t *testing.T) {
	r := newRig(t)
	told := func(number string) (n int) {
		s, err := r.ByNumber(t.Context(), scope, number)
		require.NoError(t, err)
		for _, e := range r.events(s.Ref.ID) {
			if e == "overdue" {
				n++
			}
		}
		return n
	}
	untouched, issued, paid, withdrawn := r.claim("A-1", 1000), r.claim("A-2", 1000), r.claim("A-3", 1000), r.claim("A-4", 1000)
	r.mustStart(issued, "konbini_barcode")
	a := r.mustStart(paid, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, time.Hour))
	_, err := r.Patch(t.Context(), r.tenant, "A-4", Patch{Withdrawn: true}, "user:hanako")
	require.NoError(t, err)
	due := r.state(untouched).Due
	r.pass(due.Sub(r.time()))
	r.visitDue()
	require.Zero(t, told("A-1"), "its last second is not over")
	r.crash()
	r.pass(time.Second)
	for range 3 {
		r.visitDue()
		r.pass(time.Minute)
	}
	for number, want := range map[string]int{"A-1": 1, "A-2": 1, "A-3": 0, "A-4": 0} {
		require.Equal(t, want, told(number), number)
	}
	require.Equal(t, Overdue, r.state(untouched).PhaseAt(r.time()))
	require.Equal(t, Overdue, r.state(issued).PhaseAt(r.time()))
	require.False(t, slices.Contains(r.events(withdrawn), "overdue"))

	later := "2027-01-31"
	_, err = r.Patch(t.Context(), r.tenant, "A-1", Patch{Due: &later}, "user:hanako")
	require.NoError(t, err)
	r.visitDue()
	require.Equal(t, 1, told("A-1"))
	r.pass(40 * 24 * time.Hour)
	r.visitDue()
	r.visitDue()
	require.Equal(t, 2, told("A-1"), "once for each due date")
}
