package tenant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSeedsAreSetOneByOneAndKeptWhenADefinitionIsApplied(t *testing.T) {
	log := &memoryLog{}
	d, err := OpenDirectory(t.Context(), log)
	require.NoError(t, err)
	def := Tenant{ID: "mizu", Name: "水", Brand: Brand{Phone: "000"}}
	require.Error(t, d.SetSeed(t.Context(), "mizu", Seed{Carrier: "docomo", Number: []byte{1}}), "no such tenant")
	require.NoError(t, d.Apply(t.Context(), def))
	require.NoError(t, d.SetSeed(t.Context(), "mizu", Seed{Carrier: "docomo", Number: []byte{1}}))
	require.NoError(t, d.SetSeed(t.Context(), "mizu", Seed{Carrier: "au", Number: []byte{2}}))
	require.NoError(t, d.SetSeed(t.Context(), "mizu", Seed{Carrier: "docomo", Number: []byte{3}}))
	require.NoError(t, d.Apply(t.Context(), def))
	d, err = OpenDirectory(t.Context(), log) // a restart
	require.NoError(t, err)
	seed, ok := d.Now().Tenants["mizu"].Seed("docomo")
	require.True(t, ok)
	require.Equal(t, []byte{3}, seed.Number)
	require.NoError(t, d.SetSeed(t.Context(), "mizu", Seed{Carrier: "docomo"}))
	_, ok = d.Now().Tenants["mizu"].Seed("docomo")
	require.False(t, ok)
	require.Len(t, d.Now().Tenants["mizu"].Seeds, 1)
}

func TestCanaryTime(t *testing.T) {
	require.Equal(t, 10*time.Minute, (&Policy{}).CanaryTime())
	require.Equal(t, 3*time.Minute, (&Policy{CanaryMinutes: 3}).CanaryTime())
	for _, n := range []int{-1, 1441} {
		def := Tenant{ID: "mizu", Name: "水", Brand: Brand{Phone: "000"}, Policy: Policy{CanaryMinutes: n}}
		require.NotEmpty(t, def.Validate())
	}
}
