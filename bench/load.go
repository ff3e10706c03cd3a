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

// site is a country that is measured, with a client of its tenant.
type site struct {
	*apptest.Country
	dir    string
	sender *apptest.Sender
	key    string
	client *fasthttp.Client
	next   atomic.Int64 // number of the next message
	sent   atomic.Int64 // accepted so far
}

// errRefused: an answer that was not the one expected.
var errRefused = errors.New("refused")

var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kakitome-bench-programs")
	if err != nil {
		return "", err
	}
	return dir, apptest.Build(context.Background(), dir)
})

// newSite starts carriers and engine in a directory of their own and makes the tenant.
func newSite(ctx context.Context, o apptest.Options) (*site, error) {
	s, err := makeSite(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// makeSite writes the files of a site and starts nothing yet.
func makeSite(ctx context.Context, o apptest.Options) (s *site, err error) {
	s = &site{client: &fasthttp.Client{MaxConnsPerHost: 4096, ReadTimeout: time.Minute, WriteTimeout: time.Minute}}
	if o.Programs, err = programs(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "kakitome-bench"); err != nil {
		return nil, err
	}
	o.Dir = s.dir
	if s.Country, err = apptest.New(ctx, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// open starts carriers and engine and makes the tenant.
func (s *site) open(ctx context.Context) error {
	if err := errors.Join(s.StartCarriers(ctx), s.StartEngine(ctx)); err != nil {
		return err
	}
	var err error
	if s.sender, err = s.Join(ctx); err != nil {
		return err
	}
	key, err := s.Command(ctx, "apikey", "issue", "-config", s.File("kakitome.toml"), "-tenant", apptest.Tenant, "-name", "bench")
	s.key = strings.TrimSpace(key)
	return err
}

func (s *site) close() error {
	s.Close()
	return os.RemoveAll(s.dir)
}

// form is a draft as JSON, in which key, number and reference are filled in at their places.
type form struct {
	text        []byte
	key, to, by int // offsets
}

const (
	formKey    = "KKKKKKKKKKKK" // all three are of fixed width
	formNumber = "00000000000"
	formRefer  = "RRRRRRRRRRRR"
)

func newForm(d message.Draft) (form, error) {
	d.Key, d.To, d.Reference = formKey, formNumber, formRefer
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(d); err != nil {
		return form{}, err
	}
	return form{b.Bytes(), bytes.Index(b.Bytes(), []byte(formKey)), bytes.Index(b.Bytes(), []byte(formNumber)), bytes.Index(b.Bytes(), []byte(formRefer))}, nil
}

// append puts the i-th message behind dst; its number is that of apptest.Number(n).
func (f *form) append(dst []byte, i, n int) []byte {
	at := len(dst)
	dst = append(dst, f.text...)
	digits := fmt.Sprintf("%012d", i)
	copy(dst[at+f.key:], digits)
	copy(dst[at+f.by:], digits)
	copy(dst[at+f.to:], apptest.Number(n))
	return dst
}

// numbers is how many numbers a country has; they are used in turn.
const numbers = 4_000_000

// load is messages of one form, sent over some connections.
type load struct {
	name  string
	draft message.Draft
	batch int             // messages a request; 1: each for itself
	conns int             // connections
	long  time.Duration   // how long requests are begun
	most  int             // messages at most; 0: as many as go
	until <-chan struct{} // closed: no more requests are begun; nil: only long and most end them
	skip  int             // only every skip-th number, beginning with the first; 0: each
}

func (l *load) ended() bool {
	select {
	case <-l.until:
		return true
	default:
		return false
	}
}

// taken is what a load was.
type taken struct {
	messages  int
	accepting time.Duration // until the last answer
	answers   []time.Duration
	links     []string // some of them
}

// linksKept is how many links a load keeps.
const linksKept = 10_000

// send sends the load. Every message is expected to be accepted.
func (s *site) send(ctx context.Context, l load) (*taken, error) {
	f, err := newForm(l.draft)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &taken{}
	var mu sync.Mutex // guards t
	var claimed atomic.Int64
	began := time.Now()
	var clients sync.WaitGroup
	for range l.conns {
		clients.Go(func() {
			var body []byte
			var took []time.Duration
			var links []string
			n := 0
			for ctx.Err() == nil && time.Since(began) < l.long && !l.ended() {
				if l.most > 0 && claimed.Add(int64(l.batch)) > int64(l.most) {
					break
				}
				first := int(s.next.Add(int64(l.batch))) - l.batch
				body = body[:0]
				for i := first; i < first+l.batch; i++ {
					body = f.append(body, i, i*max(l.skip, 1)%numbers)
				}
				start := time.Now()
				link, err := s.post(body, l.batch)
				if err != nil {
					cancel(fmt.Errorf("%s: %w", l.name, err))
					break
				}
				took = append(took, time.Since(start))
				if link != "" && len(links) < linksKept/l.conns {
					links = append(links, link)
				}
				n += l.batch
				s.sent.Add(int64(l.batch))
			}
			mu.Lock()
			defer mu.Unlock()
			t.messages += n
			t.answers, t.links = append(t.answers, took...), append(t.links, links...)
		})
	}
	clients.Wait()
	t.accepting = time.Since(began)
	slices.Sort(t.answers)
	return t, context.Cause(ctx)
}

// post sends a request and checks that all of it was accepted. It returns the link of one message.
func (s *site) post(body []byte, batch int) (link string, err error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	path, kind := "/v1/messages:batch", "application/x-ndjson"
	if batch == 1 {
		path, kind = "/v1/messages", "application/json"
	}
	req.SetRequestURI(s.APIURL() + path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(kind)
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.SetBodyRaw(body)
	if err := s.client.Do(req, res); err != nil {
		return "", err
	}
	if batch > 1 {
		if n := bytes.Count(res.Body(), []byte(`"status":202`)); n != batch {
			return "", fmt.Errorf("%w: status %d, %d of %d lines accepted: %.300s", errRefused, res.StatusCode(), n, batch, res.Body())
		}
		return "", nil
	}
	var a api.Accepted
	if err := json.Unmarshal(res.Body(), &a); err != nil || res.StatusCode() != fasthttp.StatusAccepted {
		return "", fmt.Errorf("%w: status %d: %.300s", errRefused, res.StatusCode(), res.Body())
	}
	return a.URL, nil
}

// reached waits until a counter of the engine has reached all messages that were sent.
func (s *site) reached(ctx context.Context, metric string) error {
	ticker := time.NewTicker(100 * time.Millisecond) // reading metrics costs the engine milliseconds
	defer ticker.Stop()
	for {
		n, err := s.Metric(ctx, metric)
		if err == nil && int64(n) >= s.sent.Load() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is %.0f of %d: %w", metric, n, s.sent.Load(), errors.Join(context.Cause(ctx), err))
		case <-ticker.C:
		}
	}
}

// measured is a load with all that came of it.
type measured struct {
	*taken
	rate float64       // whole lives a second
	cpu  time.Duration // of the engine, a message
}

// measure sends a load and waits until all its messages are delivered.
func (s *site) measure(ctx context.Context, l load, profiles string) (*measured, error) {
	defer s.profile(ctx, profiles, l.name)()
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	t, err := s.send(ctx, l)
	if err != nil {
		return nil, err
	}
	say("%s: %d accepted in %.1f s", l.name, t.messages, t.accepting.Seconds())
	if err := s.reached(ctx, "kakitome_dlr_receipts_total"); err != nil {
		return nil, err
	}
	m := &measured{taken: t, rate: float64(t.messages) / time.Since(began).Seconds()}
	say("%s: delivered, %.0f messages/s", l.name, m.rate)
	after, err := s.cpu()
	m.cpu = (after - before) / time.Duration(max(t.messages, 1))
	return m, err
}

// say tells how far a scenario is, on standard error.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// quantile of sorted durations, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1000
}

// profile begins a CPU profile of the engine, if a directory was given; what it returns waits until the profile is written.
func (s *site) profile(ctx context.Context, dir, name string) (wait func()) {
	if dir == "" {
		return func() {}
	}
	done := make(chan error, 1)
	go func() { done <- s.Profile(ctx, profileLong, filepath.Join(dir, name+".pprof")) }()
	return func() {
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile:", err)
		}
	}
}

// profileLong is how many seconds a profile takes: less than a load does.
const profileLong = 5

// cpu is the CPU time of the engine so far, without its modules.
func (s *site) cpu() (time.Duration, error) { return cpuOf(s.Engine.PID()) }

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

// residentOf is the memory of a process by /proc/<pid>/status, in MiB: of its own (heap, stacks) and of files that it maps.
func residentOf(pid int) (own, files float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kib float64
		name, rest, _ := strings.Cut(line, ":")
		if name != "RssAnon" && name != "RssFile" {
			continue
		}
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			return 0, 0, err
		}
		if name == "RssAnon" {
			own = kib / 1024
		} else {
			files = kib / 1024
		}
	}
	return own, files, nil
}
