package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const straced = `7 100.000000 read(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "POST /v1/messages HTTP/1.1\r\nHost"..., 4096) = 500 <0.000010>
8 100.001000 msync(0x7f0000001000, 4096, MS_SYNC <unfinished ...>
7 100.001500 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---
8 100.003000 <... msync resumed>) = 0 <0.002000>
7 100.004000 write(12<TCP:[127.0.0.1:80->127.0.0.1:4000]>, "HTTP/1.1 202 Accepted\r\n"..., 300) = 300 <0.000020>
`

var vlog = []mapping{{from: 0x7f0000000000, to: 0x7f0000010000, file: "/d/store/log/000001.vlog"}}

func TestAnswerBehindItsSyncIsFound(t *testing.T) {
	for name, c := range map[string]struct{ from, to, synced string }{
		"kept":              {"", "", vlog[0].file},
		"failed":            {") = 0 <0.002000>", ") = -1 EIO (Input/output error) (INJECTED) <0.002000>", ""},
		"over too late":     {"8 100.003000", "8 100.005000", ""},
		"begun too early":   {"8 100.001000", "8 099.001000", ""},
		"of another file":   {"0x7f0000001000", "0x7e0000001000", ""},
		"it never returned": {"<... msync resumed>", "<... futex resumed>", ""},
	} {
		calls, err := readCalls(strings.NewReader(strings.Replace(straced, c.from, c.to, 1)))
		require.NoError(t, err, name)
		found := answers(calls, vlog)
		require.Len(t, found, 1, name)
		require.Equal(t, c.synced, found[0].synced, name)
	}
	_, err := readCalls(strings.NewReader("strace: attach: ptrace\n"))
	require.ErrorContains(t, err, "line 1")
}
