package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// keysHold is how long a key is surely known to intake, with a margin.
const keysHold = 48 * time.Hour

// release gives the good rows to intake, from where it stopped.
func (c *Campaigns) release(ctx context.Context, st *State) error {
	scope := tenant.Only(st.ref.Tenant)
	rs, _, err := c.startRows(ctx, st, func(string) bool { return true }) // the header was good when it was checked
	if err != nil {
		return err
	}
	if rs == nil {
		return fmt.Errorf("BUG: upload %s was checked and has no header", st.ID)
	}
	faulty := &faultyRows{c: c, ctx: ctx, st: st}
	stale := c.now().Sub(st.rowsAt) > keysHold
	now := advanced{Row: st.Row, Accepted: st.Accepted, Repeated: st.Repeated, Refused: st.Refused}
	for now.Row < st.Rows {
		if st.Phase != Releasing || st.Paused != nil { // somebody said so
			return nil
		}
		var all []*row
		var dealt []int64 // rows of this batch: what is left of them is taken out at its end
		var refusals []Finding
		last := now.Row
		accepted, refused := now.Accepted, now.Refused
		for len(dealt) < batch && last < st.Rows {
			r, err := rs.next(rs.n >= now.Row)
			if errors.Is(err, io.EOF) || errors.Is(err, errNotCSV) {
				return fmt.Errorf("upload %s ends after row %d, not %d", st.ID, last, st.Rows)
			}
			if err != nil {
				return fmt.Errorf("read upload %s: %w", st.ID, err)
			}
			bad, err := faulty.has(r.number)
			if err != nil {
				return err
			}
			if r.number <= now.Row {
				continue
			}
			last = r.number
			if bad || r.columns == nil {
				continue
			}
			if dealt = append(dealt, r.number); slices.Contains(st.ahead, r.number) {
				continue
			}
			if len(r.faults) > 0 { // good when it was checked, by an earlier version of this program
				now.Refused++
				refusals = append(refusals, r.faults...)
				continue
			}
			if !r.own {
				r.draft.Key = "upload/" + st.ID.String() + "/" + strconv.FormatInt(r.number, 10)
			}
			all = append(all, r)
		}
		if stale {
			in, err := c.alreadyIn(ctx, scope, st, all)
			if err != nil {
				return err
			}
			now.Accepted += int64(len(all) - len(in))
			all, stale = in, false
		}
		var repeated []*intake.Result
		made := map[ulid.ULID]bool{} // by this batch
		left, held, err := c.ask(ctx, st, all, c.Intake.Accept, func(r *row, res *intake.Result) {
			switch {
			case len(res.Problems) > 0:
				now.Refused++
				found := r.found(res.Problems)
				refusals = append(refusals, found[:min(len(found), perRow)]...)
			case res.Repeated && r.own:
				repeated = append(repeated, res)
			default:
				now.Accepted++
				made[res.ID] = true
			}
		})
		if err != nil {
			return err
		}
		ours, err := c.ours(ctx, scope, st, repeated, made)
		if err != nil {
			return err
		}
		now.Accepted += ours
		now.Repeated += int64(len(repeated)) - ours
		now.Row, now.Refusals = last, uint32(len(refusals))
		if len(left) > 0 {
			now.Row = left[0].number - 1
			now.Ahead = slices.DeleteFunc(dealt, func(n int64) bool {
				return n <= now.Row || slices.ContainsFunc(left, func(r *row) bool { return r.number == n })
			})
		}
		if held > 0 {
			now.Until = clock.Now().Add(min(held, limitAgain)).UTC()
			c.Log.Info("upload waits for a limit of its tenant", "tenant", st.ref.Tenant, "campaign", st.ID, "row", now.Row, "until", now.Until)
		}
		pages, err := c.pages(st, page{ListRefusals, refusals})
		if err != nil {
			return err
		}
		if err := c.advance(ctx, st, now, pages); err != nil {
			return err
		}
		c.metrics.rows.WithLabelValues("accepted").Add(float64(now.Accepted - accepted))
		c.metrics.rows.WithLabelValues("refused").Add(float64(now.Refused - refused))
		c.metrics.rows.WithLabelValues("repeated").Add(float64(int64(len(repeated)) - ours))
		if len(left) > 0 {
			return nil
		}
		if st, err = c.load(ctx, scope, st.ID); err != nil {
			return err
		}
	}
	done, err := st.next(c.now(), store.NewEvent{Type: evDone})
	if err != nil {
		return err
	}
	if err := c.commit(ctx, st, done); err != nil {
		return err
	}
	c.metrics.uploads.WithLabelValues(string(Done)).Inc()
	c.Log.Info("upload done", "tenant", st.ref.Tenant, "campaign", st.ID, "accepted", st.Accepted, "refused", st.Refused)
	return nil
}

// advance puts a batch that intake has on record, also when the upload was paused or canceled meanwhile: else its rows would be
// given to intake again after the pause, and by then their keys may be forgotten. Nobody else advances an upload. One that a
// limit holds back leaves its worker until then, unless somebody said meanwhile where it is to wait.
func (c *Campaigns) advance(ctx context.Context, st *State, now advanced, pages []store.Change) error {
	for {
		s := step{Events: []store.NewEvent{{Type: evAdvanced, Data: encode(now)}}, With: pages}
		if !now.Until.IsZero() {
			s.Due = &store.Due{Queue: queue, At: now.Until}
		}
		err := c.commit(ctx, st, s)
		if conflict := (*store.ConflictError)(nil); !errors.As(err, &conflict) {
			return err
		}
		now.Until = time.Time{}
		var failed error
		if st, failed = c.load(ctx, tenant.Only(st.ref.Tenant), st.ID); failed != nil {
			return failed
		}
		if st.Over() && st.Phase != Canceled { // it has failed
			return err
		}
	}
}

// ours counts the messages that this upload itself made before a crash, among those whose sender's key was known: they came
// after the last batch on record, and no row of this batch has been counted for them.
func (c *Campaigns) ours(ctx context.Context, scope tenant.Scope, st *State, repeated []*intake.Result, counted map[ulid.ULID]bool) (n int64, err error) {
	var refs []store.Ref
	for _, res := range repeated {
		if !counted[res.ID] && res.ID.Time() >= ulid.Timestamp(st.rowsAt) {
			counted[res.ID] = true
			refs = append(refs, store.Ref{Tenant: st.ref.Tenant, Kind: store.Message, ID: res.ID})
		}
	}
	streams, err := c.Store.LoadMany(ctx, scope, refs)
	if err != nil {
		return 0, fmt.Errorf("look at repeated messages of upload %s: %w", st.ID, err)
	}
	for _, events := range streams {
		if len(events) == 0 {
			continue
		}
		var h message.Head
		if err := (message.Event{Type: message.Accepted, Data: events[0].Data}).Decode(&h); err != nil {
			return 0, err
		}
		if h.Campaign == st.ID {
			n++
		}
	}
	return n, nil
}

// alreadyIn leaves out the rows whose message this upload made before: as many of each number as it has. It is for the one
// batch whose fate is unknown when the keys have run out.
func (c *Campaigns) alreadyIn(ctx context.Context, scope tenant.Scope, st *State, all []*row) ([]*row, error) {
	made := map[carrier.Number]int{}
	var left []*row
	for _, r := range all {
		n, err := carrier.ParseNumber(r.draft.To)
		if err != nil {
			left = append(left, r)
			continue
		}
		have, asked := made[n]
		if !asked {
			terms, err := intake.Filter{Number: n, Campaign: st.ID}.Terms(c.Store, st.ref.Tenant)
			if err != nil {
				return nil, err
			}
			refs, err := c.Store.Search(ctx, scope, store.Query{Kind: store.Message, Terms: terms, From: st.rowsAt, Limit: 1000})
			if err != nil {
				return nil, fmt.Errorf("look for messages of upload %s: %w", st.ID, err)
			}
			have = len(refs)
		}
		if made[n] = have - 1; have > 0 {
			continue
		}
		left = append(left, r)
	}
	return left, nil
}

// faultyRows walks through the list of faults beside the rows.
type faultyRows struct {
	c    *Campaigns
	ctx  context.Context
	st   *State
	next int // page
	page []Finding
}

// has reports whether the row is faulty. Rows are asked for in order.
func (f *faultyRows) has(number int64) (bool, error) {
	for {
		for len(f.page) > 0 && f.page[0].Row < number {
			f.page = f.page[1:]
		}
		if len(f.page) > 0 {
			return f.page[0].Row == number, nil
		}
		if f.next == len(f.st.lists[ListFaults]) {
			return false, nil
		}
		var err error
		if f.page, err = f.c.readPage(f.ctx, tenant.Only(f.st.ref.Tenant), f.st, ListFaults, f.next); err != nil {
			return false, err
		}
		f.next++
	}
}
