package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// A method with a pool (bank accounts, for one) gives each attempt a place of its own. That a place is taken is a name in the
// store, committed with Started: of two who want the same one, one wins and the other takes the next. The name ends by itself
// when the attempt is over and the module's quarantine has passed; money that comes until then is the attempt's, whenever a file
// tells of it (holder). A claim that is begun anew takes the place that it has. One that nobody was shown, for its attempt never
// reached the agent, is free at once.

// pool is what a module said of one, for as long as poolFresh.
type pool struct {
	places     []string
	quarantine time.Duration
	at         time.Time
}

const (
	poolFresh     = time.Minute
	maxPlaces     = 10_000
	placesAtOnce  = 256
	maxQuarantine = 3 * 366 * 24 * time.Hour
)

// lease takes a free place for an attempt that is about to start; nil: its method has no pool. ErrUnavailable: none is free, or
// the module cannot be asked.
func (p *Payments) lease(ctx context.Context, s *State, start *Start, now time.Time) (*store.Name, error) {
	id := s.Ref.Tenant
	m, ok := p.method(start.Module, start.Method)
	if !ok || !m.Pool {
		return nil, nil
	}
	pl, err := p.pool(ctx, id, start, now)
	if err != nil {
		p.log.Error("pool of a method cannot be read", "tenant", id, "agent", start.Agent, "err", err)
		return nil, fmt.Errorf("%w: pool: %w", ErrUnavailable, err)
	}
	first := 0
	if n := len(pl.places); n > 0 {
		first = rand.IntN(n) // so that a place that was given back rests for as long as others are free
	}
	for _, a := range s.Attempts {
		if i := slices.Index(pl.places, a.Place); i >= 0 && a.Agent == start.Agent && a.Method == start.Method {
			first = i
		}
	}
	for from := 0; from < len(pl.places); from += placesAtOnce {
		keys := make([]string, 0, placesAtOnce)
		at := func(i int) string { return pl.places[(first+i)%len(pl.places)] }
		for i := from; i < min(from+placesAtOnce, len(pl.places)); i++ {
			keys = append(keys, placeKey(id, start.Agent, at(i)))
		}
		for i, found := range p.s.LookupMany(ctx, tenant.Only(id), store.ByAttempt, keys) {
			switch {
			case found.Err == nil && found.Ref != s.Ref:
				continue
			case found.Err != nil && !errors.Is(found.Err, store.ErrNotFound):
				return nil, found.Err
			}
			start.Place = at(from + i)
			name := p.taken(id, start, &pl)
			return &name, nil
		}
	}
	p.log.Error("no place of a pool is free: payments of the method cannot begin", "tenant", id, "agent", start.Agent, "method", start.Method, "places", len(pl.places))
	return nil, fmt.Errorf("%w: no place of %d is free", ErrUnavailable, len(pl.places))
}

// freedPlaces ends the names of places that events leave to attempts that never reached their agent, unless an earlier one was there.
func freedPlaces(s, next *State, now time.Time) (names []store.Name) {
	for _, a := range next.Attempts {
		if was := s.Attempt(a.ID); a.Place == "" || !a.unasked() || was == nil || was.unasked() {
			continue
		}
		if !slices.ContainsFunc(next.Attempts, func(o *Attempt) bool { return o.Agent == a.Agent && o.Place == a.Place && !o.unasked() }) {
			names = append(names, store.Name{Space: store.ByAttempt, Key: placeKey(s.Ref.Tenant, a.Agent, a.Place), Value: a.ID[:], Until: now, Exclusive: true})
		}
	}
	return names
}

// taken is the name of an attempt's place.
func (p *Payments) taken(id tenant.ID, start *Start, pl *pool) store.Name {
	return store.Name{Space: store.ByAttempt, Key: placeKey(id, start.Agent, start.Place), Value: start.ID[:], Until: start.Due.Add(p.c.Grace).Add(pl.quarantine), Exclusive: true}
}

// pool asks the module for its places, at most once in poolFresh.
func (p *Payments) pool(ctx context.Context, id tenant.ID, start *Start, now time.Time) (pool, error) {
	key := Instance(id, start.Agent) + "/" + start.Method
	p.mu.Lock()
	have, ok := p.pools[key]
	p.mu.Unlock()
	if ok && now.Sub(have.at).Abs() < poolFresh {
		return have, nil
	}
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	resp, err := p.opt.Agents.Payment(start.Module).Pool(ctx, &proto.PoolRequest{Call: p.call(id, start.Agent, "", now), Method: start.Method})
	switch {
	case err != nil:
		return pool{}, err
	case resp.Error != nil:
		return pool{}, fmt.Errorf("%s %s", reasonOf(resp.Error), resp.Error.Message)
	case len(resp.Places) > maxPlaces:
		return pool{}, fmt.Errorf("%d places; at most %d", len(resp.Places), maxPlaces)
	}
	have = pool{quarantine: min(max(resp.Quarantine.AsDuration(), 0), maxQuarantine), at: now}
	for _, place := range resp.Places {
		if place == "" || len(place) > maxVoucherField {
			return pool{}, fmt.Errorf("a place of %d bytes; 1 to %d", len(place), maxVoucherField)
		}
		have.places = append(have.places, place)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools[key] = have
	return have, nil
}

// placeKey names a place of an agent's pool while it is taken.
func placeKey(id tenant.ID, agent, place string) string {
	sum := sha256.Sum256([]byte("place\n" + string(id) + "\n" + agent + "\n" + place))
	return hex.EncodeToString(sum[:])
}
