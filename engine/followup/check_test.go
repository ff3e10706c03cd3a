package followup

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestCheckComparesTheListsWithTheRecord(t *testing.T) {
	r := open(t)
	stop := r.run()
	waits, paid, failing := r.bill(nil), r.bill(nil), r.bill(nil)
	r.happen(paid, submitted, delivered, opened, identified)
	r.settle("W-2", 0)
	r.happen(failing, submitted, undelivered)
	r.told()
	require.Empty(t, r.listed(Unpaid), "what is paid goes out of the list by this")
	stop()
	// closed gives what Check says of the three, a time later.
	closed := func(later time.Duration) (said [3]error) {
		t.Helper()
		require.NoError(t, r.Close())
		c, err := OpenCheck(r.Dir, r.Store)
		require.NoError(t, err)
		if c != nil {
			c.f.now = func() time.Time { return time.Now().Add(later) }
		}
		for i, id := range []ulid.ULID{waits, paid, failing} {
			ref := store.Ref{Tenant: mizu, Kind: store.Message, ID: id}
			events, err := r.Store.Load(t.Context(), tenant.Only(mizu), ref)
			require.NoError(t, err)
			said[i] = c.Message(t.Context(), ref, events)
		}
		require.NoError(t, c.Close())
		r.FollowUps, err = Open(r.Options)
		require.NoError(t, err)
		return said
	}
	require.Equal(t, [3]error{}, closed(0))

	require.NoError(t, r.index.db.Delete(key(mizu, Unopened, waits), pebble.Sync))
	require.NoError(t, r.index.db.Delete(key(mizu, failed, failing), pebble.Sync))
	said := closed(0)
	require.ErrorContains(t, said[0], `missing in the list "unopened"`)
	require.NoError(t, said[1])
	require.ErrorContains(t, said[2], `missing in the list "undelivered"`)
	require.Equal(t, [3]error{}, closed(horizon+time.Hour), "it was swept")
	r.happen(waits, submitted)
	require.Equal(t, [3]error{}, closed(0), "it is not followed yet")

	c, err := OpenCheck(filepath.Join(r.dir, "none"), r.Store)
	require.NoError(t, err)
	require.Nil(t, c)
}
