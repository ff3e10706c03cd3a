package retention

import (
	"context"
	"crypto/rand"
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

var benchMessages = flag.Int("retention.messages", 200_000, "messages of the day that BenchmarkSweep ends")

// BenchmarkSweep ends a day of messages with a sealed page of 1 KB each, one in a hundred of which lives, while others are
// accepted as fast as they can be. It reports messages accepted a second before and meanwhile, and their ratio, which is to
// be 0.8 at least.
//
//	go test ./engine/retention -run '^$' -bench Sweep -benchtime 1x -timeout 3h -retention.messages 5000000
func BenchmarkSweep(b *testing.B) {
	for range b.N {
		r := newBenchRoom(b)
		took := time.Now()
		fill(b, r, func(n int64) bool { return n < int64(*benchMessages) })
		b.Logf("%d messages of the day accepted in %v", *benchMessages, time.Since(took).Round(time.Second))
		r.pass(100 * 24 * time.Hour)

		began := time.Now()
		alone := float64(fill(b, r, func(int64) bool { return time.Since(began) < 5*time.Second })) / time.Since(began).Seconds()
		var swept atomic.Bool
		var report *Report
		var wg sync.WaitGroup
		began = time.Now()
		wg.Go(func() {
			defer swept.Store(true)
			var err error
			report, err = r.ret.Sweep(context.Background(), false)
			require.NoError(b, err)
		})
		beside := float64(fill(b, r, func(int64) bool { return !swept.Load() })) / time.Since(began).Seconds()
		wg.Wait()
		b.Logf("swept in %v: %+v", time.Since(began).Round(time.Second), report)
		b.ReportMetric(alone, "alone/s")
		b.ReportMetric(beside, "beside/s")
		b.ReportMetric(beside/alone, "ratio")
		b.ReportMetric(time.Since(began).Seconds(), "sweep-s")
	}
}

func newBenchRoom(b *testing.B) *room {
	r := newRoom(b)
	require.NoError(b, r.store.Close())
	r.reopen(store.Options{Cache: 256 << 20}, DefaultConfig())
	return r
}

// fill accepts messages in batches of 100 from several sides while more says so, and returns how many.
func fill(b *testing.B, r *room, more func(n int64) bool) int64 {
	var n atomic.Int64
	page := make([]byte, 1000)
	rand.Read(page)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for more(n.Load()) {
				txs := make([]store.Tx, 100)
				for i := range txs {
					txs[i] = store.Tx{r.message(b, page, n.Add(1)%100 == 0)}
				}
				errs, err := r.store.Commit(context.Background(), txs...)
				require.NoError(b, err)
				for _, err := range errs {
					require.NoError(b, err)
				}
			}
		})
	}
	wg.Wait()
	return n.Load()
}

func (r *room) message(b *testing.B, page []byte, lives bool) store.Change {
	ref := store.Ref{Tenant: mizu, Kind: store.Message, ID: ulid.MustNew(ulid.Timestamp(r.clock()), rand.Reader)}
	now := r.clock()
	h := &message.Head{V: 1, No: r.store.NextNo(now), Class: message.Notice, Masked: "080-****-0000", Token: "a/" + ref.ID.String(), LinkExpires: now.AddDate(0, 0, 30)}
	if lives {
		h.LinkExpires = now.AddDate(1, 0, 0)
	}
	var err error
	h.SMS, err = r.store.Seal(mizu, "notice", now, ref.ID.String()+"/sms", page[:120])
	require.NoError(b, err)
	h.Page, err = r.store.Seal(mizu, "notice", now, ref.ID.String()+"/page", page)
	require.NoError(b, err)
	return store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}},
		Names: []store.Name{{Space: store.ByNo, Key: h.No}, {Space: store.ByToken, Key: h.Token, Exclusive: true}},
		Terms: []store.Term{{Field: intake.FieldNumber, Value: ref.ID.String()}, {Field: intake.FieldClass, Value: "notice"}}}
}
