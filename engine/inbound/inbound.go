package inbound

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Times of a message of several segments.
const (
	joinFor  = 30 * time.Minute // from the first segment; what is missing then is given up
	namesFor = time.Hour        // from the first segment; a later one begins a message of its own
)

const joinQueue = "inbound/join"

// Options are the rooms that Inbound stands on. Log and Registry may be nil.
type Options struct {
	Store     *store.Store
	Directory *tenant.Directory
	DoNotSend *donotsend.List
	Log       *slog.Logger
	Registry  prometheus.Registerer
	Now       func() time.Time // nil: clock.Now
}

// Inbound takes messages from phones. Safe for concurrent use; it has no state of its own.
type Inbound struct {
	Options
	metrics *metrics
}

// New makes the room; Run ends messages whose segments do not come.
func New(o Options) *Inbound {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	return &Inbound{Options: o, metrics: newMetrics(o.Registry)}
}

// reply is a session.Reply.
type reply interface{ Respond(pdu.Status) error }

// arrival is one deliver_sm on its way.
type arrival struct {
	piece
	reply reply
}

// unit is what is committed together: one message of one piece, or what came at once of the segments of one message.
type unit struct {
	carrier, bind string
	key           string // name of the segments; empty: one piece
	arrivals      []arrival
}

// TakePhones stores messages that a bind of the carrier brought and answers each after its commit, for which it blocks. It
// keeps nothing of the batch. What cannot be stored now is answered ESME_RX_T_APPN, or ESME_RMSGQFUL where there is no room
// for it (too little free space, too many commits at once), and comes again.
func (in *Inbound) TakePhones(ctx context.Context, carrier, bind string, batch []session.Incoming) {
	arrivals := make([]arrival, len(batch))
	for i := range batch {
		arrivals[i] = arrival{readPiece(&batch[i].SM), batch[i].Reply}
	}
	in.take(ctx, carrier, bind, arrivals)
}

// patience is how often a unit is planned again after it lost a race.
const patience = 16

func (in *Inbound) take(ctx context.Context, carrier, bind string, arrivals []arrival) {
	open, err := in.units(carrier, bind, arrivals)
	if err != nil {
		in.Log.Error("messages from phones are not taken", "carrier", carrier, "err", err)
		in.answer(arrivals, pdu.StatusReceiverTemporaryError)
		return
	}
	for try := 0; len(open) > 0 && try < patience; try++ {
		open = in.commit(ctx, open)
	}
	for _, u := range open {
		in.answer(u.arrivals, pdu.StatusReceiverTemporaryError)
	}
}

// units sorts what came by the message that it is of, in order of arrival.
func (in *Inbound) units(carrier, bind string, arrivals []arrival) ([]*unit, error) {
	var units []*unit
	byKey := map[string]*unit{}
	for _, a := range arrivals {
		key := ""
		if a.total > 0 {
			sum, err := in.Store.Keyed(tenant.OperatorID, "segments", fmt.Sprintf("%q %q %q %c %d %d", carrier, a.from, a.to, a.kind, a.ref, a.total))
			if err != nil {
				return nil, err
			}
			// No carrier's name begins with NUL, so this is no id of a submission.
			key = "\x00received/" + carrier + "/" + hex.EncodeToString(sum[:])
			if u := byKey[key]; u != nil {
				u.arrivals = append(u.arrivals, a)
				continue
			}
		}
		u := &unit{carrier: carrier, bind: bind, key: key, arrivals: []arrival{a}}
		if units = append(units, u); key != "" {
			byKey[key] = u
		}
	}
	return units, nil
}

// commit stores units and answers those that are on disk or failed; it returns those that lost a race.
func (in *Inbound) commit(ctx context.Context, open []*unit) (again []*unit) {
	var txs []store.Tx
	var tried []*unit
	var drafts []*draft
	for _, u := range open {
		d, err := in.plan(ctx, u)
		switch {
		case err != nil:
			in.failed(u, err)
		case len(d.tx) == 0:
			in.metrics.count(u.carrier, d)
			in.answer(u.arrivals, pdu.StatusOK) // all of it was here
		default:
			txs, tried, drafts = append(txs, d.tx), append(tried, u), append(drafts, d)
		}
	}
	if len(txs) == 0 {
		return nil
	}
	errs, err := in.Store.Commit(ctx, txs...)
	for i, u := range tried {
		var taken *store.TakenError
		var conflict *store.ConflictError
		switch {
		case err != nil:
			in.failed(u, err)
		case errs[i] == nil:
			in.metrics.count(u.carrier, drafts[i])
			in.answer(u.arrivals, pdu.StatusOK)
		case errors.As(errs[i], &taken), errors.As(errs[i], &conflict):
			again = append(again, u)
		default:
			in.failed(u, errs[i])
		}
	}
	return again
}

func (in *Inbound) failed(u *unit, err error) {
	in.metrics.failed.Add(float64(len(u.arrivals)))
	in.Log.Error("messages from phones are not stored", "carrier", u.carrier, "bind", u.bind, "count", len(u.arrivals), "err", err)
	status := pdu.StatusReceiverTemporaryError
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBusy) {
		status = pdu.StatusMessageQueueFull // SMPP 3.4 §5.1.3: the carrier keeps it and slows down
	}
	in.answer(u.arrivals, status)
}

func (in *Inbound) answer(arrivals []arrival, s pdu.Status) {
	for _, a := range arrivals {
		if err := a.reply.Respond(s); err != nil {
			in.metrics.unanswered.Inc() // the session ended; the carrier sends it again
		}
	}
}

// Run ends messages whose segments did not come in time, until ctx ends.
func (in *Inbound) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wake := in.Store.Wake(joinQueue)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-timer.C:
		}
		wait := time.Minute
		if err := in.giveUp(ctx); err != nil {
			in.Log.Error("received messages with missing segments wait", "err", err)
		} else if at, ok, err := in.Store.NextDue(joinQueue, store.Cursor{}); err == nil && ok {
			wait = min(wait, max(at.Sub(in.Now()), 10*time.Millisecond))
		}
		timer.Reset(wait)
	}
}

// giveUp ends what is due.
func (in *Inbound) giveUp(ctx context.Context) error {
	var after store.Cursor
	for ctx.Err() == nil {
		items, err := in.Store.Due(nil, joinQueue, after, in.Now(), 100)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, it := range items {
			after = it.Cursor
			if err := in.end(ctx, it.Ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// end ends one message as it is.
func (in *Inbound) end(ctx context.Context, ref store.Ref) error {
	events, err := in.Store.Load(ctx, tenant.Operator(), ref)
	if err != nil {
		return err
	}
	s, err := fold(events)
	if err != nil {
		return err
	}
	d := &draft{in: in, now: in.Now().UTC()}
	change := store.Change{Ref: ref, Expect: s.version, Due: &store.Due{}}
	if !s.over() {
		if err := d.finish(ctx, s, &change); err != nil {
			return err
		}
	}
	d.tx = append(d.tx, change)
	errs, err := in.Store.Commit(ctx, d.tx)
	if err == nil {
		err = errs[0]
	}
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return nil // a segment came after all; whoever added it took it out of the queue, or it is met again
	}
	if err == nil {
		in.metrics.count(s.origin.Carrier, d)
	}
	return err
}
