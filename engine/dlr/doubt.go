package dlr

import (
	"context"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// A submission in doubt has no id that its receipt could name: the response that would have told it was lost. Its receipt is
// told by the phone it is of and the time at which the carrier says that it took the message, once no id has led anywhere. Of our
// own messages to that phone every other one has an id, but for those in doubt too: where these are several, no receipt is
// taken for any. So a receipt can only be mistaken where another program sends to the same phone over the same account within minutes.

// Doubt is a segment that was written and whose response was not seen.
type Doubt struct {
	Ref                  store.Ref
	Part, Total, Attempt int
	Number               uint64    // PhoneOf
	Written              time.Time // or as near as is known
}

const (
	// The carrier's time of submission is read to the minute, by its own clock.
	submittedBefore = 3 * time.Minute
	submittedAfter  = 2 * time.Minute
	// doubtsFor is how long a doubt is kept in memory, doubtsMax how many; of one more the receipt finds nothing.
	doubtsFor = time.Hour
	doubtsMax = 100_000
)

// PhoneOf is the last ten digits of an address: the same of 090…, 8190… and +8190….
func PhoneOf[T string | []byte](address T) (n uint64) {
	for _, c := range []byte(address) {
		if c >= '0' && c <= '9' {
			n = (n*10 + uint64(c-'0')) % 1e10
		}
	}
	return n
}

// Doubted tells of segments whose doubt is recorded.
func (m *Matcher) Doubted(doubts ...Doubt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := map[uint64]bool{}
	for _, d := range doubts {
		if d.Number == 0 || m.doubted >= doubtsMax {
			continue
		}
		m.doubts[d.Number] = append(m.doubts[d.Number], d)
		m.doubted++
		of[d.Number] = true
	}
	for key, a := range m.ahead {
		if of[a.receipt.Number] {
			delete(m.ahead, key)
			m.named = append(m.named, a)
		}
	}
	m.counted(0)
	if len(m.named) > 0 {
		signal(m.wake)
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// candidates are the doubts that a receipt may be of: all of one message.
func (m *Matcher) candidates(r *Receipt) (all []Doubt) {
	if r.Number == 0 || r.Submitted.IsZero() || len(r.ID) > IDMax {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.doubts[r.Number] {
		if r.Submitted.Before(d.Written.Add(-submittedBefore)) || r.Submitted.After(d.Written.Add(submittedAfter)) {
			continue
		}
		if len(all) > 0 && all[0].Ref != d.Ref {
			return nil
		}
		all = append(all, d)
	}
	return all
}

// ending is what receipts make of one message.
type ending struct {
	state  message.State
	change store.Change
	asked  []arrival // receipts that may be of it
	ended  []arrival // of them, those that are
	doubts []Doubt   // that these end
	all    []Doubt   // of the message
}

// endDoubts records the receipts that are of submissions in doubt, answers them, and returns the others. Only those are looked
// at that have waited for their id to be named. It is one commit.
func (m *Matcher) endDoubts(ctx context.Context, batch []arrival) (rest []arrival) {
	m.mu.Lock()
	none := m.doubted == 0
	m.mu.Unlock()
	if none {
		return batch
	}
	rest = batch[:0]
	var refs []store.Ref
	of := map[store.Ref]*ending{}
	for _, a := range batch {
		var all []Doubt
		if !a.failed && (a.ahead || time.Since(a.received) > hold) {
			all = m.candidates(&a.receipt)
		}
		if len(all) == 0 {
			rest = append(rest, a)
			continue
		}
		e := of[all[0].Ref]
		if e == nil {
			e = &ending{all: all}
			of[all[0].Ref], refs = e, append(refs, all[0].Ref)
		}
		e.asked = append(e.asked, a)
	}
	if len(refs) == 0 {
		return rest
	}
	failed := func(e *ending) { // once more
		for _, a := range e.asked {
			a.failed = true
			rest = append(rest, a)
		}
	}
	loaded, err := m.store.LoadMany(ctx, tenant.Operator(), refs)
	if err != nil {
		m.log.Error("cannot read submissions in doubt", "err", err)
		for _, ref := range refs {
			failed(of[ref])
		}
		return rest
	}
	var endings []*ending
	var txs []store.Tx
	for i, ref := range refs {
		e := of[ref]
		e.state, err = message.Fold(Events(loaded[i]))
		if err == nil {
			err = m.end(e, ref)
		}
		if err != nil { // it will be so again
			m.log.Error("cannot read the message of a delivery receipt", "msg", ref.ID, "err", err)
			for _, d := range e.all {
				m.forget(d)
			}
			e.ended = nil
		}
		if len(e.ended) == 0 {
			rest = append(rest, e.asked...)
			continue
		}
		endings, txs = append(endings, e), append(txs, store.Tx{e.change})
	}
	if len(txs) == 0 {
		return rest
	}
	errs, err := m.store.Commit(ctx, txs...)
	var at answers
	for i, e := range endings {
		if err != nil || errs[i] != nil { // it is being sent anew, perhaps, or the store is busy
			failed(e)
			continue
		}
		for j, a := range e.ended {
			m.forget(e.doubts[j])
			m.metrics.receipts[a.receipt.State].Inc()
			m.metrics.doubts.Inc()
			at.add(a.reply, pdu.StatusOK)
			if a.ahead {
				m.record(&a)
			}
		}
		rest = append(rest, e.asked[len(e.ended):]...)
	}
	m.answer(at)
	return rest
}

// end gives each receipt the next segment that is still in doubt, and makes the change of it.
func (m *Matcher) end(e *ending, ref store.Ref) error {
	e.change = store.Change{Ref: ref, Expect: e.state.Version}
	for _, d := range e.all {
		if p := d.Part - 1; p >= len(e.state.Parts) || e.state.Parts[p].Phase != message.Doubtful || e.state.Parts[p].Attempt != d.Attempt {
			m.forget(d) // it was sent anew, or ended
			continue
		}
		if len(e.ended) == len(e.asked) {
			break
		}
		a := e.asked[len(e.ended)]
		report := m.report(nil, d.Part, &a)
		if err := e.state.Apply(report); err != nil {
			return err
		}
		e.change.Events = append(e.change.Events, store.NewEvent{Type: byte(report.Type), At: report.At, Data: report.Data})
		e.change.Names = append(e.change.Names, store.Name{
			Space: store.BySMSCID, Key: Key(m.carrier, m.rule.Load().FromReceipt(a.receipt.ID)), Value: Part(d.Part, d.Total), Until: clock.Now().Add(IDLife),
		})
		e.ended, e.doubts = append(e.ended, a), append(e.doubts, d)
	}
	e.change.Final = e.state.Over()
	return nil
}

// forget lets go of a doubt that is none any more.
func (m *Matcher) forget(d Doubt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keepDoubts(d.Number, func(o Doubt) bool { return o == d })
}

// keepDoubts leaves out the doubts of a phone that are over. The caller holds mu.
func (m *Matcher) keepDoubts(number uint64, over func(Doubt) bool) {
	all := m.doubts[number]
	left := slices.DeleteFunc(all, over)
	m.doubted -= len(all) - len(left)
	if len(left) == 0 {
		delete(m.doubts, number)
		return
	}
	m.doubts[number] = left
}

// expireDoubts lets go of doubts of long ago. The caller holds mu.
func (m *Matcher) expireDoubts() {
	for number := range m.doubts {
		m.keepDoubts(number, func(d Doubt) bool { return time.Since(d.Written) > doubtsFor })
	}
}
