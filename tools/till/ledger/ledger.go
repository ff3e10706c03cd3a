package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say who the company is.
type Options struct {
	CompanyCode string           // 請求書発行企業コード, 6 digits
	ShowFor     time.Duration    // how long a barcode may be on a payer's screen; 0: until it expires
	CardPages   string           // URL that the tokens of card pages are appended to, with its last slash
	Now         func() time.Time // nil: time.Now
	Log         *slog.Logger     // nil: slog.Default
}

// Ledger is safe for concurrent use.
type Ledger struct {
	opts    Options
	changed chan struct{} // holds one token while there are notices that nobody has asked for

	mu       sync.Mutex // guards all below
	file     *file
	facts    int64
	offset   time.Duration // of the company's clock
	payments map[string]*payment
	order    []string            // payment ids, oldest first
	attempts map[string]string   // merchant + "\n" + attempt id → payment id
	numbers  map[string]string   // payment number → payment id
	payers   map[string]string   // merchant + "\n" + payer → that payer's number
	bills    map[string][]string // payer's number → payment ids, oldest first
	tokens   map[string]string   // card page token → payment id
	receipts map[string]bool
	open     []ref // takings that waited for 確報 when they were added, oldest first
	owed     map[int64]Notice
}

type ref struct {
	payment string
	taking  int
}

// fact is one line of the file.
type fact struct {
	N       int64         `json:"n"`
	At      time.Time     `json:"at"`
	Kind    string        `json:"fact"`
	Payment string        `json:"payment,omitempty"`
	Created *creation     `json:"created,omitempty"`
	Taking  int           `json:"taking,omitempty"`
	Store   string        `json:"store,omitempty"`
	Notice  string        `json:"notice,omitempty"`
	Offset  time.Duration `json:"offset_ns,omitempty"`
	Shown   *shown        `json:"shown,omitempty"`
	Key     string        `json:"key,omitempty"` // of a refund
	Yen     int64         `json:"yen,omitempty"`
}

type creation struct {
	Merchant string  `json:"merchant"`
	Request  Request `json:"request"`
	Issued   issued  `json:"issued"`
}

const (
	factCreated    = "created"
	factCanceled   = "canceled"
	factCollected  = "collected"
	factRevoked    = "revoked"
	factConfirmed  = "confirmed"
	factCaptured   = "captured"
	factRefunded   = "refunded"
	factDeclined   = "declined"
	factAbandoned  = "abandoned"
	factRegistered = "registered"
	factDelivered  = "delivered"
	factClock      = "clock"
	factShown      = "shown" // another barcode of the same payment
)

var events = map[string]string{
	factCollected:  EventProvisional,
	factRevoked:    EventRevoked,
	factConfirmed:  EventConfirmed,
	factCaptured:   EventCaptured,
	factRefunded:   EventRefunded,
	factDeclined:   EventDeclined,
	factAbandoned:  EventAbandoned,
	factRegistered: EventRegistered,
}

// Open reads the books in dir, which it makes if needed, and locks them until Close.
func Open(dir string, opts Options) (*Ledger, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	f, err := openFile(dir, opts.Log)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		opts:     opts,
		changed:  make(chan struct{}, 1),
		file:     f,
		payments: map[string]*payment{},
		attempts: map[string]string{},
		numbers:  map[string]string{},
		payers:   map[string]string{},
		bills:    map[string][]string{},
		tokens:   map[string]string{},
		receipts: map[string]bool{},
		owed:     map[int64]Notice{},
	}
	for number, line := range f.lines() {
		var fa fact
		if err := json.Unmarshal(line, &fa); err != nil {
			f.close()
			return nil, fmt.Errorf("read %s: line %d: %w", f.name, number, err)
		}
		if err := l.check(fa); err != nil {
			f.close()
			return nil, fmt.Errorf("read %s: line %d: %w", f.name, number, err)
		}
		l.apply(fa)
	}
	if err := f.readErr; err != nil {
		f.close()
		return nil, fmt.Errorf("read %s: %w", f.name, err)
	}
	return l, nil
}

// Close releases the books. No other method may run or follow.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.close()
}

// check refuses a fact that cannot follow the ones before it, so that apply need not.
func (l *Ledger) check(f fact) error {
	if f.N != l.facts+1 {
		return fmt.Errorf("fact number %d: want %d", f.N, l.facts+1)
	}
	switch f.Kind {
	case factCreated:
		if f.Created == nil || f.Payment == "" || l.payments[f.Payment] != nil {
			return fmt.Errorf("fact %q: want a new payment", f.Kind)
		}
	case factDelivered, factClock:
	case factCanceled, factDeclined, factAbandoned, factRegistered, factShown, factCollected, factCaptured, factRevoked, factConfirmed, factRefunded:
		p := l.payments[f.Payment]
		if p == nil {
			return fmt.Errorf("fact %q: payment %q is unknown", f.Kind, f.Payment)
		}
		switch f.Kind {
		case factShown:
			if f.Shown == nil {
				return fmt.Errorf("fact %q: want a barcode", f.Kind)
			}
		case factCollected, factCaptured:
			if f.Taking != len(p.takings)+1 {
				return fmt.Errorf("fact %q: taking %d: want %d", f.Kind, f.Taking, len(p.takings)+1)
			}
		case factRevoked, factConfirmed:
			if f.Taking < 1 || f.Taking > len(p.takings) {
				return fmt.Errorf("fact %q: taking %d: payment has %d", f.Kind, f.Taking, len(p.takings))
			}
		}
	default:
		return fmt.Errorf("fact %q is unknown", f.Kind)
	}
	return nil
}

// apply folds one fact into the state. The same facts give the same state, whenever they are read.
func (l *Ledger) apply(f fact) {
	l.facts = f.N
	p := l.payments[f.Payment]
	switch f.Kind {
	case factCreated:
		c := f.Created
		p = &payment{merchant: c.Merchant, req: c.Request, issued: c.Issued, created: f.At}
		l.payments[f.Payment] = p
		l.order = append(l.order, f.Payment)
		l.attempts[c.Merchant+"\n"+c.Request.AttemptID] = f.Payment
		l.receipts[c.Issued.ReceiptNumber] = true
		switch {
		case c.Request.Method == PayerNumber:
			l.payers[c.Merchant+"\n"+c.Request.Payer] = c.Issued.Number
			l.bills[c.Issued.Number] = append(l.bills[c.Issued.Number], f.Payment)
		case c.Issued.Number != "":
			l.numbers[c.Issued.Number] = f.Payment
		}
		if c.Issued.Barcode != "" {
			p.shown = []shown{{c.Issued.Barcode, c.Issued.ShownUntil}}
		}
		if c.Issued.Token != "" {
			l.tokens[c.Issued.Token] = f.Payment
		}
	case factShown:
		p.shown = append(p.shown, *f.Shown)
	case factCanceled, factAbandoned:
		p.canceled = true
	case factDeclined:
		p.declined = true
	case factRegistered:
		p.registered = true
	case factCollected:
		p.takings = append(p.takings, &Taking{Number: f.Taking, Store: f.Store, At: f.At})
		l.open = append(l.open, ref{f.Payment, f.Taking})
	case factCaptured:
		p.takings = append(p.takings, &Taking{Number: f.Taking, Store: f.Store, At: f.At, ConfirmedAt: &f.At})
	case factRevoked:
		p.takings[f.Taking-1].RevokedAt = &f.At
	case factConfirmed:
		p.takings[f.Taking-1].ConfirmedAt = &f.At
	case factRefunded:
		p.refunds = append(p.refunds, refund{f.Key, f.Yen, f.At})
	case factDelivered:
		if n, err := strconv.ParseInt(strings.TrimPrefix(f.Notice, "n"), 10, 64); err == nil {
			delete(l.owed, n)
		}
	case factClock:
		l.offset = f.Offset
	}
	if p == nil {
		return
	}
	p.last = f.At
	if event, ok := events[f.Kind]; ok {
		l.owed[f.N] = Notice{
			ID: "n" + strconv.FormatInt(f.N, 10), Fact: f.N, Event: event, Occurred: f.At,
			Merchant: p.merchant, URL: p.req.WebhookURL, View: p.view(f.Payment, l.opts.CardPages, f.At),
		}
	}
}

// commit numbers and dates the facts, writes them, and applies them once they are on disk. The lock is held.
func (l *Ledger) commit(facts ...fact) error {
	var lines []byte
	sync := false
	last := map[string]time.Time{}
	for i := range facts {
		f := &facts[i]
		f.N = l.facts + 1 + int64(i)
		f.At = l.now()
		if p := l.payments[f.Payment]; p != nil {
			if _, seen := last[f.Payment]; !seen {
				last[f.Payment] = p.last
			}
		}
		if before, ok := last[f.Payment]; ok && !f.At.After(before) {
			f.At = before.Add(time.Millisecond)
		}
		if f.Payment != "" {
			last[f.Payment] = f.At
		}
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("encode fact %q: %w", f.Kind, err)
		}
		lines = append(append(lines, line...), '\n')
		sync = sync || f.Kind != factDelivered
	}
	if err := l.file.append(lines, sync); err != nil {
		return err
	}
	for _, f := range facts {
		l.apply(f)
	}
	if sync {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// now is the company's time, in whole milliseconds. The lock is held.
func (l *Ledger) now() time.Time {
	return l.opts.Now().Add(l.offset).UTC().Truncate(time.Millisecond)
}

// Clock is the company's time and how far it is ahead of the machine's.
func (l *Ledger) Clock() (now time.Time, ahead time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now(), l.offset
}

// SetClock puts the company's clock ahead of the machine's by that much; 0 puts it right again. It survives a restart.
func (l *Ledger) SetClock(ahead time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commit(fact{Kind: factClock, Offset: ahead})
}

// Payments lists what query is found in (payment id, receipt, attempt, claim or payment number, barcode; empty: all),
// newest first, at most limit.
func (l *Ledger) Payments(query string, limit int) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	out := []Record{}
	for _, id := range slices.Backward(l.order) {
		if len(out) == limit {
			break
		}
		p := l.payments[id]
		if query == "" || slices.ContainsFunc([]string{id, p.issued.ReceiptNumber, p.req.AttemptID, p.req.ClaimNumber,
			p.issued.Number, p.issued.Barcode}, func(s string) bool { return strings.Contains(s, query) }) {
			out = append(out, p.record(id, l.opts.CardPages, now))
		}
	}
	return out
}

// Payment is one payment by its 決済連携ID; CodeNotFound when there is none.
func (l *Ledger) Payment(id string) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recordOf(id)
}

// recordOf is Payment with the lock held.
func (l *Ledger) recordOf(id string) (Record, error) {
	p := l.payments[id]
	if p == nil {
		return Record{}, refuse(CodeNotFound, "no such payment")
	}
	return p.record(id, l.opts.CardPages, l.now()), nil
}

// Changed yields after facts that notices may follow from. There is one listener: the sender of notices.
func (l *Ledger) Changed() <-chan struct{} { return l.changed }

// Owed lists the undelivered notices of facts after the given one, in order of their facts.
func (l *Ledger) Owed(after int64) []Notice {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Notice
	for n, notice := range l.owed {
		if n > after {
			out = append(out, notice)
		}
	}
	slices.SortFunc(out, func(a, b Notice) int { return cmp.Compare(a.Fact, b.Fact) })
	return out
}

// Delivered records that the merchant has heard. It is written without sync: see the package comment.
func (l *Ledger) Delivered(n Notice) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.owed[n.Fact]; !ok {
		return nil
	}
	return l.commit(fact{Kind: factDelivered, Notice: n.ID})
}
