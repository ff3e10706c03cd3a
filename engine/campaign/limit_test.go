package campaign

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// TestLimitOfADayKeepsNoWorker: while one tenant's rows wait for the next day, the only worker is another's; what came in on
// either side of the rows that wait is counted once, over a restart too.
func TestLimitOfADayKeepsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(14*time.Hour + 40*time.Minute) // 23:40 in Tokyo
		r := openRoom(t)
		r.Config.Workers = 1
		mizu2 := *r.Tenants.Now().Tenants["mizu"]
		mizu2.Senders = append(mizu2.Senders, tenant.SenderProfile{Name: "other", Addresses: mizu2.Senders[0].Addresses})
		mizu2.Policy.Limits = []tenant.Limit{{Sender: "default", PerDay: 100}}
		require.NoError(t, r.Tenants.Apply(t.Context(), mizu2))
		var b strings.Builder
		b.WriteString("phone,text,sender,key\n")
		for i := range 500 { // the last 100 are rows of before
			n := i % 400
			fmt.Fprintf(&b, "0900001%04d,hello %d,%s,k-%d\n", n, n, []string{"default", "other"}[i%2], n)
		}
		r.run()
		st := r.check([]byte(b.String()))
		_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
		require.NoError(t, err)
		time.Sleep(time.Second)
		st = must(r.State(t.Context(), mizu, st.ID))
		require.Equal(t, "limit", st.Waiting)
		require.EqualValues(t, []int64{200, 300}, []int64{st.Row, st.Accepted})

		gasu := tenant.Only("gasu")
		other, _, err := r.Begin(t.Context(), "gasu", file(bills(10)))
		require.NoError(t, err)
		_, err = r.Append(t.Context(), gasu, other.ID, 0, strings.NewReader(string(bills(10))))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = r.Release(t.Context(), gasu, other.ID, Release{By: "key:erp"})
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Equal(t, Done, must(r.State(t.Context(), gasu, other.ID)).Phase)

		r.reopen()
		require.Equal(t, "limit", must(r.State(t.Context(), mizu, st.ID)).Waiting, "it waits over a restart")
		r.run()
		time.Sleep(25 * time.Minute)
		st = must(r.State(t.Context(), mizu, st.ID))
		require.Equal(t, Done, st.Phase)
		require.Empty(t, st.Waiting)
		require.EqualValues(t, []int64{400, 100, 0}, []int64{st.Accepted, st.Repeated, st.Refused})
		require.Len(t, r.messages(st.ID), 400)
		r.stop()
	})
}

// busy refuses every second row until it is told otherwise.
type busy struct {
	Intake
	over atomic.Bool
}

func (b *busy) Accept(ctx context.Context, r intake.Request) ([]intake.Result, error) {
	if b.over.Load() {
		return b.Intake.Accept(ctx, r)
	}
	results := make([]intake.Result, len(r.Drafts))
	for i := range results {
		results[i].Err = store.ErrBusy
		if i%2 == 0 && len(r.Drafts) == 20 {
			one := r
			one.Drafts = r.Drafts[i : i+1]
			first, err := b.Intake.Accept(ctx, one)
			if err != nil {
				return nil, err
			}
			results[i] = first[0]
		}
	}
	return results, nil
}

// TestRowsThatWaitHeedWhatIsSaid: neither a pause nor a cancel lets rows in that waited.
func TestRowsThatWaitHeedWhatIsSaid(t *testing.T) {
	for _, what := range []string{"pause", "cancel"} {
		t.Run(what, func(t *testing.T) {
			r := openRoom(t)
			b := &busy{Intake: r.Intake}
			r.Intake = b
			r.run()
			st := r.check(bills(20))
			_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return must(r.State(t.Context(), mizu, st.ID)).Waiting == "busy" }, 30*time.Second, 5*time.Millisecond)
			changed, stop := r.Watch(st.ID)
			defer stop()
			if what == "pause" {
				_, err = r.Pause(t.Context(), mizu, st.ID, "user:hanako")
			} else {
				_, err = r.Cancel(t.Context(), mizu, st.ID, "user:hanako", "")
			}
			require.NoError(t, err)
			for st.Accepted == 0 { // what came in is put on record
				<-changed
				st = must(r.State(t.Context(), mizu, st.ID))
			}
			require.EqualValues(t, 10, st.Accepted)
			if what == "cancel" {
				r.until(st.ID, Canceled)
				require.Len(t, r.messages(st.ID), 10)
				return
			}
			require.Len(t, r.messages(st.ID), 10)
			b.over.Store(true)
			_, err = r.Resume(t.Context(), mizu, st.ID, "user:hanako")
			require.NoError(t, err)
			require.EqualValues(t, 20, r.until(st.ID, Done).Accepted)
			require.Len(t, r.messages(st.ID), 20)
		})
	}
}
