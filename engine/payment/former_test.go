package payment

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// Two contracts at the real company: what was begun with the old one is counted after the change, what is new goes to the new one.
func TestChangeOfAgentWithTheRealModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	m := newMarket(t)
	config, err := json.Marshal(map[string]string{"endpoint": m.base, "merchant": "second", "secret": "secret-of-the-second-contract"})
	require.NoError(t, err)
	require.NoError(t, m.modules.Configure(t.Context(), "payment/sandbox", Instance("acme", "second"), "acme", config))
	paid, asked, canceled := m.claim("A-1", 1000), m.claim("A-2", 2000), m.claim("A-3", 3000)
	old, lost, slip := m.mustStart(paid, "konbini_barcode"), m.mustStart(asked, "konbini_number"), m.mustStart(canceled, "konbini_barcode")
	counts, err := m.OpenAttempts(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, map[Contract]int{{"sandbox", "payment/sandbox"}: 3}, counts)

	first, now := m.tenant.Agents[0], m.time()
	m.change(func(tn *tenant.Tenant) {
		tn.Former = []tenant.FormerAgent{{Agent: first, Removed: now}}
		tn.Agents = []tenant.Agent{{Name: "second", Module: "payment/sandbox", Hook: "fedcba9876543210fedcba9876543210", Methods: first.Methods}}
	})
	fresh := m.mustStart(m.claim("A-4", 4000), "konbini_barcode")
	require.Equal(t, "second", fresh.Agent)
	require.Equal(t, "sandbox", old.Agent)

	// The old contract's notice arrives, its state is asked for, and it is canceled there.
	m.till("/till/pay", map[string]any{"barcode": old.Voucher.Barcode, "store": "konbini_a"})
	require.Equal(t, int64(1000), m.becomes(paid, Accepted).Received)
	m.till("/till/confirm", map[string]any{"payment_id": old.AgentID})
	m.becomes(paid, Paid)
	m.deaf.Store(true)
	m.till("/till/pay", map[string]any{"number": lost.Voucher.PaymentNumber})
	s, err := m.Refresh(t.Context(), scope, asked)
	require.NoError(t, err)
	require.Equal(t, Accepted, s.Phase)
	m.deaf.Store(false)
	next, err := m.Start(t.Context(), m.tenant, canceled, StartOptions{Method: "konbini_number", Store: "konbini_b", Warned: true})
	require.NoError(t, err)
	require.Equal(t, "second", next.Agent, "another way to pay is the new contract's")
	require.Equal(t, WasCanceled, m.state(canceled).Attempt(slip.ID).Phase)

	m.till("/till/pay", map[string]any{"barcode": fresh.Voucher.Barcode, "store": "konbini_a"})
	m.becomes(m.of(fresh), Accepted)
	counts, err = m.OpenAttempts(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, map[Contract]int{{"sandbox", "payment/sandbox"}: 1, {"second", "payment/sandbox"}: 2}, counts, "one waits for its 確報")
	rec, err := m.Reconcile(t.Context(), m.tenant, "sandbox", m.state(paid).PaidAt().In(time.FixedZone("JST", 9*3600)).Format(time.DateOnly))
	require.NoError(t, err)
	require.NotZero(t, rec.Total.Ours, "its money is still to be compared")
	require.Equal(t, []string{"second", "sandbox"}, m.ReportAgents(m.tenant))
}
