package look

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// told is a test of which we read the log.
type told struct {
	testing.TB
	log []string
}

func (t *told) Helper()         {}
func (t *told) Log(args ...any) { t.log = append(t.log, fmt.Sprintln(args...)) }

// Whoever has no axe-core reads in the log that it did not look; nothing fails for it.
func TestMissingAxeIsSaid(t *testing.T) {
	was := axe
	t.Cleanup(func() { axe = was })
	axe = func() string { return "" }
	heard := &told{TB: t}
	w := &Window{t: heard, Scripted: true}
	require.Empty(t, w.Violations())
	require.Empty(t, w.Violations())
	require.Len(t, heard.log, 1, "once for a window")
	require.Contains(t, heard.log[0], "axe-core is not installed (make axe)")
}
