package link

import (
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func TestRecentNeverOutlivesAChange(t *testing.T) {
	r := newRecent(1) // one slot
	entry := appendEntry(nil, Link{Tenant: "water", Expires: time.Unix(1, 0)})
	before := r.before()
	r.keep(before, "a/SQND01gr", entry)
	_, ok := r.get("a/SQND01gr")
	require.True(t, ok)
	_, ok = r.get("a/SQND01gs")
	require.False(t, ok, "of the same slot")

	r.changed("a/another234") // nothing of it is here
	_, ok = r.get("a/SQND01gr")
	require.True(t, ok)
	r.keep(before, "a/another234", entry)
	_, ok = r.get("a/another234")
	require.False(t, ok, "it was read before the change")

	r.changed("a/SQND01gr")
	_, ok = r.get("a/SQND01gr")
	require.False(t, ok)
	r.keep(r.before(), "a/another234", entry)
	_, ok = r.get("a/another234")
	require.True(t, ok)

	long := string(make([]byte, MaxToken))
	r.keep(r.before(), long, entry)
	_, ok = r.get(long)
	require.False(t, ok, "it does not fit")
	_, ok = r.get("")
	require.False(t, ok)
}

// Entries are put, marked and looked at by many at once: whoever looks after a mark has returned sees it.
func TestMarkIsSeenByWhoeverLooksAfterIt(t *testing.T) {
	l := open(t, vfs.NewMem(), nil)
	defer l.Close()
	const links = 200
	var looking, marking sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		looking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					if _, _, err := l.Kept(token(i % links)); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range links {
		of := Link{Token: token(i), Tenant: "water", Expires: time.Unix(1, 0)}
		require.NoError(t, l.Put([]Link{of}))
		marking.Go(func() {
			of.Revoked = true
			if err := l.mark(of); err != nil {
				t.Error(err)
			}
			for range 20 {
				if got, ok, err := l.Kept(of.Token); err != nil || !ok || !got.Revoked {
					t.Errorf("%s: %v %v %v", of.Token, got.Revoked, ok, err)
					return
				}
			}
		})
	}
	marking.Wait()
	close(stop)
	looking.Wait()
}
