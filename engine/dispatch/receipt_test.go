package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// TestReceiptLongAheadOfItsResponse: a congested carrier delivers a message before it answers the submission. The receipt is not
// acknowledged meanwhile, nor left without an answer.
func TestReceiptLongAheadOfItsResponse(t *testing.T) {
	r := newRig(t, smsc.Config{Faults: []smsc.Fault{{Suffix: "0001", Receipt: "first", Latency: smsc.Duration(3 * time.Second), ReceiptText: "id:{id} stat:{stat}"}}})
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

// TestReceiptEndsADoubt: the carrier takes a message and closes the connection without an answer. The receipt has an id that nobody
// was told.
func TestReceiptEndsADoubt(t *testing.T) {
	r := newRig(t, smsc.Config{})
	r.start()
	s := r.eventually(r.accept("+819000019503", "お知らせです。", nil), message.Arrived)
	require.Equal(t, [2]int{1, 1}, [2]int{s.Parts[0].Attempt, s.Parts[0].Doubts})
	require.Len(t, r.smsc.Ledger(0), 1, "it is not sent again")
	require.Eventually(t, func() bool { return r.smsc.Counts().Receipts == 1 }, 30*time.Second, 10*time.Millisecond, "and is acknowledged")
}

// TestReceiptIsTakenForNoOtherMessage: it ends a doubt only where number and time leave no other.
func TestReceiptIsTakenForNoOtherMessage(t *testing.T) {
	const phone = "+819000010001"
	now := time.Now()
	two := strings.Repeat("長いお知らせです。", 10)
	for name, c := range map[string]struct {
		from      string
		submitted time.Time
		texts     []string // of what is in doubt to the phone
		receipts  int
		want      message.Phase // of the first
		delivered int           // segments of it
	}{
		"one":                {"819000010001", now, []string{"一"}, 1, message.Arrived, 1},
		"national":           {"09000010001", now, []string{"一"}, 1, message.Arrived, 1},
		"another phone":      {"819000010002", now, []string{"一"}, 1, message.Doubtful, 0},
		"long before":        {"819000010001", now.Add(-time.Hour), []string{"一"}, 1, message.Doubtful, 0},
		"no time":            {"819000010001", time.Time{}, []string{"一"}, 1, message.Doubtful, 0},
		"two messages":       {"819000010001", now, []string{"一", "二"}, 1, message.Doubtful, 0},
		"both of two parts":  {"819000010001", now, []string{two}, 2, message.Arrived, 2},
		"one of two parts":   {"819000010001", now, []string{two}, 1, message.Doubtful, 1},
		"more than in doubt": {"819000010001", now, []string{"一"}, 2, message.Arrived, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, smsc.Config{})
			var refs []store.Ref
			for _, text := range c.texts {
				ref := r.accept(phone, text, nil)
				refs = append(refs, ref)
				change := store.Change{Ref: ref, Expect: 1, Due: &store.Due{Queue: doubtQueue("docomo"), At: now}}
				for n := range r.state(ref).Head.Parts {
					change.Events = append(change.Events, store.NewEvent{Type: byte(message.Submitting), Data: message.Encode(message.Submission{Part: n + 1, Attempt: 1})})
				}
				r.commit(change)
			}
			p := r.pump(r.store)
			require.NoError(t, p.recover(t.Context())) // the program was killed before the responses
			date := ""
			if !c.submitted.IsZero() {
				date = " submit date:" + c.submitted.In(message.Tokyo).Format("0601021504")
			}
			for n := range c.receipts {
				var sm pdu.SM
				sm.Source.Addr, sm.ESMClass = []byte(c.from), 4
				sm.ShortMessage = fmt.Appendf(nil, "id:9a%d%s stat:DELIVRD err:000", n, date)
				p.matcher.Take(t.Context(), "docomo-1", []session.Incoming{{Command: pdu.CmdDeliverSM, SM: sm, Received: now.Add(-time.Minute)}})
			}
			require.Equal(t, c.want, r.state(refs[0]).Phase)
			require.Len(t, r.events(refs[0], message.Delivered), c.delivered)
			ref, _, err := r.store.Lookup(t.Context(), tenant.Operator(), store.BySMSCID, dlr.Key("docomo", "9a0"))
			if c.want != message.Arrived {
				return
			}
			require.NoError(t, err, "the id finds its message from now on")
			require.Equal(t, refs[0], ref)
		})
	}
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
