package callback

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// State says how a callback is doing. Words of the API.
type State string

const (
	Live   State = "live"
	Parked State = "parked" // the receiver counts as down; it is probed
	Paused State = "paused" // by somebody, or because it answered 410
)

// Status is how a callback is doing. Times since the engine started; zero: not yet.
type Status struct {
	State       State     `json:"state"`
	LastTaken   time.Time `json:"last_taken_at,omitzero"`
	LastFailure time.Time `json:"last_failure_at,omitzero"`
	Why         string    `json:"last_failure,omitempty"`       // stable word: timeout, connection, tls, refused_address, http
	HTTPStatus  int       `json:"last_failure_status,omitzero"` // of http
	NextProbe   time.Time `json:"next_probe_at,omitzero"`
	Waiting     time.Time `json:"waiting_since,omitzero"` // of the oldest delivery that is due
}

// endpoint works off the queue of one callback.
type endpoint struct {
	c       *Callbacks
	tenant  tenant.ID
	id      string
	changed chan struct{} // size 1: look again; full: about to

	mu       sync.Mutex             // guards what follows
	config   *tenant.Callback       // nil: the callback is no more
	keys     [][]byte               // that sign; nil: to be opened
	rewind   bool                   // read the queue from its beginning again
	busy     map[ulid.ULID]bool     // deliveries that are being told; true: it came up again meanwhile
	failing  map[ulid.ULID]struct{} // deliveries that failed since the last success, at most Config.ParkAfter
	parked   bool
	pause    time.Duration // before the next probe
	notUntil time.Time     // of the next probe, or what the receiver asked for
	oldest   time.Time     // the oldest entry seen due and not taken up; zero: none
	last     Status        // its Last… fields
}

func (e *endpoint) poke() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// set gives the endpoint its callback as it is now.
func (e *endpoint) set(cb *tenant.Callback) {
	e.mu.Lock()
	e.config, e.keys, e.rewind = cb, nil, true
	e.mu.Unlock()
	e.poke()
}

// wake ends waiting for the next probe.
func (e *endpoint) wake() {
	e.mu.Lock()
	e.notUntil = time.Time{}
	e.mu.Unlock()
	e.poke()
}

func (e *endpoint) status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.last
	s.State, s.Waiting = Live, e.oldest
	switch {
	case e.config != nil && e.config.Paused:
		s.State = Paused
	case e.parked:
		s.State, s.NextProbe = Parked, e.notUntil
	}
	return s
}

// callback returns what is to be told to whom, and the keys that sign.
func (e *endpoint) callback() (*tenant.Callback, [][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config == nil || e.config.Paused {
		return nil, nil, nil
	}
	if e.keys == nil {
		var err error
		if e.keys, err = e.c.openSecrets(e.tenant, e.config); err != nil {
			return nil, nil, err
		}
	}
	return e.config, e.liveKeys(), nil
}

// liveKeys leaves out what has ended. e.mu is held.
func (e *endpoint) liveKeys() [][]byte {
	now := e.c.Now()
	var keys [][]byte
	for i, s := range e.config.Secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			keys = append(keys, e.keys[i])
		}
	}
	return keys
}

// gate says how many deliveries may be taken up now, and, if none may, how long to wait for something else than a change
// (0: for a change alone).
func (e *endpoint) gate(now time.Time) (free int, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config.Paused {
		return 0, 0
	}
	if now.Before(e.notUntil) {
		return 0, e.notUntil.Sub(now)
	}
	width := e.c.Config.Width
	if e.parked {
		width = 1
	}
	return width - len(e.busy), 0
}

// run works until ctx ends, or the callback is no more and its queue empty. It waits for the posts that it began.
func (e *endpoint) run(ctx context.Context) {
	var posts sync.WaitGroup
	defer posts.Wait()
	queue := queueOf(e.id)
	woken := e.c.Store.Wake(queue)
	var cursor store.Cursor
	for ctx.Err() == nil {
		e.mu.Lock()
		gone := e.config == nil
		if e.rewind {
			cursor, e.rewind = store.Cursor{}, false
		}
		e.mu.Unlock()
		if gone {
			posts.Wait()
			e.c.clear(ctx, queue)
			return
		}
		now := e.c.Now()
		free, wait := e.gate(now)
		if free <= 0 {
			e.await(ctx, nil, wait)
			continue
		}
		items, err := e.c.Store.Due(nil, queue, cursor, now, free)
		if err != nil {
			e.fault(ctx, "read the queue of callbacks", err)
			continue
		}
		if len(items) == 0 {
			e.behind(time.Time{})
			at, there, err := e.c.Store.NextDue(queue, cursor)
			if err != nil {
				e.fault(ctx, "read the queue of callbacks", err)
				continue
			}
			if there {
				wait = max(at.Sub(now), time.Millisecond)
			}
			e.await(ctx, woken, wait)
			continue
		}
		for _, it := range items {
			e.behind(it.At)
			if free, _ := e.gate(e.c.Now()); free <= 0 {
				break // it stays the next
			}
			cursor = it.Cursor
			if !e.take(it.Ref.ID) {
				continue // whoever is at it looks again
			}
			release, err := e.slot(ctx)
			if err != nil {
				break // ctx has ended
			}
			posts.Go(func() {
				defer release()
				for again := true; again; again = e.again(ctx, it.Ref.ID) {
					e.tell(ctx, it.Ref)
				}
			})
		}
	}
}

// await waits for a change, for entries of the queue, or for some time.
func (e *endpoint) await(ctx context.Context, woken <-chan struct{}, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-e.changed:
	case <-woken:
	case <-timer:
	}
}

// fault logs what should not happen and waits a little.
func (e *endpoint) fault(ctx context.Context, what string, err error) {
	if errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
		_ = sleep(ctx, time.Second) // the engine is stopping
		return
	}
	e.c.Log.Error(what, "tenant", e.tenant, "callback", e.id, "err", err)
	_ = sleep(ctx, 5*time.Second)
}

// take reports whether nobody is at a delivery; else whoever is will look again.
func (e *endpoint) take(id ulid.ULID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, busy := e.busy[id]
	e.busy[id] = busy
	return !busy
}

// again lets go of a delivery, unless it came up again meanwhile.
func (e *endpoint) again(ctx context.Context, id ulid.ULID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy[id] && ctx.Err() == nil {
		e.busy[id] = false
		return true
	}
	delete(e.busy, id)
	e.poke()
	return false
}

func (e *endpoint) behind(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.oldest = at
}

// slot waits for one of the requests that may be under way: of the tenant and of all, or of the probes.
func (e *endpoint) slot(ctx context.Context) (release func(), err error) {
	e.mu.Lock()
	probe := e.parked
	e.mu.Unlock()
	pools := []chan struct{}{e.c.tenantSlots(e.tenant), e.c.slots}
	if probe {
		pools = []chan struct{}{e.c.probes}
	}
	for i, p := range pools {
		select {
		case p <- struct{}{}:
		case <-ctx.Done():
			for _, q := range pools[:i] {
				<-q
			}
			return nil, ctx.Err()
		}
	}
	return func() {
		for _, p := range pools {
			<-p
		}
	}, nil
}

// settle notes how a post went and decides whether the receiver counts as down.
func (e *endpoint) settle(id ulid.ULID, r result) {
	now := e.c.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	log := e.c.Log.With("tenant", e.tenant, "callback", e.id)
	if r.outcome == taken {
		if e.parked {
			log.Info("callback state", "state", Live)
		}
		e.parked, e.pause, e.notUntil, e.last.LastTaken = false, 0, time.Time{}, now
		clear(e.failing)
		return
	}
	e.last.LastFailure, e.last.Why, e.last.HTTPStatus = now, r.why, r.status
	if len(e.failing) < e.c.Config.ParkAfter {
		e.failing[id] = struct{}{}
	}
	switch {
	case e.parked:
		e.pause = min(2*e.pause, e.c.Config.ProbeMost)
	case len(e.failing) >= e.c.Config.ParkAfter:
		e.parked, e.pause = true, e.c.Config.ProbeFirst
		log.Warn("callback state", "state", Parked, "why", r.why, "status", r.status)
	}
	if e.parked {
		e.notUntil = now.Add(jitter(e.pause))
	}
	if asked := now.Add(r.after); r.after > 0 && asked.After(e.notUntil) {
		e.notUntil = asked
	}
}

func (e *endpoint) isParked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.parked
}

// jitter is d, a fifth more or less.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
