package smsc

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"path"
	"slices"
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

	tls *tls.Config // nil is plain
	all sync.WaitGroup

	mu       sync.Mutex      // guards everything below
	running  context.Context // of Run, nil before and after; all grows only while it is set
	accounts map[string]*account
	conns    map[*gatedConn]bool // accepted, bound or not
	ledger   *ledger
	rules    *rules
	trouble  Trouble
	troubles uint64 // how often it was set
	spells   uint64 // how often they were
	bucket   bucket
	lastID   uint64
	counts   Counts
	watchers map[chan<- Message]bool
	minutes  minutes
	batch    []session.Request // of deliver
}

// account is one system_id and its sessions.
type account struct {
	Account
	binds    int // granted, not yet ended
	sessions []*session.Session
	turn     int    // next session to deliver on
	outbox   outbox // to be delivered, in order
}

// maxOutbox bounds what waits for an account to bind; the oldest are dropped.
const maxOutbox = 1_000_000

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
	Unbinds         uint64            `json:"unbinds"` // by the carrier
	Messages        uint64            `json:"messages"`
	Receipts        uint64            `json:"receipts"`         // acknowledged
	ReceiptsSent    uint64            `json:"receipts_sent"`    // with repetitions
	ReceiptsRefused uint64            `json:"receipts_refused"` // or unacknowledged, sent again later
	DeliverRefused  map[string]uint64 `json:"deliver_refused"`  // deliver_sm_resp by command_status, receipts and phones' messages
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
		conns: make(map[*gatedConn]bool), ledger: newLedger(cfg.LedgerSize, ledgerFile),
		watchers: make(map[chan<- Message]bool),
		// A number that a later run does not repeat: the start in the high bits.
		lastID: uint64(time.Now().Unix()) << 24,
		counts: Counts{Refused: make(map[string]uint64), DeliverRefused: make(map[string]uint64)},
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
	if err := errors.Join(c.SetFaults(cfg.Faults), c.SetSpells(cfg.Spells)); err != nil {
		return nil, fmt.Errorf("carrier %q: %w", cfg.Name, err)
	}
	var err error
	if cfg.TLSCertificate != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLSCertificate, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("carrier %q: tls_certificate: %w", cfg.Name, err)
		}
		c.tls = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
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
	c.mu.Lock()
	c.running = ctx
	c.mu.Unlock()
	c.all.Go(func() { c.agenda.run(ctx) })
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
		c.all.Go(func() { c.serve(ctx, conn) })
	}
	cancel()
	c.mu.Lock()
	c.running = nil
	c.mu.Unlock()
	c.gate.open()
	c.dropAll(session.ErrClosed)
	c.all.Wait()
	return err
}

// serve runs one connection, in which the ESME binds.
func (c *Carrier) serve(ctx context.Context, conn net.Conn) {
	c.run(ctx, conn, session.Accept)
}

// accept is how a session begins: session.Accept, or after an outbind.
type accept func(ctx context.Context, conn net.Conn, o session.AcceptOptions) (*session.Session, error)

func (c *Carrier) run(ctx context.Context, conn net.Conn, begin accept) {
	gated := newGatedConn(conn, &c.gate)
	c.mu.Lock()
	if c.trouble.Down {
		c.mu.Unlock()
		_ = conn.Close()
		return
	}
	if c.trouble.Vanish {
		gated.vanish()
	}
	c.conns[gated] = true
	c.mu.Unlock()
	defer func() {
		gated.linger(ctx)
		c.mu.Lock()
		delete(c.conns, gated)
		c.mu.Unlock()
	}()
	var granted *account
	var secure net.Conn = gated
	if c.tls != nil {
		secure = tls.Server(gated, c.tls)
	}
	s, err := begin(ctx, secure, session.AcceptOptions{
		SystemID:  c.cfg.SystemID,
		Authorize: func(b *pdu.Bind) (status pdu.Status) { granted, status = c.authorize(b); return status },
		Settings: session.Settings{
			Window: cmp.Or(c.cfg.DeliverWindow, 1000), RequestQueue: 1 << 16, QueueFullStatus: pdu.StatusThrottled,
			ResponseTimeout: 30 * time.Second, WriteTimeout: time.Minute,
			OnRequests: func(s *session.Session, batch []session.Incoming) { c.onRequests(gated, granted, s, batch) },
			OnResults:  func(_ *session.Session, batch []session.Result) { c.onResults(granted, batch) },
		},
	})
	if granted != nil {
		defer func() {
			gated.linger(ctx)
			c.leave(granted, s)
		}()
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

// Outbind connects to an ESME that listens and asks it to bind, as carriers do
// that have something to deliver. It returns when the connection is made.
func (c *Carrier) Outbind(ctx context.Context, addr, password string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("outbind: %w", err)
	}
	ask := pdu.Outbind{SystemID: c.cfg.SystemID, Password: password}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		_ = conn.Close()
		return fmt.Errorf("outbind: %w", session.ErrClosed)
	}
	run := c.running
	c.all.Go(func() {
		c.run(run, conn, func(ctx context.Context, conn net.Conn, o session.AcceptOptions) (*session.Session, error) {
			return session.Outbind(ctx, conn, ask, o)
		})
	})
	return nil
}

// Unbind unbinds all sessions; it does not wait for them.
func (c *Carrier) Unbind() {
	c.mu.Lock()
	var all []*session.Session
	for _, a := range c.accounts {
		all = append(all, a.sessions...)
	}
	c.mu.Unlock()
	for _, s := range all {
		c.unbind(s)
	}
}

func (c *Carrier) unbind(s *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if run := c.running; run != nil {
		c.counts.Unbinds++
		c.all.Go(func() { _ = s.Unbind(run) })
	}
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
	a.binds++
	return a, pdu.StatusOK
}

func (c *Carrier) join(a *account, s *session.Session) {
	c.mu.Lock()
	c.counts.Binds++
	a.sessions = append(a.sessions, s)
	if c.trouble.Down {
		s.Abort(errTrouble)
	}
	c.mu.Unlock()
	c.deliver(a)
}

func (c *Carrier) leave(a *account, s *session.Session) {
	c.mu.Lock()
	if lost := s != nil && !errors.Is(s.Err(), session.ErrUnbound) && !errors.Is(s.Err(), session.ErrPeerUnbound); lost && c.cfg.BindLinger > 0 {
		c.agenda.at(time.Now().Add(time.Duration(c.cfg.BindLinger)), func() {
			c.mu.Lock()
			a.binds--
			c.mu.Unlock()
		})
	} else {
		a.binds--
	}
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
		_ = conn.Conn.Close()
		_ = conn.Close()
	}
}

// SetTrouble replaces what ails the carrier.
func (c *Carrier) SetTrouble(t Trouble) error {
	if err := t.prepare(); err != nil {
		return err
	}
	c.suffer(t)
	return nil
}

// suffer sets a prepared trouble, and returns its count.
func (c *Carrier) suffer(t Trouble) (count uint64) {
	c.mu.Lock()
	c.trouble = t
	c.troubles++
	count = c.troubles
	c.mu.Unlock()
	if t.Stall {
		c.gate.shut()
	} else {
		c.gate.open()
	}
	c.gate.drip.Store(int64(t.Drip))
	if t.Vanish {
		c.mu.Lock()
		for conn := range c.conns {
			conn.vanish()
		}
		c.mu.Unlock()
	}
	if t.Down {
		c.dropAll(errTrouble)
	}
	return count
}

// SetSpells replaces the troubles to come by these, whose times count from now.
func (c *Carrier) SetSpells(spells []Spell) error {
	spells = slices.Clone(spells)
	for i := range spells {
		if err := spells[i].prepare(); err != nil {
			return fmt.Errorf("spells[%d].%w", i, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spells++
	now, turn := time.Now(), c.spells
	for _, s := range spells {
		c.agenda.at(now.Add(time.Duration(s.After)), func() { c.undergo(&s, turn) })
	}
	return nil
}

// undergo begins a spell unless others have taken its place. It ends unless
// another trouble has.
func (c *Carrier) undergo(s *Spell, turn uint64) {
	c.mu.Lock()
	replaced := c.spells != turn
	c.mu.Unlock()
	if replaced {
		return
	}
	count := c.suffer(s.Trouble)
	if s.For == 0 {
		return
	}
	c.agenda.at(time.Now().Add(time.Duration(s.For)), func() {
		c.mu.Lock()
		own := c.troubles == count
		c.mu.Unlock()
		if own {
			c.suffer(Trouble{})
		}
	})
}

// SetFaults replaces the rules of Config.Faults; the built-in ones stay.
func (c *Carrier) SetFaults(faults []Fault) error {
	builtin := builtinFaults
	if c.cfg.NoBuiltinFaults {
		builtin = nil
	}
	r, err := newRules(faults, builtin)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rules = r
	c.mu.Unlock()
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
	n.Refused, n.DeliverRefused = maps.Clone(c.counts.Refused), maps.Clone(c.counts.DeliverRefused)
	for _, a := range c.accounts {
		n.Sessions += len(a.sessions)
		n.ReceiptsWaiting += a.outbox.len()
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
