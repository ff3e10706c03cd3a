package session

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// BenchmarkSubmit counts submit_sm with their responses over loopback, both
// sides in this process.
func BenchmarkSubmit(b *testing.B) {
	for _, window := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			benchmarkSubmit(b, window)
		})
	}
}

func benchmarkSubmit(b *testing.B, window int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	theirs, err := ln.Accept()
	require.NoError(b, err)
	var got atomic.Int64
	done := make(chan struct{}, 1)
	id := []byte("0123456789ABCDEF")
	var out []Response
	esme, _ := pairOn(b, ours, theirs, Settings{Window: window, OnResults: func(_ *Session, batch []Result) {
		if got.Add(int64(len(batch))) == int64(b.N) {
			done <- struct{}{}
		}
	}}, Settings{RequestQueue: 2 * window, OnRequests: func(s *Session, batch []Incoming) {
		out = out[:0]
		for i := range batch {
			out = append(out, Response{To: batch[i].Reply, MessageID: id})
		}
		if err := s.Respond(out); err != nil {
			b.Error(err)
		}
	}})
	p := &pdu.SubmitSM{SM: pdu.SM{
		Source: pdu.Address{Addr: []byte("0005123456")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte("818000000000")},
		RegisteredDelivery: 1, DataCoding: 8, ShortMessage: make([]byte, 140),
	}}
	batch := make([]Request, window)
	for i := range batch {
		batch[i] = Request{Body: p, Owner: p}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; {
		n, err := esme.Submit(b.Context(), batch[:min(left, window)])
		require.NoError(b, err)
		left -= n
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}
