package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// TestReceiptLongAheadOfItsResponse: a congested carrier delivers a message before it answers the submission. The receipt is not
// acknowledged meanwhile, nor left without an answer.
func TestReceiptLongAheadOfItsResponse(t *testing.T) {
	r := newRig(t, smsc.Config{Faults: []smsc.Fault{{Suffix: "0001", Receipt: "first", Latency: smsc.Duration(3 * time.Second)}}})
	r.start()
	ref := r.accept("+819000010001", "お知らせです。", nil)
	refused := func() bool { return r.smsc.Counts().DeliverRefused["ESME_RX_T_APPN"] == 1 }
	require.Eventually(t, refused, 10*time.Second, 10*time.Millisecond, "it comes again")
	require.NotEqual(t, message.Arrived, r.state(ref).Phase, "the response is not there yet")
	s := r.eventually(ref, message.Arrived)
	require.Equal(t, 1, s.Parts[0].Doubts, "the response came after its timeout")
	require.Zero(t, r.smsc.Counts().Receipts, "it was matched before it came again")
	require.Eventually(t, func() bool { return r.smsc.Counts().Receipts == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, s.Version, r.state(ref).Version, "nothing is recorded twice")
}

// TestForeignReceiptsHoldUpNothing: those of another program on the account fill no window of the carrier for long.
func TestForeignReceiptsHoldUpNothing(t *testing.T) {
	r := newRig(t, smsc.Config{DeliverWindow: 10, Faults: []smsc.Fault{{Suffix: "66", ReceiptText: "id:1{id} stat:{stat}"}}})
	r.start()
	const foreign = 30
	var refs []store.Ref
	for i := range foreign {
		refs = append(refs, r.accept(fmt.Sprintf("+8190000%03d66", i), "お知らせです。", nil))
	}
	for _, ref := range refs {
		r.eventually(ref, message.Confirming)
	}
	r.eventually(r.accept("+819000010001", "お知らせです。", nil), message.Arrived)
	require.NoError(t, r.smsc.Originate(smsc.Origin{From: "819000010001", To: "0312345678", Text: "STOP"}))
	answered := func() bool { return r.smsc.Counts().DeliverRefused["ESME_RX_P_APPN"] == 1 } // nobody takes it here
	require.Eventually(t, answered, 10*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, r.smsc.Counts().Receipts)
}

// TestReceiptOnAnotherBindIsMatched: a carrier sends it on any bind of the account.
func TestReceiptOnAnotherBindIsMatched(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start("docomo-1", "docomo-2")
	require.Eventually(t, func() bool { return r.smsc.Counts().Sessions == 2 }, 10*time.Second, 10*time.Millisecond)
	ref := r.accept("+819000019705", "お知らせです。", nil)
	r.eventually(ref, message.Arrived)
	events, err := r.store.Load(t.Context(), tenant.Only("suido"), ref)
	require.NoError(t, err)
	var d message.Report
	require.NoError(t, dlr.Events(events)[len(events)-1].Decode(&d))
	submitted := r.events(ref, message.Submitted)
	require.Len(t, submitted, 1)
	require.ElementsMatch(t, []string{"docomo-1", "docomo-2"}, []string{submitted[0].Bind, d.Bind})
}
