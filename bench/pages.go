package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/built"
	"github.com/kakitome/kakitome/tools/recipient"
)

// pages measures what a recipient loads: the landing page, the page behind the questions, and what a renderer module takes for
// one. Each of the first two is taken by turns from the engine and from a bare handler of fasthttp, a process of its own, that answers
// the same bytes (bare/main.go).
func pages(ctx context.Context, s settings) (figures []figure, err error) {
	add := func(name string, value float64, unit, reach string) {
		figures = append(figures, figure{name, value, unit, reach})
	}
	st, err := newSite(ctx, apptest.Options{Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	if err := built.Into(ctx, st.dir, "", "bench/bare"); err != nil {
		return nil, err
	}
	bare := filepath.Join(st.dir, "bare")
	t, err := st.send(ctx, load{name: "links", draft: whole(), batch: 1, conns: 8, long: time.Second})
	if err != nil {
		return nil, err
	}
	p := recipient.NewBrowser()
	if err := errors.Join(p.Get(ctx, t.links[0]), p.Submit(ctx, "open", nil)); err != nil {
		return nil, err
	}
	if err := p.Submit(ctx, "identify", url.Values{"birth_date": {"1980-04-01"}, "customer_number": {"000000000"}}); err != nil {
		return nil, err
	}
	if err := st.rest(ctx); err != nil {
		return nil, err
	}
	for _, v := range []struct {
		name, reach string
		from        visit
	}{
		{"landing page", "at least 0.8", visit{links: t.links, shows: "〇〇県水道局"}},
		{"page behind the questions", "", visit{links: t.links[:1], cookie: p.Cookie(t.links[0]), shows: "44立方メートル"}},
	} {
		if err := st.beside(ctx, s, bare, v.name, v.reach, v.from, add); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	err = rendered(ctx, st.dir, add)
	return figures, err
}

// visit is what is loaded.
type visit struct {
	links  []string
	cookie string
	shows  string // must be in each answer
}

// rest waits until the engine has done what follows the messages that were sent, and takes next to no CPU.
func (s *site) rest(ctx context.Context) error {
	last, err := s.cpu()
	for err == nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the engine to rest: %w", ctx.Err())
		case <-time.After(time.Second):
		}
		now, e := s.cpu()
		if err = e; now-last <= 50*time.Millisecond {
			break
		}
		last = now
	}
	return err
}

// turns are how often the engine and the bare handler take over from one another: what the machine does beside falls on both.
const turns = 8

// beside takes a page from the engine and from the bare handler by turns.
func (s *site) beside(ctx context.Context, set settings, program, name, reach string, v visit, add func(name string, value float64, unit, reach string)) error {
	res := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(res)
	if err := s.take(v, 0, res); err != nil {
		return err
	}
	bare, address, err := startBare(ctx, program, res)
	if err != nil {
		return err
	}
	defer func() { _ = bare.Process.Kill(); _ = bare.Wait() }()
	same := v
	same.links = []string{"http://" + address + "/"}
	if set.Profile != "" {
		profiled := s.profile(ctx, set.Profile, name)
		_, _, err := s.visit(ctx, v, (profileLong+1)*time.Second)
		if profiled(); err != nil {
			return err
		}
	}
	var ours, theirs loaded
	for range turns {
		if err := errors.Join(ours.turn(ctx, s, v, s.Engine.PID(), set.Long/turns), theirs.turn(ctx, s, same, bare.Process.Pid, set.Long/turns)); err != nil {
			return err
		}
	}
	add(name, ours.rate(), "pages/s", "")
	add(name+": the same bytes from a bare handler", theirs.rate(), "pages/s", "")
	add(name+" ÷ bare handler", ours.rate()/theirs.rate(), "", reach)
	add(name+": the engine's CPU", ours.each(), "µs a page", "")
	add(name+": the bare handler's CPU", theirs.each(), "µs a page", "")
	add(name+": size", float64(len(res.Body())), "bytes", "under 30,000")
	return nil
}

// loaded is what turns came to.
type loaded struct {
	pages int64
	long  time.Duration
	cpu   time.Duration // of who answered
}

func (t *loaded) rate() float64 { return float64(t.pages) / t.long.Seconds() }

// each is the CPU of a page in microseconds.
func (t *loaded) each() float64 { return float64(t.cpu.Microseconds()) / float64(t.pages) }

// turn takes pages from a process for a while.
func (t *loaded) turn(ctx context.Context, s *site, v visit, pid int, long time.Duration) error {
	before, err := cpuOf(pid)
	if err != nil {
		return err
	}
	pages, took, err := s.visit(ctx, v, long)
	if err != nil {
		return err
	}
	after, err := cpuOf(pid)
	t.pages, t.long, t.cpu = t.pages+pages, t.long+took, t.cpu+after-before
	return err
}

// startBare runs the bare handler with an answer, and returns its address.
func startBare(ctx context.Context, program string, res *fasthttp.Response) (*exec.Cmd, string, error) {
	var answer bytes.Buffer
	if _, err := res.WriteTo(&answer); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin, cmd.Stderr = &answer, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd, strings.TrimSpace(address), nil
}

// take loads the i-th link.
func (s *site) take(v visit, i int, res *fasthttp.Response) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.SetRequestURI(v.links[i%len(v.links)])
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	if err := s.client.Do(req, res); err != nil {
		return err
	}
	if res.StatusCode() != fasthttp.StatusOK || !bytes.Contains(res.Body(), []byte(v.shows)) {
		return fmt.Errorf("status %d: %.300s", res.StatusCode(), res.Body())
	}
	return nil
}

// visit loads pages over connections that stay open.
func (s *site) visit(ctx context.Context, v visit, long time.Duration) (pages int64, took time.Duration, err error) {
	const conns = 64
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var clients sync.WaitGroup
	for c := range conns {
		clients.Go(func() {
			res := fasthttp.AcquireResponse()
			defer fasthttp.ReleaseResponse(res)
			for i := c; time.Since(began) < long && ctx.Err() == nil; i += conns {
				if err := s.take(v, i, res); err != nil {
					cancel(err)
				}
				done.Add(1)
			}
		})
	}
	clients.Wait()
	return done.Load(), time.Since(began), context.Cause(ctx)
}

// rendered measures how long the standard renderer, a process of its own, takes for a page that was not drawn before, and how long
// the host takes for one that was.
func rendered(ctx context.Context, dir string, add func(name string, value float64, unit, reach string)) (err error) {
	built, err := programs()
	if err != nil {
		return err
	}
	module := host.Module{Name: page.DefaultModule, Path: filepath.Join(built, "modules", "standard")}
	if module.SHA256, err = host.Checksum(module.Path); err != nil {
		return err
	}
	h, err := host.Start(ctx, host.Options{Modules: []host.Module{module}, StoreDir: filepath.Join(dir, "bench-modules"), RunDir: filepath.Join(dir, "r")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	for h.Status()[0].State != host.Running {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the renderer is %s: %w", h.Status()[0].State, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t := &tenant.Tenant{ID: "mizu", Name: "〇〇県水道局", Brand: tenant.Brand{Color: "#0b63a5", Phone: "000-000-0000"}}
	pages, model := page.New(page.Options{Renders: h, Patience: time.Minute}), page.View(t, proto.View_LANDING, "ja")
	const count = 2000
	var first, again [count]time.Duration
	for i := range count {
		model.LinkExpires = timestamppb.New(time.Now().Add(time.Duration(i) * time.Minute))
		began := time.Now()
		html := pages.Page(ctx, t.ID, model)
		first[i] = time.Since(began)
		if html.Plain {
			return errors.New("the renderer gave no page")
		}
		began = time.Now()
		pages.Page(ctx, t.ID, model)
		again[i] = time.Since(began)
	}
	for _, v := range []struct {
		name, reach string
		took        []time.Duration
	}{{"page through a renderer module", "under 1,000", first[:]}, {"the same page kept by the host", "under 50", again[:]}} {
		slices.Sort(v.took)
		add(v.name+": p50", quantile(v.took, 0.5)*1000, "µs", v.reach)
		add(v.name+": p99", quantile(v.took, 0.99)*1000, "µs", "")
	}
	return nil
}
