package link

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// The test binary runs itself as a child whose disk fails: at the n-th change, in a directory.
const childEnv = "KAKITOME_LINK_TEST_CHILD"

func TestMain(m *testing.M) {
	if number, dir, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		n, _ := strconv.ParseInt(number, 10, 64)
		failFiles(n, dir)
	}
	os.Exit(m.Run())
}

func token(i int) string { return fmt.Sprintf("a/link%06d", i) }

// failFiles revokes links and lets Pebble flush and merge them while the n-th change of its files fails, and all that
// follow. Each link is printed when its revocation is said to be on disk.
func failFiles(n int64, dir string) {
	var armed atomic.Bool
	var seen atomic.Int64
	fault := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && armed.Load() && seen.Add(1) >= n {
			return errorfs.ErrInjected
		}
		return nil
	})
	l, err := Open(Options{Dir: dir, FS: errorfs.Wrap(vfs.Default, fault), Log: slog.Default()})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	armed.Store(true)
	for i := range 100 {
		if err := l.mark(Link{Token: token(i), Tenant: "water", Message: ulid.Make(), Expires: time.Now(), Revoked: true}); err != nil {
			fmt.Println("refused", err) // the reader's place in the store stays: it comes again
			os.Exit(1)
		}
		fmt.Println("revoked", i)
		flushed, err := l.db.AsyncFlush()
		if err != nil {
			fmt.Println("refused", err)
			os.Exit(1)
		}
		<-flushed
	}
	os.Exit(4) // it went on
}

// TestFailingFilesEndTheProcess lets each change of the files fail in turn: the process ends by Options.Fatal, or by Pebble's
// own panic where that cannot begin its next write-ahead log, and each revocation that was said to be on disk is.
func TestFailingFilesEndTheProcess(t *testing.T) {
	for n := 1; n <= 16; n++ {
		dir := filepath.Join(t.TempDir(), "links")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childEnv, n, dir))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		if exit.ExitCode() != 1 {
			require.Contains(t, string(out), "rotateWAL", "change %d", n)
		}
		l, err := Open(Options{Dir: dir})
		require.NoError(t, err, "after change %d: %s", n, out)
		for i := range strings.Count(string(out), "revoked ") {
			got, ok, err := l.Kept(token(i))
			require.NoError(t, err)
			require.True(t, ok && got.Revoked, "change %d, link %d: %s", n, i, out)
		}
		require.NoError(t, l.Close())
	}
}
