package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// way is one run of the scenario "way".
type way struct {
	s       settings
	country *apptest.Country
	key     string
	client  *fasthttp.Client
	sent    int // messages before the present way in
	figures []figure

	mu    sync.Mutex // guards what follows
	took  []time.Duration
	links []string
}

// linksKept is how many links are opened afterwards, in turn.
const linksKept = 10_000

// wholeWay takes messages by batches, then one a request, waits until the last dlr is in, and then shows the landing pages.
// Each message is durable before it is acknowledged, as always.
func wholeWay(ctx context.Context, s settings) (figures []figure, err error) {
	dir, err := os.MkdirTemp("", "kakitome-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs := filepath.Join(dir, "programs")
	if err := apptest.Build(ctx, programs); err != nil {
		return nil, err
	}
	w := &way{s: s, client: &fasthttp.Client{MaxConnsPerHost: 2 * s.Conns, ReadTimeout: time.Minute, WriteTimeout: time.Minute}}
	w.country, err = apptest.New(ctx, apptest.Options{Programs: programs, Dir: filepath.Join(dir, "country"), Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer w.country.Close()
	if err := errors.Join(w.country.StartCarriers(ctx), w.country.StartEngine(ctx)); err != nil {
		return nil, err
	}
	if _, err = w.country.Join(ctx); err != nil {
		return nil, err
	}
	key, err := w.country.Command(ctx, "apikey", "issue", "-config", w.country.File("kakitome.toml"), "-tenant", apptest.Tenant, "-name", "bench")
	if err != nil {
		return nil, err
	}
	w.key = strings.TrimSpace(key)
	for _, step := range []func(context.Context) error{w.batches, w.singles, w.pages} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w.figures, nil
}

func (w *way) add(name string, value float64, unit string) {
	w.figures = append(w.figures, figure{name, value, unit})
}

// draft is a message with a page of about 1 KB, and no identity.
func draft(i int) message.Draft {
	rows := []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "9月～10月"}, {Item: "ご使用量", Value: "44立方メートル"}}
	return message.Draft{Key: fmt.Sprintf("k%d", i), To: apptest.Number(i), Text: "〇〇県水道局のお知らせ {url}", Reference: fmt.Sprintf("%012d", i),
		Page: &message.Page{Title: "水道料金のお知らせ", Lead: strings.Repeat("いつもご利用ありがとうございます。", 14), Rows: rows}}
}

// batches sends in batches over few connections: they are large, and the engine commits them in chunks.
func (w *way) batches(ctx context.Context) error {
	var requests [][]byte
	for at := 0; at < w.s.Messages; at += w.s.Batch {
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		for i := at; i < min(at+w.s.Batch, w.s.Messages); i++ {
			if err := enc.Encode(draft(w.sent + i)); err != nil {
				return err
			}
		}
		requests = append(requests, body.Bytes())
	}
	return w.measure(ctx, "batch", 4, "/v1/messages:batch", "application/x-ndjson", requests)
}

// singles sends one message a request over many connections.
func (w *way) singles(ctx context.Context) error {
	requests := make([][]byte, w.s.Messages)
	for i := range requests {
		var err error
		if requests[i], err = json.Marshal(draft(w.sent + i)); err != nil {
			return err
		}
	}
	return w.measure(ctx, "single", w.s.Conns, "/v1/messages", "application/json", requests)
}

// measure sends the requests and waits until all their messages are delivered.
func (w *way) measure(ctx context.Context, name string, conns int, path, kind string, requests [][]byte) error {
	w.took = w.took[:0]
	defer w.profile(ctx, name)()
	cpu, err := w.cpu()
	if err != nil {
		return err
	}
	var next atomic.Int64
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var clients sync.WaitGroup
	for range conns {
		clients.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(requests) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := w.send(path, kind, requests[i]); err != nil {
					cancel(fmt.Errorf("%s: %w", name, err))
				}
			}
		})
	}
	accepted := make(chan time.Duration, 1)
	go func() {
		clients.Wait()
		accepted <- time.Since(began)
	}()
	w.sent += w.s.Messages
	submitted, err := w.reached(ctx, "kakitome_dispatch_submissions_total", began)
	if err != nil {
		cancel(nil)
		<-accepted
		return err
	}
	delivered, err := w.reached(ctx, "kakitome_dlr_receipts_total", began)
	acceptedIn := <-accepted
	if err != nil {
		return err
	}
	after, err := w.cpu()
	if err != nil {
		return err
	}
	rate := func(d time.Duration) float64 { return float64(w.s.Messages) / d.Seconds() }
	slices.Sort(w.took)
	w.add(name+": accepted, durable", rate(acceptedIn), "messages/s")
	w.add(name+": accepted and submitted", rate(submitted), "messages/s")
	w.add(name+": accepted, submitted and delivered", rate(delivered), "messages/s")
	w.add(name+": acknowledgement p50", w.quantile(0.50), "ms")
	w.add(name+": acknowledgement p99", w.quantile(0.99), "ms")
	w.add(name+": engine's CPU a message, its whole life", float64((after-cpu).Microseconds())/float64(w.s.Messages), "µs")
	return nil
}

func (w *way) quantile(q float64) float64 {
	return float64(w.took[min(int(q*float64(len(w.took))), len(w.took)-1)].Microseconds()) / 1000
}

// reached waits until a counter of the engine has reached all messages that were sent.
func (w *way) reached(ctx context.Context, metric string, began time.Time) (time.Duration, error) {
	ticker := time.NewTicker(100 * time.Millisecond) // reading metrics costs the engine milliseconds
	defer ticker.Stop()
	for {
		n, err := w.country.Metric(ctx, metric)
		if err == nil && int(n) >= w.sent {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is %.0f of %d: %w", metric, n, w.sent, errors.Join(context.Cause(ctx), err))
		case <-ticker.C:
		}
	}
}

// send sends one request and checks that all of it was accepted.
func (w *way) send(path, kind string, body []byte) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI(w.country.APIURL() + path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(kind)
	req.Header.Set("Authorization", "Bearer "+w.key)
	req.SetBodyRaw(body)
	began := time.Now()
	if err := w.client.Do(req, res); err != nil {
		return err
	}
	took := time.Since(began)
	var link string
	if kind == "application/json" {
		var a api.Accepted
		if err := json.Unmarshal(res.Body(), &a); err != nil || res.StatusCode() != fasthttp.StatusAccepted {
			return fmt.Errorf("status %d: %s", res.StatusCode(), res.Body())
		}
		link = a.URL
	} else if n := bytes.Count(res.Body(), []byte(`"status":202`)); n != bytes.Count(body, []byte("\n")) {
		return fmt.Errorf("status %d, %d of %d lines accepted: %.300s", res.StatusCode(), n, bytes.Count(body, []byte("\n")), res.Body())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took)
	if link != "" && len(w.links) < linksKept {
		w.links = append(w.links, link)
	}
	return nil
}

// pages gets landing pages over connections that stay open, for five seconds.
func (w *way) pages(ctx context.Context) error {
	cpu, err := w.cpu()
	if err != nil {
		return err
	}
	const long = 5 * time.Second
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var count atomic.Int64
	var clients sync.WaitGroup
	for c := range w.s.Conns {
		clients.Go(func() {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(res)
			for i := c; time.Since(began) < long && ctx.Err() == nil; i += w.s.Conns {
				req.SetRequestURI(w.links[i%len(w.links)])
				if err := w.client.Do(req, res); err != nil {
					cancel(err)
				} else if res.StatusCode() != fasthttp.StatusOK || !bytes.Contains(res.Body(), []byte("〇〇県水道局")) {
					cancel(fmt.Errorf("landing page: status %d: %.300s", res.StatusCode(), res.Body()))
				}
				count.Add(1)
			}
		})
	}
	clients.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	after, err := w.cpu()
	if err != nil {
		return err
	}
	w.add("landing pages", float64(count.Load())/time.Since(began).Seconds(), "pages/s")
	w.add("landing pages: engine's CPU a page", float64((after-cpu).Microseconds())/float64(count.Load()), "µs")
	return nil
}

// profile begins a CPU profile of the engine, if one was asked for; what it returns waits until the profile is written.
func (w *way) profile(ctx context.Context, name string) (wait func()) {
	if w.s.Profile == "" {
		return func() {}
	}
	done := make(chan error, 1)
	go func() { done <- w.country.Profile(ctx, profileLong, filepath.Join(w.s.Profile, name+".pprof")) }()
	return func() {
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile:", err)
		}
	}
}

// profileLong is how many seconds a profile takes: less than a part of a scenario does.
const profileLong = 5

// cpu is the CPU time of the engine so far, without its modules.
func (w *way) cpu() (time.Duration, error) { return cpuOf(w.country.Engine.PID()) }

// cpuOf is the CPU time of a process so far. proc(5): fields 14 and 15, in ticks of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}
