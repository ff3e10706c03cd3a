package apptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programs is where TestMain built the programs.
var programs string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "apptest")
	if err == nil {
		programs = dir
		defer os.RemoveAll(dir)
		err = Build(context.Background(), programs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// newCountry is spoiledCountry of which everything must agree with itself at the end, whatever the test did to the engine.
func newCountry(t *testing.T, o Options) *Country {
	t.Helper()
	c := spoiledCountry(t, o)
	t.Cleanup(func() {
		c.Close()
		if t.Failed() || c.Engine == nil {
			return
		}
		out, err := c.Command(context.Background(), "verify", "-config", c.File("kakitome.toml"))
		if err != nil {
			t.Errorf("verify: %v\n%s", err, out)
		}
	})
	return c
}

// spoiledCountry writes a country into a directory of the test and kills what runs of it at the end.
func spoiledCountry(t *testing.T, o Options) *Country {
	t.Helper()
	o.Programs, o.Dir = programs, filepath.Join(t.TempDir(), "country")
	c, err := New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		if t.Failed() && c.Engine != nil {
			t.Logf("the engine wrote last:\n%s", c.Engine.Log())
		}
	})
	return c
}

// await looks until something is so.
func await(t *testing.T, ctx context.Context, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			require.FailNow(t, "it did not become so in time")
		case <-ticker.C:
		}
	}
}
