package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Claims knows claims. engine/payment implements it.
type Claims interface {
	Claim(ctx context.Context, scope tenant.Scope, id ulid.ULID) (payment.State, error)
}

// Links is the serving store of links.
type Links interface {
	Forget(tokens []string) error
}

// Options of a Retention. Store, Directory, Claims, Audit and State are needed.
type Options struct {
	Config    Config
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Claims    Claims
	Links     Links // nil: nobody serves links
	Audit     *audit.Log
	State     string // path of the state file
	Now       func() time.Time
	Log       *slog.Logger
	Registry  prometheus.Registerer

	Synchronised func() bool // whether the machine's clock is known to be right; nil: it is not known
}

// Retention ends content. Its methods may be called concurrently; one sweep runs at a time.
type Retention struct {
	o       Options
	metrics *metrics
	turn    chan struct{} // size 1: who holds it sweeps
	began   time.Time

	believed atomic.Int64 // time.Duration: how far ahead of the record the clock was when it was last swept by, see doubt
}

// lateAfter is how long a day may be due before that is an alarm: a sweep that was held up, a day that waits.
const lateAfter = 48 * time.Hour

// every is how often it is looked for what is due.
const every = time.Hour

// New makes a Retention.
func New(o Options) (*Retention, error) {
	if errs := o.Config.Validate(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Retention{o: o, metrics: newMetrics(o.Registry), turn: make(chan struct{}, 1), began: clock.Now()}
	_, err := r.load()
	return r, err
}

// Day is what is, or was, done with the content of a tenant's class of one day.
type Day struct {
	Tenant tenant.ID `json:"tenant"`
	Class  string    `json:"class"`
	Day    string    `json:"day"`
	Due    time.Time `json:"due"`             // the end of its term
	Over   int       `json:"over"`            // messages whose content goes
	Kept   int       `json:"kept"`            // messages that live and are sealed anew
	Waits  string    `json:"waits,omitempty"` // why the day is not ended yet
	Late   bool      `json:"late,omitempty"`
}

// Report says what a sweep did, or would do.
type Report struct {
	Days   []Day        `json:"days"`
	Groups uint64       `json:"groups"` // still to be swept
	Swept  store.Purged `json:"swept"`
	Files  int          `json:"files"` // of the log that were given back
}

// Run sweeps every hour until ctx ends.
func (r *Retention) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Minute) // the start has other work
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := r.doubt()
		if err == nil {
			_, err = r.Sweep(ctx, false)
		}
		if err != nil && ctx.Err() == nil {
			r.o.Log.Error("retention", "err", err)
			r.metrics.failures.Inc()
		}
		timer.Reset(every)
	}
}

// farAhead is how much later than the record the clock may be and be believed by itself: less than the shortest term by far, more than
// most stops take.
const farAhead = 48 * time.Hour

// doubt says why the clock is not believed: a key that was destroyed too early cannot be had back. Where the clock is far ahead of what was last
// recorded before the start, and of the time that has passed since, the kernel must say that it is synchronised. An operator's own word
// (Sweep by the command) does as well, for the clock as it was then, until the program ends.
func (r *Retention) doubt() error {
	ahead := r.ahead()
	if ahead-time.Duration(r.believed.Load()) < farAhead || r.o.Synchronised != nil && r.o.Synchronised() {
		return nil
	}
	return fmt.Errorf("the clock is %d days ahead of the record and not synchronised: no content is ended by it; where it is right, `kakitome retention` says so", int(ahead.Hours()/24))
}

// ahead is how much later the clock is than what was last recorded before the start and the time that has passed since.
func (r *Retention) ahead() time.Duration {
	newest := r.o.Store.Newest()
	if newest.IsZero() {
		return 0
	}
	return r.o.Now().Sub(newest.Add(time.Since(r.began)))
}

// Sweep ends what is due. A dry one only says what it would end.
func (r *Retention) Sweep(ctx context.Context, dry bool) (*Report, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	report := &Report{}
	if !dry {
		if err := r.letGo(ctx); err != nil {
			return report, err
		}
	}
	p := &pace{share: r.o.Config.Share, quiet: r.o.Config.QuietShare, merging: r.o.Store.Merging}
	due := r.due()
	var errs []error
	oldest := time.Time{}
	for _, d := range due {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		err := r.end(ctx, p, &d, dry)
		if err != nil {
			d.Waits = err.Error()
			errs = append(errs, fmt.Errorf("tenant %s, class %s, %s: %w", d.Tenant, d.Class, d.Day, err))
		}
		if d.Waits != "" {
			if oldest.IsZero() || d.Due.Before(oldest) {
				oldest = d.Due
			}
			if d.Late = r.o.Now().Sub(d.Due) > lateAfter; d.Late && !dry {
				r.o.Log.Error("content is past its term", "tenant", d.Tenant, "class", d.Class, "day", d.Day, "err", d.Waits)
			}
		}
		report.Days = append(report.Days, d)
	}
	if !dry {
		r.metrics.late(oldest, r.o.Now())
		errs = append(errs, r.sweep(ctx, p, report))
	}
	st, err := r.load()
	report.Groups = st.groups()
	if err = errors.Join(append(errs, err)...); err == nil && !dry {
		r.believed.Store(int64(r.ahead()))
	}
	return report, err
}

// due lists the days whose term is over, the oldest first.
func (r *Retention) due() (due []Day) {
	snap := r.o.Directory()
	now := r.o.Now()
	for _, k := range r.o.Store.DataKeys() {
		months := r.o.Config.months(snap.Tenants[k.Tenant], k.Class)
		day, err := time.ParseInLocation(time.DateOnly, k.Day, message.Tokyo)
		if k.Erased || months == 0 || err != nil {
			continue
		}
		if end := ends(day, months); !end.After(now) {
			due = append(due, Day{Tenant: k.Tenant, Class: k.Class, Day: k.Day, Due: end})
		}
	}
	slices.SortStableFunc(due, func(a, b Day) int { return a.Due.Compare(b.Due) })
	return due
}

// end ends one day.
func (r *Retention) end(ctx context.Context, p *pace, d *Day, dry bool) error {
	under := func(k store.Kept) bool { return k.Class == d.Class && k.Day == d.Day }
	kept, groups, err := r.kept(ctx, d.Tenant, under)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(message.Classes, message.Class(d.Class)):
		err = r.keepLiving(ctx, p, d, kept, dry)
	case strings.HasPrefix(d.Class, filePrefix):
		err = r.awaitFiles(ctx, p, d)
	case d.Class == payment.Class:
		err = r.awaitClaims(ctx, p, d)
	}
	if err != nil || dry || d.Waits != "" {
		return err
	}
	day, err := time.ParseInLocation(time.DateOnly, d.Day, message.Tokyo)
	if err != nil {
		return err
	}
	from, err := r.o.Store.GroupAt(day)
	if err != nil {
		return err
	}
	to, err := r.o.Store.GroupAt(day.AddDate(0, 0, 1).Add(margin))
	if err != nil {
		return err
	}
	if err := r.note(append(groups, span{from, to - 1})); err != nil {
		return err
	}
	detail := fmt.Sprintf("%d messages without content, %d kept that live", d.Over, d.Kept) // said before it is done: afterwards a crash would leave it unsaid
	if err := r.o.Audit.Record(ctx, d.Tenant, audit.Entry{At: r.o.Now(), By: "engine", Action: "retention.end", Target: d.Class + " " + d.Day, Detail: detail}); err != nil {
		return err
	}
	if _, err := r.o.Store.EraseKey(d.Tenant, d.Class, d.Day); err != nil {
		return err
	}
	r.metrics.days.Inc()
	r.metrics.messages.Add(float64(d.Over))
	r.o.Log.Info("content ended", "tenant", d.Tenant, "class", d.Class, "day", d.Day, "messages", d.Over, "kept", d.Kept)
	kept, _, err = r.kept(ctx, d.Tenant, under) // without those that were kept once more
	if err != nil {
		return err
	}
	return r.o.Store.Unkeep(kept)
}

// letGo ends what an end that was cut off behind the destruction of the key has left: messages that count as kept under it.
func (r *Retention) letGo(ctx context.Context) error {
	erased := map[tenant.ID]map[[2]string]bool{}
	for _, k := range r.o.Store.DataKeys() {
		if k.Erased {
			if erased[k.Tenant] == nil {
				erased[k.Tenant] = map[[2]string]bool{}
			}
			erased[k.Tenant][[2]string{k.Class, k.Day}] = true
		}
	}
	for id, days := range erased {
		refs, groups, err := r.kept(ctx, id, func(k store.Kept) bool { return days[[2]string{k.Class, k.Day}] })
		if err != nil {
			return err
		}
		if len(refs) == 0 {
			continue
		}
		if err := r.note(groups); err != nil { // before nothing leads to them any more
			return err
		}
		if err := r.o.Store.Unkeep(refs); err != nil {
			return err
		}
	}
	return nil
}

// margin is how long after the end of its day something that was sealed under the day may be committed.
const margin = time.Hour

// kept lists a tenant's messages that were sealed anew under the keys in question, and the groups that hold their events.
func (r *Retention) kept(ctx context.Context, id tenant.ID, under func(store.Kept) bool) (refs []store.Ref, groups []span, err error) {
	err = r.o.Store.EachKept(ctx, id, func(k store.Kept) error {
		if !under(k) {
			return nil
		}
		in, err := r.o.Store.GroupsOf(k.Ref)
		for _, g := range in {
			groups = append(groups, span{g, g})
		}
		refs = append(refs, k.Ref)
		return err
	})
	return refs, groups, err
}

// sweep takes what is erased out of the groups that are noted.
func (r *Retention) sweep(ctx context.Context, p *pace, report *Report) error {
	e := r.erasure()
	began := clock.Now()
	rest := func() error {
		err := p.rest(ctx, time.Since(began))
		began = clock.Now()
		return err
	}
	for {
		st, err := r.load()
		if err != nil || len(st.Spans) == 0 {
			break
		}
		s := st.Spans[0]
		for next := s.From; next <= s.To; {
			var done store.Purged
			at := next
			if next, done, err = r.o.Store.Purge(ctx, next, s.To, e, rest); err != nil {
				return err
			}
			report.Swept.Add(done)
			r.metrics.swept(done)
			if done.Rewritten > 0 {
				if err := r.oweReclaim(); err != nil {
					return err
				}
			}
			if next == at { // the log ends before the span
				break
			}
			if err := rest(); err != nil {
				return err
			}
		}
		if err := r.done(s); err != nil {
			return err
		}
	}
	st, err := r.load()
	if err != nil || !st.Reclaim {
		return err
	}
	files, err := r.o.Store.Reclaim(ctx, rest)
	report.Files = files
	r.metrics.files.Add(float64(files))
	if err != nil {
		return err
	}
	st.Reclaim = false
	return r.save(st)
}
