// Package notice tells merchants what happened to their payments, by signed POST requests to the webhook_url that was
// given with the payment.
//
//	POST <webhook_url>
//	Content-Type: application/json
//	X-Sandbox-Signature: t=1795340000,v1=<hex HMAC-SHA256 of "1795340000." and the body, with the merchant's secret>
//
//	{"notice_id":"n42","event":"confirmed","occurred":"2026-11-22T09:03:15Z","merchant":"kakitome","payment":{…}}
//
// A notice is owed until the merchant answers 2xx: it is tried again after 1 s, 2 s, 4 s, … up to a minute, for ever,
// and over restarts, because the ledger keeps what is owed. It may arrive more than once. The notices of one payment
// arrive in order, one at a time; payments do not wait for each other. Faults break each of these rules but the first.
//
// t is the machine's time, not that of the company's clock.
package notice

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
)

const (
	// SignatureHeader carries the signature of a notice.
	SignatureHeader = "X-Sandbox-Signature"

	// Results of a try that got no HTTP status.
	NoAnswer = "no answer"
	BadURL   = "bad webhook_url"

	inFlight   = 16               // deliveries at once
	tryTimeout = 10 * time.Second // of one delivery
	remembered = 100              // tries kept for the screen
)

// Books are what the sender reads and writes.
type Books interface {
	Owed(after int64) []ledger.Notice
	Changed() <-chan struct{}
	Delivered(ledger.Notice) error
}

// Options of a Sender.
type Options struct {
	Secret    func(merchant string) string
	RetryMin  time.Duration     // 0: 1 s
	RetryMax  time.Duration     // 0: 1 minute
	Transport http.RoundTripper // nil: plain, without proxy
	Log       *slog.Logger      // nil: slog.Default
}

// Try is one delivery, done or to come, for people to look at.
type Try struct {
	NoticeID  string    `json:"notice_id"`
	Event     string    `json:"event"`
	PaymentID string    `json:"payment_id"`
	Number    int       `json:"number"`           // from 1; of a waiting notice: tries so far
	At        time.Time `json:"at"`               // when it was made, or will be
	Result    string    `json:"result,omitempty"` // HTTP status or what failed
	OK        bool      `json:"ok"`
	Held      bool      `json:"held,omitempty"`   // by the fault out_of_order
	Behind    bool      `json:"behind,omitempty"` // another notice of its payment goes first
}

// Sender delivers. Run does the work; the other methods are safe beside it.
type Sender struct {
	books  Books
	faults *fault.Set
	opts   Options
	client *http.Client
	wake   chan struct{} // one token: faults have changed

	mu    sync.Mutex // guards all below; Run alone writes
	seen  int64      // the last fact whose notice was taken from the books
	lanes map[string][]*delivery
	due   schedule // the first of each lane, but for those in flight
	held  []*delivery
	tries []Try // the latest last
}

// delivery is one copy of a notice on its way. Its lane delivers one after the other.
type delivery struct {
	notice ledger.Notice
	lane   string
	next   time.Time
	tries  int
	last   string // result of the last try
	forge  bool   // sign the next try with a wrong secret
}

type result struct {
	*delivery
	status string
	ok     bool
}

// New gives a sender for the books' notices.
func New(books Books, faults *fault.Set, opts Options) *Sender {
	opts.RetryMin = cmp.Or(opts.RetryMin, time.Second)
	opts.RetryMax = cmp.Or(opts.RetryMax, time.Minute)
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Transport == nil {
		opts.Transport = &http.Transport{MaxIdleConnsPerHost: inFlight, IdleConnTimeout: 30 * time.Second}
	}
	return &Sender{
		books: books, faults: faults, opts: opts,
		client: &http.Client{
			Transport:     opts.Transport,
			Timeout:       tryTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		wake:  make(chan struct{}, 1),
		lanes: map[string][]*delivery{},
	}
}

// FaultsChanged makes the sender look at the faults again: what out_of_order held goes out once it has ended.
func (s *Sender) FaultsChanged() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, and returns when no delivery is in flight.
func (s *Sender) Run(ctx context.Context) {
	results := make(chan result, inFlight) // never full: no more are in flight
	var wg sync.WaitGroup
	defer s.client.CloseIdleConnections()
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	flying := 0
	for {
		s.collect(time.Now())
		for flying < inFlight {
			d := s.take(time.Now())
			if d == nil {
				break
			}
			flying++
			wg.Go(func() { results <- s.deliver(ctx, d) })
		}
		if wait, ok := s.wait(time.Now()); ok && flying < inFlight {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-s.books.Changed():
		case <-s.wake:
		case <-timer.C:
		case r := <-results:
			flying--
			s.finish(ctx, r)
		}
	}
}

// collect takes new notices from the books, with the faults that are in force.
func (s *Sender) collect(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.books.Owed(s.seen) {
		s.seen = n.Fact
		d := &delivery{notice: n, lane: n.View.PaymentID, next: now}
		if _, ok := s.faults.Take(fault.ForgedSignature); ok {
			d.forge = true
		}
		if _, ok := s.faults.Take(fault.OutOfOrder); ok {
			d.lane = "held"
			s.held = append(s.held, d)
		} else if f, ok := s.faults.Take(fault.LateNotice); ok {
			d.lane, d.next = "late "+n.ID, now.Add(f.Delay)
			s.push(d)
		} else {
			s.push(d)
		}
		if _, ok := s.faults.Take(fault.DuplicateNotice); ok {
			s.push(&delivery{notice: n, lane: d.lane, next: d.next})
		}
	}
	if len(s.held) > 0 && !s.faults.Armed(fault.OutOfOrder) {
		for _, d := range slices.Backward(s.held) {
			d.next = now
			s.push(d)
		}
		s.held = nil
	}
}

// push puts d at the end of its lane. The lock is held.
func (s *Sender) push(d *delivery) {
	s.lanes[d.lane] = append(s.lanes[d.lane], d)
	if len(s.lanes[d.lane]) == 1 {
		heap.Push(&s.due, d)
	}
}

// take removes a delivery that is due from the schedule; its lane waits until finish.
func (s *Sender) take(now time.Time) *delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.due) == 0 || s.due[0].next.After(now) {
		return nil
	}
	return heap.Pop(&s.due).(*delivery)
}

// wait is how long nothing is due; false when nothing will be.
func (s *Sender) wait(now time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.due) == 0 {
		return 0, false
	}
	return max(0, s.due[0].next.Sub(now)), true
}

// finish records a try and goes on with the lane.
func (s *Sender) finish(ctx context.Context, r result) {
	if ctx.Err() != nil {
		return // cut off by the end of Run: still owed
	}
	if r.ok {
		if err := s.books.Delivered(r.notice); err != nil {
			s.opts.Log.Error("delivered notice not recorded, will be sent again after a restart", "notice", r.notice.ID, "err", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, now := r.delivery, time.Now()
	d.tries++
	d.last = r.status
	s.tries = append(s.tries, Try{NoticeID: d.notice.ID, Event: d.notice.Event, PaymentID: d.notice.View.PaymentID,
		Number: d.tries, At: now, Result: r.status, OK: r.ok})
	if len(s.tries) > remembered {
		s.tries = slices.Delete(s.tries, 0, len(s.tries)-remembered)
	}
	if !r.ok {
		d.forge = false
		d.next = now.Add(s.backoff(d.tries))
		heap.Push(&s.due, d)
		return
	}
	lane := s.lanes[d.lane][1:]
	if len(lane) == 0 {
		delete(s.lanes, d.lane)
		return
	}
	s.lanes[d.lane] = lane
	heap.Push(&s.due, lane[0])
}

// backoff doubles from RetryMin to RetryMax, with a fifth of jitter on top.
func (s *Sender) backoff(tries int) time.Duration {
	d := s.opts.RetryMax
	if shift := tries - 1; shift < 30 && s.opts.RetryMin<<shift < d {
		d = s.opts.RetryMin << shift
	}
	return d + rand.N(d/5+1)
}

type body struct {
	NoticeID string      `json:"notice_id"`
	Event    string      `json:"event"`
	Occurred time.Time   `json:"occurred"`
	Merchant string      `json:"merchant"`
	Payment  ledger.View `json:"payment"`
}

func (s *Sender) deliver(ctx context.Context, d *delivery) result {
	status, err := s.post(ctx, d)
	if err != nil {
		s.opts.Log.Warn("notice not delivered", "notice", d.notice.ID, "event", d.notice.Event, "err", err)
	}
	return result{d, status, err == nil}
}

// post makes one try. status is what the screen shows of it.
func (s *Sender) post(ctx context.Context, d *delivery) (status string, err error) {
	n := d.notice
	b, err := json.Marshal(body{n.ID, n.Event, n.Occurred, n.Merchant, n.View})
	if err != nil {
		return "unencodable", fmt.Errorf("encode notice: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(b))
	if err != nil {
		return BadURL, errors.New("webhook_url is no URL") // the error would repeat it
	}
	secret := s.opts.Secret(n.Merchant)
	if d.forge {
		secret = "not the secret of " + n.Merchant
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sandbox-payment/1")
	req.Header.Set(SignatureHeader, Sign(secret, time.Now(), b))
	resp, err := s.client.Do(req)
	if err != nil {
		return NoAnswer, fmt.Errorf("post: %w", cause(err))
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	status = strconv.Itoa(resp.StatusCode)
	if resp.StatusCode/100 != 2 {
		return status, fmt.Errorf("post: merchant answered %s", status)
	}
	return status, nil
}

// cause leaves out the URL, which is the merchant's secret.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Sign is the value of SignatureHeader for a body sent at t.
func Sign(secret string, t time.Time, body []byte) string {
	unix := strconv.FormatInt(t.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(unix + "."))
	mac.Write(body)
	return "t=" + unix + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Status lists the notices that wait, in the order of their next try, and the latest tries, newest first.
func (s *Sender) Status() (waiting, tries []Try) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lane := range s.lanes {
		for i, d := range lane {
			w := d.waiting()
			w.Behind = i > 0
			waiting = append(waiting, w)
		}
	}
	for _, d := range s.held {
		w := d.waiting()
		w.Held = true
		waiting = append(waiting, w)
	}
	slices.SortStableFunc(waiting, func(a, b Try) int {
		return a.At.Compare(b.At)
	})
	tries = slices.Clone(s.tries)
	slices.Reverse(tries)
	return waiting, tries
}

func (d *delivery) waiting() Try {
	return Try{NoticeID: d.notice.ID, Event: d.notice.Event, PaymentID: d.notice.View.PaymentID, Number: d.tries,
		At: d.next, Result: d.last}
}

// schedule is a heap by next.
type schedule []*delivery

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].next.Before(s[j].next) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(d any)        { *s = append(*s, d.(*delivery)) }
func (s *schedule) Pop() any {
	old := *s
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return d
}
