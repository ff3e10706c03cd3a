package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

func TestLinkEndsWhenItsSenderSays(t *testing.T) {
	r := openRoom(t)
	res := r.accept(t, bill())[0]
	was := r.state(t, res.ID).Head
	move := func(until time.Time) error { return r.MoveExpiry(t.Context(), "mizu", res.ID, until, "key:erp") }
	require.ErrorIs(t, r.MoveExpiry(t.Context(), "gasu", res.ID, time.Now().Add(time.Hour), "key:x"), store.ErrNotFound)

	later := time.Now().Add(90 * 24 * time.Hour).UTC().Truncate(time.Second)
	require.NoError(t, move(later))
	require.NoError(t, move(later))
	s := r.state(t, res.ID)
	require.Equal(t, 2, s.Version, "done twice it is once")
	require.True(t, later.Equal(s.Head.LinkExpires))
	require.Equal(t, was.StateUntil.Sub(was.LinkExpires), s.Head.StateUntil.Sub(s.Head.LinkExpires))
	shown := s.Head.StateUntil

	sooner := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	require.NoError(t, move(sooner))
	s = r.state(t, res.ID)
	require.True(t, sooner.Equal(s.Head.LinkExpires))
	require.True(t, shown.Equal(s.Head.StateUntil), "what was paid is shown as long as was said")

	refused := func(code string, err error) {
		t.Helper()
		var ps message.Problems
		require.ErrorAs(t, err, &ps)
		require.Equal(t, code, ps[0].Code)
	}
	refused("past", move(time.Now()))
	refused("range", move(time.Now().Add(401*24*time.Hour)))
	require.NoError(t, move(time.Now().Add(399*24*time.Hour)))
	require.NoError(t, r.Revoke(t.Context(), "mizu", res.ID, "user:a"))
	refused("conflict", move(time.Now().Add(time.Hour)))

	d := bill()
	d.Page, d.Text = nil, "お知らせ"
	bare := r.accept(t, d)[0]
	require.ErrorIs(t, r.MoveExpiry(t.Context(), "mizu", bare.ID, later, "user:a"), ErrNoLink)
}

func TestLinkWhoseContentEndedStaysEnded(t *testing.T) {
	r := openRoom(t)
	res := r.accept(t, bill())[0]
	_, err := r.Store.EraseKeys(time.Now().AddDate(0, 0, 1), "mizu", string(r.state(t, res.ID).Head.Class))
	require.NoError(t, err)
	var ps message.Problems
	require.ErrorAs(t, r.MoveExpiry(t.Context(), "mizu", res.ID, time.Now().Add(time.Hour), "user:a"), &ps)
	require.Equal(t, "its content has ended with its term", ps[0].Detail)
}
