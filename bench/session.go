package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	other "github.com/fiorix/go-smpp/smpp"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/built"
)

// sessionAlone measures smpp/session by itself over loopback against the carrier of tools/smsc, which is a process of its
// own: submit and response, then with delivery receipts, then against a script of a rule for each number; and go-smpp's
// Transmitter against the same carrier. The carrier's CPU time tells how many submits one core of it takes. Each side has one
// core (GOMAXPROCS): with more, the two runtimes wake each other's idle threads all the time.
func sessionAlone(ctx context.Context, s settings) (figures []figure, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	dir, err := os.MkdirTemp("", "kakitome-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := built.Into(ctx, dir, "", "tools/smsc"); err != nil {
		return nil, err
	}
	add := func(name string, value float64, unit string) {
		figures = append(figures, figure{name, value, unit, sessionReach[name]})
	}
	measure := func(name string, scripted bool, n int, send func(ctx context.Context, addr string, n int) (time.Duration, error)) (float64, error) {
		carrier, addr, err := startCarrier(ctx, dir, scripted)
		if err != nil {
			return 0, err
		}
		defer func() { _ = carrier.Process.Kill(); _ = carrier.Wait() }()
		before, err := cpuOf(carrier.Process.Pid)
		if err != nil {
			return 0, err
		}
		own, err := cpuOf(os.Getpid())
		if err != nil {
			return 0, err
		}
		took, err := send(ctx, addr, n)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		theirs, err1 := cpuOf(carrier.Process.Pid)
		ours, err2 := cpuOf(os.Getpid())
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		rate := float64(n) / took.Seconds()
		add(name, rate, "messages/s")
		add(name+": our CPU", float64((ours-own).Nanoseconds())/float64(n), "ns a message")
		add(name+": a core of the carrier takes", float64(n)/max((theirs-before).Seconds(), 0.01), "messages/s")
		return rate, nil
	}
	plain, err := measure("submit, response", false, s.Session, func(ctx context.Context, addr string, n int) (time.Duration, error) {
		return sendBySession(ctx, addr, n, 2*s.Window, false)
	})
	if err != nil {
		return nil, err
	}
	whole, err := measure("submit, response, dlr", false, s.Session, func(ctx context.Context, addr string, n int) (time.Duration, error) {
		return sendBySession(ctx, addr, n, 2*s.Window, true)
	})
	if err != nil {
		return nil, err
	}
	if _, err := measure("submit, response, a script for each number", true, s.Session, func(ctx context.Context, addr string, n int) (time.Duration, error) {
		return sendBySession(ctx, addr, n, 2*s.Window, false)
	}); err != nil {
		return nil, err
	}
	theirs, err := measure("go-smpp's Transmitter: submit, response", false, max(s.Session/10, 1), func(_ context.Context, addr string, n int) (time.Duration, error) {
		return sendByTransmitter(addr, n, 2*s.Window)
	})
	if err != nil {
		return nil, err
	}
	add("smpp/session ÷ go-smpp's Transmitter, both without dlr", plain/theirs, "times")
	add("smpp/session with dlr ÷ go-smpp's Transmitter without", whole/theirs, "times")
	return figures, nil
}

// sessionReach is what is asked of some figures.
var sessionReach = map[string]string{
	"submit, response, dlr":                                                   "1,000,000",
	"submit, response: a core of the carrier takes":                           "2,000,000",
	"submit, response, a script for each number: a core of the carrier takes": "200,000",
}

// scriptedNumbers is how many numbers have a rule of their own.
const scriptedNumbers = 200_000

// startCarrier runs a carrier in plain mode, or with a script, and returns its address.
func startCarrier(ctx context.Context, dir string, scripted bool) (*exec.Cmd, string, error) {
	config := "http = \"127.0.0.1:0\"\n[[carrier]]\nname = \"docomo\"\nlisten = \"127.0.0.1:0\"\nledger_size = -1\nno_builtin_faults = true\n"
	if scripted {
		var script strings.Builder
		for i := range scriptedNumbers {
			fmt.Fprintf(&script, "{\"suffix\":%q,\"state\":\"UNDELIV\",\"err\":\"001\"}\n", apptest.Number(i)[1:])
		}
		if err := os.WriteFile(filepath.Join(dir, "script.ndjson"), []byte(script.String()), 0o600); err != nil {
			return nil, "", err
		}
		config += "script = \"script.ndjson\"\n"
	}
	config += "[[carrier.accounts]]\nsystem_id = \"kakitome\"\npassword = \"secret\"\n"
	name := filepath.Join(dir, "smsc.toml")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "smsc"), "-config", name)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	ready, err := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(ready), "docomo=")
	if err != nil || !ok {
		return nil, "", errors.Join(fmt.Errorf("smsc said %q", ready), err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd, addr, nil
}

// sendBySession submits n messages of 70 characters, to as many numbers as there are rules, and waits for all answers and
// receipts. One goroutine submits; none waits for a message.
func sendBySession(ctx context.Context, addr string, n, window int, receipts bool) (time.Duration, error) {
	want := int64(n)
	if receipts {
		want *= 2
	}
	var got, bad atomic.Int64
	done := make(chan struct{})
	count := func(k int) {
		if got.Add(int64(k)) == want {
			close(done)
		}
	}
	var acks []session.Response // of the one goroutine that runs OnRequests
	s, err := session.Dial(ctx, session.Options{Addr: addr, Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"}, Settings: session.Settings{
		Window: window, RequestQueue: 1 << 16,
		OnResults: func(_ *session.Session, batch []session.Result) {
			for i := range batch {
				if batch[i].Outcome != session.Answered || batch[i].Status != pdu.StatusOK || len(batch[i].MessageID) == 0 {
					bad.Add(1)
				}
			}
			count(len(batch))
		},
		OnRequests: func(s *session.Session, batch []session.Incoming) {
			acks = acks[:0]
			for i := range batch {
				acks = append(acks, session.Response{To: batch[i].Reply})
			}
			_ = s.Respond(acks) // an error ends the session, and done is not closed
			count(len(batch))
		},
	}})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	batch := make([]session.Request, window)
	bodies := make([]pdu.SubmitSM, window)
	numbers := make([][]byte, scriptedNumbers)
	for i := range numbers {
		numbers[i] = []byte("81" + apptest.Number(i)[1:])
	}
	for i := range batch {
		bodies[i].SM = pdu.SM{Source: pdu.Address{Addr: []byte("0005123456")}, Dest: pdu.Address{TON: 1, NPI: 1}, DataCoding: 8, ShortMessage: make([]byte, 140)}
		if receipts {
			bodies[i].RegisteredDelivery = pdu.RegisteredAll
		}
		batch[i].Body = &bodies[i]
	}
	began := time.Now()
	for sent := 0; sent < n; {
		some := batch[:min(len(batch), n-sent)]
		for i := range some {
			bodies[i].Dest.Addr = numbers[(sent+i)%len(numbers)]
		}
		k, err := s.Submit(ctx, some)
		if err != nil {
			return 0, err
		}
		sent += k
	}
	select {
	case <-done:
	case <-s.Ended():
		return 0, s.Err()
	case <-ctx.Done():
		return 0, fmt.Errorf("%d of %d: %w", got.Load(), want, ctx.Err())
	}
	took := time.Since(began)
	if bad.Load() > 0 {
		return 0, fmt.Errorf("%d of %d were not accepted", bad.Load(), n)
	}
	return took, nil
}

// sendByTransmitter does the same with go-smpp: its Submit waits for the answer, so a window takes as many goroutines.
func sendByTransmitter(addr string, n, window int) (time.Duration, error) {
	tx := &other.Transmitter{Addr: addr, User: "kakitome", Passwd: "secret", RespTimeout: time.Minute, WindowSize: uint(window)}
	if status := <-tx.Bind(); status.Status() != other.Connected {
		return 0, fmt.Errorf("bind: %v: %w", status.Status(), status.Error())
	}
	defer tx.Close()
	var next atomic.Int64
	errs := make([]error, window)
	text := strings.Repeat("あ", 70)
	began := time.Now()
	var senders sync.WaitGroup
	for g := range window {
		senders.Go(func() {
			for next.Add(1) <= int64(n) && errs[g] == nil {
				_, errs[g] = tx.Submit(&other.ShortMessage{Src: "0005123456", Dst: "818000000000", DestAddrTON: 1, DestAddrNPI: 1, Text: pdutext.UCS2(text)})
			}
		})
	}
	senders.Wait()
	return time.Since(began), errors.Join(errs...)
}
