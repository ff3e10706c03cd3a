package journey

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// paidPatience is how many days a payment that somebody says to have made may take until it is known: a transfer on a Friday
// evening is there on Monday.
const paidPatience = 3

// promises are what a payer can say, by the value of the control, and how many days it holds.
var promises = map[string]struct {
	word string
	days int
}{
	"paid": {message.PromisePaid, paidPatience}, "tomorrow": {message.PromisePay, 1}, "day_after": {message.PromisePay, 2},
}

// mayPromise reports whether the payer is asked: of a collection message, and where the sender wants it, while nothing was
// received and the link is open.
func mayPromise(v *visit, content *message.Content, c *payment.State, now time.Time) bool {
	if v.state.Head.Class != message.Collection && !content.Promises || v.Standing != Open {
		return false
	}
	switch c.PhaseAt(now) {
	case payment.Unpaid, payment.Overdue:
		return true
	}
	return false
}

// Promise records what the payer says of the payment. The last word counts; saying the same again on the same day adds nothing.
func (j *Journey) Promise(ctx context.Context, v *Visit, value string) (Next, error) {
	said, known := promises[value]
	for known {
		in, ok, err := j.paying(ctx, v, Open)
		if err != nil || !ok {
			return again, err
		}
		content, err := j.content(in)
		if err != nil {
			return again, err
		}
		claim, err := j.Claims.Claim(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
		if err != nil {
			return again, err
		}
		now := j.Now()
		if !mayPromise(in, content, &claim, now) || in.state.Version >= manyEvents {
			return again, nil
		}
		p := message.Promise{Word: said.word, By: now.In(message.Tokyo).AddDate(0, 0, said.days).Format(time.DateOnly)}
		if have := in.state.Promise; have == nil || *have != p {
			err = j.append(ctx, in, message.Promised, p)
		}
		if conflict(err) {
			continue
		}
		if err != nil {
			return again, fmt.Errorf("record a promise: %w", err)
		}
		v.Session.Note = NotePromised
		break
	}
	return again, nil
}

// promise is what the page says and asks of the payment.
func (j *Journey) promise(v *visit, content *message.Content, c *payment.State) *proto.Promise {
	if !mayPromise(v, content, c, j.Now()) {
		return nil
	}
	out := &proto.Promise{KeptInMind: v.Session.Note == NotePromised}
	if p := v.state.Promise; p != nil {
		out.Word = p.Word
		if day, err := time.ParseInLocation(time.DateOnly, p.By, message.Tokyo); err == nil {
			out.By = timestamppb.New(day)
		}
	}
	return out
}
