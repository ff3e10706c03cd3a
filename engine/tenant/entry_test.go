package tenant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSharedEntryHasOneAddress(t *testing.T) {
	mizu := &Tenant{ID: "mizu"}
	require.Empty(t, mizu.EntryPath())
	require.Empty(t, mizu.EntryAddress("s.example.jp"))
	mizu.Entry.On = true
	require.Equal(t, "/e/mizu", mizu.EntryPath())
	require.Equal(t, "s.example.jp/e/mizu", mizu.EntryAddress("s.example.jp"))
	mizu.LinkHost = "mizu.example.jp"
	require.Equal(t, "mizu.example.jp/e/mizu", mizu.EntryAddress("s.example.jp"))
}
