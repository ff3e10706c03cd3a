package campaign

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
)

// table gives a file of rows without holding it. Every thousandth row is faulty, every hundredth has lost its zero.
type table struct {
	n, of int
	rest  []byte
}

func (g *table) Read(b []byte) (int, error) {
	if len(g.rest) == 0 {
		switch {
		case g.n > g.of:
			return 0, io.EOF
		case g.n == 0:
			g.rest = []byte("電話番号,会員情報,本文,表:使用水量\r\n")
		case g.n%1000 == 0:
			g.rest = []byte("9.00001E+09,x,y,\r\n")
		case g.n%100 == 0:
			g.rest = fmt.Appendf(g.rest, "900001%04d,C-%d,〇〇県水道局です,%dm3\r\n", g.n%10000, g.n, g.n)
		default:
			g.rest = fmt.Appendf(g.rest, "0900001%04d,C-%d,〇〇県水道局です,%dm3\r\n", g.n%10000, g.n, g.n)
		}
		g.n++
	}
	n := copy(b, g.rest)
	if g.rest = g.rest[n:]; len(g.rest) == 0 {
		g.rest = nil
	}
	return n, nil
}

// counter is an intake that takes all and keeps nothing, so that what is measured is this package.
type counter struct{ validated, accepted atomic.Int64 }

func (c *counter) Validate(_ context.Context, r intake.Request) ([]intake.Result, error) {
	c.validated.Add(int64(len(r.Drafts)))
	return make([]intake.Result, len(r.Drafts)), nil
}

func (c *counter) Accept(_ context.Context, r intake.Request) ([]intake.Result, error) {
	c.accepted.Add(int64(len(r.Drafts)))
	results := make([]intake.Result, len(r.Drafts))
	for i := range results {
		results[i].ID = ulid.ULID{1}
	}
	return results, nil
}

// TestMillionRowsInBoundedMemory watches the heap while a million rows are received, checked and released.
func TestMillionRowsInBoundedMemory(t *testing.T) {
	rows := 1_000_000
	if testing.Short() || raceEnabled {
		rows = 50_000
	}
	r := openRoom(t)
	c := &counter{}
	r.Intake = c
	var base, most, grew uint64
	measure := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if base == 0 {
			base = m.HeapAlloc
		}
		most = max(most, m.HeapAlloc)
	}
	// restart empties the store's buffers, so that each phase is measured by itself.
	restart := func() {
		grew, base, most = max(grew, most-base), 0, 0
		r.reopen()
		r.Intake = c
		measure()
	}
	began := time.Now()
	st, _, err := r.Begin(t.Context(), "mizu", File{Name: "million.csv", Size: -1, Via: "api", By: "key:erp"})
	require.NoError(t, err)
	st, err = r.Append(t.Context(), mizu, st.ID, 0, &table{of: rows})
	require.NoError(t, err)
	received := time.Since(began)
	_, err = r.Finish(t.Context(), mizu, st.ID, "")
	require.NoError(t, err)
	restart()
	r.run()
	watch := func(p Phase) *State {
		for n := 0; ; n++ {
			now, err := r.State(t.Context(), mizu, st.ID)
			require.NoError(t, err)
			measure()
			if now.Phase == p {
				return now
			}
			require.False(t, now.Over())
			changed, stop := r.Watch(st.ID)
			for range 100 { // look at the heap every hundred batches
				if now, err = r.State(t.Context(), mizu, st.ID); err != nil || now.Phase == p || now.Over() {
					break
				}
				<-changed
			}
			stop()
		}
	}
	now := watch(Staged)
	checked := time.Since(began) - received
	require.EqualValues(t, rows, now.Rows)
	require.EqualValues(t, rows/1000, now.Faulty)
	require.EqualValues(t, rows/100-rows/1000, now.Restored)
	require.EqualValues(t, now.Faulty, now.Faults)
	last, err := r.Findings(t.Context(), mizu, st.ID, ListFaults, now.Faults-1, 10)
	require.NoError(t, err)
	require.Len(t, last, 1)
	require.EqualValues(t, rows, last[0].Row)
	require.EqualValues(t, rows+1, last[0].Line)
	restart()
	_, err = r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp", GoodOnly: true})
	require.NoError(t, err)
	r.run()
	now = watch(Done)
	grew = max(grew, most-base)
	require.EqualValues(t, rows-rows/1000, now.Accepted)
	require.EqualValues(t, now.Accepted, c.accepted.Load())
	t.Logf("%d rows, %d MB: received in %v, checked in %v, released in %v; heap grew by %d MB at most", rows, now.Size>>20, received.Round(time.Millisecond), checked.Round(time.Millisecond), (time.Since(began) - received - checked).Round(time.Millisecond), grew>>20)
	// The store keeps its last groups, one a batch, in buffers of 64 KiB at least. Beside them there is a part and a batch;
	// the file would be 53 MB more, its drafts several times that.
	require.Less(t, grew, uint64(rows/batch*(64<<10)+32<<20))
}
