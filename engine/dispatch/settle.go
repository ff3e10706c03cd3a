package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// settle turns results into events, committed before it returns. A batch is one commit.
func (p *pump) settle(bindName string, batch []session.Result) {
	now := clock.Now()
	m := settlings.Get().(*settling)
	defer settlings.Put(m)
	m.begin(len(batch))
	for i := range batch {
		if own, ok := batch[i].Owner.(*part); ok {
			m.changes = append(m.changes, p.outcome(m, own, &batch[i], bindName, now))
		}
	}
	for i := range m.changes {
		m.txs = append(m.txs, store.Tx(m.changes[i:i+1:i+1]))
	}
	errs, err := p.commit(context.Background(), m.txs)
	if err != nil {
		p.log.Error("results could not be recorded; they are in doubt after a restart", "count", len(m.txs), "err", err)
		return
	}
	p.tell(m.doubts, errs)
	for i, e := range errs {
		if e != nil {
			p.log.Error("result could not be recorded", "msg", m.changes[i].Ref.ID, "err", e)
			continue
		}
		for j := range m.changes[i].Names {
			p.matcher.Named(m.changes[i].Names[j].Key)
		}
	}
}

// tell tells the matcher of the doubts that were recorded.
func (p *pump) tell(doubts []doubted, errs []error) {
	var recorded []dlr.Doubt
	for _, d := range doubts {
		if errs[d.at] == nil {
			recorded = append(recorded, d.Doubt)
		}
	}
	if len(recorded) > 0 {
		p.matcher.Doubted(recorded...)
	}
}

// outcome is the change that a result makes to its message.
func (p *pump) outcome(m *settling, own *part, r *session.Result, bindName string, now time.Time) store.Change {
	f := own.flight
	d := message.Submission{Part: own.n, Attempt: own.attempt, Carrier: p.name, Bind: bindName, Status: uint32(r.Status)}
	change := store.Change{Ref: f.ref, Expect: store.Any}
	var typ message.Type
	switch {
	case r.Outcome == session.Answered && r.Status == pdu.StatusOK:
		typ = message.Submitted
		at := len(m.bytes)
		m.bytes = p.set.Load().rule.AppendKey(m.bytes, p.name, r.MessageID)
		key := m.key(at)
		d.SMSCID, d.Written = key[len(p.name)+1:], r.Written
		if len(d.SMSCID) <= dlr.IDMax { // a longer one cannot be matched, but the carrier took the message all the same
			m.name(&change, store.Name{Space: store.BySMSCID, Key: key, Value: m.part(own.n, f.parts), Until: now.Add(dlr.IDLife)})
		}
		p.metrics.submitted.Inc()
		if r.Late { // it was in doubt; whatever was planned then finds the new state
			m.event(&change, typ, now, &d)
			return change
		}
	case r.Late:
		return change // a late refusal changes nothing: the policy of doubt is at work
	case r.Outcome == session.Answered:
		typ, d.Reason, d.Until = p.judge(own, r.Status, now)
	case r.Outcome == session.NotSent && errors.As(r.Err, new(*pdu.FieldError)):
		typ, d.Reason = message.Refused, "unencodable"
		p.metrics.outcome(d.Reason)
	case r.Outcome == session.NotSent:
		typ, d.Reason, d.Until = message.Retrying, "not_sent", now
		p.metrics.outcome("not_sent")
	default:
		typ = message.InDoubt
		d.Policy, d.Until = p.doubt(f.class, own.doubts, now)
		p.metrics.outcome("in_doubt")
		m.doubts = append(m.doubts, doubted{len(m.changes), dlr.Doubt{
			Ref: f.ref, Part: own.n, Total: f.parts, Attempt: own.attempt, Number: dlr.PhoneOf(f.number.E164()), Written: r.Written,
		}})
	}
	m.event(&change, typ, now, &d)
	f.land(&change, typ, d.Until, p.name)
	return change
}

// land counts a segment as down; the last one takes the message out of the queue of doubt, or into its lane again.
func (f *flight) land(change *store.Change, typ message.Type, until time.Time, carrier string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flying--
	if typ == message.Refused {
		f.refused = true
	}
	f.again(until)
	if f.flying > 0 {
		return
	}
	if f.refused || f.due.IsZero() {
		change.Due = out
		change.Final = f.refused
		return
	}
	change.Due = &store.Due{Queue: message.Queue(carrier, f.lane), At: f.due}
}

// again notes when a segment must be tried again; zero: it need not be.
func (f *flight) again(at time.Time) {
	if !at.IsZero() && (f.due.IsZero() || at.Before(f.due)) {
		f.due = at
	}
}

// judge says what a refusal by the carrier means.
func (p *pump) judge(own *part, status pdu.Status, now time.Time) (typ message.Type, reason string, until time.Time) {
	switch v, waits := p.set.Load().config.meaning(p.name, status); v {
	case throttle:
		p.metrics.outcome("throttled")
		return message.Retrying, "throttled", now.Add(min(time.Duration(own.attempt)*throttleWait, throttleMax))
	case retry:
		if own.refusals < len(waits) {
			p.metrics.outcome("retrying")
			return message.Retrying, message.ReasonTemporary, now.Add(waits[own.refusals])
		}
		p.metrics.outcome("retries_spent")
		return message.Refused, "retries_spent", time.Time{}
	}
	p.metrics.outcome("refused")
	return message.Refused, "permanent", time.Time{}
}

// repeats is how often a segment in doubt is sent anew under the policy resend.
const repeats = 3

// doubt is the policy for a submission without an answer; doubts is how often that happened to the segment before. Under
// the policy wait a second doubt ends it: it was repeated once already. Under resend further doubts wait, and the last ends
// it: a carrier that takes messages and never answers would get the same one until its validity ends.
func (p *pump) doubt(class message.Class, doubts int, now time.Time) (message.Doubt, time.Time) {
	config := &p.set.Load().config
	policy := config.doubt(class)
	switch {
	case policy == message.DoubtResend && doubts == 0:
		return policy, now
	case policy == message.DoubtResend && doubts < repeats, policy == message.DoubtWait && doubts == 0:
		return message.DoubtWait, now.Add(time.Duration(config.DoubtWait) * time.Second)
	}
	return message.DoubtFail, time.Time{}
}

// recover gives the submissions that were under way when the program last ended to the in-doubt policy.
func (p *pump) recover(ctx context.Context) error {
	queue := doubtQueue(p.name)
	var cursor store.Cursor
	for ctx.Err() == nil {
		// Nothing is put in before this is done. Entries of the future count too: the clock may have been set back.
		items, err := p.o.Store.Due(nil, queue, cursor, clock.Now().AddDate(100, 0, 0), batchMax)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			if _, more, err := p.o.Store.NextDue(queue, cursor); err != nil || !more {
				return err
			}
			pause(ctx, 10*time.Millisecond) // hidden while a commit is under way
			continue
		}
		cursor = items[len(items)-1].Cursor
		refs := make([]store.Ref, len(items))
		for i := range items {
			refs[i] = items[i].Ref
		}
		if err := p.recoverMany(ctx, refs); err != nil {
			return err
		}
		p.log.Info("submissions in doubt after the last stop", "count", len(items))
	}
	return nil
}

// recoverMany looks again at those to which something happens at the same time: a dlr of another segment, an opened link.
func (p *pump) recoverMany(ctx context.Context, refs []store.Ref) error {
	for len(refs) > 0 {
		streams, err := p.o.Store.LoadMany(ctx, tenant.Operator(), refs)
		if err != nil {
			return err
		}
		var txs []store.Tx
		var doubts []doubted
		for i, events := range streams {
			s, err := message.Fold(dlr.Events(events))
			if err != nil {
				p.log.Error("message in doubt cannot be read", "msg", refs[i].ID, "err", err)
				continue
			}
			change, of := p.doubtful(refs[i], &s, clock.Now())
			for _, d := range of {
				doubts = append(doubts, doubted{len(txs), d})
			}
			txs = append(txs, store.Tx{change})
		}
		errs, err := p.commit(ctx, txs)
		if err != nil {
			return err
		}
		p.tell(doubts, errs)
		refs = refs[:0]
		var conflict *store.ConflictError
		for i, err := range errs {
			switch ref := txs[i][0].Ref; {
			case errors.As(err, &conflict):
				refs = append(refs, ref)
			case err != nil:
				p.log.Error("submission in doubt could not be recorded", "msg", ref.ID, "err", err)
			}
		}
	}
	return nil
}

// doubtful is the change for a message of which segments were under way, and these.
func (p *pump) doubtful(ref store.Ref, s *message.State, now time.Time) (change store.Change, doubts []dlr.Doubt) {
	change = store.Change{Ref: ref, Expect: s.Version}
	sms, err := stored.SMS(p.o.Store, ref.Tenant, ref.ID, &s.Head)
	if err != nil && !errors.Is(err, store.ErrErased) {
		p.log.Error("number of a message in doubt cannot be read", "msg", ref.ID, "err", err)
	}
	f := &flight{lane: s.Head.Lane}
	for i := range s.Parts {
		switch ph := s.Parts[i].Phase; {
		case ph == message.Sending:
			d := message.Submission{Part: i + 1, Attempt: s.Parts[i].Attempt, Carrier: p.name, Reason: "restart"}
			d.Policy, d.Until = p.doubt(s.Head.Class, s.Parts[i].Doubts, now)
			change.Events = append(change.Events, store.NewEvent{Type: byte(message.InDoubt), At: now, Data: message.Encode(d)})
			f.flying++
			f.land(&change, message.InDoubt, d.Until, p.name)
			p.metrics.outcome("in_doubt")
			doubts = append(doubts, dlr.Doubt{
				Ref: ref, Part: i + 1, Total: len(s.Parts), Attempt: s.Parts[i].Attempt, Number: dlr.PhoneOf(sms.Number), Written: s.SubmittingAt,
			})
		case (ph == message.Waiting || ph == message.Doubtful) && !s.Over(): // a segment that had landed waits for its next try
			f.flying++
			f.land(&change, message.Retrying, s.Parts[i].RetryAt, p.name)
		}
	}
	if change.Due == nil {
		change.Due = out
	}
	change.Final = s.Over()
	return change, doubts
}
