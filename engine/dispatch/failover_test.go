package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// TestOtherBindTakesOverFromALostOne: in the middle of a bulk one of a carrier's two binds goes, and does not come back. Every message is
// submitted once, or in doubt because it was on its way on the lost bind; what comes later goes out on the other.
func TestOtherBindTakesOverFromALostOne(t *testing.T) {
	for name, loss := range map[string]smsc.Fault{
		"disconnected": {Drop: true},
		"unbound":      {Unbind: true},
		"half-open":    {Vanish: true, Lose: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loss.Suffix, loss.Receipt = "00100", "never"
			r := newRig(t, smsc.Config{Latency: smsc.Duration(5 * time.Millisecond), NoBuiltinFaults: true, Faults: []smsc.Fault{loss, {Receipt: "never"}}})
			r.window = 20
			r.start("docomo-1", "docomo-2")
			r.reach(map[string]bind.State{"docomo-1": bind.Bound, "docomo-2": bind.Bound})
			require.NoError(t, r.smsc.SetTrouble(smsc.Trouble{RejectBind: "ESME_RBINDFAIL"}))
			refs := r.acceptMany(300, message.LaneBulk)
			var lost string
			require.Eventually(t, func() bool {
				for _, typ := range []message.Type{message.Submitted, message.InDoubt} {
					for _, d := range r.events(refs[100], typ) {
						lost = d.Bind
					}
				}
				return lost != ""
			}, 30*time.Second, 10*time.Millisecond)
			gone := !loss.Vanish // a half-open one looks well until the link is checked
			require.Eventually(t, func() bool { return !gone || r.states()[lost] != bind.Bound }, 10*time.Second, 5*time.Millisecond)
			for i := range 40 {
				refs = append(refs, r.accept(fmt.Sprintf("+81900001%04d", i), "お知らせです。", nil))
			}
			other := 0
			for i, ref := range refs {
				require.Eventually(t, func() bool {
					switch r.state(ref).Phase {
					case message.Confirming:
						return true
					case message.Doubtful:
						d := r.events(ref, message.InDoubt)
						return len(d) == 1 && d[0].Bind == lost
					}
					return false
				}, 60*time.Second, 10*time.Millisecond)
				submitted := r.events(ref, message.Submitted)
				require.LessOrEqual(t, len(submitted), 1)
				if len(submitted) == 1 && submitted[0].Bind != lost {
					other++
				} else {
					require.False(t, gone && i >= 300, "it came when the bind was gone")
				}
			}
			require.Greater(t, other, 40, "the bulk too")
			seen := map[string]bool{}
			for _, m := range r.smsc.Ledger(0) {
				require.False(t, seen[m.Dest], "sent twice")
				seen[m.Dest] = true
			}
		})
	}
}
