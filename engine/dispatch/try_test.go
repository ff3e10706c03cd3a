package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// TestTrialLeavesTheEnginesReceipts: the engine's binds are drained, so the carrier gives their receipts to the trial's bind.
func TestTrialLeavesTheEnginesReceipts(t *testing.T) {
	t.Parallel()
	r := newRig(t, smsc.Config{ReceiptDelay: smsc.Duration(time.Second)})
	r.start()
	ref := r.accept("+819000012345", "お知らせです。", nil)
	r.eventually(ref, message.Confirming)
	r.hold(tenant.Drained)

	number, err := carrier.ParseNumber("09000012346")
	require.NoError(t, err)
	var deeds []Deed
	rules, err := Try(t.Context(), Trial{Bind: r.bind("trial"), Number: number, From: "0312345678", Text: "試験", Wait: 10 * time.Second,
		Tell: func(s Step) { deeds = append(deeds, s.Deed) }})
	require.NoError(t, err)
	require.Contains(t, rules, "hex/decimal")
	require.Equal(t, []Deed{TrialBound, TrialAccepted, TrialForeign, TrialReceived}, deeds)
	require.EqualValues(t, 1, r.smsc.Counts().Receipts, "the trial's own")
	require.Equal(t, message.Confirming, r.state(ref).Phase)

	r.hold(tenant.Released)
	r.eventually(ref, message.Arrived)
}
