package inbound

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// FuzzJoin gives the joiner whatever a carrier may send: one deliver_sm after another, each behind its length.
func FuzzJoin(f *testing.F) {
	var seed []byte
	for _, how := range []byte("8ws") {
		for _, p := range split("0312345678", long, 5, how) {
			body, err := p.AppendBody(nil)
			require.NoError(f, err)
			seed = append(append(seed, byte(len(body)>>8), byte(len(body))), body...)
		}
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		joins := map[[4]int]*assembly{}
		for len(data) >= 2 {
			n := min(int(data[0])<<8|int(data[1]), len(data)-2)
			body := data[2 : 2+n]
			data = data[2+n:]
			var p pdu.SM
			if p.ParseBody(body) != nil {
				continue
			}
			m := readPiece(&p)
			text, _ := decode(m.coding, m.payload)
			require.True(t, utf8.ValidString(text))
			if m.total == 0 {
				continue
			}
			require.True(t, m.part >= 1 && m.part <= m.total && m.total >= 2 && m.total <= 255 && len(m.payload) <= pdu.MaxShortMessage)
			key := [4]int{int(m.ref), int(m.kind), m.total}
			a := joins[key]
			if a == nil || a.fits(m.part, m.payload) == fitsNot {
				a = newAssembly(m.total)
				joins[key] = a
			}
			a.add(m.part, slot{coding: m.coding, digest: m.payload, payload: m.payload})
			require.Equal(t, a.whole(), len(a.missing()) == 0)
			require.Equal(t, fitsAgain, a.fits(m.part, bytes.Clone(m.payload)))
			require.True(t, a.within(a))
			text, _ = a.text()
			require.True(t, utf8.ValidString(text))
		}
	})
}
