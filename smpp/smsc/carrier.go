package smsc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Carrier is one simulated carrier. Its methods are safe for concurrent use.
type Carrier struct {
	cfg     Config
	log     *slog.Logger
	ln      net.Listener
	agenda  *agenda
	exact   map[string]bool // approved sources without a pattern
	pattern []string
	gate    gate

	mu       sync.Mutex // guards everything below
	accounts map[string]*account
	conns    map[net.Conn]bool // accepted, bound or not
	ledger   *ledger
	faults   map[string]*Fault // by suffix
	lengths  []int             // of the suffixes, longest first
	tries    map[string]int    // submissions per number, for Fault.Times
	trouble  Trouble
	bucket   bucket
	lastID   uint64
	counts   Counts
	watchers map[chan<- Message]bool
}

// account is one system_id and its sessions.
type account struct {
	Account
	binds    int // granted, not yet ended
	sessions []*session.Session
	turn     int        // next session to deliver on
	outbox   []*receipt // to be delivered, in order
}

// maxOutbox bounds what waits for an account to bind; the oldest are dropped.
const maxOutbox = 1_000_000

// maxTries bounds the numbers remembered for Fault.Times.
const maxTries = 1_000_000

// Counts counts since the start. "Messages" are whole, the rest are PDUs.
type Counts struct {
	Binds           uint64            `json:"binds"`
	BindsRefused    uint64            `json:"binds_refused"`
	Sessions        int               `json:"sessions"` // now
	Submits         uint64            `json:"submits"`
	Accepted        uint64            `json:"accepted"`
	Refused         map[string]uint64 `json:"refused"` // by command_status
	Silenced        uint64            `json:"silenced"`
	Dropped         uint64            `json:"dropped"`
	Messages        uint64            `json:"messages"`
	Receipts        uint64            `json:"receipts"`         // acknowledged
	ReceiptsSent    uint64            `json:"receipts_sent"`    // with repetitions
	ReceiptsRefused uint64            `json:"receipts_refused"` // or unacknowledged, sent again later
	ReceiptsLost    uint64            `json:"receipts_lost"`    // given up
	ReceiptsWaiting int               `json:"receipts_waiting"` // now
	Originated      uint64            `json:"originated"`       // by phones
	WatchersBehind  uint64            `json:"watchers_behind"`  // messages that a subscriber was too slow for
}

// New opens the carrier's port. ledgerFile gets one JSON object per line for
// every message, nil for none; a write is one call. log may be nil.
func New(cfg Config, ledgerFile io.Writer, log *slog.Logger) (*Carrier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("carrier %q: %w", cfg.Name, err)
	}
	if cfg.SystemID == "" {
		cfg.SystemID = cfg.Name[:min(15, len(cfg.Name))]
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Carrier{
		cfg: cfg, log: log.With("carrier", cfg.Name), agenda: newAgenda(),
		exact: make(map[string]bool), accounts: make(map[string]*account),
		conns: make(map[net.Conn]bool), ledger: newLedger(cfg.LedgerSize, ledgerFile),
		tries: make(map[string]int), watchers: make(map[chan<- Message]bool),
		// A number that a later run does not repeat: the start in the high bits.
		lastID: uint64(time.Now().Unix()) << 24,
		counts: Counts{Refused: make(map[string]uint64)},
	}
	c.gate.init()
	for _, s := range cfg.Sources {
		if hasMeta(s) {
			c.pattern = append(c.pattern, s)
		} else {
			c.exact[s] = true
		}
	}
	for _, a := range cfg.Accounts {
		c.accounts[a.SystemID] = &account{Account: a}
	}
	if err := c.SetFaults(cfg.Faults); err != nil {
		return nil, fmt.Errorf("carrier %q: %w", cfg.Name, err)
	}
	var err error
	if c.ln, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("carrier %q: %w", cfg.Name, err)
	}
	return c, nil
}

func hasMeta(s string) bool {
	for i := range len(s) {
		if s[i] == '*' || s[i] == '?' || s[i] == '[' || s[i] == '\\' {
			return true
		}
	}
	return false
}

// Name returns the name of the carrier.
func (c *Carrier) Name() string { return c.cfg.Name }

// Addr returns the address that the carrier listens on.
func (c *Carrier) Addr() string { return c.ln.Addr().String() }

// Close closes the port of a carrier that is not run.
func (c *Carrier) Close() error { return c.ln.Close() }

// Run serves until ctx ends, closes the port and all sessions, and returns
// when nothing runs any more.
func (c *Carrier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { c.agenda.run(ctx) })
	stop := context.AfterFunc(ctx, func() { _ = c.ln.Close() })
	defer stop()
	var err error
	for {
		var conn net.Conn
		if conn, err = c.ln.Accept(); err != nil {
			if ctx.Err() != nil {
				err = nil
			} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			break
		}
		wg.Go(func() { c.serve(ctx, conn) })
	}
	cancel()
	c.gate.open()
	c.dropAll(session.ErrClosed)
	wg.Wait()
	return err
}

// serve runs one connection.
func (c *Carrier) serve(ctx context.Context, conn net.Conn) {
	gated := newGatedConn(conn, &c.gate)
	c.mu.Lock()
	if c.trouble.Down {
		c.mu.Unlock()
		_ = conn.Close()
		return
	}
	c.conns[gated] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.conns, gated)
		c.mu.Unlock()
		_ = gated.Close()
	}()
	var granted *account
	s, err := session.Accept(ctx, gated, session.AcceptOptions{
		SystemID:  c.cfg.SystemID,
		Authorize: func(b *pdu.Bind) (status pdu.Status) { granted, status = c.authorize(b); return status },
		Settings: session.Settings{
			Window: 1000, RequestQueue: 1 << 16, QueueFullStatus: pdu.StatusThrottled,
			ResponseTimeout: 30 * time.Second,
			OnRequests:      c.onRequests,
			OnResults:       c.onResults,
		},
	})
	if granted != nil {
		defer c.leave(granted, s)
	}
	if err != nil {
		c.log.Debug("bind refused", "err", err)
		return
	}
	c.join(granted, s)
	c.log.Info("bind up", "bind", s.PeerSystemID(), "mode", s.Bind().Mode.String())
	select {
	case <-s.Done():
	case <-ctx.Done():
		s.Close()
	}
	c.log.Info("bind down", "bind", s.PeerSystemID(), "err", s.Err())
}

func (c *Carrier) authorize(b *pdu.Bind) (*account, pdu.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[b.SystemID]
	status := pdu.StatusOK
	switch {
	case c.trouble.rejectBind != 0:
		status = c.trouble.rejectBind
	case a == nil:
		status = pdu.StatusInvalidSystemID
	case subtle.ConstantTimeCompare([]byte(a.Password), []byte(b.Password)) != 1:
		status = pdu.StatusInvalidPassword
	case a.MaxBinds > 0 && a.binds >= a.MaxBinds:
		status = pdu.StatusAlreadyBound
	}
	if status != pdu.StatusOK {
		c.counts.BindsRefused++
		return nil, status
	}
	c.counts.Binds++
	a.binds++
	return a, pdu.StatusOK
}

func (c *Carrier) join(a *account, s *session.Session) {
	c.mu.Lock()
	a.sessions = append(a.sessions, s)
	if c.trouble.Down {
		s.Abort(errTrouble)
	}
	c.mu.Unlock()
	c.deliver(a)
}

func (c *Carrier) leave(a *account, s *session.Session) {
	c.mu.Lock()
	a.binds--
	a.sessions = slices.DeleteFunc(a.sessions, func(x *session.Session) bool { return x == s })
	c.mu.Unlock()
	c.deliver(a) // what came back goes to another session
}

var errTrouble = errors.New("the carrier is down")

func (c *Carrier) dropAll(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.accounts {
		for _, s := range a.sessions {
			s.Abort(cause)
		}
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// SetTrouble replaces what ails the carrier.
func (c *Carrier) SetTrouble(t Trouble) error {
	if err := t.prepare(); err != nil {
		return err
	}
	c.mu.Lock()
	c.trouble = t
	c.mu.Unlock()
	if t.Stall {
		c.gate.shut()
	} else {
		c.gate.open()
	}
	if t.Down {
		c.dropAll(errTrouble)
	}
	return nil
}

// SetFaults replaces the rules of Config.Faults; the built-in ones stay.
func (c *Carrier) SetFaults(faults []Fault) error {
	bySuffix := make(map[string]*Fault)
	var lengths []int
	all := slices.Clone(faults)
	if !c.cfg.NoBuiltinFaults {
		all = append(all, builtinFaults...)
	}
	for i := range all {
		f := &all[i]
		if err := f.prepare(); err != nil {
			return fmt.Errorf("faults[%d].%w", i, err)
		}
		if bySuffix[f.Suffix] == nil { // the first rule wins: ours before the built-in
			bySuffix[f.Suffix] = f
			if !slices.Contains(lengths, len(f.Suffix)) {
				lengths = append(lengths, len(f.Suffix))
			}
		}
	}
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	c.mu.Lock()
	c.faults, c.lengths = bySuffix, lengths
	clear(c.tries)
	c.mu.Unlock()
	return nil
}

// fault returns the rule for a submission to dest, or nil. The lock is held.
func (c *Carrier) fault(dest []byte) *Fault {
	for _, n := range c.lengths {
		if len(dest) < n {
			continue
		}
		f := c.faults[string(dest[len(dest)-n:])]
		if f == nil {
			continue
		}
		if f.Times > 0 {
			if len(c.tries) >= maxTries {
				clear(c.tries)
			}
			tries := c.tries[string(dest)] + 1
			c.tries[string(dest)] = tries
			if tries > f.Times {
				return nil
			}
		}
		return f
	}
	return nil
}

// approved is the carrier's sender rule.
func (c *Carrier) approved(source []byte) bool {
	if len(c.exact)+len(c.pattern) == 0 || c.exact[string(source)] {
		return true
	}
	for _, p := range c.pattern {
		if ok, _ := path.Match(p, string(source)); ok {
			return true
		}
	}
	return false
}

// newID returns the message_id and the form it takes in receipts. The lock is
// held.
func (c *Carrier) newID() (id, inReceipt string) {
	c.lastID++
	form := func(name string) string {
		if name == "hex" {
			return fmt.Sprintf("%016X", c.lastID)
		}
		return strconv.FormatUint(c.lastID, 10)
	}
	if c.cfg.MessageID == "uuid" {
		var b [16]byte
		_, _ = rand.Read(b[:])
		b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
		h := hex.EncodeToString(b[:])
		id = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		return id, id
	}
	id = form(c.cfg.MessageID)
	if c.cfg.ReceiptID == "" {
		return id, id
	}
	return id, form(c.cfg.ReceiptID)
}

// Ledger returns the messages kept with a Seq above since, oldest first.
func (c *Carrier) Ledger(since uint64) []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.since(since)
}

// Counts returns the counters.
func (c *Carrier) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	n.Refused = make(map[string]uint64, len(c.counts.Refused))
	for k, v := range c.counts.Refused {
		n.Refused[k] = v
	}
	for _, a := range c.accounts {
		n.Sessions += len(a.sessions)
		n.ReceiptsWaiting += len(a.outbox)
	}
	return n
}

// Watch sends the messages to ch as they reach the phones, until cancel is
// called. A message that finds ch full is not sent; the watcher can read the
// ledger.
func (c *Carrier) Watch(ch chan<- Message) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[ch] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, ch)
	}
}

// bucket is a token bucket that holds a tenth of a second.
type bucket struct {
	tokens float64
	last   time.Time
}

// take takes one token at rate tokens a second.
func (b *bucket) take(rate float64, now time.Time) bool {
	most := max(1, rate/10)
	if b.last.IsZero() {
		b.tokens = most
	} else {
		b.tokens = min(most, b.tokens+rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
