package email

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Claims tells how a claim stands. *payment.Payments implements it.
type Claims interface {
	Claim(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (payment.State, error)
	MethodLabel(module, code, lang string) string
}

// Sheets draws payment sheets. *page.Pages implements it.
type Sheets interface {
	Document(ctx context.Context, id tenant.ID, d *proto.Document) ([]byte, error)
}

// Options of Emails. All but the last three are required.
type Options struct {
	Config    Config
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Claims    Claims
	Sheets    Sheets

	Log        *slog.Logger
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Emails is safe for concurrent use. Without a relay it offers and does nothing.
type Emails struct {
	o       Options
	metrics *metrics

	mu     sync.Mutex // guards what follows
	day    string     // of counts, in Asia/Tokyo
	counts map[tenant.ID]int
}

// New checks the configuration. Run must run for mails to go out.
func New(o Options) (*Emails, error) {
	if err := errors.Join(o.Config.Validate()...); err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	return &Emails{o: o, metrics: newMetrics(o.Registerer)}, nil
}

// Offered reports whether mails can be sent at all.
func (e *Emails) Offered() bool { return e != nil && e.o.Config.Offered() }

var (
	// ErrAddress: what was given is no address (message.ParseAddress).
	ErrAddress = errors.New("no e-mail address")
	// ErrUsedUp: the message has caused as many mails today as it may, or its tenant has.
	ErrUsedUp = errors.New("as many mails as there may be in a day")
)

// Asking is one wish for a mail.
type Asking struct {
	Message store.Ref
	State   *message.State // as it was read; the wish is committed on its version
	Attempt ulid.ULID      // of the message's claim
	Lang    string         // ja, en
	Address string         // as typed or as the sender gave it
	By      string         // the sender's person or key that orders it, as in message.Act; empty: the recipient
}

// onceIn is how long the same wish again is the same wish: a button that is pressed twice.
const onceIn = time.Minute

// Ask takes a wish on, durably. The same address for the same attempt within a minute is taken on once. Errors: ErrAddress,
// ErrUsedUp, *store.ConflictError when the message has moved on (read it and ask again), and others of the store.
func (e *Emails) Ask(ctx context.Context, t *tenant.Tenant, a Asking) error {
	address, ok := message.ParseAddress(a.Address)
	if !ok || !e.Offered() {
		return ErrAddress
	}
	now := e.o.Now()
	sum, err := e.o.Store.Keyed(t.ID, "email", address)
	if err != nil {
		return fmt.Errorf("hash an address: %w", err)
	}
	for _, m := range a.State.Mails {
		if m.Attempt == a.Attempt && bytes.Equal(m.Key, sum[:]) && now.Sub(m.At) < onceIn {
			return nil
		}
	}
	if UsedUp(a.State, &e.o.Config, now) || !e.take(t.ID, now) {
		e.metrics.mails.WithLabelValues("used_up").Inc()
		return ErrUsedUp
	}
	ref := store.Ref{Tenant: t.ID, Kind: store.Notice, ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy())}
	box, err := e.o.Store.Seal(t.ID, string(a.State.Head.Class), now, ref.ID.String()+"/address", []byte(address))
	if err != nil {
		return fmt.Errorf("seal an address: %w", err)
	}
	head := request{V: 1, Message: a.Message.ID, Claim: a.State.Head.Claim, Attempt: a.Attempt, Lang: a.Lang, By: a.By, Sealed: box}
	said := message.Mailing{Mail: ref.ID, Attempt: a.Attempt, To: message.MaskAddress(address), Key: sum[:], By: a.By}
	err = commit(ctx, e.o.Store, store.Tx{
		{Ref: ref, Events: []store.NewEvent{{Type: asked, At: now, Data: encode(head)}}, Due: &store.Due{Queue: queue, At: now}},
		{Ref: a.Message, Expect: a.State.Version, Events: []store.NewEvent{{Type: byte(message.Mailed), At: now, Data: message.Encode(said)}}},
	})
	if err != nil {
		return err
	}
	e.metrics.mails.WithLabelValues("asked").Inc()
	return nil
}

// UsedUp reports whether the message has caused as many mails today as it may.
func UsedUp(s *message.State, c *Config, now time.Time) bool {
	today, n := message.Day(now), 0
	for _, m := range s.Mails {
		if message.Day(m.At) == today {
			n++
		}
	}
	return n >= c.PerMessage
}

// UsedUp is UsedUp under the operator's limit.
func (e *Emails) UsedUp(s *message.State) bool { return UsedUp(s, &e.o.Config, e.o.Now()) }

// take counts a mail of the tenant's day. The counts are lost at a restart: they bound what somebody can make a tenant's relay
// send, and ring before that.
func (e *Emails) take(id tenant.ID, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if day := message.Day(now); day != e.day {
		e.day, e.counts = day, map[tenant.ID]int{}
	}
	limit := e.o.Config.PerDay
	if e.counts[id] >= limit {
		return false
	}
	if e.counts[id]++; e.counts[id] == limit-limit/5 {
		e.o.Log.Warn("mails of a tenant come to their day's limit", "tenant", id, "limit", limit)
	}
	return true
}

func commit(ctx context.Context, s *store.Store, tx store.Tx) error {
	errs, err := s.Commit(ctx, tx)
	if err != nil {
		return err
	}
	return errs[0]
}
