package session

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// FuzzPeer plays a peer that sends anything: the session must neither panic
// nor fail to end, and every request must have its one result.
func FuzzPeer(f *testing.F) {
	deliver, err := pdu.Append(nil, 2, 0, &pdu.DeliverSM{SM: pdu.SM{ShortMessage: []byte("id:1")}})
	require.NoError(f, err)
	resp, err := pdu.Append(nil, 2, 0, &pdu.MessageResp{To: pdu.CmdSubmitSM, MessageID: []byte("1")})
	require.NoError(f, err)
	f.Add(deliver)
	f.Add(resp)
	f.Add(pdu.AppendHeader(deliver, pdu.CmdUnbind, 0, 3))
	f.Add(pdu.AppendHeader(nil, pdu.CmdGenericNack, 0, 2))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got record
		s, p := dialPeer(t, Settings{Window: 4, DrainTimeout: time.Millisecond, OnResults: got.take, OnRequests: func(_ *Session, batch []Incoming) {
			for _, in := range batch {
				_ = in.Reply.Respond(pdu.StatusOK)
			}
		}})
		go func() { _, _ = io.Copy(io.Discard, p.conn) }()
		n, _ := s.TrySubmit(submitOf(4))
		_, _ = p.conn.Write(b)
		s.Close()
		firsts := 0
		for _, r := range got.results() {
			if !r.Late {
				firsts++
			}
		}
		require.Equal(t, n, firsts)
	})
}
