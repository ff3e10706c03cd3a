package apptest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/built"
)

// TestCertificateVerifiesElsewhere makes a certificate of a delivered message before and behind the end of its day (the
// engine's clock is set, build tag chaosclock), and verifies it in another directory that has the published file and the
// public keys alone. One changed byte names the event, or the line of the published file.
func TestCertificateVerifiesElsewhere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute) // the build included
	defer cancel()
	stepped, clock := t.TempDir(), filepath.Join(t.TempDir(), "clock.seconds")
	require.NoError(t, built.Into(ctx, stepped, "chaosclock", "."))
	require.NoError(t, os.WriteFile(clock, []byte("0\n"), 0o600))
	c := newCountry(t, Options{Engine: filepath.Join(stepped, "kakitome"), Env: []string{"KAKITOME_CLOCK=" + clock}})
	config, key := c.File("kakitome.toml"), c.File("certificate.key")
	_, err := c.Command(ctx, "certificate", "key", "new", key)
	require.NoError(t, err)
	written, err := os.ReadFile(config)
	require.NoError(t, err)
	written = fmt.Appendf(written, "\n[certification]\nkey = %q\nclock_source = \"ntp.example.jp\"\n", key)
	require.NoError(t, os.WriteFile(config, written, 0o600))
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	sent, _, err := sender.Send(ctx, &message.Draft{Key: "certified", To: Number(1), Class: string(message.LegalNotice), Text: "催告のお知らせ {url}", Page: &message.Page{Title: "催告", Lead: "ご確認ください。"}})
	require.NoError(t, err)
	await(t, ctx, func() bool {
		m, err := sender.Message(ctx, sent.ID)
		return err == nil && m.Status == message.Arrived
	})

	elsewhere := t.TempDir()
	there := func(name string) string { return filepath.Join(elsewhere, name) }
	verify := func(args ...string) (string, int) {
		t.Helper()
		out, err := c.Command(ctx, append([]string{"certificate", "verify", "-lang", "en"}, args...)...)
		if err == nil {
			return out, 0
		}
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		return out + err.Error(), exit.ExitCode()
	}
	_, err = c.Command(ctx, "certificate", "make", "-config", config, "-o", there("early.json"), sent.ID)
	require.NoError(t, err)
	out, code := verify(there("early.json"))
	require.Equal(t, 3, code, out)
	require.Contains(t, out, "provisional: the day of")

	require.NoError(t, os.WriteFile(clock, fmt.Appendln(nil, int64(48*time.Hour/time.Second)), 0o600))
	require.NoError(t, c.Engine.Stop(30*time.Second))
	require.NoError(t, c.StartEngine(ctx)) // which closes what is over
	published := filepath.Join(c.Data(), "certificates.txt")
	await(t, ctx, func() bool {
		data, err := os.ReadFile(published)
		return err == nil && bytes.Count(data, []byte("\n")) > 0
	})
	_, err = c.Command(ctx, "certificate", "make", "-config", config, "-content", "-o", there("c.json"), sent.No)
	require.NoError(t, err)
	_, err = c.Command(ctx, "certificate", "make", "-config", config, "-o", there("c.json"), sent.ID)
	require.ErrorContains(t, err, "exists", "a certificate is not written over")
	pdf, err := c.Command(ctx, "certificate", "make", "-config", config, "-pdf", "-lang", "en", sent.ID)
	require.NoError(t, err)
	require.Equal(t, "%PDF", pdf[:4])
	for name, from := range map[string]string{"published.txt": published, "keys.pub": key + ".pub"} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(there(name), data, 0o600))
	}
	c.Close() // it needs no engine
	whole := []string{"-published", there("published.txt"), "-key", there("keys.pub")}
	out, code = verify(append(whole, there("c.json"))...)
	require.Zero(t, code, out)
	require.Contains(t, out, "message "+sent.ID)
	require.Contains(t, out, "events: unchanged")
	require.Contains(t, out, "as it was accepted")
	out, code = verify(there("c.json"))
	require.Equal(t, 3, code, out)

	data, err := os.ReadFile(there("c.json"))
	require.NoError(t, err)
	made, err := proof.Parse(data)
	require.NoError(t, err)
	for n, e := range made.Streams[0].Events {
		at := []byte(e.At.Format(time.RFC3339Nano))
		require.Positive(t, bytes.Count(data, at))
		other := bytes.Clone(at)
		if i := len(other) - 2; other[i] == '9' { // the last digit before Z
			other[i] = '8'
		} else {
			other[i]++
		}
		place := bytes.Index(data, fmt.Appendf(nil, `"n": %d,`, n+1))
		require.Positive(t, place)
		changed := append(bytes.Clone(data[:place]), bytes.Replace(data[place:], at, other, 1)...)
		require.Len(t, changed, len(data))
		require.NoError(t, os.WriteFile(there("changed.json"), changed, 0o600))
		out, code := verify(append(whole, there("changed.json"))...)
		require.Equal(t, 4, code, out)
		require.Contains(t, out, fmt.Sprintf("CHANGED: event %d of the message (%s, ", n+1, e.Type))
	}
	lines, err := os.ReadFile(there("published.txt"))
	require.NoError(t, err)
	lines[bytes.IndexByte(lines, '\n')/2]++
	require.NoError(t, os.WriteFile(there("published.txt"), lines, 0o600))
	out, code = verify(append(whole, there("c.json"))...)
	require.Equal(t, 4, code, out)
	require.Contains(t, out, "published file, line 1")
}
