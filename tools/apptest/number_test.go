package apptest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// numberEnding is a number of docomo's range with these last four digits, by which number/simulated chooses what it tells.
func numberEnding(last4 int) string { return Number(len(Carriers) * last4) }

// TestNumbersAreLookedUp: the module says who has a number now. One that changed hands is stopped before anything is
// submitted, one that was ported goes to its new carrier, and a module that dies in the middle of a batch holds nobody up.
func TestNumbersAreLookedUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := newCountry(t, Options{Window: 50, Lookup: "failure = \"send\"\nfailure_registered = \"hold\"\nhold_seconds = 10\n"})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	draft := func(last4 int, registered string) message.Draft {
		d := message.Draft{To: numberEnding(last4), Text: "〇〇県水道局のお知らせです。"}
		if registered != "" {
			d.Recipient = &message.Recipient{RegisteredOn: registered}
		}
		return d
	}
	ends := func(drafts ...message.Draft) (phases []message.Phase, reasons []string) {
		t.Helper()
		lines, err := sender.Batch(ctx, drafts)
		require.NoError(t, err)
		for _, l := range lines {
			require.NotNil(t, l.Message, "%+v", l.Problem)
			await(t, ctx, func() bool {
				m, err := sender.Message(ctx, l.Message.ID)
				require.NoError(t, err)
				over := m.Status == message.Arrived || m.Status == message.Rejected
				if over {
					phases, reasons = append(phases, m.Status), append(reasons, m.Reason)
				}
				return over
			})
		}
		return phases, reasons
	}
	phases, reasons := ends(draft(9801, "2020-04-01"), draft(9801, ""), draft(9803, ""), draft(9814, "2020-04-01"), draft(1234, "2020-04-01"))
	require.Equal(t, []message.Phase{message.Rejected, message.Arrived, message.Rejected, message.Arrived, message.Arrived}, phases)
	require.Equal(t, []string{"changed_hands", "", "not_in_service", "", ""}, reasons)

	phases, _ = ends(draft(9822, ""), draft(2345, "")) // one of them ends the module: both go by the ranges
	require.Equal(t, []message.Phase{message.Arrived, message.Arrived}, phases)
	phases, reasons = ends(draft(9802, "2020-04-01")) // it waits until the module is there again, and is not sent meanwhile
	require.Equal(t, message.Rejected, phases[0])
	require.Equal(t, "changed_hands", reasons[0])

	ledger, err := ReadLedger(c.File("ledger.ndjson"))
	require.NoError(t, err)
	require.Empty(t, ledger.Received[numberEnding(9802)])
	require.Empty(t, ledger.Received[numberEnding(9803)])
	require.Len(t, ledger.Received[numberEnding(9801)], 1, "only that without a date")
	require.Equal(t, "rakuten", ledger.Received[numberEnding(9814)][0].Carrier, "ported")
	require.Equal(t, "docomo", ledger.Received[numberEnding(1234)][0].Carrier)
	require.NotContains(t, c.Engine.Log(), numberEnding(9822)[3:])
}
