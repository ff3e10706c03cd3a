package dispatch

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// acceptMany stores n bare messages, many in a commit.
func (r *rig) acceptMany(n int, lane message.Lane) []store.Ref {
	r.t.Helper()
	refs := make([]store.Ref, n)
	for i := 0; i < n; {
		var txs []store.Tx
		for ; i < n && len(txs) < 500; i++ {
			ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
			plain, err := json.Marshal(message.SMS{Number: fmt.Sprintf("+8190000%05d", i%100_000), Text: "〇〇県水道局です。本日の断水は15時までです。"})
			require.NoError(r.t, err)
			box, err := r.store.Seal("suido", "notice", time.Now(), ref.ID.String()+"/sms", plain)
			require.NoError(r.t, err)
			h := message.Head{V: 1, No: "20261128000000001", Class: message.Notice, Via: "api", Lane: lane, By: "key:bench", Sender: "default", Carrier: "docomo",
				Parts: 1, ValidUntil: time.Now().Add(time.Hour), Masked: "090-****-0000", Token: "a/SQND01grab", URL: "https://k.example/a/SQND01grab", SMS: box, Page: make([]byte, 1000)}
			txs = append(txs, store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}},
				Due: &store.Due{Queue: message.Queue("docomo", lane)}}})
			refs[i] = ref
		}
		errs, err := r.store.Commit(r.t.Context(), txs...)
		require.NoError(r.t, err)
		for _, err := range errs {
			require.NoError(r.t, err)
		}
	}
	return refs
}

// arrived waits until the last receipts of n messages were recorded.
func (r *rig) arrived(n int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		got := 0.0
		families, err := r.metrics.Gather()
		require.NoError(r.t, err)
		for _, f := range families {
			if f.GetName() == "kakitome_dlr_receipts_total" {
				for _, m := range f.Metric {
					got += m.GetCounter().GetValue()
				}
			}
		}
		return int(got) >= n
	}, time.Minute, 20*time.Millisecond)
}

// pathAllocs counts the objects that were allocated so far on the way of a message from its queue to its dlr, in all and by
// the innermost function of ours. What was allocated while runtime.MemProfileRate was 1 is counted exactly.
func pathAllocs() (all int64, by map[string]int64) {
	runtime.GC() // a profile is as old as the last collection but one
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 50_000)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		panic("more records than expected")
	}
	by = map[string]int64{}
	for _, rec := range records[:n] {
		ours, ofPath, ofOthers := "", false, false
		for frames := runtime.CallersFrames(rec.Stack()); ; {
			f, more := frames.Next()
			if ours == "" && strings.Contains(f.Function, "kakitome/kakitome/") {
				ours = f.Function[strings.LastIndex(f.Function, "kakitome/")+len("kakitome/"):]
			}
			ofPath = ofPath || slices.ContainsFunc([]string{"/engine/dispatch.(*", "/engine/dlr.", "/engine/bind.", "/smpp/session."}, func(room string) bool { return strings.Contains(f.Function, room) })
			ofOthers = ofOthers || strings.Contains(f.Function, "/smpp/smsc.") || strings.Contains(f.Function, "dispatch.(*rig)") || strings.Contains(f.Function, "testing.") || strings.Contains(f.Function, "prometheus.(*Registry).Gather")
			if !more {
				break
			}
		}
		if ofPath && !ofOthers {
			all += rec.AllocObjects
			by[ours] += rec.AllocObjects
		}
	}
	return all, by
}

// benchRig is a rig for many messages: a wide window, no ledger, no logs.
func benchRig(t testing.TB) *rig {
	r := newRig(t, smsc.Config{NoBuiltinFaults: true})
	r.window, r.log = 1000, slog.New(slog.DiscardHandler)
	return r
}

// TestAllocationsOfAMessageAreSingleDigits holds row 7 of the figures: from the queue to the recorded dlr.
func TestAllocationsOfAMessageAreSingleDigits(t *testing.T) {
	const n = 4000
	r := benchRig(t)
	r.acceptMany(n, message.LaneBulk)
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	before, was := pathAllocs()
	runtime.MemProfileRate = 1
	r.start()
	r.arrived(n)
	after, by := pathAllocs()
	names := []string{}
	for name := range by {
		by[name] -= was[name]
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(by[b] - by[a]) })
	for _, name := range names[:min(30, len(names))] {
		t.Logf("%6.2f %s", float64(by[name])/n, name)
	}
	t.Logf("%6.2f in all", float64(after-before)/n)
	most := 10.0
	if raceEnabled { // it keeps pools from keeping, and more on the heap
		most = 20
	}
	require.Less(t, float64(after-before)/n, most)
}

// BenchmarkDispatch is the way out of one message: due → submitted → delivered, each recorded, against a carrier in the
// same process.
func BenchmarkDispatch(b *testing.B) {
	r := benchRig(b)
	r.acceptMany(b.N, message.LaneBulk)
	b.ReportAllocs()
	b.ResetTimer()
	r.start()
	r.arrived(b.N)
}
