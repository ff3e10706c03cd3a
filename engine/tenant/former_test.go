package tenant

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a removed contract needs for the payments that were begun stays: its hook and its configuration; another module under the same
// name is another contract.
func TestRemovedAgentKeepsHookAndConfiguration(t *testing.T) {
	log := &memoryLog{}
	d := open(t, log)
	apply := func(over []Agent, agents ...Agent) *Tenant {
		t.Helper()
		next := water()
		next.Agents = agents
		require.NoError(t, d.Apply(t.Context(), next, over...))
		return d.Now().Tenants["suido"]
	}
	sandbox := water().Agents[0]
	was := apply(nil, sandbox).Agents[0]
	other := Agent{Name: "other", Module: "payment/sandbox", Methods: []string{"card"}, Config: []byte("others")}
	got := apply(nil, other)
	require.Len(t, got.Former, 1)
	require.Equal(t, was, got.Former[0].Agent)
	require.False(t, got.Former[0].Removed.IsZero())
	require.Equal(t, []string{"card"}, got.Methods(), "nothing new is paid by it")
	_, ok := got.Agent("sandbox")
	require.False(t, ok)
	for range 2 {
		tn, a, ok := d.Now().Hook(was.Hook)
		require.True(t, ok)
		require.Equal(t, ID("suido"), tn.ID)
		require.Equal(t, was, a)
		d = open(t, log) // and after a restart
	}
	since := got.Former[0].Removed
	require.Equal(t, since, apply(nil, other).Former[0].Removed)

	sandbox.Config = nil
	require.True(t, got.Configured(&sandbox), "who comes back needs no new configuration")
	got = apply(nil, other, sandbox)
	require.Empty(t, got.Former)
	require.Equal(t, was, got.Agents[1])

	changed := Agent{Name: "sandbox", Module: "payment/stripe", Methods: []string{"card"}}
	require.False(t, got.Configured(&changed))
	changed.Config = []byte("of stripe")
	got = apply(nil, other, changed)
	require.Equal(t, was, got.Former[0].Agent)
	require.NotEqual(t, was.Hook, got.Agents[1].Hook)
	a, ok := got.AgentEver("sandbox")
	require.True(t, ok)
	require.Equal(t, "payment/stripe", a.Module)

	got = apply([]Agent{was}, other, changed)
	require.Empty(t, got.Former)
	_, _, ok = d.Now().Hook(was.Hook)
	require.False(t, ok)
	require.Empty(t, (&Tenant{}).Leaves(got, time.Now()))
	require.False(t, (*Tenant)(nil).Configured(&was))
	b, err := json.Marshal(FormerAgent{was, since})
	require.NoError(t, err)
	var back FormerAgent
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, was, back.Agent)
}
