package dlr

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Key is the store name (space BySMSCID) of a carrier's message id as IDRule gives it. Its value is Part.
func Key(carrier, id string) string { return carrier + "/" + id }

// IDLife is how long a carrier's message id finds its message. Carriers use ids again after a time.
const IDLife = 72 * time.Hour

// IDMax is far above the 64 characters of SMPP 3.4 §5.2.23, and below what a name of the store holds. A longer id finds nothing.
const IDMax = 200

// Part is the value kept with Key: which segment of how many.
func Part(part, total int) []byte { return []byte{byte(part), byte(total)} }

// hold is how long a receipt that names no submission keeps its answer waiting: mostly the response that names its id is just
// being recorded. It is short, because an SMSC delivers nothing more when so many are unanswered, no other receipt and no STOP.
const hold = time.Second

// waitingMax bounds the receipts that wait for an answer, one more is answered ESME_RX_T_APPN and comes again; and those that are
// ahead of their response, one more is given up.
const waitingMax = 100_000

// againFor is how long a receipt whose response cannot come any more is remembered, so that it is acknowledged when it comes again.
const againFor = time.Hour

// expireEvery is how often those that are ahead, or were recorded so, are looked through.
const expireEvery = 10 * time.Second

// Store is what a Matcher needs of engine/store.
type Store interface {
	LookupMany(ctx context.Context, scope tenant.Scope, space store.Space, keys []string) []store.Found
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

	respond func(batch []session.Response) (lost int) // session.RespondEach

	response atomic.Int64  // time.Duration in which a response may come
	anyAhead atomic.Bool   // there are such in ahead or recorded
	wake     chan struct{} // size 1: there are such in named

	mu      sync.Mutex // guards what follows
	waiting []arrival
	ahead   map[string]arrival // by Key: refused for now, before the response that names their id
	named   []arrival          // of ahead, whose response is recorded now
	recheck []string           // keys of ahead whose response may have been recorded meanwhile

	doubts  map[uint64][]Doubt // by Receipt.Number
	doubted int                // of them, over all

	recorded map[string]time.Time // by Key: matched while they were ahead, so that they come again for nothing; when they first came
}

// arrival is a receipt on its way.
type arrival struct {
	receipt  Receipt
	bind     string
	reply    session.Reply // zero: it was answered
	received time.Time
	ahead    bool // of its response; it was refused for now
	failed   bool // the last try failed by the store, not for want of a submission
}

// NewMatcher makes the matcher of a carrier. A store that is Phones as well is handed what phones send.
func NewMatcher(carrier string, rule IDRule, s Store, log *slog.Logger, reg prometheus.Registerer) *Matcher {
	m := &Matcher{
		carrier: carrier, store: s, log: log.With("carrier", carrier), metrics: newMetrics(reg, carrier), respond: session.RespondEach,
		wake: make(chan struct{}, 1), ahead: map[string]arrival{}, doubts: map[uint64][]Doubt{}, recorded: map[string]time.Time{},
	}
	m.phones, _ = s.(Phones)
	m.Set(rule, 0)
	return m
}

// Set changes how the carrier's ids are read from now on, and how long its responses are awaited at the most.
func (m *Matcher) Set(rule IDRule, response time.Duration) {
	m.rule.Store(&rule)
	m.response.Store(int64(response + session.LateFor))
}

// Take handles the carrier's requests on a bind: receipts become events and are answered after their commit, messages from
// phones are handed to Phones. It blocks for the commits. Without Phones they are refused for good rather than lost.
func (m *Matcher) Take(ctx context.Context, bind string, batch []session.Incoming) {
	arrivals := make([]arrival, 0, len(batch))
	var texts strings.Builder
	texts.Grow(len(batch) * 32) // an id, and an error
	var at answers
	var fromPhones []session.Incoming
	for i := range batch {
		in := &batch[i]
		if m.phones != nil && (in.Command == pdu.CmdDeliverSM || in.Command == pdu.CmdDataSM) && isFromPhone(&in.SM) {
			fromPhones = append(fromPhones, *in)
			continue
		}
		if !IsReceipt(&in.SM) {
			m.metrics.refused.Inc()
			at.add(in.Reply, pdu.StatusReceiverPermanentError)
			continue
		}
		r, err := parse(&texts, &in.SM, message.Tokyo)
		if err != nil {
			m.metrics.unreadable.Inc()
			m.log.Warn("unreadable delivery receipt", "bind", bind, "id", r.ID, "err", err)
			at.add(in.Reply, pdu.StatusOK) // sending it again would not make it readable
			continue
		}
		arrivals = append(arrivals, arrival{receipt: r, bind: bind, reply: in.Reply, received: in.Received})
	}
	m.answer(at)
	m.keep(m.endDoubts(ctx, m.match(ctx, arrivals)))
	if len(fromPhones) > 0 {
		m.phones.TakePhones(ctx, m.carrier, bind, fromPhones)
	}
}

// Run retries what waits until ctx ends, and then once more what the last responses named.
func (m *Matcher) Run(ctx context.Context) error {
	ticker, expiry := time.NewTicker(250*time.Millisecond), time.NewTicker(expireEvery)
	defer ticker.Stop()
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			m.retry(context.WithoutCancel(ctx))
			m.take(context.WithoutCancel(ctx), &m.named)
			return nil // unanswered receipts come again on the next bind
		case <-ticker.C:
			m.retry(ctx)
		case <-expiry.C:
			m.expire()
		case <-m.wake:
			m.take(ctx, &m.named)
		}
	}
}

// retry looks again at what waits.
func (m *Matcher) retry(ctx context.Context) {
	m.mu.Lock()
	keys := m.recheck
	m.recheck = nil
	m.mu.Unlock()
	if len(keys) > 0 {
		m.look(ctx, keys)
	}
	m.take(ctx, &m.waiting)
}

// take matches what is in one of the lists.
func (m *Matcher) take(ctx context.Context, list *[]arrival) {
	m.mu.Lock()
	batch := *list
	*list = nil
	m.mu.Unlock()
	if len(batch) > 0 {
		m.keep(m.endDoubts(ctx, m.match(ctx, batch)))
	}
}

// keep lets unmatched receipts wait. One that still names no submission after hold is answered ESME_RX_T_APPN and comes again,
// until no response can name it any more: only then it is acknowledged and counted. Meanwhile it is kept in memory too (ahead), so
// that it is matched as soon as its response comes, also where the carrier does not send it again.
func (m *Matcher) keep(unmatched []arrival) {
	orphans := 0
	var at answers
	m.mu.Lock()
	for _, a := range unmatched {
		late := time.Since(a.received) > hold
		key := ""
		if len(m.ahead) > 0 || late {
			key = Key(m.carrier, m.rule.Load().FromReceipt(a.receipt.ID))
		}
		before, again := m.ahead[key]
		switch {
		case a.ahead && a.failed: // named, but not recorded
			m.waiting = append(m.waiting, a)
		case a.ahead:
			m.ahead[key] = a
		case late && a.failed:
			at.add(a.reply, pdu.StatusReceiverTemporaryError) // not recorded: it must come again
		case again && m.over(before.received, 0), late && !again && len(m.ahead) >= waitingMax:
			delete(m.ahead, key)
			orphans++
			at.add(a.reply, pdu.StatusOK)
		case again:
			at.add(a.reply, pdu.StatusReceiverTemporaryError)
		case late:
			at.add(a.reply, pdu.StatusReceiverTemporaryError)
			a.reply, a.ahead = session.Reply{}, true
			a.receipt.ID, a.receipt.Err = strings.Clone(a.receipt.ID), strings.Clone(a.receipt.Err) // they hold those of their batch
			m.ahead[key] = a
			m.recheck = append(m.recheck, key)
		case len(m.waiting) >= waitingMax:
			at.add(a.reply, pdu.StatusReceiverTemporaryError)
		default:
			m.waiting = append(m.waiting, a)
		}
	}
	m.counted(orphans)
	m.mu.Unlock()
	m.answer(at)
}

// counted tells how many are ahead, and how many were given up. The caller holds mu.
func (m *Matcher) counted(orphans int) {
	m.anyAhead.Store(len(m.ahead)+len(m.recorded) > 0)
	m.metrics.ahead.Set(float64(len(m.ahead)))
	if orphans > 0 {
		m.metrics.orphans.Add(float64(orphans))
		m.log.Warn("delivery receipts for unknown submissions", "count", orphans)
	}
}

// Named tells that a response with the id of this Key is recorded: a receipt that came ahead of it is matched.
func (m *Matcher) Named(key string) {
	if !m.anyAhead.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.recorded, key) // the carrier uses the id again
	if a, ok := m.ahead[key]; ok {
		delete(m.ahead, key)
		m.counted(0)
		m.named = append(m.named, a)
		signal(m.wake)
	}
}

// look finds the receipts whose response was recorded while they were put ahead: after their last look-up, before Named could
// know them.
func (m *Matcher) look(ctx context.Context, keys []string) {
	for i, found := range m.store.LookupMany(ctx, tenant.Operator(), store.BySMSCID, keys) {
		switch {
		case found.Err == nil:
			m.Named(keys[i])
		case !errors.Is(found.Err, store.ErrNotFound):
			m.mu.Lock()
			m.recheck = append(m.recheck, keys[i])
			m.mu.Unlock()
		}
	}
}

// expire gives up those that the carrier does not send again either. Most are of another program on the same account.
func (m *Matcher) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.ahead)
	maps.DeleteFunc(m.ahead, func(_ string, a arrival) bool { return m.over(a.received, againFor) })
	maps.DeleteFunc(m.recorded, func(_ string, received time.Time) bool { return m.over(received, againFor) })
	m.expireDoubts()
	m.counted(before - len(m.ahead))
}

// over reports whether no response can name the id of a receipt any more, and that for so long.
func (m *Matcher) over(received time.Time, since time.Duration) bool {
	return time.Since(received) > time.Duration(m.response.Load())+since
}

// record remembers a receipt that was recorded while it was ahead.
func (m *Matcher) record(a *arrival) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recorded) < waitingMax { // else it is recorded once more
		m.recorded[Key(m.carrier, m.rule.Load().FromReceipt(a.receipt.ID))] = a.received
		m.counted(0)
	}
}

// comesAgain reports whether the receipt was recorded while it was ahead.
func (m *Matcher) comesAgain(key []byte) bool {
	if !m.anyAhead.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.recorded[string(key)]
	delete(m.recorded, string(key))
	return ok
}

// records is what a batch of receipts makes of the store: one transaction each, in memory that they share.
type records struct {
	txs    []store.Tx
	events []store.NewEvent
	data   []byte
	states map[store.Ref]*message.State // of messages of several segments, with what this batch adds
}

// match commits the events of all receipts whose submission is known, answers them, and returns the others.
func (m *Matcher) match(ctx context.Context, batch []arrival) (unmatched []arrival) {
	batch, keys := m.final(batch)
	if len(batch) == 0 {
		return nil
	}
	changes := make([]store.Change, len(batch))
	rec := records{txs: make([]store.Tx, 0, len(batch)), events: make([]store.NewEvent, 0, len(batch)), data: make([]byte, 0, 64*len(batch))}
	matched := batch[:0]
	for i, found := range m.store.LookupMany(ctx, tenant.Operator(), store.BySMSCID, keys) {
		a := batch[i]
		if found.Err != nil || len(found.Value) != 2 {
			if a.failed = found.Err != nil && !errors.Is(found.Err, store.ErrNotFound); a.failed {
				m.log.Error("cannot look up a submission", "err", found.Err)
			}
			unmatched = append(unmatched, a)
			continue
		}
		change, err := m.change(ctx, &rec, found.Ref, int(found.Value[0]), int(found.Value[1]), a)
		if err != nil {
			m.log.Error("cannot read the message of a delivery receipt", "msg", found.Ref.ID, "err", err)
			a.failed = true
			unmatched = append(unmatched, a)
			continue
		}
		n := len(matched)
		changes[n] = change
		rec.txs, matched = append(rec.txs, changes[n:n+1:n+1]), append(matched, a)
	}
	if len(matched) == 0 {
		return unmatched
	}
	errs, err := m.store.Commit(ctx, rec.txs...)
	at := make(answers, 0, len(matched))
	for i, a := range matched {
		if err == nil && errs[i] == nil {
			m.metrics.receipts[a.receipt.State].Inc()
			at.add(a.reply, pdu.StatusOK)
			if a.ahead {
				m.record(&a)
			}
			continue
		}
		a.failed = err != nil || !errors.Is(errs[i], store.ErrNotFound)
		unmatched = append(unmatched, a) // the store is busy, or something else happened to the message: again in a moment
	}
	m.answer(at)
	return unmatched
}

// final answers receipts of messages that are still on their way, or of which the carrier knows nothing, because the end is what
// counts, and those that were recorded before; it returns the others with their keys.
func (m *Matcher) final(batch []arrival) (rest []arrival, keys []string) {
	var at answers
	var texts strings.Builder
	texts.Grow(len(batch) * (len(m.carrier) + 24))
	var key []byte
	rule := *m.rule.Load()
	rest, keys = batch[:0], make([]string, 0, len(batch))
	for _, a := range batch {
		if !a.receipt.State.Final() {
			at.add(a.reply, pdu.StatusOK)
			continue
		}
		key = rule.Receipt.appendKey(appendCarrier(key[:0], m.carrier), []byte(a.receipt.ID))
		if !a.ahead && m.comesAgain(key) {
			at.add(a.reply, pdu.StatusOK)
			continue
		}
		rest, keys = append(rest, a), append(keys, keepText(&texts, key))
	}
	m.answer(at)
	return rest, keys
}

// change records a receipt. The last segment's ends the message.
func (m *Matcher) change(ctx context.Context, rec *records, ref store.Ref, part, total int, a arrival) (store.Change, error) {
	from := len(rec.data)
	event := m.report(rec.data, part, &a)
	rec.data = event.Data
	event.Data = rec.data[from:len(rec.data):len(rec.data)]
	rec.events = append(rec.events, store.NewEvent{Type: byte(event.Type), At: event.At, Data: event.Data})
	n := len(rec.events)
	change := store.Change{Ref: ref, Expect: store.Any, Final: true, Events: rec.events[n-1 : n : n]}
	if total == 1 {
		return change, nil
	}
	s := rec.states[ref]
	if s == nil {
		loaded, err := m.store.LoadMany(ctx, tenant.Operator(), []store.Ref{ref})
		if err != nil {
			return change, err
		}
		folded, err := message.Fold(Events(loaded[0]))
		if err != nil {
			return change, err
		}
		if rec.states == nil {
			rec.states = map[store.Ref]*message.State{}
		}
		s = &folded
		rec.states[ref] = s
	}
	change.Expect = s.Version // two binds may bring the last two segments at once
	if err := s.Apply(event); err != nil {
		return change, err
	}
	change.Final = s.Over()
	return change, nil
}

// report is what a receipt says of a segment; its data is appended to dst.
func (m *Matcher) report(dst []byte, part int, a *arrival) message.Event {
	typ := message.Undelivered
	if a.receipt.State == Delivered {
		typ = message.Delivered
	}
	return message.Event{Type: typ, At: clock.Now(), Data: message.AppendReport(dst, &message.Report{
		Part: part, Carrier: m.carrier, Bind: a.bind, State: a.receipt.State.String(), Err: a.receipt.Err, Done: a.receipt.Done,
	})}
}

// answers gathers what the carrier's requests are answered.
type answers []session.Response

func (at *answers) add(r session.Reply, s pdu.Status) {
	*at = append(*at, session.Response{To: r, Status: s})
}

func (m *Matcher) answer(at answers) {
	if len(at) > 0 {
		m.metrics.unanswered.Add(float64(m.respond(at))) // the session ended; the carrier sends it again
	}
}

// ReadState makes s the fold of a message's stored events. It borrows from them: see message.State.Borrow.
func ReadState(s *message.State, events []store.Event) error {
	s.Borrow()
	for i := range events {
		if err := stored.Apply(s, events[i]); err != nil {
			return err
		}
	}
	return nil
}

// Events reads stored events as a message's.
func Events(stored []store.Event) []message.Event {
	events := make([]message.Event, len(stored))
	for i, e := range stored {
		events[i] = message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
	}
	return events
}
