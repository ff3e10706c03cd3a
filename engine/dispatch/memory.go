package dispatch

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// memory is what a feed decides, records and submits a batch in. A message needs some forty small objects on its way; they
// lie in arrays by kind, which the next batch uses again: a batch is done with when its submit returns, because the store
// has answered by then and every request is encoded, or given back. An array that has to grow moves, but what points into
// the old one stays good.
//
// Two kinds live on until the carrier answers, flights and parts: they are new with each batch, and go with the last of it.
type memory struct {
	streams  store.Streams
	state    message.State // of the message that is decided; it borrows from streams
	sms      message.SMS   // of the same
	plans    []plan
	changes  []store.Change
	txs      []store.Tx
	events   []store.NewEvent
	dues     []store.Due
	segments []coding.Segment
	bodies   []pdu.SubmitSM
	requests []session.Request // of plans
	batch    []session.Request // of the plans that were recorded
	bytes    []byte            // opened texts, addresses, user data, encoded events
	flights  []flight
	parts    []part

	senders  map[senderKey]senderFound // by the directory and settings of when
	when     [2]any
	lookedUp map[message.Lookup][]byte // encoded: there are few
}

type senderKey struct {
	tenant  tenant.ID
	profile string
}

type senderFound struct {
	address string
	err     error
}

// begin lets go of the last batch, for one of n messages.
func (m *memory) begin(n int) {
	m.plans, m.changes, m.txs, m.events, m.dues = m.plans[:0], m.changes[:0], m.txs[:0], m.events[:0], m.dues[:0]
	m.segments, m.bodies, m.requests, m.batch, m.bytes = m.segments[:0], m.bodies[:0], m.requests[:0], m.batch[:0], m.bytes[:0]
	m.flights, m.parts = make([]flight, 0, n), make([]part, 0, n)
}

// due is an entry of a queue.
func (m *memory) due(queue string, at time.Time) *store.Due {
	m.dues = append(m.dues, store.Due{Queue: queue, At: at})
	return &m.dues[len(m.dues)-1]
}

// out takes a message out of its queue. It is never changed.
var out = &store.Due{}

// event adds an event to the change that got the last one, or none yet.
func (m *memory) event(change *store.Change, typ message.Type, at time.Time, data []byte) {
	from := len(m.events) - len(change.Events)
	m.events = append(m.events, store.NewEvent{Type: byte(typ), At: at, Data: data})
	change.Events = m.events[from:len(m.events):len(m.events)]
}

// submission encodes d.
func (m *memory) submission(d *message.Submission) []byte {
	from := len(m.bytes)
	m.bytes = message.AppendSubmission(m.bytes, d)
	return m.bytes[from:len(m.bytes):len(m.bytes)]
}

// lookup encodes l.
func (m *memory) lookup(l message.Lookup) []byte {
	data, ok := m.lookedUp[l]
	if !ok {
		l.Carrier, l.By = strings.Clone(l.Carrier), strings.Clone(l.By)
		data = message.Encode(l)
		if m.lookedUp == nil {
			m.lookedUp = map[message.Lookup][]byte{}
		}
		m.lookedUp[l] = data
	}
	return data
}

// request adds a request to the plan that got the last one, or none yet.
func (m *memory) request(pl *plan, r session.Request) {
	from := len(m.requests) - len(pl.requests)
	m.requests = append(m.requests, r)
	pl.requests = m.requests[from:len(m.requests):len(m.requests)]
}

// sender finds an address once for a profile, as long as directory and settings are the same.
func (m *memory) sender(p *pump, id tenant.ID, profile string) (string, error) {
	set, directory := p.set.Load(), p.o.Directory.Now()
	if when := [2]any{set, directory}; m.senders == nil || m.when != when {
		m.senders, m.when = map[senderKey]senderFound{}, when
	}
	key := senderKey{id, profile}
	found, ok := m.senders[key]
	if !ok {
		found.address, found.err = senderOf(directory.Tenants[id], id, profile, set.carrier, p.name)
		key.profile = strings.Clone(profile) // it may be borrowed
		m.senders[key] = found
	}
	return found.address, found.err
}

// settling is what one batch of results is recorded in, used again when the store has answered.
type settling struct {
	changes []store.Change
	txs     []store.Tx
	events  []store.NewEvent
	names   []store.Name
	doubts  []doubted
	bytes   []byte
	keys    strings.Builder // the store may keep what is cut from it
}

// doubted is a doubt and the place of the change that records it.
type doubted struct {
	at int
	dlr.Doubt
}

var settlings = sync.Pool{New: func() any { return new(settling) }}

// begin lets go of the last batch, for one of n results.
func (m *settling) begin(n int) {
	m.changes, m.txs, m.events, m.names, m.doubts = m.changes[:0], m.txs[:0], m.events[:0], m.names[:0], m.doubts[:0]
	m.bytes = slices.Grow(m.bytes[:0], 96*n)
	m.keys = strings.Builder{}
	m.keys.Grow(40 * n)
}

// key keeps a name that was made in m.bytes from at on.
func (m *settling) key(at int) string {
	from := m.keys.Len()
	m.keys.Write(m.bytes[at:])
	m.bytes = m.bytes[:at]
	return m.keys.String()[from:]
}

// part is dlr.Part.
func (m *settling) part(n, total int) []byte {
	m.bytes = append(m.bytes, dlr.Part(n, total)...)
	return m.bytes[len(m.bytes)-2 : len(m.bytes) : len(m.bytes)]
}

// event gives a change its only event.
func (m *settling) event(change *store.Change, typ message.Type, at time.Time, d *message.Submission) {
	from := len(m.bytes)
	m.bytes = message.AppendSubmission(m.bytes, d)
	m.events = append(m.events, store.NewEvent{Type: byte(typ), At: at, Data: m.bytes[from:len(m.bytes):len(m.bytes)]})
	change.Events = m.events[len(m.events)-1 : len(m.events) : len(m.events)]
}

// name gives a change its only name.
func (m *settling) name(change *store.Change, n store.Name) {
	m.names = append(m.names, n)
	change.Names = m.names[len(m.names)-1 : len(m.names) : len(m.names)]
}
