package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Trial is one SMS sent by hand, to see how a carrier answers.
type Trial struct {
	Bind   bind.Config
	Number carrier.Number
	From   string // sender address that the carrier approved
	Text   string // of one segment
	Wait   time.Duration
	// Tell is called with each step as it is taken.
	Tell func(Step)
}

// Deed says what a Step of a trial is.
type Deed string

const (
	TrialBound    Deed = "bound"    // Peer, Took
	TrialAccepted Deed = "accepted" // submit_sm_resp: ID, Took
	TrialForeign  Deed = "foreign"  // a receipt of something else: ID, State
	TrialReceived Deed = "received" // the receipt: ID, State, Err, Took since the response
)

// Step is one thing that happened in a trial.
type Step struct {
	Deed           Deed
	Peer           string // system_id of the carrier
	ID, State, Err string // as the carrier wrote them
	Took           time.Duration
}

// String says it to an operator.
func (s Step) String() string {
	took := s.Took.Round(time.Millisecond)
	switch s.Deed {
	case TrialBound:
		return fmt.Sprintf("bound to the carrier, which calls itself %q, after %s", s.Peer, took)
	case TrialAccepted:
		return fmt.Sprintf("submit_sm_resp after %s: message_id %q", took, s.ID)
	case TrialForeign:
		return fmt.Sprintf("deliver_sm of something else: id %q, state %s", s.ID, s.State)
	}
	return fmt.Sprintf("deliver_sm after %s: id %q, state %s, err %q", took, s.ID, s.State, s.Err)
}

// SubmitError is the carrier's word on a trial's submission.
type SubmitError struct {
	Outcome session.Outcome
	Status  pdu.Status
	Err     error // nil when the carrier answered
}

func (e *SubmitError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("submit_sm: %s, %s: %v", e.Outcome, e.Status, e.Err), ": <nil>")
}

// NoReceiptError says that no receipt came in time.
type NoReceiptError struct {
	ID   string
	Wait time.Duration
}

func (e *NoReceiptError) Error() string {
	return fmt.Sprintf("no delivery receipt for %q within %s; when the engine is bound to the carrier too, it may have come there: drain the carrier first", e.ID, e.Wait)
}

// FitsOneSMS reports whether a text is short enough for a trial.
func FitsOneSMS(text string) bool {
	_, err := coding.Split(text, coding.Options{MaxParts: 1})
	return err == nil
}

// AlreadyBound reports whether a trial failed because the carrier allows no bind more: the engine's must be drained first.
func AlreadyBound(err error) bool {
	var refused *session.BindError
	return errors.As(err, &refused) && refused.AlreadyBound()
}

// Try binds once, submits, and waits for the delivery receipt. It returns the id rules that fit the pair of ids, the
// strictest first. What else the carrier sends on this bind, receipts of the engine's submissions too, is refused for now, so
// that the engine gets it; and the engine may get the receipt, so its own binds are best drained. Nothing is recorded.
func Try(ctx context.Context, t Trial) (rules []string, err error) {
	segments, err := coding.Split(t.Text, coding.Options{MaxParts: 1})
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	o, err := t.Bind.SessionOptions()
	if err != nil {
		return nil, err
	}
	results, receipts := make(chan session.Result, 1), make(chan offered, 64)
	o.Settings.OnResults = func(_ *session.Session, batch []session.Result) {
		r := batch[0]
		r.MessageID = []byte(string(r.MessageID)) // borrowed
		select {
		case results <- r:
		default: // a late answer
		}
	}
	o.Settings.OnRequests = func(_ *session.Session, batch []session.Incoming) {
		for i := range batch {
			offer(receipts, &batch[i])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, t.Wait+2*time.Minute)
	defer cancel()
	began := clock.Now()
	sess, err := session.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		for len(receipts) > 0 {
			(<-receipts).refuse()
		}
		_ = sess.Unbind(context.WithoutCancel(ctx)) // within its own limit
	}()
	t.Tell(Step{Deed: TrialBound, Peer: sess.PeerSystemID(), Took: time.Since(began)})
	sub := submission{source: t.From, number: t.Number, now: clock.Now()}
	var body pdu.SubmitSM
	fillSubmitSM(&body, nil, sub, &segments[0], time.Time{})
	if _, err := sess.Submit(ctx, []session.Request{{Body: &body}}); err != nil {
		return nil, err
	}
	select {
	case r := <-results:
		if r.Outcome != session.Answered || r.Status != pdu.StatusOK {
			return nil, &SubmitError{r.Outcome, r.Status, r.Err}
		}
		t.Tell(Step{Deed: TrialAccepted, ID: string(r.MessageID), Took: r.Received.Sub(r.Written)})
		return t.pair(ctx, string(r.MessageID), receipts)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// offered is a receipt that is not answered yet.
type offered struct {
	dlr.Receipt
	reply session.Reply
}

// refuse has the carrier send the receipt again, to the engine's binds.
func (o offered) refuse() { _ = o.reply.Respond(pdu.StatusReceiverTemporaryError) } // an ended session has told its end already

// offer takes a receipt; everything else, and what is too much, comes again.
func offer(receipts chan<- offered, in *session.Incoming) {
	o := offered{reply: in.Reply}
	if dlr.IsReceipt(&in.SM) {
		var err error
		if o.Receipt, err = dlr.Parse(&in.SM, message.Tokyo); err == nil || errors.Is(err, dlr.ErrNoState) {
			select {
			case receipts <- o:
				return
			default:
			}
		}
	}
	o.refuse()
}

// foreignMax is how many receipts of something else are told of.
const foreignMax = 20

// pair waits for the receipt whose id is the response's by some rule.
func (t *Trial) pair(ctx context.Context, id string, receipts <-chan offered) ([]string, error) {
	began, told := clock.Now(), map[string]bool{}
	timer := time.NewTimer(t.Wait)
	defer timer.Stop()
	for {
		select {
		case r := <-receipts:
			rules := dlr.Propose([]dlr.Pair{{Response: id, Receipt: r.ID}})
			if len(rules) == 0 {
				r.refuse() // and may come here again
				if !told[r.ID] && len(told) < foreignMax {
					told[r.ID] = true
					t.Tell(Step{Deed: TrialForeign, ID: r.ID, State: fmt.Sprint(r.State)})
				}
				continue
			}
			_ = r.reply.Respond(pdu.StatusOK)
			t.Tell(Step{Deed: TrialReceived, ID: r.ID, State: fmt.Sprint(r.State), Err: r.Err, Took: time.Since(began)})
			return rules, nil
		case <-timer.C:
			return nil, &NoReceiptError{id, t.Wait}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
