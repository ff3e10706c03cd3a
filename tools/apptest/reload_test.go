package apptest

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// TestCarriersAreChangedWithoutAStop: an operator pauses, drains and tries a carrier, and puts a changed file into use.
func TestCarriersAreChangedWithoutAStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	s, err := c.Join(ctx)
	require.NoError(t, err)
	config := c.File("kakitome.toml")
	command := func(args ...string) string {
		t.Helper()
		at := 2
		if args[0] == "reload" {
			at = 1
		}
		out, err := c.Command(ctx, append(append(append([]string{}, args[:at]...), "-config", config), args[at:]...)...)
		require.NoError(t, err)
		return out
	}
	says := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			out := strings.Join(strings.Fields(command("carrier", "status")), " ")
			for _, w := range want {
				if !strings.Contains(out, w) {
					return false
				}
			}
			return true
		}, 20*time.Second, 50*time.Millisecond, "%q: %s", want, command("carrier", "status"))
	}
	says("docomo - docomo-1 bound", "au - au-1 bound")

	command("carrier", "pause", "docomo")
	says("docomo pause docomo-1 bound")
	command("carrier", "drain", "docomo")
	says("docomo drain docomo-1 held", "au - au-1 bound")
	tried := command("carrier", "try", "-from", "0312345678", "docomo", Number(400))
	require.Contains(t, tried, "submit_sm_resp after")
	require.Regexp(t, `id_rule = "(text|decimal)"`, tried)
	command("carrier", "resume", "docomo")
	says("docomo - docomo-1 bound")
	command("carrier", "drain", "au") // else the receipt may come to the engine's bind
	says("au drain au-1 held")
	tried = command("carrier", "try", "-from", "0312345678", "au", Number(401))
	require.Contains(t, tried, `id_rule = "hex/decimal"`)
	command("carrier", "resume", "au")
	says("au - au-1 bound")

	// A changed file; what is wrong in it leaves everything as it is.
	number := Number(0)
	_, err = c.Command(ctx, "reload", "-config", config)
	require.NoError(t, err)
	c.edit(t, "kakitome.toml", func(s string) string { return strings.Replace(s, "window = ", "windows = ", 1) })
	require.NoError(t, c.Engine.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(c.Engine.Log(), "configuration was not reloaded") }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, c.Engine.Log(), "unknown key")
	c.edit(t, "kakitome.toml", func(s string) string {
		return strings.Replace(strings.Replace(s, "windows = ", "window = ", 1), "[data]", "[log]\nlevel = \"warn\"\n[data]", 1)
	})
	c.edit(t, "ranges.csv", func(s string) string { return strings.Replace(s, "07001,docomo", "07001,au", 1) })
	require.Contains(t, command("reload"), "only a restart puts them into use: log")
	a, _, err := s.Send(ctx, &message.Draft{To: number, Text: "お知らせです。"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		got, err := s.Message(ctx, a.ID)
		return err == nil && got.Status == "delivered" && got.Carrier == "au"
	}, 30*time.Second, 50*time.Millisecond)
}
