package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Limits of the codes for one number of a tenant.
const (
	codesHour = 5
	codesDay  = 10
)

// shares counts one-time codes against what bounds them: for a number in the last hour and day, and for the day in Asia/Tokyo
// of a tenant, of one of its API keys, and of the numbers of a prefix. All codes that were asked for count, also those that
// were held back.
//
// Each code is a stream of kind Verification (verification.go) whose terms are what it counts against. A count is taken from
// these streams when it is first needed, and goes on in memory: so it holds over restarts.
type shares struct {
	store *store.Store

	mu    sync.Mutex // guards what follows
	day   string     // of spent
	spent map[string]int
	sent  map[string][]time.Time // by tenant and number, oldest first
	swept time.Time
}

// When so many numbers are counted, those of more than a day ago are dropped, at most once an hour.
const manyNumbers = 100_000

func newShares(s *store.Store) *shares {
	return &shares{store: s, spent: map[string]int{}, sent: map[string][]time.Time{}}
}

// mostCodes is the largest budget that a tenant can have; beyond it nothing need be counted.
const mostCodes = 10_000_000

// Fields of a verification's terms. The values are stored.
const (
	fieldNumber byte = 'n' // keyed hash of the number
	fieldPrefix byte = 'p' // keyed hash of its prefix
	fieldKey    byte = 'k' // id of the API key
)

// share is one code on its way to be counted.
type share struct {
	tenant *tenant.Tenant
	number string // keyed hash of the number
	prefix string // keyed hash of its prefix; empty: a page asks, whose message's sender chose the number
	block  string // the prefix, for people
	key    string // id of the API key; empty: a page asks
}

// terms are those of its stream.
func (c *share) terms() []store.Term {
	terms := []store.Term{{Field: fieldNumber, Value: c.number}}
	for _, t := range []store.Term{{Field: fieldPrefix, Value: c.prefix}, {Field: fieldKey, Value: c.key}} {
		if t.Value != "" {
			terms = append(terms, t)
		}
	}
	return terms
}

// What a LimitError is of.
const (
	OfNumber = "number"
	OfPrefix = "prefix"
	OfKey    = "key"
	OfTenant = "tenant"
)

// LimitError says that no code is sent, because so many were asked for.
type LimitError struct {
	Of         string // number, prefix, key, tenant
	Limit      int
	Hourly     bool // of an hour; else of a day
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	span := "day"
	if e.Hourly {
		span = "hour"
	}
	return fmt.Sprintf("%d one-time codes of a %s for one %s are used", e.Limit, span, e.Of)
}

// daily is one limit of a day.
type daily struct {
	of    string
	at    string // in shares.spent
	terms []store.Term
	limit int
}

func (c *share) dailies() []daily {
	id, p := string(c.tenant.ID), &c.tenant.Policy
	all := []daily{{OfTenant, id, nil, p.DailyCodes()}}
	if c.key != "" {
		all = append(all, daily{OfKey, id + "\x00k" + c.key, []store.Term{{Field: fieldKey, Value: c.key}}, p.KeyCodes()})
	}
	if c.prefix != "" {
		all = append(all, daily{OfPrefix, id + "\x00p" + c.prefix, []store.Term{{Field: fieldPrefix, Value: c.prefix}}, p.PrefixCodes()})
	}
	return all
}

// Budget is how much of a day's one-time codes is used, sent or held back.
type Budget struct{ Used, Limit int }

// Low reports whether somebody should look: four fifths are gone.
func (b Budget) Low() bool { return b.Used >= b.Limit-b.Limit/5 }

// take counts a code, unless a limit is reached: then the error is *LimitError. back uncounts it, if nothing came of it. low
// names the limits of the day that have come to four fifths by this one.
func (s *shares) take(ctx context.Context, c share, now time.Time) (back func(), low []string, err error) {
	days, number := c.dailies(), string(c.tenant.ID)+c.number
	if err := s.learn(ctx, c.tenant.ID, days, now); err != nil {
		return nil, nil, err
	}
	if err := s.learnNumber(ctx, c.tenant.ID, number, c.number, now); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	times := s.sent[number]
	for _, l := range []struct {
		span  time.Duration
		limit int
	}{{time.Hour, codesHour}, {24 * time.Hour, codesDay}} {
		if n := within(times, now, l.span); n >= l.limit {
			return nil, nil, &LimitError{OfNumber, l.limit, l.span == time.Hour, times[len(times)-l.limit].Add(l.span).Sub(now)}
		}
	}
	for _, d := range days {
		if s.spent[d.at] >= d.limit {
			return nil, nil, &LimitError{d.of, d.limit, false, message.Midnight(now).AddDate(0, 0, 1).Sub(now)}
		}
	}
	if len(times) >= codesDay {
		times = slices.Clone(times[len(times)-codesDay+1:])
	}
	s.sent[number] = append(times, now)
	for _, d := range days {
		before := Budget{s.spent[d.at], d.limit}
		s.spent[d.at]++
		if !before.Low() && (Budget{s.spent[d.at], d.limit}).Low() {
			low = append(low, d.of)
		}
	}
	day := s.day
	return func() { s.giveBack(number, days, day, now) }, low, nil
}

func (s *shares) giveBack(number string, days []daily, day string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.sent[number], at.Equal); i >= 0 {
		s.sent[number] = slices.Delete(slices.Clone(s.sent[number]), i, i+1)
	}
	if s.day == day {
		for _, d := range days {
			s.spent[d.at] = max(0, s.spent[d.at]-1)
		}
	}
}

// used is what is used of the tenant's day.
func (s *shares) used(ctx context.Context, t *tenant.Tenant, now time.Time) (int, error) {
	days := (&share{tenant: t}).dailies()
	if err := s.learn(ctx, t.ID, days, now); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	return s.spent[days[0].at], nil
}

// learn counts in the store what is not counted yet. Of two that count at the same time the first one's is taken: the other
// may have seen a code that the first one has counted since.
func (s *shares) learn(ctx context.Context, id tenant.ID, days []daily, now time.Time) error {
	for _, d := range days {
		s.mu.Lock()
		s.turn(now)
		_, known := s.spent[d.at]
		s.mu.Unlock()
		if known {
			continue
		}
		n, err := s.store.Count(ctx, tenant.Only(id), store.Query{Kind: store.Verification, Terms: d.terms, From: message.Midnight(now)}, mostCodes)
		if err != nil {
			return fmt.Errorf("count the one-time codes of a day: %w", err)
		}
		s.mu.Lock()
		if _, known := s.spent[d.at]; !known && s.day == message.Day(now) {
			s.spent[d.at] = n
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *shares) learnNumber(ctx context.Context, id tenant.ID, at, number string, now time.Time) error {
	s.mu.Lock()
	_, known := s.sent[at]
	s.mu.Unlock()
	if known {
		return nil
	}
	refs, err := s.store.Search(ctx, tenant.Only(id), store.Query{
		Kind: store.Verification, Terms: []store.Term{{Field: fieldNumber, Value: number}}, From: now.Add(-24 * time.Hour), Limit: codesDay,
	})
	if err != nil {
		return fmt.Errorf("count the one-time codes of a number: %w", err)
	}
	times := make([]time.Time, len(refs))
	for i, ref := range refs { // newest first
		times[len(refs)-1-i] = ref.ID.Timestamp()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.sent[at]; !known {
		s.sent[at] = times
	}
	return nil
}

// turn begins a new day and forgets numbers that have nothing to count; the caller holds mu.
func (s *shares) turn(now time.Time) {
	if day := message.Day(now); day != s.day {
		s.day, s.spent = day, map[string]int{}
	}
	if len(s.sent) >= manyNumbers && now.Sub(s.swept) >= time.Hour {
		s.swept = now
		for k, times := range s.sent {
			if within(times, now, 24*time.Hour) == 0 {
				delete(s.sent, k)
			}
		}
	}
}

// takeShare counts a code and says in the log and the metrics when a limit is near or reached.
func (id *Identity) takeShare(ctx context.Context, c share, now time.Time) (back func(), err error) {
	back, low, err := id.shares.take(ctx, c, now)
	for _, of := range low {
		id.o.Log.Warn("one-time codes come to a budget of the day", "tenant", c.tenant.ID, "of", of, "key", c.key, "prefix", c.block)
	}
	var over *LimitError
	if errors.As(err, &over) {
		id.metrics.overBudget.WithLabelValues(over.Of).Inc()
	}
	return back, err
}

// Budget tells how many codes of the tenant's day are used.
func (id *Identity) Budget(ctx context.Context, t *tenant.Tenant) (Budget, error) {
	used, err := id.shares.used(ctx, t, id.o.Now())
	return Budget{Used: used, Limit: t.Policy.DailyCodes()}, err
}
