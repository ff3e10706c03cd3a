package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/tools/built"
	"github.com/kakitome/kakitome/tools/till/company"
)

func TestSampleIsValidAndPrivate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sub", "till.toml")
	require.NoError(t, writeSample(name))
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	c, err := readConfig(name)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(filepath.Dir(name), "books"), c.Directory)
	require.GreaterOrEqual(t, len(c.Merchants[0].Secret), MinSecret)
	require.ErrorIs(t, writeSample(name), os.ErrExist)
}

func TestConfigurationFaultsAreNamed(t *testing.T) {
	const merchant = "[[merchant]]\nid = \"m\"\nname = \"〇〇\"\nsecret = \"0123456789abcdef\"\n"
	for text, want := range map[string]string{
		"listen = \"0.0.0.0:1\"\n" + merchant:   "not a loopback address",
		"listen = \"nonsense\"\n" + merchant:    "listen: ",
		"public_url = \"ftp://x\"\n" + merchant: "public_url: ",
		"company_code = \"12345\"\n" + merchant: "company_code: ",
		"confirm_after = \"soon\"\n" + merchant: "line 1",
		"confirm_after = \"-1s\"\n" + merchant:  "confirm_after: is negative",
		"\ncolour = \"blue\"\n" + merchant:      "line 2: unknown key colour",
		"listen = \n":                           "line 1",
		"":                                      "merchant: none",
		merchant + merchant:                     `id "m" is used twice`,
		strings.Replace(merchant, "0123456789abcdef", "hunter2", 1):  "secret has 7 bytes",
		strings.Replace(merchant, "id = \"m\"", "id = \"m m\"", 1):   `id "m m"`,
		strings.Replace(merchant, "name = \"〇〇\"", "name = \"\"", 1): "name is missing",
	} {
		name := filepath.Join(t.TempDir(), "till.toml")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		_, err := readConfig(name)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2")
	}
	name := filepath.Join(t.TempDir(), "till.toml")
	require.NoError(t, os.WriteFile(name, []byte(merchant), 0o640))
	_, err := readConfig(name)
	require.ErrorContains(t, err, "needs 0600")
}

// till is the built program, running.
type till struct {
	*exec.Cmd
	base string // URL
	out  *bufio.Reader
}

func build(t *testing.T) (program, config string) {
	dir := t.TempDir()
	program = built.Program(t, "tools/till")
	require.NoError(t, exec.CommandContext(t.Context(), program, "-init", dir).Run())
	return program, filepath.Join(dir, "till.toml")
}

func start(t *testing.T, program, config string) till {
	cmd := exec.CommandContext(t.Context(), program, "-config", config, "-listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() // it has ended in most tests
		cmd.Wait()
	})
	out := bufio.NewReader(stdout)
	ready, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^till ready on http://127\.0\.0\.1:\d+/till\n$`, ready)
	return till{cmd, regexp.MustCompile(`http://[^/]+`).FindString(ready), out}
}

func TestProgramStartsAndStops(t *testing.T) {
	program, config := build(t)
	p := start(t, program, config)
	resp, err := http.Get(p.base + "/till")
	require.NoError(t, err)
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	require.Contains(t, string(page), "お支払いの受付")

	signaled := time.Now()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(p.out)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, p.Wait())
	require.Less(t, time.Since(signaled), 20*time.Second)
}

// Whatever the company answered for before it was killed is in its books afterwards.
func TestKilledProgramKeepsWhatItAnswered(t *testing.T) {
	program, config := build(t)
	cfg, err := readConfig(config)
	require.NoError(t, err)
	m := cfg.Merchants[0]
	send := func(base, method, path string, body []byte) (int, string) {
		req, err := http.NewRequest(method, base+path, bytes.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		req.Header.Set(company.MerchantHeader, m.ID)
		req.Header.Set(company.TimestampHeader, stamp)
		req.Header.Set(company.SignatureHeader, company.SignRequest(m.Secret, method, path, stamp, body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		out, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, string(out)
	}

	answered := map[string]string{} // attempt → what was answered
	for round := range 3 {
		p := start(t, program, config)
		for attempt, want := range answered {
			status, got := send(p.base, "GET", "/v1/payments/"+attempt, nil)
			require.Equal(t, 200, status)
			require.Equal(t, want, got, attempt)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for writer := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					attempt := fmt.Sprintf("r%d-w%d-%d", round, writer, i)
					body := fmt.Sprintf(`{"attempt_id":%q,"method":"konbini_barcode","yen":100,"due":"2090-01-01T00:00:00Z","webhook_url":"http://127.0.0.1:1/"}`, attempt)
					status, out := send(p.base, "POST", "/v1/payments", []byte(body))
					if status != 201 {
						return // killed
					}
					mu.Lock()
					answered[attempt] = out
					mu.Unlock()
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 20 + rand.IntN(50) {
			<-enough
		}
		require.NoError(t, p.Process.Kill())
		wg.Wait()
		p.Wait()
	}
	p := start(t, program, config)
	for attempt, want := range answered {
		status, got := send(p.base, "GET", "/v1/payments/"+attempt, nil)
		require.Equal(t, 200, status)
		require.Equal(t, want, got, attempt)
	}
	t.Logf("%d payments answered for in three lives, all there", len(answered))
}
