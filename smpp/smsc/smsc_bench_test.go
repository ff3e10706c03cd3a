package smsc

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// BenchmarkCarrier counts submit_sm with their responses, and with receipts,
// over loopback, both sides in this process; "plain" keeps no ledger.
func BenchmarkCarrier(b *testing.B) {
	for _, ledger := range []int{-1, 100_000} {
		for _, receipts := range []byte{pdu.RegisteredNone, pdu.RegisteredAll} {
			b.Run(fmt.Sprintf("ledger=%d/receipts=%d", ledger, receipts), func(b *testing.B) {
				benchmarkCarrier(b, ledger, receipts)
			})
		}
	}
}

func benchmarkCarrier(b *testing.B, ledger int, receipts byte) {
	c, err := New(Config{
		Name: "docomo", Listen: "127.0.0.1:0", LedgerSize: ledger, NoBuiltinFaults: true,
		Accounts: []Account{{SystemID: "kakitome"}},
	}, nil, nil)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = c.Run(ctx)
	}()
	defer func() { cancel(); <-stopped }()
	want := int64(b.N)
	if receipts != 0 {
		want *= 2
	}
	var got atomic.Int64
	done := make(chan struct{})
	count := func(n int) {
		if got.Add(int64(n)) == want {
			close(done)
		}
	}
	var acks []session.Response
	s, err := session.Dial(ctx, session.Options{Addr: c.Addr(), Bind: pdu.Bind{SystemID: "kakitome"}, Settings: session.Settings{
		Window: 1000, RequestQueue: 1 << 16,
		OnResults: func(_ *session.Session, batch []session.Result) { count(len(batch)) },
		OnRequests: func(s *session.Session, batch []session.Incoming) {
			acks = acks[:0]
			for i := range batch {
				acks = append(acks, session.Response{To: batch[i].Reply})
			}
			_ = s.Respond(acks)
			count(len(batch))
		},
	}})
	require.NoError(b, err)
	defer s.Close()
	p := &pdu.SubmitSM{SM: pdu.SM{
		Source: pdu.Address{Addr: []byte("0005123456")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte("818000000000")},
		RegisteredDelivery: receipts, DataCoding: 8, ShortMessage: make([]byte, 140),
	}}
	batch := make([]session.Request, 500)
	for i := range batch {
		batch[i].Body = p
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; {
		n, err := s.Submit(ctx, batch[:min(left, len(batch))])
		require.NoError(b, err)
		left -= n
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
