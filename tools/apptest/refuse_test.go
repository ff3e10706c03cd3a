package apptest

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// edit changes a file of the country, and changes it back at the end.
func (c *Country) edit(t *testing.T, name string, change func(string) string) {
	t.Helper()
	old, err := os.ReadFile(c.File(name))
	require.NoError(t, err)
	changed := change(string(old))
	require.NotEqual(t, string(old), changed)
	require.NoError(t, os.WriteFile(c.File(name), []byte(changed), 0o600))
	t.Cleanup(func() { require.NoError(t, os.WriteFile(c.File(name), old, 0o600)) })
}

// TestStartIsRefusedWithOneClearLine: whoever starts the engine wrongly reads what is wrong, and nothing is left running.
func TestStartIsRefusedWithOneClearLine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := spoiledCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx)) // makes the data
	config := c.File("kakitome.toml")

	refused := func(name, want string, prepare func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			_, err := c.Command(ctx, "serve", "-config", config)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 1, exit.ExitCode(), err.Error())
			_, said, _ := strings.Cut(err.Error(), "exit status 1: ")
			lines := strings.Split(said, "\n")
			lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "level=INFO") })
			require.Len(t, lines, 1, said)
			require.Regexp(t, `^kakitome: .*`+want, lines[0])
		})
	}
	refused("a second process on the same data", `store .*/data/store is in use by another process`, func(t *testing.T) {
		c.edit(t, "kakitome.toml", func(s string) string { // not for its ports
			return regexp.MustCompile(`(links|api|operator) = "127.0.0.1:\d+"`).ReplaceAllString(s, `$1 = "127.0.0.1:0"`)
		})
	})
	require.NoError(t, c.Engine.Stop(30*time.Second))
	refused("a master key that others can read", `master\.key.*(others|0600)`, func(t *testing.T) {
		require.NoError(t, os.Chmod(c.File("master.key"), 0o644))
		t.Cleanup(func() { require.NoError(t, os.Chmod(c.File("master.key"), 0o600)) })
	})
	refused("another master key", `the master key is not this store's`, func(t *testing.T) {
		require.NoError(t, os.Rename(c.File("master.key"), c.File("master.key.kept")))
		_, err := c.Command(ctx, "key", "new", c.File("master.key"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, os.Rename(c.File("master.key.kept"), c.File("master.key"))) })
	})
	refused("an unknown key in the configuration", `kakitome\.toml:2: unknown key "data\.colour"`, func(t *testing.T) {
		c.edit(t, "kakitome.toml", func(s string) string { return strings.Replace(s, "[data]\n", "[data]\ncolour = \"blue\"\n", 1) })
	})
	refused("a port that is taken", `listen\.api: .*address already in use`, func(t *testing.T) {
		ln, err := net.Listen("tcp", strings.TrimPrefix(c.APIURL(), "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, ln.Close()) })
	})
	refused("data of a newer program", `has format 9, this program knows up to \d+; run a newer one`, func(t *testing.T) {
		c.edit(t, "data/store/FORMAT", func(s string) string { return strings.Replace(s, `"version": 1`, `"version": 9`, 1) })
	})
	refused("simulated and real carriers", `numbers\.carrier\[1\]\.simulated: simulated and real carriers may not stand in one configuration`, func(t *testing.T) {
		c.edit(t, "kakitome.toml", func(s string) string {
			at := strings.LastIndex(s[:strings.Index(s, `name = "softbank"`)], "simulated = true")
			return s[:at] + "simulated = false" + s[at+len("simulated = true"):]
		})
	})
	left, err := Under(c.Data())
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, c.StartEngine(ctx), "nothing was hurt")
}

func TestCheckReportsAllFaultsWithTheirLines(t *testing.T) {
	t.Parallel()
	c := newCountry(t, Options{})
	out, err := c.Command(t.Context(), "check", c.File("kakitome.toml"))
	require.NoError(t, err)
	require.Contains(t, out, "no faults; 4 carriers, 4 binds, 4 modules")

	name := filepath.Join(t.TempDir(), "bad.toml")
	require.NoError(t, os.WriteFile(name, []byte("[data]\ndir = \"\"\nwrong = 1\n[listen]\napi = \"nowhere\"\n[links]\nbase_url = \"ftp://x\"\n[[bind]]\nname = \"a\"\ncarrier = \"none\"\nwindow = -1\n[log]\nlevel = \"loud\"\n"), 0o600))
	_, err = c.Command(t.Context(), "check", name)
	require.Error(t, err)
	for _, want := range []string{`:2: data.dir: is required`, `:3: unknown key "data.wrong"`, `:5: listen.api: "nowhere"`, `:7: links.base_url: "ftp://x"`,
		`:10: bind[0].carrier: there is no carrier "none"`, `:11: bind[0].window`, `:13: log.level: "loud"`, `data.master_key: is required`} {
		require.Contains(t, err.Error(), want)
	}
}

// TestOperatorsCommands: a tenant's changes are shown before they are made, and a key and a password work until they end.
func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	config, tenant := c.File("kakitome.toml"), c.File("suido.toml")
	_, err := c.Command(ctx, "status", "-config", config)
	require.ErrorContains(t, err, "is it running?")
	require.NoError(t, c.StartEngine(ctx))
	run := func(args ...string) string {
		t.Helper()
		out, err := c.Command(ctx, args...)
		require.NoError(t, err)
		return out
	}

	out := run("tenant", "apply", "-config", config, "-dry-run", tenant)
	require.Contains(t, out, "〇〇県水道局")
	require.Contains(t, out, "nothing was changed (-dry-run)")
	_, err = c.Command(ctx, "apikey", "issue", "-config", config, "-tenant", Tenant, "-name", "x")
	require.Error(t, err, "the tenant is not there after a dry run")
	run("tenant", "apply", "-config", config, tenant)
	c.edit(t, "suido.toml", func(s string) string { return strings.Replace(s, "000-000-0000", "000-000-0001", 1) })
	for _, args := range [][]string{{"-dry-run"}, nil} {
		out = run(append(append([]string{"tenant", "apply", "-config", config}, args...), tenant)...)
		require.Contains(t, out, "000-000-0000")
		require.Contains(t, out, "000-000-0001")
	}

	text := strings.TrimSpace(run("apikey", "issue", "-config", config, "-tenant", Tenant, "-name", "gyomu"))
	parts := strings.SplitN(text, "_", 3)
	require.Len(t, parts, 3)
	sender := NewSender(c.APIURL(), text)
	_, err = sender.Messages(ctx)
	require.NoError(t, err)
	run("apikey", "revoke", "-config", config, "-tenant", Tenant, "-key", parts[1])
	_, err = sender.Messages(ctx)
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusUnauthorized, refused.Status)

	set := []string{"user", "set", "-config", config, "-tenant", Tenant, "-login", "tanto", "-role", "sender", "-name", "担当"}
	first, second := run(set...), run(set...)
	require.Len(t, strings.Fields(first), 1)
	require.NotEqual(t, first, second, "a new password each time")
	_, err = c.Command(ctx, "user", "set", "-config", config, "-tenant", Tenant, "-login", "tanaka", "-role", "king")
	require.ErrorContains(t, err, "king")
	require.Regexp(t, `docomo-1\s+docomo\s+(bound|dialing)`, run("status", "-config", config))
	require.Regexp(t, `render/standard\s+running`, run("status", "-config", config))

	written, err := os.ReadFile(c.File("kakitome.log"))
	require.NoError(t, err)
	for _, secret := range []string{parts[2], strings.TrimSpace(first), strings.TrimSpace(second), "himitsu1"} {
		require.NotContains(t, string(written), secret)
	}
}

// TestTheAPIDescribesItselfAndItsLinksOpenAtOnce: the documents are served to whoever has a key, and each 202's link works
// right after it.
func TestTheAPIDescribesItselfAndItsLinksOpenAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	require.NoError(t, sender.Do(ctx, http.MethodGet, "/openapi.json", nil, http.StatusOK, &doc))
	require.Regexp(t, `^3\.`, doc.OpenAPI)
	require.Contains(t, doc.Paths, "/v1/messages:batch")

	l := &Load{Sender: sender}
	var drafts []message.Draft
	for range 200 {
		d := l.draft()
		a, repeated, err := sender.Send(ctx, &d)
		require.NoError(t, err)
		require.False(t, repeated)
		page, err := get(ctx, a.URL)
		require.NoError(t, err)
		require.Contains(t, string(page), "〇〇県水道局")
		drafts = append(drafts, l.draft())
	}
	lines, err := sender.Batch(ctx, drafts)
	require.NoError(t, err)
	for _, line := range lines {
		require.Equal(t, http.StatusAccepted, line.Status)
		_, err := get(ctx, line.Message.URL)
		require.NoError(t, err)
	}
}
