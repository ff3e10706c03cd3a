// Package bind keeps one SMPP bind of a carrier up.
//
// A Bind is a state machine (Run): Dialing ─► Bound ─► Waiting ─► Dialing …, and Refused when the carrier says that it will
// never let us in (wrong system_id or password): that needs a person, so it is not tried again before Resume. Waiting
// backs off with jitter, from one second to a minute, and starts over after a session that lasted. Hold drains and unbinds
// it, and keeps it in Held; Leave drains, unbinds and ends it. Both wait for responses as long as one may take; when the
// program stops, fifteen seconds at the most. What is not answered by then is in doubt.
//
// It submits nothing by itself: engine/dispatch asks Credit, then TrySubmit. An eighth of the window, and of the burst that the
// rate allows, is kept for what is urgent. A carrier that says that we are too fast slows the bind: see pace. Results and the carrier's own requests go to
// the Handlers in batches, from the session's two handler goroutines; a handler may block for a commit. Nothing here
// survives a restart, and nothing has to: what was submitted is recorded before it is submitted.
package bind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// State is where a bind stands.
type State string

const (
	Dialing   State = "dialing"
	Bound     State = "bound"
	Waiting   State = "waiting"   // until the next try
	Refused   State = "refused"   // by the carrier, until Resume
	Held      State = "held"      // by the operator
	Unbinding State = "unbinding" // the program stops, or the operator holds it
	Stopped   State = "stopped"
)

// Handlers take what a session brings. They must not keep the batches. OnBound tells that submissions may go again.
type Handlers struct {
	OnResults  func(b *Bind, batch []session.Result)
	OnRequests func(b *Bind, batch []session.Incoming)
	OnBound    func(b *Bind)
}

// Options makes a Bind.
type Options struct {
	Config     Config
	Handlers   Handlers
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Dial replaces the TCP dial in tests.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Status is a bind at one moment.
type Status struct {
	Name, Carrier string
	State         State
	Why           string // of the last change of state
	Since         time.Time
	DownSince     time.Time     // since when it has not been bound; zero while it is
	Stats         session.Stats // of the present session
	Window, Rate  int           // as configured: PDUs outstanding at most, and a second (0: no limit)
	Pace          int           // PDUs a second at most since the carrier said that we are too fast; 0: Rate
}

// Bind is one supervised bind. Safe for concurrent use.
type Bind struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	poke    chan struct{} // size 1: Resume or Hold was called
	left    chan struct{} // closed by Leave
	leave   func()
	began   time.Time

	mu      sync.Mutex // guards what follows
	sess    *session.Session
	boundAt time.Time // when sess was bound
	state   State
	why     string
	since   time.Time
	down    time.Time // when the last session ended, or the bind was made
	pace    pace
	held    bool
	count   tally
}

// New makes a bind that Run brings up. The configuration must be valid.
func New(o Options) *Bind {
	b := &Bind{
		o:     o,
		log:   o.Log.With("carrier", o.Config.Carrier, "bind", o.Config.Name),
		pace:  newPace(o.Config.Rate),
		poke:  make(chan struct{}, 1),
		left:  make(chan struct{}),
		state: Stopped,
		began: clock.Now(),
		since: clock.Now(),
		down:  clock.Now(),
		count: tally{errors: map[pdu.Status]uint64{}},
	}
	b.leave = sync.OnceFunc(func() { close(b.left) })
	b.metrics = newMetrics(b)
	return b
}

// Name is the configured name.
func (b *Bind) Name() string { return b.o.Config.Name }

// Carrier is the carrier's name.
func (b *Bind) Carrier() string { return b.o.Config.Carrier }

// Status returns how the bind stands.
func (b *Bind) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := Status{Name: b.o.Config.Name, Carrier: b.o.Config.Carrier, State: b.state, Why: b.why, Since: b.since, Window: b.o.Config.Window, Rate: b.o.Config.Rate, Pace: int(b.pace.now)}
	if b.sess != nil {
		st.Stats = b.sess.Stats()
	} else {
		st.DownSince = b.down
	}
	return st
}

// Resume lets a bind that waits, or was refused, try again at once.
func (b *Bind) Resume() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Hold lets the bind drain, unbind and stay down, or come up again.
func (b *Bind) Hold(held bool) {
	b.mu.Lock()
	changed := b.held != held
	b.held = held
	b.mu.Unlock()
	if changed {
		b.Resume()
	}
}

// Leave lets the bind drain and unbind; then Run returns.
func (b *Bind) Leave() { b.leave() }

func (b *Bind) isHeld() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Credit is how many PDUs may be submitted now: the window's room, within the pace, without what is kept for urgent ones unless
// they are. Zero while the bind is not bound, or held.
func (b *Bind) Credit(urgent bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.credit(clock.Now(), urgent)
}

func (b *Bind) credit(now time.Time, urgent bool) int {
	if b.sess == nil || b.held {
		return 0
	}
	room := b.sess.Room()
	if !urgent {
		room -= b.Reserve()
	}
	return max(min(room, b.pace.room(now, urgent)), 0)
}

// reserved is the part of a window that is kept for what is urgent: one in so many. A window below that keeps nothing.
const reserved = 8

// Reserve is how many PDUs of the window are kept for what is urgent.
func (b *Bind) Reserve() int { return b.o.Config.Window / reserved }

// TrySubmit submits as many of the batch, from its beginning, as Credit allows and returns how many. Each of them
// gets one result; the rest are the caller's still. One that cannot be encoded gets its own, NotSent with a
// *pdu.FieldError, before TrySubmit returns.
func (b *Bind) TrySubmit(batch []session.Request, urgent bool) int {
	n, err := b.submit(batch, urgent)
	var field *pdu.FieldError
	if errors.As(err, &field) { // it would be the first of every batch to come
		b.log.Error("submission cannot be encoded", "err", err)
		b.o.Handlers.OnResults(b, []session.Result{{Owner: batch[n].Owner, Outcome: session.NotSent, Err: err}})
		n++
	}
	return n
}

// submit takes and spends the credit in one go: several feeds ask for it.
func (b *Bind) submit(batch []session.Request, urgent bool) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := clock.Now()
	batch = batch[:min(len(batch), b.credit(now, urgent))]
	if len(batch) == 0 {
		return 0, nil
	}
	n, err := b.sess.TrySubmit(batch)
	b.pace.submit(now, n)
	return n, err
}

// Slow is told that the carrier refused a PDU because we are too fast, and when it was written.
func (b *Bind) Slow(written time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pace.tooFast(clock.Now(), written) {
		b.count.slowed++
	}
}

// Run keeps the bind up until ctx ends or Leave is called, then drains it and unbinds. It returns nil. Then the bind is of no
// more use.
func (b *Bind) Run(ctx context.Context) error {
	if b.o.Registerer != nil { // not before: the bind that had this name may still be draining
		b.o.Registerer.MustRegister(b.metrics)
		defer b.o.Registerer.Unregister(b.metrics)
	}
	stop := ctx
	ctx, cancel := context.WithCancel(stop)
	defer cancel()
	go func() {
		select {
		case <-b.left:
			cancel()
		case <-ctx.Done():
		}
	}()
	var back session.Backoff
	for ctx.Err() == nil {
		if b.isHeld() {
			b.enter(Held, "by the operator")
			select {
			case <-b.poke:
			case <-ctx.Done():
			}
			continue
		}
		b.enter(Dialing, "")
		sess, err := b.dial(ctx)
		if err != nil {
			b.failed(ctx, err, &back)
			continue
		}
		began := clock.Now()
		b.bound(sess)
		b.stay(ctx, stop, sess)
		<-sess.Done()
		b.unbound(sess)
		if time.Since(began) > lasting {
			back.Reset()
		}
		if ctx.Err() == nil && !b.isHeld() {
			wait, _ := back.Next(sess.Err())
			b.wait(ctx, wait, sess.Err())
		}
	}
	b.enter(Stopped, b.ending(stop))
	return nil
}

// ending says why the bind ends.
func (b *Bind) ending(stop context.Context) string {
	if stop.Err() == nil {
		return "changed, or taken out of the configuration"
	}
	return "the program stops"
}

// stay is over when the session ends by itself, or has been unbound.
func (b *Bind) stay(ctx, stop context.Context, sess *session.Session) {
	var why string
	for why == "" {
		select {
		case <-sess.Ended():
			return
		case <-ctx.Done():
			why = b.ending(stop)
		case <-b.poke:
			if b.isHeld() {
				why = "by the operator"
			}
		}
	}
	b.enter(Unbinding, why)
	defer context.AfterFunc(stop, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(stop), stopDrain+5*time.Second)
		defer cancel()
		_ = sess.UnbindWithin(limit, stopDrain) // what it says, the other one says too
	})()
	if err := sess.UnbindWithin(context.WithoutCancel(stop), min(b.o.Config.response(), longestDrain)); err != nil {
		b.log.Warn("unbind failed", "err", err)
	}
}

// longestDrain is how long a bind is down at most because it is drained or changed: nothing else is submitted meanwhile.
const longestDrain = time.Minute

// stopDrain is how long responses are awaited at most when the program stops, which has thirty seconds for all.
const stopDrain = 15 * time.Second

// lasting is how long a session must have been up for the back-off to start over.
const lasting = time.Minute

func (b *Bind) dial(ctx context.Context) (*session.Session, error) {
	o, err := b.o.Config.SessionOptions()
	if err != nil {
		return nil, err
	}
	o.Dial = b.o.Dial
	o.Settings.OnResults = func(_ *session.Session, batch []session.Result) {
		b.countResults(batch)
		b.o.Handlers.OnResults(b, batch)
	}
	o.Settings.OnRequests = func(_ *session.Session, batch []session.Incoming) { b.o.Handlers.OnRequests(b, batch) }
	return session.Dial(ctx, o)
}

// failed waits after a dial or bind that did not work.
func (b *Bind) failed(ctx context.Context, err error, back *session.Backoff) {
	wait, again := back.Next(err)
	if !again {
		b.enter(Refused, err.Error())
		b.log.Error("the carrier refuses this bind; correct its system_id or password, then reload", "err", err)
		select {
		case <-b.poke:
		case <-ctx.Done():
		}
		return
	}
	b.wait(ctx, wait, err)
}

func (b *Bind) wait(ctx context.Context, d time.Duration, why error) {
	b.enter(Waiting, fmt.Sprint(why))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.poke:
	case <-ctx.Done():
	}
}

func (b *Bind) bound(sess *session.Session) {
	b.mu.Lock()
	b.sess, b.boundAt = sess, clock.Now()
	b.count.connects++
	b.mu.Unlock()
	b.enter(Bound, "")
	b.o.Handlers.OnBound(b)
}

func (b *Bind) unbound(sess *session.Session) {
	st := sess.Stats()
	b.mu.Lock()
	b.sess, b.down = nil, clock.Now()
	addStats(&b.count.past, &st)
	b.count.up += time.Since(b.boundAt)
	b.mu.Unlock()
	b.log.Info("session ended", "err", sess.Err(), "submitted", st.Submitted, "in_doubt", st.InDoubt)
}

// enter changes the state. Only a change is logged, or another reason for staying.
func (b *Bind) enter(s State, why string) {
	b.mu.Lock()
	same := b.state == s && b.why == why
	quiet := s == Dialing || (s == Waiting && b.why == why)
	b.state, b.since = s, clock.Now()
	if s != Dialing { // a reason stands until the next outcome
		b.why = why
	}
	b.mu.Unlock()
	if !same && !quiet {
		b.log.Info("bind state", "state", string(s), "why", why)
	}
}
