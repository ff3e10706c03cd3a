package dlr

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Key is the store name (space BySMSCID) of a carrier's message id as IDRule gives it. Its value is Part.
func Key(carrier, id string) string { return carrier + "/" + id }

// Part is the value kept with Key: which segment of how many.
func Part(part, total int) []byte { return []byte{byte(part), byte(total)} }

// patience is how long a receipt waits for the response that names its id.
const patience = 10 * time.Second

// waitingMax bounds the receipts that wait; one more is answered ESME_RX_T_APPN and comes again.
const waitingMax = 100_000

// Store is what a Matcher needs of engine/store.
type Store interface {
	Lookup(ctx context.Context, scope tenant.Scope, space store.Space, key string) (store.Ref, []byte, error)
	LoadMany(ctx context.Context, scope tenant.Scope, refs []store.Ref) ([][]store.Event, error)
	Commit(ctx context.Context, txs ...store.Tx) ([]error, error)
}

// Phones takes messages that phones sent. engine/inbound implements it.
type Phones interface {
	// TakePhones stores what a bind of the carrier brought and answers each after its commit, for which it blocks.
	TakePhones(ctx context.Context, carrier, bind string, batch []session.Incoming)
}

// Matcher turns the receipts of one carrier into events. Safe for concurrent use.
type Matcher struct {
	carrier string
	rule    atomic.Pointer[IDRule]
	store   Store
	phones  Phones // nil: messages from phones are refused
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex // guards waiting
	waiting []arrival
}

// reply is a session.Reply.
type reply interface{ Respond(pdu.Status) error }

type arrival struct {
	receipt  Receipt
	bind     string
	reply    reply
	received time.Time
	failed   bool // the last try failed by the store, not for want of a submission
}

// NewMatcher makes the matcher of a carrier. A store that is Phones as well is handed what phones send.
func NewMatcher(carrier string, rule IDRule, s Store, log *slog.Logger, reg prometheus.Registerer) *Matcher {
	m := &Matcher{carrier: carrier, store: s, log: log.With("carrier", carrier), metrics: newMetrics(reg, carrier)}
	m.phones, _ = s.(Phones)
	m.SetRule(rule)
	return m
}

// SetRule changes how the carrier's ids are read from now on.
func (m *Matcher) SetRule(rule IDRule) { m.rule.Store(&rule) }

// Take handles the carrier's requests on a bind: receipts become events and are answered after their commit, messages from
// phones are handed to Phones. It blocks for the commits. Without Phones they are refused for good rather than lost.
func (m *Matcher) Take(ctx context.Context, bind string, batch []session.Incoming) {
	arrivals := make([]arrival, 0, len(batch))
	var fromPhones []session.Incoming
	for i := range batch {
		in := &batch[i]
		if m.phones != nil && in.Command == pdu.CmdDeliverSM && isFromPhone(&in.SM) {
			fromPhones = append(fromPhones, *in)
			continue
		}
		if in.Command != pdu.CmdDeliverSM || !IsReceipt(&in.SM) {
			m.metrics.refused.Inc()
			m.answer(in.Reply, pdu.StatusReceiverPermanentError)
			continue
		}
		r, err := Parse(&in.SM, message.Tokyo)
		if err != nil {
			m.metrics.unreadable.Inc()
			m.log.Warn("unreadable delivery receipt", "bind", bind, "err", err)
			m.answer(in.Reply, pdu.StatusOK) // sending it again would not make it readable
			continue
		}
		arrivals = append(arrivals, arrival{receipt: r, bind: bind, reply: in.Reply, received: in.Received})
	}
	m.keep(m.match(ctx, arrivals))
	if len(fromPhones) > 0 {
		m.phones.TakePhones(ctx, m.carrier, bind, fromPhones)
	}
}

// Run retries what waits until ctx ends.
func (m *Matcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // unanswered receipts come again on the next bind
		case <-ticker.C:
		}
		m.mu.Lock()
		batch := m.waiting
		m.waiting = nil
		m.mu.Unlock()
		if len(batch) > 0 {
			m.keep(m.match(ctx, batch))
		}
	}
}

// keep lets unmatched receipts wait, and gives up on those that waited long enough. What names no submission by then is
// answered ESME_ROK and only counted: most are of another program on the same account, or of a response that never came. A
// receipt of the latter could be told by its number alone, but so could one of another message to the same person, and then
// a doubtful message would count as delivered that never left; it is repeated instead, which the policy of doubt bounds.
func (m *Matcher) keep(unmatched []arrival) {
	orphans := 0
	defer func() {
		if orphans > 0 {
			m.log.Warn("delivery receipts for unknown submissions", "count", orphans)
		}
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range unmatched {
		switch late := time.Since(a.received) > patience; {
		case late && a.failed:
			m.answer(a.reply, pdu.StatusReceiverTemporaryError) // not recorded: it must come again
		case late:
			orphans++
			m.metrics.orphans.Inc()
			m.answer(a.reply, pdu.StatusOK)
		case len(m.waiting) >= waitingMax:
			m.answer(a.reply, pdu.StatusReceiverTemporaryError)
		default:
			m.waiting = append(m.waiting, a)
		}
	}
}

// match commits the events of all receipts whose submission is known, answers them, and returns the others.
func (m *Matcher) match(ctx context.Context, batch []arrival) (unmatched []arrival) {
	var txs []store.Tx
	var matched []arrival
	states := map[store.Ref]*message.State{} // of messages of several segments, with what this batch adds
	for _, a := range batch {
		if !a.receipt.State.Final() {
			m.answer(a.reply, pdu.StatusOK) // on its way; the end is what counts
			continue
		}
		ref, part, err := m.store.Lookup(ctx, tenant.Operator(), store.BySMSCID, Key(m.carrier, m.rule.Load().FromReceipt(a.receipt.ID)))
		if err != nil || len(part) != 2 {
			if a.failed = err != nil && !errors.Is(err, store.ErrNotFound); a.failed {
				m.log.Error("cannot look up a submission", "err", err)
			}
			unmatched = append(unmatched, a)
			continue
		}
		change, err := m.change(ctx, states, ref, int(part[0]), int(part[1]), a)
		if err != nil {
			m.log.Error("cannot read the message of a delivery receipt", "msg", ref.ID, "err", err)
			a.failed = true
			unmatched = append(unmatched, a)
			continue
		}
		txs, matched = append(txs, store.Tx{change}), append(matched, a)
	}
	if len(txs) == 0 {
		return unmatched
	}
	errs, err := m.store.Commit(ctx, txs...)
	for i, a := range matched {
		if err == nil && errs[i] == nil {
			m.metrics.receipts.WithLabelValues(a.receipt.State.String()).Inc()
			m.answer(a.reply, pdu.StatusOK)
			continue
		}
		a.failed = err != nil || !errors.Is(errs[i], store.ErrNotFound)
		unmatched = append(unmatched, a) // the store is busy, or something else happened to the message: again in a moment
	}
	return unmatched
}

// change records a receipt. The last segment's ends the message.
func (m *Matcher) change(ctx context.Context, states map[store.Ref]*message.State, ref store.Ref, part, total int, a arrival) (store.Change, error) {
	typ := message.Undelivered
	if a.receipt.State == Delivered {
		typ = message.Delivered
	}
	event := message.Event{Type: typ, At: clock.Now(), Data: message.Encode(message.Report{
		Part: part, Carrier: m.carrier, Bind: a.bind, State: a.receipt.State.String(), Err: a.receipt.Err, Done: a.receipt.Done,
	})}
	change := store.Change{Ref: ref, Expect: store.Any, Final: true, Events: []store.NewEvent{{Type: byte(event.Type), At: event.At, Data: event.Data}}}
	if total == 1 {
		return change, nil
	}
	s := states[ref]
	if s == nil {
		loaded, err := m.store.LoadMany(ctx, tenant.Operator(), []store.Ref{ref})
		if err != nil {
			return change, err
		}
		folded, err := message.Fold(Events(loaded[0]))
		if err != nil {
			return change, err
		}
		s = &folded
		states[ref] = s
	}
	change.Expect = s.Version // two binds may bring the last two segments at once
	if err := s.Apply(event); err != nil {
		return change, err
	}
	change.Final = s.Over()
	return change, nil
}

func (m *Matcher) answer(r reply, s pdu.Status) {
	if err := r.Respond(s); err != nil {
		m.metrics.unanswered.Inc() // the session ended; the carrier sends it again
	}
}

// Events reads stored events as a message's.
func Events(stored []store.Event) []message.Event {
	events := make([]message.Event, len(stored))
	for i, e := range stored {
		events[i] = message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
	}
	return events
}
