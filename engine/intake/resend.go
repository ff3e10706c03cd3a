package intake

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Resend is what a draft sends again: another message of the tenant, to the same number. engine/followup decides when.
type Resend struct {
	Of ulid.ULID
	// URL is the link of that message, which still works: {url} in the text stands for it, and the draft has neither page
	// nor claim. Empty: the link has ended, and the draft makes a new one.
	URL string
	// Claim is what both are about; zero: nothing is to pay. Where the draft has a claim it says what this one asks for, and With
	// has the message join it.
	Claim      ulid.ULID
	Answers    []message.Answer // of a new link: what the first message asked for, with its hashes
	Answering  ulid.ULID        // the message for which they were made
	Code       bool
	CodeDigits int // as in message.Head
	// Due is the order's, until when the claim can be paid from then on: part of what the draft's key stands for.
	Due string
	// With is asked right before each commit: changes that are committed together with the message (id), or why it may no
	// longer be sent. When the commit loses to somebody else it is asked again.
	With func(ctx context.Context, id ulid.ULID, now time.Time) ([]store.Change, *message.Problem, error)
}

// resends is what the i-th draft follows up; nil: nothing.
func (r *Request) resends(i int) *Resend {
	if i >= len(r.Resends) {
		return nil
	}
	return r.Resends[i]
}

// follow puts into head what the message has of the one that it follows up, and adds to its transaction.
func (p *plan) follow(ctx context.Context, head *message.Head, tx store.Tx) (store.Tx, *message.Problem, error) {
	f := p.resend
	head.Resends, head.Claim = f.Of, f.Claim
	if p.token != "" {
		head.Code, head.CodeDigits = f.Code, f.CodeDigits
		if head.Answers = f.Answers; len(f.Answers) > 0 {
			head.Answering = f.Answering
		}
	}
	changes, problem, err := f.With(ctx, p.id, p.now)
	return append(tx, changes...), problem, err
}
