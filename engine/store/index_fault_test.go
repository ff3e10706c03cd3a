package store

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// failing lets the n-th change of a file system fail, and all that follow, from the moment on that it is armed.
type failing struct {
	armed atomic.Bool
	seen  atomic.Int64
	n     int64
}

func (f *failing) String() string { return "the n-th change fails" }

func (f *failing) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose || !f.armed.Load() {
		return nil
	}
	seen := f.seen.Add(1)
	if seen == f.n {
		fmt.Println("failed", op.Path)
	}
	if seen >= f.n {
		return errorfs.ErrInjected
	}
	return nil
}

// failIndex commits, writes the index out and lets Pebble flush and merge it, over and over, while the n-th change of its
// files fails. Words are the number and the directory. Each message is printed when it is acknowledged.
func failIndex(words string) {
	number, dir, _ := strings.Cut(words, " ")
	n, _ := strconv.ParseInt(number, 10, 64)
	fault := &failing{n: n}
	o := childOptions(dir)
	o.Flush = time.Hour // it is done below
	o.files = errorfs.Wrap(vfs.Default, fault)
	s, err := Open(o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	fault.armed.Store(true)
	for range 100 {
		m := newRef(acme, Message)
		errs, err := s.Commit(context.Background(), Tx{{Ref: m, Events: event(1, "x"), Names: []Name{{Space: ByToken, Key: m.ID.String(), Exclusive: true}}}})
		if err != nil || errs[0] != nil {
			select {} // Fatal ends the process
		}
		fmt.Println("acked", m.ID)
		if err := s.writeOut(); err != nil {
			s.fail(err)
		}
		flushed, err := s.index.db.AsyncFlush()
		if err != nil {
			s.fail(err)
		}
		<-flushed
	}
	os.Exit(4) // the store went on
}

// TestFailingIndexEndsTheStore lets each change of the index's files fail in turn: the store ends and acknowledges nothing
// more, and on a healthy disk it has all that was acknowledged.
func TestFailingIndexEndsTheStore(t *testing.T) {
	hit := map[string]int{}
	for n := 1; n <= 24; n++ {
		dir := t.TempDir()
		o := optionsIn(t, dir)
		out, err := child(t, "index", strconv.Itoa(n)+" "+dir).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 1, exit.ExitCode(), "change %d: %s", n, out)
		require.Contains(t, string(out), "store failed")
		require.NotContains(t, string(out), "goroutine ")
		s, err := Open(o)
		require.NoError(t, err, "after change %d: %s", n, out)
		for line := range strings.Lines(string(out)) {
			what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch what {
			case "failed":
				hit[kindOfFile(value)]++
			case "acked":
				m := Ref{acme, Message, ulid.MustParse(value)}
				ref, _, err := s.Lookup(t.Context(), tenant.Only(acme), ByToken, value)
				require.NoError(t, err)
				require.Equal(t, m, ref)
				events, err := s.Load(t.Context(), tenant.Only(acme), m)
				require.NoError(t, err)
				require.Len(t, events, 1)
			}
		}
		require.NoError(t, s.Close())
	}
	t.Logf("failed: %v", hit)
	require.NotEmpty(t, hit["table"])
	require.NotEmpty(t, hit["manifest"])
}

func kindOfFile(path string) string {
	switch {
	case strings.HasSuffix(path, ".sst"):
		return "table"
	case strings.Contains(path, "MANIFEST"):
		return "manifest"
	}
	return "other"
}
