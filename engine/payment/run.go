package payment

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	queueSettle = "payment/settle" // claims with something to ask, cancel or expire
	queueNotice = "payment/notice" // raw webhooks that are not applied yet

	runWorkers = 8 // at once, for each queue

	// askFor is how long an agent that gives no answer is asked before an attempt ends, or a claim is overdue, without it: a notice may
	// be lost, and who has paid must not be told that he has not.
	askFor = 3 * 24 * time.Hour
	// lateFor is how long it is asked about an attempt that has expired, ever less often: money comes late, and its notice may be lost.
	lateFor = 10 * 24 * time.Hour
)

// Run settles, cancels and expires attempts, sees to refunds that were ordered, records that a claim is unpaid at its due date, and applies webhooks that were stored but not applied, until ctx ends.
func (p *Payments) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.work(ctx, queueSettle, p.visit) })
	wg.Go(func() { p.work(ctx, queueNotice, p.retryNotice) })
	if p.c.Reports != "" {
		wg.Go(func() { p.pollReports(ctx) })
	}
	wg.Wait()
	return ctx.Err()
}

// work works off a queue.
func (p *Payments) work(ctx context.Context, queue string, handle func(context.Context, store.Ref) error) {
	p.s.Work(ctx, store.Work{Queue: queue, Width: runWorkers, Handle: handle, Now: p.now, Log: p.log})
}

// visit does what a claim's state asks for now.
func (p *Payments) visit(ctx context.Context, ref store.Ref) error {
	scope := tenant.Only(ref.Tenant)
	s, err := p.load(ctx, scope, ref)
	if err != nil {
		return err
	}
	for _, a := range s.Attempts {
		now := p.now()
		var err error
		switch {
		case a.Refunding > 0:
			err = p.pursue(ctx, ref, a.ID)
		case a.Phase == AttemptStarted && now.Before(a.StartedAt.Add(p.c.CreateTimeout+time.Second)):
		case a.Settling():
			p.gate.asked(ref.ID, now)
			_, _, err = p.settle(ctx, ref, a.ID)
		case a.Phase == IsProvisional, a.Phase == HasExpired && now.Before(a.EndedAt.Add(lateFor)):
			_, _, err = p.settle(ctx, ref, a.ID)
		case a.Lives() && !now.Before(a.Due.Add(p.c.Grace)): // also one that its agent never canceled
			err = p.expire(ctx, ref, a)
		case a.Void:
			_, err = p.withdraw(ctx, &s, a, false)
		}
		if err != nil {
			return err
		}
	}
	if err := p.overdue(ctx, &s); err != nil {
		return err
	}
	// Whatever was found out: the claim's place follows from its state.
	if s, err = p.load(ctx, scope, ref); err != nil {
		return err
	}
	due := &store.Due{}
	if at, ok := s.next(p.now(), p.c); ok {
		due = &store.Due{Queue: queueSettle, At: at}
	}
	err = p.commit(ctx, store.Tx{{Ref: ref, Expect: s.Version, Due: due, Final: s.Over()}})
	if conflict(err) {
		return nil // whoever was first has set the place
	}
	return err
}

// overdue records that a claim is unpaid at its due date, after asking the agent of a number that is out, until it answers: its
// notice may be lost.
func (p *Payments) overdue(ctx context.Context, s *State) error {
	lapses := func(s *State, now time.Time) bool { return s.PhaseAt(now) == Overdue && !s.lapsed.Equal(s.Due) }
	if !lapses(s, p.now()) {
		return nil
	}
	if live := s.Live(); live != nil {
		if _, heard, err := p.settle(ctx, s.Ref, live.ID); err != nil || !heard && p.now().Before(s.Due.Add(askFor)) {
			return err
		}
	}
	_, err := p.change(ctx, tenant.Only(s.Ref.Tenant), s.Ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		if !lapses(s, now) {
			return nil, nil
		}
		return []store.NewEvent{newEvent(WentOverdue, now, Lapse{s.Due})}, nil
	})
	if err != nil {
		return fmt.Errorf("say that claim %s is overdue: %w", s.Ref.ID, err)
	}
	return nil
}

// expire ends an attempt whose time is over, after asking the agent once more, until it answers.
func (p *Payments) expire(ctx context.Context, ref store.Ref, a *Attempt) error {
	s, heard, err := p.settle(ctx, ref, a.ID)
	if err != nil {
		return err
	}
	if now := s.Attempt(a.ID); now == nil || !now.Lives() || !heard && p.now().Before(a.Due.Add(p.c.Grace+askFor)) {
		return nil
	}
	if _, err := p.record(ctx, ref, p.host(a.ID, HasExpired, "due")); err != nil {
		return fmt.Errorf("expire attempt %s: %w", a.ID, err)
	}
	return nil
}
