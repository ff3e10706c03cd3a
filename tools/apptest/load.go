package apptest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/engine/message"
)

// Order is one message that a client wanted sent. Its key and its number are its own.
type Order struct {
	Draft      message.Draft
	ID, URL    string    // of the 202; "" while there was none
	At         time.Time // of the 202
	Unanswered bool      // a request for it ended without an answer
}

// Load is several clients that send at a bounded rate, each request with idempotency keys of its own. A request that gets
// no answer is repeated with its keys until it has one, or, by half of the clients, left alone.
type Load struct {
	Sender *Sender
	Every  time.Duration // between the messages of a client: six send one at a time, two forty; default 5 ms
	Long   bool          // some messages have three segments; the tenant must allow them (Options.Segments)
	Hook   *Hook         // takes the callbacks; nil: there are none
	Phones *Country      // whose phones write all the while; nil: none do
	Expect []int         // statuses that the engine may refuse with here, such as 507: such an order is asked for again

	next    atomic.Int64
	mu      sync.Mutex // guards what follows
	orders  []*Order
	faults  []error // answers that no client expects
	refused map[int]int
	waiting []waiting
	wg      sync.WaitGroup
}

// waiting is somebody who waits for the first answer to a request that began after a time.
type waiting struct {
	since time.Time
	first chan time.Time // size 1
}

// Run sends until ctx ends and returns when all clients have.
func (l *Load) Run(ctx context.Context) {
	for i := range 8 {
		lines := 1
		if i >= 6 {
			lines = 40
		}
		l.wg.Go(func() { l.client(ctx, lines, i%2 == 0) })
	}
	if l.Phones != nil {
		l.wg.Go(func() { l.write(ctx) })
	}
	l.wg.Wait()
}

// write lets phones write: every fourth message has two segments. Where there is no network, nobody is told.
func (l *Load) write(ctx context.Context) {
	pace := time.NewTicker(4 * l.every())
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		text := fmt.Sprintf("電話からの返信 %d", i)
		if i%4 == 3 {
			text += strings.Repeat("、つづきがあります", 10)
		}
		_ = l.Phones.Write(context.WithoutCancel(ctx), 3_800_000+i%100_000, text)
	}
}

func (l *Load) every() time.Duration {
	if l.Every == 0 {
		return 5 * time.Millisecond
	}
	return l.Every
}

// Add notes an order that somebody else sends.
func (l *Load) Add(o *Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orders = append(l.orders, o)
}

// Told lists the orders that were answered so far, by the ids told. Unlike those of Orders they do not change any more.
func (l *Load) Told() map[string]Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := map[string]Order{}
	for _, o := range l.orders {
		if o.ID != "" {
			told[o.ID] = Order{Draft: o.Draft, ID: o.ID, URL: o.URL, At: o.At}
		}
	}
	return told
}

// Orders lists what was wanted so far. While Run runs, its clients change them.
func (l *Load) Orders() []*Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.orders)
}

// Faults lists the answers that no client expects.
func (l *Load) Faults() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// Refused says how often the engine refused with each of the expected statuses.
func (l *Load) Refused() map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.refused)
}

// Accepted gives the time of the first 202 to a request that began from now on.
func (l *Load) Accepted() <-chan time.Time {
	w := waiting{time.Now(), make(chan time.Time, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, w)
	return w.first
}

func (l *Load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// draft makes a message of its own: some have a claim, some are long.
func (l *Load) draft() message.Draft {
	i := int(l.next.Add(1))
	d := message.Draft{Key: fmt.Sprintf("key-%d", i), To: Number(i), Text: "〇〇県水道局のお知らせ {url}",
		Page: &message.Page{Title: "水道料金のお知らせ", Lead: "いつもご利用ありがとうございます。"}}
	if i%5 == 0 {
		d.Claim = &message.Claim{Number: fmt.Sprintf("C-%d", i), Amount: 1000, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 30).Format(time.DateOnly)}
	}
	if l.Long && i%7 == 0 {
		d.Text += strings.Repeat("。くわしくはリンク先をご覧ください", 8)
	}
	return d
}

func (l *Load) client(ctx context.Context, lines int, insists bool) {
	pace := time.NewTicker(time.Duration(lines) * l.every())
	defer pace.Stop()
	var wanted []*Order
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		if wanted == nil {
			for range lines {
				wanted = append(wanted, &Order{Draft: l.draft()})
			}
			for _, o := range wanted {
				l.Add(o)
			}
		}
		// The request itself is not cut off by the end of the load: only the engine's end cuts it.
		err := l.Send(context.WithoutCancel(ctx), wanted)
		var refused *Refused
		switch {
		case errors.As(err, &refused) && slices.Contains(l.Expect, refused.Status):
			// Both of what a client may do then: keep the order for later, or go on with another.
			if insists {
				continue
			}
		case errors.As(err, &refused):
			l.fault(err)
			return
		case errors.Is(err, syscall.ECONNREFUSED), err != nil && insists:
			continue // nobody was there to be asked
		}
		wanted = nil
	}
}

// Ask asks for all orders once more, those that were answered and those that were not: what was answered must get the
// same answer again.
func (l *Load) Ask(ctx context.Context) error {
	for some := range slices.Chunk(l.Orders(), 100) {
		if err := l.Send(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// Send asks for the orders in one request and notes the answers. The error is that there was none, or *Refused.
func (l *Load) Send(ctx context.Context, orders []*Order) error {
	began := time.Now()
	if len(orders) == 1 {
		o := orders[0]
		a, _, err := l.Sender.Send(ctx, &o.Draft)
		if err != nil {
			l.unanswered(orders, err)
			return err
		}
		l.answered(o, a.ID, a.URL, began)
		return l.opens(ctx, a.URL)
	}
	drafts := make([]message.Draft, len(orders))
	for i, o := range orders {
		drafts[i] = o.Draft
	}
	answers, err := l.Sender.Batch(ctx, drafts)
	if err != nil {
		l.unanswered(orders, err)
		return err
	}
	var refused error
	for i, o := range orders {
		a := answers[i]
		switch {
		case a.Message != nil:
			l.answered(o, a.Message.ID, a.Message.URL, began)
		case a.Status == http.StatusServiceUnavailable && !slices.Contains(l.Expect, a.Status):
			o.Unanswered = true // the engine was stopping: nobody was told that it was taken
		default:
			refused = &Refused{a.Status, fmt.Sprintf("line %d: %+v", a.Line, a.Problem)}
			l.unanswered(orders[i:i+1], refused)
		}
	}
	if refused != nil {
		return refused
	}
	return l.opens(ctx, orders[len(orders)-1].URL)
}

// unanswered notes that a request was refused, or that nobody knows what became of it.
func (l *Load) unanswered(orders []*Order, err error) {
	var refused *Refused
	if errors.As(err, &refused) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refused == nil {
			l.refused = map[int]int{}
		}
		l.refused[refused.Status] += len(orders)
		return
	}
	for _, o := range orders {
		o.Unanswered = true
	}
}

// answered notes a 202 to a request that began at a time.
func (l *Load) answered(o *Order, id, url string, began time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case o.ID == "":
		o.ID, o.URL, o.At = id, url, now
	case o.ID != id || o.URL != url:
		l.faults = append(l.faults, fmt.Errorf("key %s was answered %s and then %s", o.Draft.Key, o.ID, id))
		return
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(w waiting) bool {
		if began.Before(w.since) {
			return false
		}
		w.first <- now
		return true
	})
}

// opens checks that a link opens right after the answer that told it; an engine that went away meanwhile is no fault.
func (l *Load) opens(ctx context.Context, link string) error {
	if link == "" {
		return nil // the engine was stopping
	}
	_, err := get(ctx, link)
	var refused *Refused
	if errors.As(err, &refused) {
		l.fault(fmt.Errorf("link right after its answer: %w", err))
	}
	return nil
}
