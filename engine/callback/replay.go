package callback

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A replay of all from a time on is a stream of its own in the queue replayQueue: it goes through the tenant's streams page
// by page, notes after each how far it is, and so survives a restart. Of each stream it replays from the first event of the
// time on. The notices keep their ids: a receiver that has one already may skip it.

const (
	replayQueue = queuePrefix + "replay"
	replayPage  = 200
	// replayReach is how long a stream goes on telling after its beginning, at most: links last 400 days, sent up to 60 days
	// ahead, and are answered for up to 90 more.
	replayReach = 550 * 24 * time.Hour
)

// replayHead is the data of asked.
type replayHead struct {
	V        int       `json:"v"` // 1
	Callback string    `json:"callback"`
	From     time.Time `json:"from"`
	By       string    `json:"by"`
}

// replayPlace is the data of reached: what comes next, streams of the kind that are older than that one.
type replayPlace struct {
	Kind   store.Kind `json:"kind"`
	Before ulid.ULID  `json:"before,omitzero"`
	To     time.Time  `json:"to"` // heads before this time, where Before is past its retention
}

// ReplayStream tells one stream to a callback again, from its beginning. It is store.ErrNotFound when the tenant has none.
func (c *Callbacks) ReplayStream(ctx context.Context, id tenant.ID, name string, source store.Ref, by string) error {
	cb, err := c.find(id, name)
	if err != nil {
		return err
	}
	if c.sources[source.Kind] == nil || source.Tenant != id {
		return store.ErrNotFound
	}
	if _, err := c.Store.LoadFrom(ctx, tenant.Only(id), source, 1); err != nil {
		return err
	}
	c.met.replays.Inc()
	return c.mark(ctx, []mark{{callback: cb.ID, source: source, event: newEvent(replayed, step{By: by})}})
}

// ReplayMessage tells one message again: by its id, or its 17-digit number.
func (c *Callbacks) ReplayMessage(ctx context.Context, id tenant.ID, name, message, by string) error {
	source := store.Ref{Tenant: id, Kind: store.Message}
	var err error
	if source.ID, err = ulid.ParseStrict(message); err != nil {
		if source, _, err = c.Store.Lookup(ctx, tenant.Only(id), store.ByNo, message); err != nil {
			return err
		}
	}
	return c.ReplayStream(ctx, id, name, source, by)
}

// ReplayClaim tells one claim again, by its number.
func (c *Callbacks) ReplayClaim(ctx context.Context, id tenant.ID, name, number, by string) error {
	source, _, err := c.Store.Lookup(ctx, tenant.Only(id), store.ByClaimNumber, number)
	if err != nil {
		return err
	}
	return c.ReplayStream(ctx, id, name, source, by)
}

// ReplayFrom tells a callback again all that happened from a time on. It returns when the request is on disk.
func (c *Callbacks) ReplayFrom(ctx context.Context, id tenant.ID, name string, from time.Time, by string) error {
	cb, err := c.find(id, name)
	if err != nil {
		return err
	}
	if from.After(c.Now()) {
		return message.Problems{{Field: "from", Code: "range", Detail: "must be in the past"}}
	}
	return c.commit(ctx, store.Change{
		Ref:    store.Ref{Tenant: id, Kind: store.Callback, ID: c.newID()},
		Events: []store.NewEvent{newEvent(asked, replayHead{1, cb.ID, from, by})}, Due: &store.Due{Queue: replayQueue},
	})
}

// runReplays works on replays, a page of each in turn.
func (c *Callbacks) runReplays(ctx context.Context) error {
	var cursor store.Cursor
	woken := c.Store.Wake(replayQueue)
	for {
		items, err := c.Store.Due(nil, replayQueue, cursor, c.Now(), 1)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			at, there, err := c.Store.NextDue(replayQueue, cursor)
			if err != nil {
				return err
			}
			wait := time.Hour
			if there {
				wait = max(at.Sub(c.Now()), time.Millisecond)
			}
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-woken:
			case <-timer.C:
			}
			timer.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		cursor = items[0].Cursor
		ref := items[0].Ref
		if err := c.replayPage(ctx, ref); err != nil {
			if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
				return err
			}
			c.Log.Error("replay of callbacks", "tenant", ref.Tenant, "replay", ref.ID, "err", err)
			if err := c.commit(ctx, store.Change{Ref: ref, Expect: store.Any, Due: &store.Due{Queue: replayQueue, At: c.Now().Add(time.Minute)}}); err != nil {
				return err
			}
		}
	}
}

// replayPage replays one page and notes how far it came.
func (c *Callbacks) replayPage(ctx context.Context, ref store.Ref) error {
	events, err := c.Store.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return err
	}
	var h replayHead
	if err := json.Unmarshal(events[0].Data, &h); err != nil {
		return err
	}
	kinds := slices.SortedFunc(maps.Keys(c.sources), cmp.Compare[store.Kind])
	place := replayPlace{Kind: kinds[0], To: events[0].At}
	if n := len(events) - 1; n > 0 {
		if err := json.Unmarshal(events[n].Data, &place); err != nil {
			return err
		}
	}
	cb := c.byID(ref.Tenant, h.Callback)
	if cb == nil {
		return c.commit(ctx, store.Change{Ref: ref, Expect: len(events), Due: &store.Due{}, Final: true})
	}
	sources, err := c.replaySources(ctx, ref.Tenant, &h, &place)
	if err != nil {
		return err
	}
	marks, err := c.replayMarks(ctx, cb, &h, sources, &place)
	if err != nil {
		return err
	}
	c.met.replays.Add(float64(len(marks)))
	if err := c.mark(ctx, marks); err != nil {
		return err
	}
	change := store.Change{Ref: ref, Expect: len(events), Due: &store.Due{Queue: replayQueue}}
	if len(sources) < replayPage {
		at, ok := slices.BinarySearch(kinds, place.Kind)
		if ok {
			at++
		}
		if at >= len(kinds) {
			change.Due, change.Final = &store.Due{}, true
			c.Log.Info("replay of callbacks is done", "tenant", ref.Tenant, "callback", cb.ID, "replay", ref.ID)
		} else {
			place = replayPlace{Kind: kinds[at], To: events[0].At}
		}
	}
	change.Events = []store.NewEvent{newEvent(reached, place)}
	return c.commit(ctx, change)
}

func (c *Callbacks) byID(id tenant.ID, callback string) *tenant.Callback {
	t := c.Directory.Now().Tenants[id]
	if t == nil {
		return nil
	}
	for i := range t.Callbacks {
		if t.Callbacks[i].ID == callback {
			return &t.Callbacks[i]
		}
	}
	return nil
}

// replaySources lists the next page of streams, newest first.
func (c *Callbacks) replaySources(ctx context.Context, id tenant.ID, h *replayHead, place *replayPlace) ([]store.Ref, error) {
	q := store.Query{Kind: place.Kind, From: h.From.Add(-replayReach), Before: place.Before, Limit: replayPage}
	if place.Before.IsZero() {
		q.To = place.To
	}
	refs, err := c.Store.Search(ctx, tenant.Only(id), q)
	if errors.Is(err, store.ErrNotFound) {
		q.Before, q.To = ulid.ULID{}, place.To
		refs, err = c.Store.Search(ctx, tenant.Only(id), q)
	}
	if err != nil {
		return nil, fmt.Errorf("list what is to be told again: %w", err)
	}
	return refs, nil
}

// replayMarks marks those of the streams that have something to tell from the time on, and moves the place behind them.
func (c *Callbacks) replayMarks(ctx context.Context, cb *tenant.Callback, h *replayHead, sources []store.Ref, place *replayPlace) ([]mark, error) {
	if len(sources) == 0 {
		return nil, nil
	}
	all, err := c.Store.LoadMany(ctx, tenant.Only(sources[0].Tenant), sources)
	if err != nil {
		return nil, err
	}
	var marks []mark
	src := c.sources[place.Kind]
	for i, events := range all {
		first := slices.IndexFunc(events, func(e store.Event) bool { return !e.At.Before(h.From) && wantsAny(cb, src.May(e.Type)) })
		if first >= 0 {
			marks = append(marks, mark{callback: cb.ID, source: sources[i], event: newEvent(replayed, step{Next: At(events[first].Seq, 0), By: h.By})})
		}
		if len(events) > 0 {
			place.To = events[0].At.Add(1) // those of the same moment come again
		}
	}
	place.Before = sources[len(sources)-1].ID
	return marks, nil
}
