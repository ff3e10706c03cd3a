package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Verify is run as a stranger runs it: three files, nothing else.
func TestCertificateVerify(t *testing.T) {
	from := filepath.Join("engine", "certificate", "proof", "testdata")
	file, published, keys := filepath.Join(from, "certificate-1.json"), filepath.Join(from, "published-1.txt"), filepath.Join(from, "keys-1.pub")
	verify := func(code int, says string, args ...string) {
		t.Helper()
		err := run(t.Context(), append([]string{"certificate", "verify", "-lang", "en"}, args...))
		var j *judgement
		switch {
		case code == 0:
			require.NoError(t, err)
		case code == 1:
			require.Error(t, err)
			require.False(t, errors.As(err, &j))
		default:
			require.ErrorAs(t, err, &j)
			require.Equal(t, code, j.code, j.text)
			require.Contains(t, j.text, says)
		}
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), "changed.json")
	write := func(old, next string) string {
		require.Contains(t, string(data), old)
		require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(data), old, next, 1)), 0o600))
		return changed
	}
	verify(3, "open", "-published", published, "-key", keys, file) // an event is provisional
	verify(3, "open", file)
	verify(4, "event 4 of the message (delivered, 2026-11-28T01:03:07.123456789Z)", write("DELIVRD", "UNDELIV"))
	verify(4, "event 1 of the claim", write("7440", "7441"))
	verify(4, "certificate", write("〇〇県水道局", "△△県水道局"))
	verify(1, "", write(`"kakitome_certificate": 1`, `"kakitome_certificate": 2`))
	verify(1, "", filepath.Join(from, "none"))
	verify(1, "", "-key", published, file)
	lines, err := os.ReadFile(published)
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "published.txt")
	require.NoError(t, os.WriteFile(cut, lines[strings.Index(string(lines), "\n")+1:], 0o600))
	verify(4, "published file, line 1 (2026-11-29)", "-published", cut, "-key", keys, file)
	require.ErrorIs(t, run(t.Context(), []string{"certificate", "verify"}), errUsage)
}

func TestCertificateKeyNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "certificate.key")
	require.ErrorIs(t, run(t.Context(), []string{"certificate", "key", "new"}), errUsage)
	require.NoError(t, run(t.Context(), []string{"certificate", "key", "new", path}))
	require.Error(t, run(t.Context(), []string{"certificate", "key", "new", path}))
	require.NoError(t, run(t.Context(), []string{"certificate", "key", "new", "-rotate", path}))
	public, err := os.ReadFile(path + ".pub")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(public), "\n"))
}
