package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// TestCodeWaitsBehindLessThanAWindowOfBulk: what the carrier receives between the acceptance of a code and the code itself is
// less than the window of its bind, by as much as the bind keeps for codes. It is counted, so that no slow machine changes it.
func TestCodeWaitsBehindLessThanAWindowOfBulk(t *testing.T) {
	r := newRig(t, smsc.Config{NoBuiltinFaults: true, Latency: smsc.Duration(2 * time.Millisecond)})
	r.window = 64
	require.NoError(t, r.directory.Hold(t.Context(), "docomo", tenant.Paused, "operator"))
	r.acceptMany(6000, message.LaneBulk)
	r.start()
	r.hold(tenant.Released)
	require.Eventually(t, func() bool { return len(r.smsc.Ledger(0)) > r.window }, 30*time.Second, time.Millisecond)
	accepted := map[string]time.Time{}
	for i := range 30 {
		number := fmt.Sprintf("81900009%04d", i)
		r.accept("+"+number, "認証番号", func(h *message.Head) { h.Class, h.Lane = message.OTP, message.LaneCode })
		accepted[number] = time.Now()
	}
	require.Eventually(t, func() bool { return len(r.smsc.Ledger(0)) == 6000+len(accepted) }, 60*time.Second, 20*time.Millisecond)
	var bulk []time.Time
	codes := map[string]time.Time{}
	for _, m := range r.smsc.Ledger(0) {
		if _, ok := accepted[m.Dest]; ok {
			codes[m.Dest] = m.Received
		} else {
			bulk = append(bulk, m.Received)
		}
	}
	slices.SortFunc(bulk, time.Time.Compare)
	for number, received := range codes {
		from, _ := slices.BinarySearchFunc(bulk, accepted[number], time.Time.Compare)
		to, _ := slices.BinarySearchFunc(bulk, received, time.Time.Compare)
		require.LessOrEqual(t, to-from, r.window-r.window/8)
	}
	require.True(t, codes["819000090000"].Before(bulk[len(bulk)-1]), "the bulk was gone before the codes came")
}
