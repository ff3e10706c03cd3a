package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// whole is a message with a link, two identity items and a sealed page of about 1 KB.
func whole() message.Draft {
	return message.Draft{
		Text:     "〇〇県水道局のお知らせ {url}",
		Identity: &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "1980-04-01"}, {Field: "customer_number", Value: "00-0-000000"}}},
		Page: &message.Page{
			Title: "水道料金のお知らせ", Lead: strings.Repeat("いつもご利用ありがとうございます。", 14),
			Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "9月～10月"}, {Item: "ご使用量", Value: "44立方メートル"}},
		},
	}
}

// bare is a message of text alone.
func bare() message.Draft {
	return message.Draft{Text: "〇〇県水道局です。本日の断水は15時までです。"}
}

// slowSync is added to every sync of the engine's files, by strace, for rows 4. They are compared with the same engine under
// strace without a delay: strace stops Go's threads at each signal too, which costs a fifth of the rate and has nothing to do
// with disks.
const slowSync = 2 * time.Millisecond

// rows measures the ways in, each with an empty store: accept (synced) → submit → response → dlr recorded (synced).
func rows(ctx context.Context, s settings) (figures []figure, err error) {
	add := func(name string, value float64, unit, reach string) {
		figures = append(figures, figure{name, value, unit, reach})
	}
	loads := []struct {
		load
		reach, ack string
	}{
		{load{name: "1 whole life, batch", draft: whole(), batch: s.Batch, conns: 4, long: s.Long}, "60,000", ""},
		{load{name: "2 bare SMS, batch", draft: bare(), batch: s.Batch, conns: 4, long: s.Long}, "100,000", ""},
		{load{name: "3 bare SMS, one a request, 1,024 connections", draft: bare(), batch: 1, conns: 1024, long: s.Long}, "63,000", "under 50"},
		{load{name: "3 bare SMS, one a request, 64 connections", draft: bare(), batch: 1, conns: 64, long: s.Long}, "", "under 20"},
	}
	traced := map[string]float64{} // rates with strace and without a delay
	for _, engine := range []engine{plainEngine, tracedEngine, slowEngine} {
		for i, l := range loads {
			name := l.name
			if engine != plainEngine {
				name = fmt.Sprintf("4 %s, %s", l.name[2:], engine)
				l.reach, l.ack = "", ""
			}
			m, err := row(ctx, s, l.load, engine, i == 0 && engine == plainEngine, add)
			if err != nil {
				return figures, fmt.Errorf("%s: %w", name, err)
			}
			add(name+": whole lives", m.rate, "messages/s", l.reach)
			add(name+": accepted, durable", float64(m.messages)/m.accepting.Seconds(), "messages/s", "")
			add(name+": acknowledgement p50", quantile(m.answers, 0.50), "ms", "")
			add(name+": acknowledgement p99", quantile(m.answers, 0.99), "ms", l.ack)
			add(name+": the engine's CPU, its whole life", float64(m.cpu.Nanoseconds())/1000, "µs a message", "")
			switch engine {
			case tracedEngine:
				traced[l.name] = m.rate
			case slowEngine:
				add(name+" ÷ not slower", m.rate/traced[l.name], "", "at least 0.75")
			}
		}
	}
	return figures, nil
}

// row measures one load in a country of its own; with codes, one-time codes are sent among it, and dispatch's
// allocations are looked at too.
func row(ctx context.Context, s settings, l load, e engine, codes bool, add func(name string, value float64, unit, reach string)) (m *measured, err error) {
	o := apptest.Options{Window: s.Window, NoLedger: true}
	if o.Engine, err = e.program(); err != nil {
		return nil, err
	}
	st, err := newSite(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	if !codes {
		return st.measure(ctx, l, s.Profile)
	}
	c := &codeClient{site: st}
	done := make(chan error, 2)
	go func() { done <- c.run(ctx, l.long) }()
	go func() { done <- st.allocations(ctx, l.long/2, add) }()
	if m, err = st.measure(ctx, l, s.Profile); err != nil {
		return nil, err
	}
	for range cap(done) {
		if err := <-done; err != nil {
			return nil, err
		}
	}
	return m, c.report(ctx, add)
}

// engine is how the engine is run.
type engine int

const (
	plainEngine  engine = iota
	tracedEngine        // each of its syncs is stopped at by strace, without a delay: what strace itself costs
	slowEngine          // and is made slowSync slower
)

func (e engine) String() string {
	return [...]string{"plain", "syncs traced", fmt.Sprintf("syncs %v slower", slowSync)}[e]
}

// program writes a program that runs the engine so; empty: it is the usual one. With seccomp-bpf no other system call is
// stopped, but each of Go's signals to its own threads is; with -D the process is the engine itself.
func (e engine) program() (string, error) {
	if e == plainEngine {
		return "", nil
	}
	dir, err := programs()
	if err != nil {
		return "", err
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		return "", fmt.Errorf("slower syncs need strace: %w", err)
	}
	const calls = "msync,fsync,fdatasync,sync_file_range"
	what := "trace=" + calls
	if e == slowEngine {
		what += fmt.Sprintf(" -e inject=%s:delay_exit=%d", calls, slowSync.Microseconds())
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s -D -f --seccomp-bpf -o /dev/null -e %s %s \"$@\"\n", strace, what, filepath.Join(dir, "kakitome"))
	path := filepath.Join(dir, fmt.Sprintf("kakitome-%d", e))
	return path, os.WriteFile(path, []byte(script), 0o755)
}

// codeClient sends one-time codes while a load runs.
type codeClient struct {
	*site
	began []time.Time
	ids   []string
}

// codeEvery is the time between two codes.
const codeEvery = 50 * time.Millisecond

func (c *codeClient) run(ctx context.Context, long time.Duration) error {
	ticker := time.NewTicker(codeEvery)
	defer ticker.Stop()
	for end := time.Now().Add(long); time.Now().Before(end); {
		began := time.Now()
		a, _, err := c.sender.Send(ctx, &message.Draft{To: apptest.Number(numbers - 1 - len(c.ids)), Class: string(message.OTP), Text: "認証番号は 000000 です。"})
		if err != nil {
			return fmt.Errorf("code: %w", err)
		}
		c.sent.Add(1)
		c.began, c.ids = append(c.began, began), append(c.ids, a.ID)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// report asks the engine when the connection took each code.
func (c *codeClient) report(ctx context.Context, add func(name string, value float64, unit, reach string)) error {
	var took []time.Duration
	for i, id := range c.ids {
		var m api.Message
		if err := c.sender.Do(ctx, fasthttp.MethodGet, "/v1/messages/"+id, nil, fasthttp.StatusOK, &m); err != nil {
			return err
		}
		for _, e := range m.Timeline {
			if e.Event != message.Submitted.String() {
				continue
			}
			written, err := time.Parse(time.RFC3339Nano, e.Detail["written"])
			if err != nil {
				return fmt.Errorf("code %s: %w", id, err)
			}
			took = append(took, written.Sub(c.began[i]))
		}
	}
	if len(took) < len(c.ids) {
		return fmt.Errorf("%d of %d codes were submitted", len(took), len(c.ids))
	}
	slices.Sort(took)
	add("6 a code under row 1, request begun → on the wire: p50", quantile(took, 0.50), "ms", "")
	add("6 a code under row 1, request begun → on the wire: p99", quantile(took, 0.99), "ms", "under 20")
	return nil
}
