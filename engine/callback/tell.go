package callback

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// outcome is what came of a post. Words of the metrics.
type outcome string

const (
	taken   outcome = "taken"   // 2xx
	refused outcome = "refused" // 3xx, 4xx: the receiver does not want this one
	down    outcome = "down"    // no reply, or one that says that the receiver cannot now: 408, 425, 429, 5xx
	gone    outcome = "gone"    // 410: it wants no more at all
)

type result struct {
	outcome outcome
	status  int
	why     string
	after   time.Duration // the receiver asks to be left alone for so long
}

func (c *Callbacks) post(ctx context.Context, url string, header http.Header, body []byte) (result, []byte) {
	c.met.running.Inc()
	defer c.met.running.Dec()
	began := c.Now()
	reply, err := c.Poster.Post(ctx, url, header, body)
	r := judge(reply, err)
	if ctx.Err() == nil {
		c.met.posted(r.outcome, c.Now().Sub(began))
	}
	return r, reply.Body
}

func judge(reply egress.Reply, err error) result {
	if err != nil {
		return result{outcome: down, why: reason(err)}
	}
	r := result{status: reply.Status, why: "http", after: reply.RetryAfter}
	switch s := reply.Status; {
	case s >= 200 && s < 300:
		return result{outcome: taken, status: s}
	case s == http.StatusGone:
		r.outcome = gone
	case s >= 500, s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests:
		r.outcome = down
	default:
		r.outcome, r.after = refused, 0
	}
	return r
}

// reason is a stable word for why there was no reply. It says nothing of our network.
func reason(err error) string {
	var (
		network net.Error
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		alert   tls.AlertError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, egress.ErrRefused):
		return "refused_address"
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &alert), errors.As(err, &record):
		return "tls"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "connection"
}

// tell tells what a delivery has to tell, in order, until there is no more or a post fails. The delivery is then out of the
// queue, or due again.
func (e *endpoint) tell(ctx context.Context, ref store.Ref) {
	for ctx.Err() == nil {
		more, err := e.tellNext(ctx, ref)
		switch {
		case err == nil && !more:
			return
		case err == nil:
		case errors.Is(err, store.ErrNotFound):
			return // past its retention
		case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrClosed):
			_ = sleep(ctx, 100*time.Millisecond) // ctx ends the loop
		default:
			e.c.Log.Error("callback cannot be told", "tenant", e.tenant, "callback", e.id, "delivery", ref.ID, "err", err)
			err = e.c.commit(ctx, store.Change{Ref: ref, Expect: store.Any, Due: &store.Due{Queue: queueOf(e.id), At: e.c.Now().Add(time.Hour)}})
			if err == nil {
				return
			}
			_ = sleep(ctx, 5*time.Second)
		}
	}
}

// tellNext tells the next notice of a delivery. more: look again.
func (e *endpoint) tellNext(ctx context.Context, ref store.Ref) (more bool, err error) {
	cb, keys, err := e.callback()
	if err != nil || cb == nil {
		return false, err // paused or removed: what is due stays in the queue, which is read anew
	}
	d, notices, err := e.c.load(ctx, ref)
	if err != nil {
		return false, err
	}
	now := e.c.Now()
	if now.Before(d.until) { // it became due because something was added
		return e.rest(ctx, d, &store.Due{Queue: queueOf(e.id), At: d.until})
	}
	due := d.due(notices, cb)
	if len(due) == 0 {
		return e.rest(ctx, d, &store.Due{})
	}
	n := due[0]
	data, err := n.Data(e.c.Store, cb)
	if err != nil {
		return false, err
	}
	id := ID(d.source, n.Pos)
	body := Body{Type: n.Type, Timestamp: n.At, Tenant: e.tenant, Data: data}.encode()
	parked := e.isParked()
	r, _ := e.c.post(ctx, cb.URL, Signed(keys, id, now, body), body)
	if ctx.Err() != nil {
		return false, nil // we are stopping: not a fault of the receiver
	}
	e.settle(ref.ID, r)
	now = e.c.Now()
	if r.outcome == taken {
		e.c.met.lag.Observe(now.Sub(n.At).Seconds())
		return e.passed(ctx, d, newEvent(sent, step{Next: n.Pos + 1}), len(due) > 1)
	}
	if r.outcome == gone {
		return false, e.c.pauseGone(ctx, e.tenant, cb)
	}
	f := failure{Status: r.status, Why: r.why, Counted: r.outcome == refused || !parked}
	spent := r.outcome == refused && d.failures >= len(e.c.Config.Retry)
	if old := now.Sub(later(n.At, d.since)) > e.c.Config.GiveUp; old || spent {
		e.c.met.gaveUp.Inc()
		e.c.Log.Warn("callback given up", "tenant", e.tenant, "callback", e.id, "id", id, "type", n.Type, "why", r.why, "status", r.status)
		return e.passed(ctx, d, newEvent(gaveUp, step{Next: n.Pos + 1, Why: r.why}), len(due) > 1)
	}
	wait := e.c.Config.Retry[min(d.failures, len(e.c.Config.Retry)-1)]
	if !f.Counted {
		wait = e.c.Config.Retry[0] // the probes have their own pace
	}
	f.Until = now.Add(max(jitter(wait), r.after))
	_, err = e.step(ctx, d, newEvent(failed, f), &store.Due{Queue: queueOf(e.id), At: f.Until})
	return false, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due lists what is still to be told of a delivery.
func (d *delivery) due(notices []Notice, cb *tenant.Callback) []Notice {
	var due []Notice
	for _, n := range notices {
		if n.Pos >= d.next && wants(cb, n.Type) && (d.replays > 0 || !n.At.Before(cb.Since)) {
			due = append(due, n)
		}
	}
	return due
}

// load reads a delivery and all notices of what it tells of. A source that is no more has none.
func (c *Callbacks) load(ctx context.Context, ref store.Ref) (*delivery, []Notice, error) {
	scope := tenant.Only(ref.Tenant)
	events, err := c.Store.Load(ctx, scope, ref)
	if err != nil {
		return nil, nil, err
	}
	d, err := foldDelivery(events)
	if err != nil {
		return nil, nil, err
	}
	src := c.sources[d.source.Kind]
	if src == nil {
		return nil, nil, fmt.Errorf("nobody tells of streams of kind %q", d.source.Kind)
	}
	events, err = c.Store.Load(ctx, scope, d.source)
	if errors.Is(err, store.ErrNotFound) {
		return d, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	notices, err := src.Tell(events)
	return d, notices, err
}

// rest commits where a delivery stands in its queue, unless something was added meanwhile: then it is looked at again.
func (e *endpoint) rest(ctx context.Context, d *delivery, due *store.Due) (more bool, err error) {
	err = e.c.commit(ctx, store.Change{Ref: d.ref, Expect: d.version, Due: due, Final: due.Queue == ""})
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return true, nil
	}
	return false, err
}

// passed commits that a notice is settled; more: there are others.
func (e *endpoint) passed(ctx context.Context, d *delivery, ev store.NewEvent, more bool) (bool, error) {
	var due *store.Due // nil: it stays where it is
	if !more {
		due = &store.Due{}
	}
	added, err := e.step(ctx, d, ev, due)
	return more || added, err
}

// step commits a step. What was added meanwhile does not undo it, unless it is a replay: then the step is left out. added:
// something was, and the delivery has to be looked at again.
func (e *endpoint) step(ctx context.Context, d *delivery, ev store.NewEvent, due *store.Due) (added bool, err error) {
	for {
		err := e.c.commit(ctx, store.Change{Ref: d.ref, Expect: d.version, Events: []store.NewEvent{ev}, Due: due, Final: due != nil && due.Queue == ""})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			return added, err
		}
		events, err := e.c.Store.Load(ctx, tenant.Only(d.ref.Tenant), d.ref)
		if err != nil {
			return false, err
		}
		now, err := foldDelivery(events)
		if err != nil {
			return false, err
		}
		if now.replays != d.replays {
			return true, nil
		}
		d, added = now, true
		if due != nil && due.Queue == "" {
			due = nil
		}
	}
}

// commit commits one change, waiting while the store pushes back.
func (c *Callbacks) commit(ctx context.Context, change store.Change) error {
	for {
		errs, err := c.Store.Commit(ctx, store.Tx{change})
		if err == nil {
			err = errs[0]
		}
		if !errors.Is(err, store.ErrBusy) {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// newID is an id of now.
func (c *Callbacks) newID() ulid.ULID {
	return ulid.MustNew(ulid.Timestamp(c.Now()), ulid.DefaultEntropy())
}
