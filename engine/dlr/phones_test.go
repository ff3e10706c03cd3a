package dlr

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// house is a store that takes messages from phones.
type house struct {
	full
	taken []session.Incoming
}

func (h *house) TakePhones(_ context.Context, carrier, bind string, batch []session.Incoming) {
	if carrier == "docomo" && bind == "docomo-1" {
		h.taken = append(h.taken, batch...)
	}
}

func TestMessagesFromPhonesAreHandedOver(t *testing.T) {
	h := &house{}
	m := NewMatcher("docomo", IDRule{}, h, slog.Default(), nil)
	sm := func(class byte) session.Incoming {
		return session.Incoming{Command: pdu.CmdDeliverSM, SM: pdu.SM{ESMClass: class, ShortMessage: []byte("id:1 stat:ACCEPTD")}}
	}
	// a receipt, an intermediate notification, an acknowledgement by the handset, and what is no message at all
	m.Take(t.Context(), "docomo-1", []session.Incoming{sm(0x00), sm(pdu.ESMClassReceipt), sm(pdu.ESMClassUDHI), sm(0x20), sm(pdu.ESMClassAck), {Command: pdu.CmdAlertNotification}, {Command: pdu.CmdDataSM}})
	require.Len(t, h.taken, 3)
	require.Equal(t, [2]byte{0, pdu.ESMClassUDHI}, [2]byte{h.taken[0].SM.ESMClass, h.taken[1].SM.ESMClass})
	require.Equal(t, pdu.CmdDataSM, h.taken[2].Command)
}
