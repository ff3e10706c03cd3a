package admin

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	liveEvery   = time.Second      // an open screen is drawn again at most this often
	liveBeat    = 15 * time.Second // a comment, so that proxies keep the line and a closed browser is noticed
	liveAtOnce  = 500              // open screens in all
	liveOfOne   = 20               // open screens of one user
	liveHolding = 2 * time.Minute  // then the browser asks anew: roles and sessions are looked at from the beginning
)

// interest is what an open screen wants to be woken by: commits of its tenant of these kinds. engine: the operator's
// screens, drawn at each beat.
type interest struct {
	tenant tenant.ID
	kinds  map[store.Kind]bool
}

// watcher is one open screen. wake has size 1: more than one reason to look is one reason.
type watcher struct {
	interest
	login string
	wake  chan struct{}
}

type hub struct {
	mu       sync.Mutex // guards watchers
	watchers map[*watcher]struct{}
}

func (h *hub) join(w *watcher) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for other := range h.watchers {
		if other.login == w.login {
			own++
		}
	}
	if len(h.watchers) >= liveAtOnce || own >= liveOfOne {
		return false
	}
	h.watchers[w] = struct{}{}
	return true
}

func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
}

// tell wakes the screens that show something of the batch.
func (h *hub) tell(batch []store.Event, lost bool) {
	type kindOf struct {
		tenant tenant.ID
		kind   store.Kind
	}
	seen := map[kindOf]bool{}
	for _, e := range batch {
		seen[kindOf{e.Ref.Tenant, e.Ref.Kind}] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		hit := lost
		for k := range w.kinds {
			hit = hit || seen[kindOf{w.tenant, k}]
		}
		if hit {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
	}
}

// follow tells the hub of commits until ctx ends.
func (s *Server) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.Store.Follow(ctx, "", func(batch []store.Event, lost bool) error {
			s.hub.tell(batch, lost)
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("console is not live", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// canvas takes the page of a handler.
type canvas struct {
	header http.Header
	status int
	bytes.Buffer
}

func (c *canvas) Header() http.Header { return c.header }
func (c *canvas) WriteHeader(n int)   { c.status = n }

// The part of a page that is live stands between these marks (templates' "live").
var liveBegin, liveEnd = []byte("<!--live-->"), []byte("<!--/live-->")

// draw has the handler make its page and cuts out the live part.
func draw(s *Server, rt route, r *http.Request, v *visit) ([]byte, error) {
	c := &canvas{header: http.Header{}, status: http.StatusOK}
	if err := rt.serve(s, c, r, v); err != nil {
		return nil, err
	}
	_, part, ok := bytes.Cut(c.Bytes(), liveBegin)
	if !ok || c.status != http.StatusOK {
		return nil, errNotFound
	}
	part, _, _ = bytes.Cut(part, liveEnd)
	return part, nil
}

// live streams the live part of a page as server-sent events, whenever it changes. The handler is the page's own: what it
// checks, it checks each time.
func (s *Server) live(rt route, w http.ResponseWriter, r *http.Request, v *visit) {
	v.live = true
	flush := http.NewResponseController(w)
	part, err := draw(s, rt, r, v)
	if err != nil {
		s.answer(w, r, v, err)
		return
	}
	watcher := &watcher{interest: v.watch, login: v.User.Login, wake: make(chan struct{}, 1)}
	if !s.hub.join(watcher) {
		s.answer(w, r, v, errBusy)
		return
	}
	defer s.hub.leave(watcher)
	s.met.open.Inc()
	defer s.met.open.Dec()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	seed := maphash.MakeSeed()
	sum := maphash.Bytes(seed, part)
	if _, err := fmt.Fprint(w, "retry: 3000\n\n", frame(part)); err != nil || flush.Flush() != nil {
		return
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	end := time.NewTimer(liveHolding)
	defer end.Stop()
	for {
		changed := false
		select {
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		case <-end.C:
			return
		case <-watcher.wake:
			changed = true
		case <-beat.C:
			changed = watcher.tenant == tenant.OperatorID
		}
		if !s.door.Alive(v.session) {
			fmt.Fprint(w, "event: gone\ndata: signed out\n\n") // the browser is told; it may be gone itself
			_ = flush.Flush()
			return
		}
		text := ": beat\n\n"
		if changed {
			v.snap, v.now = s.Directory.Now(), s.Now()
			v.Unmasked = v.Unmasked && s.door.Unmasked(v.session)
			if part, err = draw(s, rt, r, v); err != nil {
				return
			}
			if next := maphash.Bytes(seed, part); next != sum {
				sum, text = next, frame(part)
			}
		}
		if _, err := fmt.Fprint(w, text); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		case <-time.After(liveEvery):
		}
	}
}

// lineEnds are those of event streams, with which a page may be that shows what people typed; each is told as "\n". HTML Living
// Standard, Server-sent events
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// frame is a page's part as one event: every line is a data line.
func frame(part []byte) string {
	var b strings.Builder
	b.WriteString("event: part\n")
	for line := range strings.Lines(lineEnds.Replace(string(part))) {
		b.WriteString("data: ")
		b.WriteString(strings.TrimSuffix(line, "\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}
