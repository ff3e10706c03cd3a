package dispatch

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// words are what was said of campaigns.
type words struct {
	mu  sync.Mutex
	all map[ulid.ULID]message.Word // of any carrier
	one map[string]message.Word    // of a carrier
}

func (w *words) Word(campaign ulid.ULID, carrier string) message.Word {
	w.mu.Lock()
	defer w.mu.Unlock()
	if said, ok := w.one[carrier]; ok {
		return said
	}
	return w.all[campaign]
}

func (w *words) say(campaign ulid.ULID, said message.Word) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[campaign] = said
}

func of(campaign ulid.ULID) func(*message.Head) {
	return func(h *message.Head) {
		h.Campaign, h.Lane, h.Token = campaign, message.LaneBulk, "a/x"
	}
}

// TestHeldCampaignIsPassedOverAndLosesNothing: what is behind it goes on, nothing is written of it, and all of it goes out
// once when it is let go.
func TestHeldCampaignIsPassedOverAndLosesNothing(t *testing.T) {
	r := newRig(t, smsc.Config{})
	held, other := ulid.Make(), ulid.Make()
	w := &words{all: map[ulid.ULID]message.Word{held: {Held: true}}}
	r.said = w
	var refs []store.Ref
	for i := range 300 {
		refs = append(refs, r.accept(fmt.Sprintf("+8190000%05d", 10000+i), "お知らせです。", of(held)))
	}
	behind := r.accept("+819000012345", "お知らせです。", of(other))
	r.start()
	r.eventually(behind, message.Arrived)
	require.Len(t, r.smsc.Ledger(0), 1)
	for _, ref := range refs {
		require.Equal(t, 1, r.state(ref).Version, "nothing was written")
	}
	w.say(held, message.Word{})
	r.sends.Rewind()
	for _, ref := range refs {
		r.eventually(ref, message.Arrived)
	}
	require.Len(t, r.smsc.Ledger(0), 301)
}

func TestEndedCampaignEndsItsMessagesWithTheReason(t *testing.T) {
	r := newRig(t, smsc.Config{})
	canceled := ulid.Make()
	w := &words{all: map[ulid.ULID]message.Word{canceled: {End: &message.Act{By: "user:hanako", Reason: message.ReasonCampaignCanceled}}}}
	r.said = w
	ref := r.accept("+819000012345", "お知らせです。", of(canceled))
	r.start()
	s := r.eventually(ref, message.Withdrawn)
	require.Equal(t, message.ReasonCampaignCanceled, s.Reason)
	require.False(t, s.RevokedAt.IsZero(), "its link is closed")
	require.Empty(t, r.smsc.Ledger(0))
}

// TestDroppedCarrierIsTheOneThatTheNumberHasNow: a number that moved away from the dropped carrier gets its message.
func TestDroppedCarrierIsTheOneThatTheNumberHasNow(t *testing.T) {
	r := newRig(t, smsc.Config{})
	w := &words{all: map[ulid.ULID]message.Word{}, one: map[string]message.Word{"docomo": {End: &message.Act{By: "user:hanako", Reason: message.ReasonCarrierDropped}}}}
	r.said = w
	campaign := ulid.Make()
	moved := r.accept("+817000012345", "お知らせです。", of(campaign)) // accepted for docomo, au's since
	stays := r.accept("+819000012345", "お知らせです。", of(campaign))
	r.start()
	s := r.eventually(stays, message.Withdrawn)
	require.Equal(t, message.ReasonCarrierDropped, s.Reason)
	require.Eventually(t, func() bool { return r.state(moved).Carrier == "au" }, 10*time.Second, 10*time.Millisecond)
	require.NotEqual(t, message.Withdrawn, r.state(moved).Phase)
}

// TestDoubtfulMessageOfACanceledCampaignIsNotSentAgain: nor is it called canceled, since it may have arrived.
func TestDoubtfulMessageOfACanceledCampaignIsNotSentAgain(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.config.DoubtWait = 5
	campaign := ulid.Make()
	w := &words{all: map[ulid.ULID]message.Word{}}
	r.said = w
	ref := r.accept("+819000019500", "お知らせです。", of(campaign)) // no response
	r.start()
	require.Eventually(t, func() bool { return r.state(ref).Phase != message.Waiting }, 20*time.Second, 5*time.Millisecond)
	w.say(campaign, message.Word{End: &message.Act{By: "user:hanako", Reason: message.ReasonCampaignCanceled}})
	require.Eventually(t, func() bool { s := r.state(ref); return s.Phase == message.Doubtful && s.Over() }, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, 1, r.state(ref).Parts[0].Attempt)
	require.True(t, r.state(ref).RevokedAt.IsZero())
}
