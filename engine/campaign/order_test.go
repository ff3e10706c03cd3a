package campaign

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
)

func (r *room) message(ref store.Ref) message.State {
	r.t.Helper()
	events, err := r.Store.Load(context.Background(), mizu, ref)
	require.NoError(r.t, err)
	s, err := stored.State(events)
	require.NoError(r.t, err)
	return s
}

func (r *room) untilSettled(id ulid.ULID) *State {
	r.t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	limit := time.After(time.Minute)
	for {
		st, err := r.State(context.Background(), mizu, id)
		require.NoError(r.t, err)
		if st.settled {
			return st
		}
		select {
		case <-changed:
		case <-limit:
			require.FailNow(r.t, "it does not settle", "%+v", st.Sweep)
		}
	}
}

// TestPauseInTheMiddleOfARelease: the batch under way stays on record, no further row comes in, over a restart too, and
// after it every row is in once.
func TestPauseInTheMiddleOfARelease(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(3 * batch))
	in, goOn := make(chan bool), make(chan bool)
	var calls atomic.Int32
	r.door.mu.Lock()
	r.door.before = func(accept bool, _ intake.Request) error {
		if accept && calls.Add(1) == 2 {
			in <- true
			<-goOn
		}
		return nil
	}
	r.door.mu.Unlock()
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	<-in
	st, err = r.Pause(t.Context(), mizu, st.ID, "user:hanako")
	require.NoError(t, err)
	require.Equal(t, "user:hanako", st.Paused.By)
	require.True(t, r.Word(st.ID, "docomo").Held, "dispatch knows at once")
	changed, stop := r.Watch(st.ID)
	close(goOn)
	for st = must(r.State(t.Context(), mizu, st.ID)); st.Accepted != 2*batch; st = must(r.State(t.Context(), mizu, st.ID)) {
		<-changed // what intake had is put on record
	}
	stop()
	r.reopen()
	require.True(t, r.Word(st.ID, "docomo").Held, "it holds over a restart")
	require.EqualValues(t, 2*batch, must(r.State(t.Context(), mizu, st.ID)).Accepted)
	resumed := make(chan bool, 1)
	r.OnResume(func() { resumed <- true })
	r.run()
	_, err = r.Resume(t.Context(), mizu, st.ID, "user:hanako")
	require.NoError(t, err)
	<-resumed
	require.Equal(t, message.Word{}, r.Word(st.ID, "docomo"))
	require.EqualValues(t, 3*batch, r.until(st.ID, Done).Accepted)
	require.Len(t, r.messages(st.ID), 3*batch)
}

func TestCancelEndsWhatNobodyWroteAndTellsTheRest(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(2500))
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.until(st.ID, Done)
	refs := r.messages(st.ID)
	r.carried(refs[0].ID, message.Submitting, message.Submitted, message.Delivered)
	r.carried(refs[1].ID, message.Submitting, message.Submitted)
	r.carried(refs[2].ID, message.Submitting) // in a carrier's window
	st, err = r.Cancel(t.Context(), mizu, st.ID, "user:hanako", "文面の誤り")
	require.NoError(t, err)
	require.Equal(t, Canceling, st.Phase)
	require.NotNil(t, r.Word(st.ID, "").End)
	for st.Sweep == nil || !st.Sweep.Over {
		st = must(r.State(t.Context(), mizu, st.ID))
	}
	require.NotNil(t, r.Word(st.ID, "").End, "one may come back")
	r.carried(refs[2].ID, message.Retrying) // throttled: it comes back, and ends
	st = r.until(st.ID, Canceled)
	require.Equal(t, &Said{By: "user:hanako", At: st.Canceled.At, Reason: "文面の誤り"}, st.Canceled)
	require.EqualValues(t, Sweep{Looked: 2500, Of: 2500, Ended: 2498, Gone: 2, Over: true}, Sweep{Looked: st.Sweep.Looked, Of: st.Sweep.Of, Ended: st.Sweep.Ended, Gone: st.Sweep.Gone, Over: st.Sweep.Over})
	require.Equal(t, message.Word{}, r.Word(st.ID, ""), "nothing is left that could be submitted")
	for i, ref := range refs {
		s := r.message(ref)
		switch i {
		case 0:
			require.Equal(t, message.Arrived, s.Phase)
		case 1:
			require.Equal(t, message.Confirming, s.Phase)
		default:
			require.Equal(t, message.Withdrawn, s.Phase)
			require.Equal(t, message.ReasonCampaignCanceled, s.Reason)
			require.False(t, s.RevokedAt.IsZero())
		}
	}
	_, err = r.Cancel(t.Context(), mizu, st.ID, "user:taro", "")
	require.NoError(t, err, "done twice it is the same")
	require.Equal(t, "user:hanako", must(r.State(t.Context(), mizu, st.ID)).Canceled.By)
}

// TestStoppedInTheMiddleOfACancel: the sweep goes on where it was, dispatch knows before anything is sent.
func TestStoppedInTheMiddleOfACancel(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(3500))
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.until(st.ID, Done)
	changed, stop := r.Watch(st.ID)
	_, err = r.Cancel(t.Context(), mizu, st.ID, "user:hanako", "")
	require.NoError(t, err)
	for st = must(r.State(t.Context(), mizu, st.ID)); st.Sweep == nil; st = must(r.State(t.Context(), mizu, st.ID)) {
		<-changed
	}
	stop()
	r.reopen()
	if !must(r.State(t.Context(), mizu, st.ID)).settled {
		require.NotNil(t, r.Word(st.ID, "docomo").End)
	}
	r.run()
	st = r.until(st.ID, Canceled)
	require.EqualValues(t, 3500, st.Sweep.Ended)
	for _, ref := range r.messages(st.ID) {
		require.Equal(t, message.Withdrawn, r.message(ref).Phase)
	}
}

func TestWordIsCheap(t *testing.T) {
	r := openRoom(t)
	id := ulid.Make()
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Word(id, "docomo") }))
}
