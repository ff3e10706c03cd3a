package apptest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/engine/message"
)

// order is one message that a client wanted sent. Its key and its number are its own.
type order struct {
	draft      message.Draft
	id, url    string // of the 202; "" while there was none
	unanswered bool   // a request for it ended without an answer
}

// load is several clients that send at a bounded rate, each request with idempotency keys of its own. A request that gets
// no answer is repeated with its keys until it has one, or, by half of the clients, left alone.
type load struct {
	sender *Sender
	next   atomic.Int64
	mu     sync.Mutex // guards orders and faults
	orders []*order
	faults []error // answers that no client expects
	wg     sync.WaitGroup
}

// run sends until ctx ends and returns when all clients have.
func (l *load) run(ctx context.Context) {
	for i := range 8 {
		lines := 1
		if i >= 6 {
			lines = 40
		}
		l.wg.Go(func() { l.client(ctx, lines, i%2 == 0) })
	}
	l.wg.Wait()
}

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// draft makes a message of its own: some have a claim.
func (l *load) draft() message.Draft {
	i := int(l.next.Add(1))
	d := message.Draft{Key: fmt.Sprintf("key-%d", i), To: Number(i), Text: "〇〇県水道局のお知らせ {url}",
		Page: &message.Page{Title: "水道料金のお知らせ", Lead: "いつもご利用ありがとうございます。"}}
	if i%5 == 0 {
		d.Claim = &message.Claim{Number: fmt.Sprintf("C-%d", i), Amount: 1000, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 30).Format(time.DateOnly)}
	}
	return d
}

func (l *load) client(ctx context.Context, lines int, insists bool) {
	pace := time.NewTicker(time.Duration(lines) * 5 * time.Millisecond)
	defer pace.Stop()
	var waiting []*order
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		if waiting == nil {
			for range lines {
				waiting = append(waiting, &order{draft: l.draft()})
			}
			l.mu.Lock()
			l.orders = append(l.orders, waiting...)
			l.mu.Unlock()
		}
		// The request itself is not cut off by the end of the load: only the engine's end cuts it.
		err := l.send(context.WithoutCancel(ctx), waiting)
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			l.fault(err)
			return
		case errors.Is(err, syscall.ECONNREFUSED), err != nil && insists:
			continue // nobody was there to be asked
		}
		waiting = nil
	}
}

// send asks for the orders in one request and notes the answers. The error is that there was none, or *Refused.
func (l *load) send(ctx context.Context, orders []*order) error {
	if len(orders) == 1 {
		o := orders[0]
		a, _, err := l.sender.Send(ctx, &o.draft)
		if err != nil {
			o.unanswered = true
			return err
		}
		l.answered(o, a.ID, a.URL)
		return l.opens(ctx, a.URL)
	}
	drafts := make([]message.Draft, len(orders))
	for i, o := range orders {
		drafts[i] = o.draft
	}
	answers, err := l.sender.Batch(ctx, drafts)
	if err != nil {
		for _, o := range orders {
			o.unanswered = true
		}
		return err
	}
	for i, o := range orders {
		a := answers[i]
		switch {
		case a.Message != nil:
			l.answered(o, a.Message.ID, a.Message.URL)
		case a.Status == http.StatusServiceUnavailable:
			o.unanswered = true // the engine was stopping: nobody was told that it was taken
		default:
			return &Refused{a.Status, fmt.Sprintf("line %d: %+v", a.Line, a.Problem)}
		}
	}
	return l.opens(ctx, orders[len(orders)-1].url)
}

func (l *load) answered(o *order, id, url string) {
	if o.id != "" && (o.id != id || o.url != url) {
		l.fault(fmt.Errorf("key %s was answered %s and then %s", o.draft.Key, o.id, id))
	}
	o.id, o.url = id, url
}

// opens checks that a link opens right after the answer that told it; an engine that went away meanwhile is no fault.
func (l *load) opens(ctx context.Context, link string) error {
	_, err := get(ctx, link)
	var refused *Refused
	if errors.As(err, &refused) {
		l.fault(fmt.Errorf("link right after its answer: %w", err))
	}
	return nil
}
