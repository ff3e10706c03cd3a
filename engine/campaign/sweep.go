package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A canceled upload is out of dispatch's hands at once (order.go); its messages are ended here, the newest first, so that
// their senders see the reason and their links are closed. sweep goes through all of them once, paced, with a cursor on
// record; settle then waits for those that were in a carrier's window: one that comes back is ended, too. Until none is left
// dispatch heeds what was said.

const (
	sweepBatch = 1000
	// sweepRest is the pause between batches: a sweep leaves the store to those who send.
	sweepRest  = 20 * time.Millisecond
	settleRest = 2 * time.Second
)

// sweep ends the messages of an upload from where it stopped.
func (c *Campaigns) sweep(ctx context.Context, st *State) error {
	now := Sweep{Of: st.Accepted}
	if st.Sweep != nil {
		now = *st.Sweep
	}
	if now.Looked == 0 {
		c.keep(st, nil)
	}
	for !now.Over {
		refs, err := c.messagesBefore(ctx, st, now)
		if err != nil {
			return err
		}
		r, err := c.endMany(ctx, st, refs)
		if err != nil {
			return err
		}
		c.keep(st, r.open)
		now.Looked += int64(len(refs))
		now.Of = max(now.Of, now.Looked)
		now.Ended += r.ended
		now.Gone += r.gone
		if now.Over = len(refs) < sweepBatch; len(refs) > 0 {
			now.before = refs[len(refs)-1].ID
		}
		s, err := st.next(c.now(), store.NewEvent{Type: evSwept, Data: encode(swept{now, now.before})})
		if err != nil {
			return err
		}
		if err := c.commit(ctx, st, s); err != nil {
			return err
		}
		if st, err = c.load(ctx, tenant.Only(st.ref.Tenant), st.ID); err != nil {
			return err
		}
		if !st.sweeps() {
			return nil
		}
		if err := rest(ctx, sweepRest); err != nil {
			return err
		}
	}
	c.Log.Info("messages of an upload ended", "tenant", st.ref.Tenant, "campaign", st.ID, "looked", now.Looked, "ended", now.Ended, "gone", now.Gone)
	return nil
}

// settle waits until none of the messages could be submitted any more. After a restart it looks through all of them for
// those that can.
func (c *Campaigns) settle(ctx context.Context, st *State) error {
	c.mu.Lock()
	open, known := c.left[st.ID]
	c.mu.Unlock()
	now := *st.Sweep
	if !known {
		now = Sweep{Of: now.Of}
	}
	for !now.Over {
		refs, err := c.messagesBefore(ctx, st, now)
		if err != nil {
			return err
		}
		r, err := c.endMany(ctx, st, refs)
		if err != nil {
			return err
		}
		open = append(open, r.open...)
		now.Looked += int64(len(refs))
		now.Ended += r.ended
		now.Gone += r.gone
		if now.Over = len(refs) < sweepBatch; len(refs) > 0 {
			now.before = refs[len(refs)-1].ID
		}
		if err := rest(ctx, sweepRest); err != nil {
			return err
		}
	}
	for len(open) > 0 {
		r, err := c.endMany(ctx, st, open)
		if err != nil {
			return err
		}
		now.Ended += r.ended
		now.Gone -= r.ended
		if open = r.open; len(open) == 0 {
			break
		}
		if err := rest(ctx, settleRest); err != nil {
			return err
		}
		if st, err = c.load(ctx, tenant.Only(st.ref.Tenant), st.ID); err != nil {
			return err
		}
		if !st.sweeps() {
			return nil
		}
	}
	s, err := st.next(c.now(), store.NewEvent{Type: evSwept, Data: encode(swept{now, now.before})}, store.NewEvent{Type: evSettled})
	if err != nil {
		return err
	}
	if err := c.commit(ctx, st, s); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.left, st.ID)
	c.mu.Unlock()
	if st.Phase == Canceling {
		c.metrics.uploads.WithLabelValues(string(Canceled)).Inc()
	}
	return nil
}

// keep remembers messages that may still be submitted, for settle; nil begins anew.
func (c *Campaigns) keep(st *State, open []store.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.left[st.ID]; open != nil && !known {
		return // the sweep began before the program did: settle looks for itself
	}
	if open == nil {
		c.left[st.ID] = []store.Ref{}
		return
	}
	c.left[st.ID] = append(c.left[st.ID], open...)
}

func (c *Campaigns) messagesBefore(ctx context.Context, st *State, now Sweep) ([]store.Ref, error) {
	terms, err := intake.Filter{Campaign: st.ID}.Terms(c.Store, st.ref.Tenant)
	if err != nil {
		return nil, err
	}
	refs, err := c.Store.Search(ctx, tenant.Only(st.ref.Tenant), store.Query{Kind: store.Message, Terms: terms, Before: now.before, Limit: sweepBatch})
	if err != nil {
		return nil, fmt.Errorf("look for messages of upload %s: %w", st.ID, err)
	}
	return refs, nil
}

// reaped is what became of some messages.
type reaped struct {
	ended, gone int64
	open        []store.Ref // may still be submitted; never nil
}

// endMany ends those of the messages that what was said of the upload concerns and that can be ended.
func (c *Campaigns) endMany(ctx context.Context, st *State, refs []store.Ref) (reaped, error) {
	r := reaped{open: []store.Ref{}}
	streams, err := c.Store.LoadMany(ctx, tenant.Only(st.ref.Tenant), refs)
	if err != nil {
		return r, fmt.Errorf("load messages of upload %s: %w", st.ID, err)
	}
	now := c.now()
	var txs []store.Tx
	for i, events := range streams {
		if len(events) == 0 {
			continue
		}
		s, err := stored.State(events)
		if err != nil {
			return r, fmt.Errorf("message %s: %w", refs[i].ID, err)
		}
		end := st.word(s.Carrier).End
		if end == nil {
			continue
		}
		news := s.Stop(*end, now)
		switch {
		case len(news) > 0:
			ch := store.Change{Ref: refs[i], Expect: s.Version, Due: &store.Due{}, Final: true}
			for _, e := range news {
				ch.Events = append(ch.Events, store.NewEvent{Type: byte(e.Type), At: e.At, Data: e.Data})
			}
			txs = append(txs, store.Tx{ch})
			if news[0].Type == message.InDoubt {
				r.gone++
			} else {
				r.ended++
			}
		case s.Phase == message.Withdrawn:
			r.ended++
		case mayBeSubmitted(&s):
			r.open = append(r.open, refs[i])
			r.gone++
		default:
			r.gone++
		}
	}
	if len(txs) == 0 {
		return r, nil
	}
	errs, err := c.Store.Commit(ctx, txs...)
	if err != nil {
		return r, fmt.Errorf("end messages of upload %s: %w", st.ID, err)
	}
	for i, err := range errs {
		var conflict *store.ConflictError
		switch {
		case errors.As(err, &conflict): // it was taken by a pump, or opened, at the same moment
			r.ended--
			r.gone++
			r.open = append(r.open, txs[i][0].Ref)
		case errors.Is(err, store.ErrNotFound): // erased meanwhile
			r.ended--
		case err != nil:
			return r, fmt.Errorf("end message %s: %w", txs[i][0].Ref.ID, err)
		}
	}
	c.metrics.ended.Add(float64(r.ended))
	return r, nil
}

// mayBeSubmitted reports whether a segment of the message could yet be given to a carrier.
func mayBeSubmitted(s *message.State) bool {
	if s.Over() {
		return false
	}
	for _, p := range s.Parts {
		switch p.Phase {
		case message.Waiting, message.Sending, message.Doubtful:
			return true
		}
	}
	return false
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
