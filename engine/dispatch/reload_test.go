package dispatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// states are those of the binds, by name.
func (r *rig) states() map[string]bind.State {
	all := map[string]bind.State{}
	for _, st := range r.sends.Status() {
		all[st.Name] = st.State
	}
	return all
}

func (r *rig) reach(want map[string]bind.State) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		have := r.states()
		for name, state := range want {
			if have[name] != state {
				return false
			}
		}
		return len(have) == len(want)
	}, 10*time.Second, 5*time.Millisecond, "%v, not %v", r.states(), want)
}

func (r *rig) hold(mode tenant.HoldMode) {
	r.t.Helper()
	require.NoError(r.t, r.directory.Hold(r.t.Context(), "docomo", mode, "operator"))
	r.sends.Recheck()
}

func TestPausedCarrierGetsNothingUntilItIsReleased(t *testing.T) {
	r := newRig(t, smsc.Config{})
	require.NoError(t, r.directory.Hold(t.Context(), "docomo", tenant.Paused, "operator"))
	r.start() // a pause holds over restarts
	r.reach(map[string]bind.State{"docomo-1": bind.Bound})
	ref := r.accept("+819000012345", "お知らせです。", nil)
	released := time.Now()
	r.hold(tenant.Released)
	s := r.eventually(ref, message.Arrived)
	require.False(t, s.SubmittingAt.Before(released))
}

func TestDrainedCarrierUnbindsAndComesBack(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	r.reach(map[string]bind.State{"docomo-1": bind.Bound})
	r.hold(tenant.Drained)
	r.reach(map[string]bind.State{"docomo-1": bind.Held})
	ref := r.accept("+819000012345", "お知らせです。", nil)
	r.hold(tenant.Released)
	r.eventually(ref, message.Arrived)
}

func TestReloadChangesBindsCarriersAndRules(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	one, two := r.bind("docomo-1"), r.bind("docomo-2")
	r.reach(map[string]bind.State{"docomo-1": bind.Bound})
	since := r.sends.Status()[0].Since

	require.NoError(t, r.sends.Reload(r.config, []bind.Config{one, two}))
	r.reach(map[string]bind.State{"docomo-1": bind.Bound, "docomo-2": bind.Bound})
	require.Equal(t, since, r.sends.Status()[0].Since, "what is not changed stays up")

	two.Window = 3
	require.NoError(t, r.sends.Reload(r.config, []bind.Config{two}))
	r.reach(map[string]bind.State{"docomo-2": bind.Bound})
	require.Equal(t, 3, r.sends.pumps["docomo"].credit(true))
	r.eventually(r.accept("+819000012345", "お知らせです。", nil), message.Arrived)

	bad := one
	bad.Carrier = "nobody"
	require.ErrorContains(t, r.sends.Reload(r.config, []bind.Config{bad}), `there is no carrier "nobody"`)
	r.reach(map[string]bind.State{"docomo-2": bind.Bound})

	// a rule of its own for a status that SMPP says is final
	rules := r.config
	rules.Status = []StatusRule{{Carrier: "docomo", Codes: []int64{0x0b}, Meaning: "retry", Waits: []int{3600}}}
	require.NoError(t, r.sends.Reload(rules, []bind.Config{two}))
	ref := r.accept("+819000019401", "お知らせです。", nil) // ESME_RINVDSTADR
	require.Eventually(t, func() bool { return r.state(ref).Parts[0].Refusals == 1 }, 10*time.Second, 10*time.Millisecond)

	// a new carrier takes over the numbers of one that is no more
	ranges := filepath.Join(r.dir, "ranges.csv")
	require.NoError(t, os.WriteFile(ranges, []byte("0900,rakuten\n"), 0o600))
	phone := []carrier.AddressForm{carrier.FormPhone}
	require.NoError(t, r.carriers.Reload(carrier.Config{Ranges: ranges, Carriers: []carrier.Carrier{{Name: "rakuten", Simulated: true, Senders: phone, IDRule: "hex/decimal"}}}))
	require.NoError(t, r.directory.Hold(t.Context(), "docomo", tenant.Paused, "operator")) // holds nothing back once it is gone
	own := r.bind("rakuten-1")
	own.Carrier = "rakuten"
	require.NoError(t, r.sends.Reload(rules, []bind.Config{own}))
	r.reach(map[string]bind.State{"rakuten-1": bind.Bound})
	def := *r.directory.Now().Tenants["suido"]
	def.Senders = []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"rakuten": "0312345678"}}}
	require.NoError(t, r.directory.Apply(t.Context(), def))
	s := r.eventually(r.accept("+819000012346", "お知らせです。", nil), message.Arrived) // was queued for docomo
	require.Equal(t, "rakuten", s.Carrier)
}

// TestBindThatIsPutBackWaitsUntilTheOldOneHasUnbound: reloads follow each other while a submission is still unanswered.
func TestBindThatIsPutBackWaitsUntilTheOldOneHasUnbound(t *testing.T) {
	for name, change := range map[string]func(*bind.Config){
		"the same": func(*bind.Config) {},
		"renamed":  func(c *bind.Config) { c.Name = "docomo-9" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, smsc.Config{Latency: smsc.Duration(800 * time.Millisecond)})
			r.start()
			c := r.bind("docomo-1")
			r.reach(map[string]bind.State{"docomo-1": bind.Bound})
			ref := r.accept("+819000012345", "お知らせです。", nil)
			r.eventually(ref, message.Sending)
			old := r.sends.lines[0]
			require.NoError(t, r.sends.Reload(r.config, nil))
			require.NoError(t, r.sends.Reload(r.config, nil))
			change(&c)
			require.NoError(t, r.sends.Reload(r.config, []bind.Config{c}))
			require.Eventually(t, func() bool {
				st := r.sends.Status()[0]
				return st.State == bind.Bound || st.State != bind.Stopped && !old.hasEnded()
			}, 10*time.Second, time.Millisecond)
			require.True(t, old.hasEnded(), "two binds to one account at a time")
			r.eventually(ref, message.Arrived)
			r.eventually(r.accept("+819000012346", "お知らせです。", nil), message.Arrived)
		})
	}
}

func TestWhatWaitsForACarrierIsCounted(t *testing.T) {
	r := newRig(t, smsc.Config{})
	require.NoError(t, r.directory.Hold(t.Context(), "docomo", tenant.Paused, "operator"))
	r.start()
	before := time.Now()
	ref := r.accept("+819000012345", "お知らせです。", nil)
	r.accept("+819000012346", "お知らせです。", func(h *message.Head) { h.Lane = message.LaneBulk })
	r.accept("+819000012347", "お知らせです。", func(h *message.Head) { h.SendAt = time.Now().Add(time.Hour) })
	w, err := r.sends.Waiting("docomo", time.Now())
	require.NoError(t, err)
	require.Equal(t, [3]int{0, 1, 1}, w.Lanes)
	require.Equal(t, 2, w.All)
	require.WithinDuration(t, before, w.Oldest, 10*time.Second)
	r.hold(tenant.Released)
	r.eventually(ref, message.Arrived)
	require.Len(t, r.sends.Binds(), 1)
	c, ok := r.sends.BindConfig("docomo-1")
	require.True(t, ok)
	require.Equal(t, "docomo", c.Carrier)
	_, ok = r.sends.BindConfig("x")
	require.False(t, ok)
}
