package carrier

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Chain says which carrier a number has now and whether something may be sent to it:
//
//	table of ported numbers ─► module, or what it told within cache_minutes ─► ranges
//
// The table comes first because it is the operator's own word, from contracts that know better than a module that somebody
// else runs, and costs no call. The ranges come last because they say who got a number first, which is wrong for each that
// moved since. A message that says when its number was registered has the module asked in any case: only that knows whether
// the number changed hands; the table's carrier holds all the same.
//
// Resolve never waits. Where it says that the module must be asked, the caller asks for many numbers at once, aside from what
// needs no lookup, and decides by the results. An answer that cannot be had is replaced by policy (Lookup.Failure), an open
// breaker being a call that fails at once.
//
// Safe for concurrent use. What was told is kept in memory alone; it and the module hear nothing of senders or texts.
type Chain struct {
	o       ChainOptions
	cache   cache
	metrics *chainMetrics
	failing atomic.Bool // the last call failed
}

// Modules is what the chain needs of plugins/host.
type Modules interface {
	Number(module string) proto.NumberClient
	Describe(module string) (*proto.DescribeResponse, bool)
}

// ChainOptions makes a Chain. Modules, Log and Registerer may be nil.
type ChainOptions struct {
	Table      *Table
	Modules    Modules
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// LookupInstance is the instance of a number module that the chain calls; it is the operator's.
const LookupInstance = "numbers"

// NewChain makes a chain of the table and its configuration's module.
func NewChain(o ChainOptions) *Chain {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Chain{o: o, metrics: newChainMetrics(o.Registerer)}
}

// Query asks about the number of one message.
type Query struct {
	Number     Number
	Registered string // YYYY-MM-DD, the day from which on it must not have changed hands; empty: that is not asked
	Code       bool   // a person waits for it: without Registered the module is not asked
}

// Why nothing is sent to a number. The words are stable.
const (
	StopChangedHands = "changed_hands"  // 契約者変更: it has another subscriber since the day
	StopNotInService = "not_in_service" // no line answers to it
)

// Answer is what is known of a number.
type Answer struct {
	Found        // Carrier nil: none is known
	Stop  string // why nothing may be sent, or empty
}

// Result is an Answer of Ask, good until a time; Failed: it could not be had.
type Result struct {
	Answer
	Until  time.Time
	Failed bool
}

// Resolve answers by the tables and by what the module told before. ask: the module must be asked.
func (c *Chain) Resolve(q Query) (a Answer, ask bool) {
	v := c.o.Table.now.Load()
	a.Found, _ = c.o.Table.Resolve(q.Number)
	if v.lookup.Module == "" || c.o.Modules == nil {
		return a, false
	}
	told, known := c.cache.get(q.Number, clock.Now())
	if known {
		a = v.answer(a.Found, q, told)
	}
	facts := c.facts(v.lookup.Module)
	switch {
	case a.Stop != "":
	case q.Registered != "" && facts[proto.NumberFact_CHANGED_HANDS]:
		ask = !known || told.hands(q.Registered) == 0
	case v.lookup.Ask == askAll && a.By != message.ByPorted && !q.Code && (facts[proto.NumberFact_CARRIER_NOW] || facts[proto.NumberFact_IN_SERVICE]):
		ask = !known
	}
	if !ask && known {
		c.metrics.answers.WithLabelValues("cache").Inc()
	}
	return a, ask
}

// Failed answers for a question that got no answer: by the tables, or, with hold, not before that time has passed.
func (c *Chain) Failed(q Query) (a Answer, hold time.Duration) {
	v := c.o.Table.now.Load()
	a.Found, _ = c.o.Table.Resolve(q.Number)
	return a, v.lookup.hold(q.Registered != "")
}

// most is the largest batch of the contract (plugins/proto).
const most = 1000

// MaxBatch is how many questions one Ask may hold.
func (c *Chain) MaxBatch() int {
	if c.o.Modules == nil {
		return most
	}
	d, ok := c.o.Modules.Describe(c.o.Table.now.Load().lookup.Module)
	if !ok || d.MaxNumbers == 0 {
		return most
	}
	return min(int(d.MaxNumbers), most)
}

// facts are what the module tells; all, as long as it has not said so.
func (c *Chain) facts(module string) (facts [4]bool) {
	d, ok := c.o.Modules.Describe(module)
	if !ok {
		return [4]bool{true, true, true, true}
	}
	for _, f := range d.NumberFacts {
		if f >= 0 && int(f) < len(facts) {
			facts[f] = true
		}
	}
	return facts
}

// Ask asks the module about at most MaxBatch numbers in one call, and returns as many results in order. It takes no longer
// than the configured deadline.
func (c *Chain) Ask(ctx context.Context, queries []Query) []Result {
	results := make([]Result, len(queries))
	v := c.o.Table.now.Load()
	type question struct {
		number Number
		day    string
	}
	at := make(map[question]int, len(queries)) // its place in the request
	places := make([]int, len(queries))
	req := &proto.LookupRequest{Call: &proto.Call{Tenant: string(tenant.OperatorID), Instance: LookupInstance, Now: timestamppb.Now()}}
	for i, q := range queries {
		k := question{q.Number, q.Registered}
		place, twice := at[k]
		if !twice {
			place = len(req.Queries)
			at[k] = place
			req.Queries = append(req.Queries, &proto.NumberQuery{Number: q.Number.E164(), RegisteredOn: q.Registered})
		}
		places[i] = place
	}
	answers := c.call(ctx, &v.lookup, req)
	for i, q := range queries {
		found, _ := c.o.Table.Resolve(q.Number)
		if answers == nil || answers[places[i]].Error != nil {
			results[i] = Result{Answer: Answer{Found: found}, Failed: true}
			c.metrics.answers.WithLabelValues("failed").Inc()
			continue
		}
		told := c.read(v, answers[places[i]], q)
		c.cache.put(q.Number, told, v.lookup.CacheNumbers)
		results[i] = Result{Answer: v.answer(found, q, told), Until: told.until}
		c.metrics.answers.WithLabelValues("module").Inc()
	}
	return results
}

// call makes one call of the module; nil: it failed. What a module writes into an error may hold a number, so only its code
// is logged, and only when it begins to fail and when it is well again.
func (c *Chain) call(ctx context.Context, l *Lookup, req *proto.LookupRequest) []*proto.NumberResult {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.DeadlineMS)*time.Millisecond)
	defer cancel()
	out, err := c.o.Modules.Number(l.Module).Lookup(ctx, req)
	why := ""
	switch {
	case err != nil && errors.Is(context.Cause(ctx), context.Canceled): // we stop
		return nil
	case err != nil && errors.Is(err, host.ErrNotSent):
		why = "not sent: the module does not run, is busy, not configured, or its breaker is open"
	case err != nil:
		why = "no answer: " + status.Code(err).String()
	case out.Error != nil:
		why = "refused: " + out.Error.Class.String()
	case len(out.Results) != len(req.Queries):
		why = "BUG: results of another batch"
	}
	if why != "" {
		if !c.failing.Swap(true) {
			c.o.Log.Error("number lookup fails, messages go by policy", "plugin", l.Module, "err", why, "failure", l.Failure, "failure_registered", l.FailureRegistered)
		}
		return nil
	}
	if c.failing.Swap(false) {
		c.o.Log.Info("number lookup works again", "plugin", l.Module)
	}
	return out.Results
}

// read makes what is kept of an answer. A carrier that is not configured counts as not told, and so does one of the other
// kind: a rehearsal must not reach a person.
func (c *Chain) read(v *view, r *proto.NumberResult, q Query) told {
	t := told{until: clock.Now().Add(time.Duration(v.lookup.CacheMinutes) * time.Minute), dead: r.InService == proto.Certainty_NO, day: q.Registered}
	if r.Carrier != "" {
		if cr, ok := v.byName[r.Carrier]; ok && cr.Simulated == q.Number.Simulated() {
			t.carrier = cr.Name
		} else {
			c.metrics.strange.Inc()
		}
	}
	if q.Registered != "" {
		t.changed = r.ChangedHands
		if t.changed == 0 {
			t.changed = proto.Certainty_UNKNOWN
		}
	}
	return t
}

// answer puts together what the tables and the module say.
func (v *view) answer(table Found, q Query, t told) Answer {
	a := Answer{Found: table}
	if c := v.byName[t.carrier]; c != nil && table.By != message.ByPorted {
		a.Found = Found{c, message.ByModule}
	}
	switch {
	case t.dead:
		a.Stop = StopNotInService
	case q.Registered != "" && t.hands(q.Registered) == proto.Certainty_YES:
		a.Stop = StopChangedHands
	}
	return a
}

type chainMetrics struct {
	answers *prometheus.CounterVec
	strange prometheus.Counter
}

func newChainMetrics(reg prometheus.Registerer) *chainMetrics {
	m := &chainMetrics{
		// by: cache, module, failed
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_carrier_lookups_total", Help: "Numbers that a lookup module was to tell of, by where the answer came from."}, []string{"by"}),
		strange: prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_carrier_lookup_unknown_carriers_total", Help: "Answers of a lookup module with a carrier that is not configured."}),
	}
	if reg != nil {
		reg.MustRegister(m.answers, m.strange)
	}
	return m
}
