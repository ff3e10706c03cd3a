package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const straced = `7 100.000000 read(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "POST /v1/messages HTTP/1.1\r\nHost"..., 4096) = 500 <0.000010>
8 100.001000 msync(0x7f0000001000, 4096, MS_SYNC <unfinished ...>
7 100.001500 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---
8 100.003000 <... msync resumed>) = 0 <0.002000>
8 100.003100 msync(0x7f0000011000, 4096, MS_SYNC) = 0 <0.000100>
7 100.004000 write(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "HTTP/1.1 202 Accepted\r\n"..., 300) = 300 <0.000020>
`

var mapped = []mapping{
	{from: 0x7f0000000000, to: 0x7f0000010000, file: "/d/store/log/000001.vlog"}, {from: 0x7f0000010000, to: 0x7f0000020000, file: "/d/store/log/00002.mem"},
}

const both = "/d/store/log/000001.vlog, 00002.mem"

func TestAnswerBehindItsSyncIsFound(t *testing.T) {
	for name, c := range map[string]struct{ from, to, synced string }{
		"kept":              {"", "", both},
		"failed":            {") = 0 <0.002000>", ") = -1 EIO (Input/output error) (INJECTED) <0.002000>", ""},
		"over too late":     {"8 100.003000", "8 100.005000", ""},
		"begun too early":   {"8 100.001000", "8 099.001000", ""},
		"of another file":   {"0x7f0000001000", "0x7e0000001000", ""},
		"it never returned": {"<... msync resumed>", "<... futex resumed>", ""},
		"values alone":      {"0x7f0000011000", "0x7e0000011000", ""},
	} {
		calls, err := readCalls(strings.NewReader(strings.Replace(straced, c.from, c.to, 1)))
		require.NoError(t, err, name)
		found := answers(calls, mapped, nil)
		require.Len(t, found, 1, name)
		require.Equal(t, c.synced, found[0].synced, name)
	}
	_, err := readCalls(strings.NewReader("strace: attach: ptrace\n"))
	require.ErrorContains(t, err, "line 1")
}

// TestEachKindOfAnswerIsPaired: a batch whose body came in two reads, and of a carrier a receipt and a phone's message that
// came together and were answered in one write of which strace printed the halves.
func TestEachKindOfAnswerIsPaired(t *testing.T) {
	const carrier = "127.0.0.1:2775"
	deliver := `\0\0\0\22\0\0\0\5\0\0\0\0\0\0\0\7x\n` + `\0\0\0\22\0\0\0\5\0\0\0\0\0\0\0\10\\\"`
	resp := `\0\0\0\21\200\0\0\5\0\0\0\0\0\0\0\7\0` + `\0\0\0\21\200\0\0\5\0\0\0\0\0\0\0\010` + `0`
	traced := `7 100.000000 read(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "POST /v1/messages:batch HTTP/1.1\r\n", 4096) = 34 <0.000010>
7 100.000100 msync(0x7f0000001000, 4096, MS_SYNC) = 0 <0.000200>
7 100.001000 read(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "{\"to\":", 4096) = 6 <0.000010>
7 100.001500 write(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "HTTP/1.1 200 OK\r\n", 300) = 17 <0.000020>
9 100.002000 read(14<TCP:[127.0.0.1:5000->` + carrier + `]>,  <unfinished ...>
8 100.002100 msync(0x7f0000001000, 4096, MS_SYNC) = 0 <0.000100>
9 100.003000 <... read resumed>"` + deliver + `", 4096) = 36 <0.001000>
8 100.003500 msync(0x7f0000002000, 4096, MS_SYNC) = 0 <0.000100>
8 100.004000 msync(0x7f0000012000, 4096, MS_SYNC) = 0 <0.000100>
9 100.005000 write(14<TCP:[127.0.0.1:5000->` + carrier + `]>, "` + resp + `", 34 <unfinished ...>
9 100.006000 <... write resumed>) = 34 <0.001000>
`
	calls, err := readCalls(strings.NewReader(traced))
	require.NoError(t, err)
	found := answers(calls, mapped, []string{carrier})
	require.Len(t, found, 3)
	require.Equal(t, batches, found[0].kind)
	require.Empty(t, found[0].synced, "the sync came before the last of the body")
	for _, a := range found[1:] {
		require.Equal(t, taken, a.kind)
		require.Equal(t, both, a.synced)
		require.Equal(t, 100004100*time.Microsecond, a.over)
		require.Equal(t, 100005*time.Millisecond, a.answered)
	}
}

// TestPebbleFaultsAreThere: the report names tests that exist.
func TestPebbleFaultsAreThere(t *testing.T) {
	for _, name := range pebbleFaults {
		dir, test, _ := strings.Cut(name, " ")
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		require.NoError(t, err)
		found := false
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			found = found || strings.Contains(string(data), "func "+test+"(t *testing.T)") && strings.Contains(string(data), "errorfs.Wrap(")
		}
		require.True(t, found, name)
	}
}
