package pdu

import (
	"bytes"
	"testing"

	other "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/stretchr/testify/require"
)

func seeds(f *testing.F) {
	for _, body := range append(everyBody(), &SubmitSM{sampleSM()}, &DeliverSM{sampleSM()}) {
		b, err := Append(nil, 1, StatusOK, body)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add(AppendHeader(nil, CmdGenericNack, StatusInvalidCommandID, 0))
}

// FuzzParse checks that no bytes make the decoder panic, and that what it
// accepts and the encoder allows is the same after another round.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, n, err := Next(b)
		if err != nil || n == 0 {
			return
		}
		p, err := Parse(h, body)
		if err != nil {
			return
		}
		b2, err := Append(nil, h.Sequence, h.Status, p)
		if err != nil {
			return // longer than the specification allows
		}
		h2, body2, _, err := Next(b2)
		require.NoError(t, err)
		p2, err := Parse(h2, body2)
		require.NoError(t, err)
		b3, err := Append(nil, h.Sequence, h.Status, p2)
		require.NoError(t, err)
		require.Equal(t, b2, b3)
	})
}

// FuzzSameAsGoSMPP checks that go-smpp finds the same fields, its known faults
// excepted (see differential_test.go).
func FuzzSameAsGoSMPP(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, n, err := Next(b)
		if err != nil || n == 0 || n > 4096 || h.Status != StatusOK {
			return
		}
		var sm *SM
		switch h.Command {
		case CmdSubmitSM:
			p := new(SubmitSM)
			sm, err = &p.SM, p.ParseBody(body)
		case CmdDeliverSM:
			p := new(DeliverSM)
			sm, err = &p.SM, p.ParseBody(body)
		default:
			return
		}
		if err != nil || h.Command == CmdDeliverSM && sm.ESMClass&ESMClassUDHI != 0 {
			return
		}
		q, err := other.Decode(bytes.NewReader(b[:n]))
		if err != nil && len(sm.Trailing) > 0 {
			return
		}
		require.NoError(t, err)
		if len(sm.Trailing) > 0 {
			return
		}
		requireSameSM(t, sm, q, true)
	})
}
