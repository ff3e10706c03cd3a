package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Identity turns expected answers into what is stored. engine/identity implements it.
type Identity interface {
	// Enroll gives, for each message of the batch in order, the answers to store or what is wrong with its items; Field
	// of a problem is the draft's path, "identity.items[1].value". A dry run gives zero ids and throws the answers away.
	// An error means that nothing could be decided (the module does not answer): the drafts are not refused but failed.
	Enroll(ctx context.Context, t *tenant.Tenant, messages []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error)
}

// Claims plans how a message carries a claim. engine/payment implements it.
type Claims interface {
	// Plan returns the claim's id and the changes to commit together with the message: a new claim, or that the message
	// joins or amends one. The subject is what is to be paid for: the page's title. It writes nothing. A problem has code "conflict" where the claim exists with another amount.
	// When the commit fails by a taken claim number or a conflict, Plan is asked again.
	Plan(ctx context.Context, t *tenant.Tenant, messageID ulid.ULID, c *message.Claim, subject string) (ulid.ULID, []store.Change, *message.Problem, error)
}

// Offers knows what can be paid with. engine/payment implements it.
type Offers interface {
	// Takes reports whether one of the tenant's methods (of codes; none: of all) takes an amount of yen, and the most that one
	// of them takes. What is not known takes everything: a method whose module is not there, and a tenant without methods.
	Takes(t *tenant.Tenant, codes []string, yen int64) (most int64, ok bool)
}

// Documents knows which files were uploaded. engine/document implements it.
type Documents interface {
	// Find returns the ids of the documents that were uploaded under the names last, within the scope; "" where there is none.
	Find(ctx context.Context, scope tenant.Scope, names []string) (ids []string, err error)
	// Pin keeps documents from being removed until release is called.
	Pin(ids []string) (release func())
	// Exists returns those of the ids that are no document within the scope.
	Exists(ctx context.Context, scope tenant.Scope, ids []string) (missing []string, err error)
	// Hold keeps documents readable until a time at least; store.ErrErased: the content of one is past its retention.
	Hold(ctx context.Context, scope tenant.Scope, ids []string, until time.Time) error
}

// Link is what the link server must know of a new link at once.
type Link struct {
	Tenant  tenant.ID
	Message ulid.ULID
	Head    *message.Head // never changed; Token, LinkExpires, StateUntil, Answers, Claim …
}

// Links is told of links after their commit and before the sender is answered. linkserver/link implements it; it must
// not block on I/O. What it misses by a crash it replays from the store.
type Links interface{ Put(links []Link) }

// Commits binds the head of a message to its content, before both are sealed. engine/certificate implements it.
type Commits interface {
	// Certifies reports whether messages of a class are bound.
	Certifies(c message.Class) bool
	// Commit binds one. page is its content as JSON; nil: it has none.
	Commit(h *message.Head, sms *message.SMS, page []byte)
}

// DoNotSend knows the numbers to which a tenant sends nothing. engine/inbound/donotsend implements it.
type DoNotSend interface {
	// Refuses reports whether a message of the class may not go to the number.
	Refuses(ctx context.Context, t tenant.ID, c message.Class, n carrier.Number) (bool, error)
}

// Store is what intake asks of engine/store; *store.Store is one, and its promises hold.
type Store interface {
	Keyer
	Commit(ctx context.Context, txs ...store.Tx) ([]error, error)
	Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
	Lookup(ctx context.Context, scope tenant.Scope, space store.Space, key string) (store.Ref, []byte, error)
	Count(ctx context.Context, scope tenant.Scope, q store.Query, limit int) (int, error)
	Seal(id tenant.ID, class string, day time.Time, aad string, plain []byte) ([]byte, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
	NextNo(now time.Time) string
}

// Length is what an SMS text measures.
type Length struct {
	Units int // in the alphabet's units
	Parts int // short messages
	Alone int // units that one short message alone holds: 70 in UCS-2
	Part  int // units that each holds of several: 67
}

// Capacity is how many units n short messages hold.
func (l Length) Capacity(n int) int {
	if n <= 1 {
		return l.Alone
	}
	return n * l.Part
}

// Meter measures a text as dispatch will cut it.
type Meter interface {
	Measure(text string) (Length, error)
}

// Config is the operator's part.
type Config struct {
	// LinkHost is the host (and port) of links of tenants without their own. Required.
	LinkHost string `toml:"link_host"`
	// LinkPlain makes links http:// instead of https://, for a rehearsal on one machine.
	LinkPlain bool `toml:"link_plain"`
}

// Validate reports what is missing.
func (c *Config) Validate() error {
	if c.LinkHost == "" {
		return errors.New("link_host: is required")
	}
	return nil
}

// Options are the rooms that intake stands on. All but Entries, Offers, DoNotSend, Commits, Meter, Log and Registry are required.
type Options struct {
	Config    Config
	Store     Store
	Tenants   *tenant.Directory
	Carriers  *carrier.Table
	Identity  Identity
	Claims    Claims
	Offers    Offers // nil: no amount is warned of
	Documents Documents
	Links     Links
	Entries   Entries   // nil: nobody is found at shared entries
	DoNotSend DoNotSend // nil: no number is refused
	Commits   Commits   // nil: no message is certified
	Meter     Meter     // nil: UCS2
	Log       *slog.Logger
	Registry  prometheus.Registerer
}

// Intake accepts messages. Safe for concurrent use; it has no goroutines, and no state but what limits have let through.
type Intake struct {
	Options
	limits  limits
	metrics *metrics
}

// New checks that all rooms are there.
func New(o Options) (*Intake, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Store == nil || o.Tenants == nil || o.Carriers == nil || o.Identity == nil || o.Claims == nil || o.Documents == nil || o.Links == nil {
		return nil, errors.New("BUG: intake: a required room is missing")
	}
	if o.Meter == nil {
		o.Meter = UCS2{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Intake{Options: o, metrics: newMetrics(o.Registry)}, nil
}

// Request is drafts of one tenant that came the same way.
type Request struct {
	Tenant   tenant.ID
	Via      message.Via
	By       string    // "user:<login>", "key:<name>", "engine"
	Campaign ulid.ULID // of a file
	Batch    bool      // came with others: the bulk lane
	DryRun   bool      // as Validate
	Drafts   []message.Draft
	Resends  []*Resend // nil, or one a draft: what it follows up; nil: nothing
	purpose  ulid.ULID // Head.For
	with     func(id ulid.ULID) []store.Change
}

// Claim is the claim that a message carries.
type Claim struct {
	ID     ulid.ULID
	Number string
}

// Preview is what a draft would become. The URL in it is a sample of the right length.
type Preview struct {
	Text        string
	URL         string
	Length      Length // zero when it is not sent
	Masked      string
	Carrier     string
	Sender      string // the address under which it would go
	SendAt      time.Time
	ValidUntil  time.Time
	LinkExpires time.Time
	Guess       *identity.Guess // how easily its identity is guessed; nil: nothing is asked, or the draft has problems
	Page        *message.Page   // with the words of the occasion, where the draft names one
}

// Result is the answer to one draft: accepted (ID set), refused (Problems) or failed (Err).
type Result struct {
	ID       ulid.ULID
	No       string // 17 digits
	URL      string // empty: no link
	Phase    message.Phase
	Repeated bool // the first answer to this key, given again; without its warnings
	Claim    *Claim
	Warnings message.Problems
	Problems message.Problems
	Err      error    // store.ErrBusy, store.ErrFull, *LimitError, a module that does not answer …: try again
	Preview  *Preview // of Validate
}

// Accepted reports whether the message is on disk.
func (r *Result) Accepted() bool { return !r.ID.IsZero() && len(r.Problems) == 0 && r.Err == nil }

// ErrNoTenant: the tenant of the request does not exist.
var ErrNoTenant = errors.New("there is no such tenant")

// chunk is how many drafts are enrolled and committed at once.
const chunk = 256

// Accept takes messages: one result a draft, in order. What a result acknowledges is on disk. Its own error is of the
// request as a whole, and then nothing was stored.
func (in *Intake) Accept(ctx context.Context, r Request) ([]Result, error) {
	if r.DryRun {
		return in.Validate(ctx, r)
	}
	started := clock.Now()
	results, err := in.each(ctx, r, in.accept)
	if err != nil {
		return nil, err
	}
	in.metrics.seconds.Observe(time.Since(started).Seconds())
	in.metrics.count(r.Via, results)
	return results, nil
}

// Validate answers as Accept would, without storing or reserving anything, and with a preview of each draft.
func (in *Intake) Validate(ctx context.Context, r Request) ([]Result, error) {
	r.DryRun = true
	return in.each(ctx, r, func(ctx context.Context, t *tenant.Tenant, r *Request, plans []*plan) {
		defer in.prepare(ctx, t, r, plans)()
		for _, p := range plans {
			if p.open() {
				p.settle(nil, in.findDuplicate(ctx, t, r, p))
			}
			if p.open() && p.draft.Claim != nil {
				_, _, problem, err := in.Claims.Plan(ctx, t, p.id, p.draft.Claim, subject(p.draft))
				p.settle(problem, err)
			}
			p.res.Preview = p.preview()
		}
	})
}

func (in *Intake) each(ctx context.Context, r Request, do func(context.Context, *tenant.Tenant, *Request, []*plan)) ([]Result, error) {
	t := in.Tenants.Now().Tenants[r.Tenant]
	if t == nil {
		return nil, ErrNoTenant
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]Result, len(r.Drafts))
	for from := 0; from < len(r.Drafts); from += chunk {
		to := min(from+chunk, len(r.Drafts))
		if err := ctx.Err(); err != nil {
			for i := from; i < len(results); i++ {
				results[i].Err = err
			}
			break
		}
		now := clock.Now().UTC()
		room, plans := make([]plan, to-from), make([]*plan, to-from)
		for i := range room {
			p := &room[i]
			p.draft, p.res, p.id, p.now, p.resend = &r.Drafts[from+i], &results[from+i], newID(now), now, r.resends(from+i)
			plans[i] = p
		}
		do(ctx, t, &r, plans)
	}
	return results, nil
}

// CodeRequest is a one-time code to be sent.
type CodeRequest struct {
	Tenant     tenant.ID
	To         string    // E.164
	Registered string    // YYYY-MM-DD: it must not have changed hands since; empty: not known
	Text       string    // final
	ForMessage ulid.ULID // whose recipient is asked; zero: the sender asks by the API
	ValidUntil time.Time // zero: five minutes
	By         string
	Sender     string // profile; empty: "otp", else "default"
	Reference  string
	// With gives changes that are committed together with the message, whose id it is told; nil: none. It may be asked again. A
	// name in them that is taken is a problem of field "key", code "conflict".
	With func(id ulid.ULID) []store.Change
}

// SendCode accepts a one-time code: class otp, before all else, without a link. One that the sender asks for counts against
// the tenant's limits as its messages do. The error is message.Problems when the number or the sender profile does not allow it.
func (in *Intake) SendCode(ctx context.Context, c CodeRequest) (ulid.ULID, error) {
	d := message.Draft{To: c.To, Class: string(message.OTP), Text: c.Text, Sender: c.Sender, Reference: c.Reference}
	via := message.ViaEngine
	if c.ForMessage.IsZero() {
		via = message.ViaAPI
	}
	if c.Registered != "" {
		d.Recipient = &message.Recipient{RegisteredOn: c.Registered}
	}
	if !c.ValidUntil.IsZero() {
		d.ValidUntil = &c.ValidUntil
	}
	results, err := in.Accept(ctx, Request{Tenant: c.Tenant, Via: via, By: c.By, Drafts: []message.Draft{d}, purpose: c.ForMessage, with: c.With})
	if err == nil {
		err = errors.Join(results[0].Err, results[0].Problems.Err())
	}
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("send a code for message %s: %w", c.ForMessage, err)
	}
	return results[0].ID, nil
}
