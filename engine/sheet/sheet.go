// Package sheet gives a claim's payment sheet and barcode addresses that need no identity: for the sender's own page, its
// printer, or an enclosure. Whoever has an address can fetch the sheet (PDF, PNG) and the barcode (PNG) of that one claim,
// until its time ends or it is revoked, and nothing else.
//
//	Make    issues a number where none is (a method is named), and signs an address
//	Open    checks an address and draws what the claim is paid with now: a reprint needs no new registration
//	Revoke  ends all addresses of a claim that were made until then
//
// An address is not stored. Its code is the base64url of
//
//	1 version · 4 expiry, seconds since 1970 · 2 generation · 1 language · 16 claim · tenant · 16 signature
//
// signed by the tenant's keyed hash (store.Keyed), so that neither a tenant can make one of another's claims nor anybody
// change a bit of it. The generation counts the claim's revocations, each an event of a Register stream whose id follows from
// the claim. What is damaged, forged, of an unknown tenant, expired, revoked, or has nothing to be paid with any more is
// refused alike: store.ErrNotFound.
//
// Safe for concurrent use. A restart loses nothing.
package sheet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Path is below what the addresses lie on the host of links: Path + code + "/" + one of the names below.
const Path = "/sheets/"

// What an address has.
const (
	PDF     = "sheet.pdf"
	PNG     = "sheet.png"
	Barcode = "barcode.png"
)

// Claims is the part of engine/payment that this needs. *payment.Payments implements it.
type Claims interface {
	Claim(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (payment.State, error)
	ByNumber(ctx context.Context, scope tenant.Scope, number string) (payment.State, error)
	Methods(t *tenant.Tenant, s *payment.State) []*proto.PaymentMethod
	MethodKind(module, code string) proto.MethodKind
	Payer(ctx context.Context, s *payment.State) (string, error)
	Start(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, o payment.StartOptions) (payment.Attempt, error)
}

// Options are the rooms. All but Now are required; Plain makes addresses http://, for a rehearsal on one machine.
type Options struct {
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Claims    Claims
	Pages     *page.Pages
	LinkHost  string // of tenants without a host of their own
	Plain     bool
	Now       func() time.Time
}

// Sheets makes and opens addresses.
type Sheets struct{ Options }

// New keeps no state.
func New(o Options) *Sheets {
	if o.Now == nil {
		o.Now = clock.Now
	}
	return &Sheets{o}
}

// Order says what an address is wanted for.
type Order struct {
	Method  string    // code of a method with a number or barcode, where none was issued yet; empty: the one that was
	Store   string    // code, where the method has stores
	Lang    string    // ja, en
	Expires time.Time // zero: with the claim's due day; never later
	By      string    // as in message.Act
}

// Address is what Make gives: whoever has it can fetch what it names.
type Address struct {
	Claim   string    `json:"claim"`
	PDF     string    `json:"pdf"`
	PNG     string    `json:"png"`
	Barcode string    `json:"barcode,omitempty"` // where it is paid by barcode
	Expires time.Time `json:"expires_at"`
}

// Make gives an address of the claim of a tenant's number. Problems say what cannot be: code "conflict" where the claim's state
// forbids it. Errors: payment.ErrUnavailable, payment.ErrSettling (ask again), and those of the store.
func (s *Sheets) Make(ctx context.Context, t *tenant.Tenant, number string, o Order) (Address, message.Problems, error) {
	c, v, ps, err := s.ready(ctx, t, func() (payment.State, error) { return s.Claims.ByNumber(ctx, tenant.Only(t.ID), number) }, o)
	if err != nil || len(ps) > 0 {
		return Address{}, ps, err
	}
	expires := c.Due
	if !o.Expires.IsZero() && o.Expires.Before(expires) {
		expires = o.Expires
	}
	expires = expires.Truncate(time.Second)
	generation, err := s.generation(ctx, t.ID, c.Ref.ID)
	if err != nil {
		return Address{}, nil, err
	}
	code, err := s.code(ticket{expires: expires, generation: generation, lang: o.Lang, claim: c.Ref.ID, tenant: t.ID})
	if err != nil {
		return Address{}, nil, err
	}
	base := s.base(t) + Path + code + "/"
	a := Address{Claim: c.Number, PDF: base + PDF, PNG: base + PNG, Expires: expires}
	if v.Barcode != "" {
		a.Barcode = base + Barcode
	}
	return a, nil, nil
}

// ready is a claim with what it is paid with on paper, which is issued where it was not. Problems and errors are those of Make.
func (s *Sheets) ready(ctx context.Context, t *tenant.Tenant, find func() (payment.State, error), o Order) (c payment.State, v *proto.Voucher, ps message.Problems, err error) {
	if c, err = find(); err != nil {
		return c, nil, nil, err
	}
	now := s.Now()
	if ps := o.check(&c, now); len(ps) > 0 {
		return c, nil, ps, nil
	}
	v = voucher(&c, now)
	if live := c.Live(); live != nil && o.Method != "" && (live.Method != o.Method || o.Store != "" && live.Store != o.Store) {
		return c, nil, message.Problems{{Field: "method", Code: "conflict", Detail: "the payer has begun to pay in another way"}}, nil
	}
	if v != nil {
		return c, v, nil, nil
	}
	if ps, err := s.issue(ctx, t, &c, o); err != nil || len(ps) > 0 {
		return c, nil, ps, err
	}
	if c, err = s.Claims.Claim(ctx, tenant.Only(t.ID), c.Ref.ID); err != nil {
		return c, nil, nil, err
	}
	if a := c.Current(); a != nil && a.Voucher != nil && !a.Voucher.ShownUntil.IsZero() {
		return c, nil, message.Problems{{Field: "method", Code: "conflict", Detail: "it is for the payer's screen alone, and changes every few minutes"}}, nil
	}
	if v = voucher(&c, now); v == nil {
		return c, nil, nil, payment.ErrSettling
	}
	return c, v, nil, nil
}

func (o *Order) check(c *payment.State, now time.Time) (ps message.Problems) {
	conflict := func(detail string) {
		ps = append(ps, message.Problem{Field: "claim", Code: "conflict", Detail: detail})
	}
	switch {
	case c.Received > 0:
		conflict("money was received already")
	case c.WithdrawnBy != nil || c.SettledBy != nil:
		conflict("the claim was settled or withdrawn")
	case c.Phase == payment.IsRegistered:
		conflict("the claim is debited from an account")
	case now.After(c.Due):
		conflict("the day has passed")
	case !o.Expires.IsZero() && !o.Expires.After(now):
		ps = append(ps, message.Problem{Field: "expires_at", Code: "past"})
	case o.Expires.After(c.Due):
		ps = append(ps, message.Problem{Field: "expires_at", Code: "range", Detail: "not after the claim is due"})
	}
	return ps
}

// issue has a number issued, as the payer would by choosing a method.
func (s *Sheets) issue(ctx context.Context, t *tenant.Tenant, c *payment.State, o Order) (message.Problems, error) {
	if o.Method == "" {
		return message.Problems{{Field: "method", Code: "required", Detail: "no number or barcode was issued for the claim yet"}}, nil
	}
	var m *proto.PaymentMethod
	for _, known := range s.Offers(t, c) {
		if known.Code == o.Method {
			m = known
		}
	}
	if m == nil {
		return message.Problems{{Field: "method", Code: "unknown", Value: message.Mask(o.Method), Detail: "no such method with a number or barcode for this claim"}}, nil
	}
	start := payment.StartOptions{Method: o.Method, Store: o.Store, Yen: c.Amount, By: o.By}
	if m.Kind == proto.MethodKind_PAYER_NUMBER {
		var err error
		if start.Payer, err = s.Claims.Payer(ctx, c); err != nil {
			return nil, err
		}
	}
	_, err := s.Claims.Start(ctx, t, c.Ref.ID, start)
	switch {
	case errors.Is(err, payment.ErrNotOffered):
		return message.Problems{{Field: "store", Code: "unknown", Value: message.Mask(o.Store), Detail: "no such store of this method"}}, nil
	case errors.Is(err, payment.ErrPaid), errors.Is(err, payment.ErrWarn), errors.Is(err, payment.ErrNotAsked), errors.Is(err, payment.ErrRegistered),
		errors.Is(err, payment.ErrOverdue), errors.Is(err, payment.ErrAmended):
		return message.Problems{{Field: "claim", Code: "conflict", Detail: "the claim has changed meanwhile"}}, nil
	case errors.Is(err, payment.ErrDeclined):
		return message.Problems{{Field: "method", Code: "refused", Detail: "the payment agent refused"}}, nil
	}
	return nil, err
}

// Offers are the methods that give a number, the payer's own too, or a barcode for a store, of those that the claim can be paid with.
func (s *Sheets) Offers(t *tenant.Tenant, c *payment.State) (out []*proto.PaymentMethod) {
	for _, m := range s.Claims.Methods(t, c) {
		if !m.Redirect && (m.Kind == proto.MethodKind_KONBINI_NUMBER || m.Kind == proto.MethodKind_KONBINI_BARCODE || m.Kind == proto.MethodKind_PAYER_NUMBER) {
			out = append(out, m)
		}
	}
	return out
}

// Open draws what an address names, with the name to save it as. store.ErrNotFound: there is none, whatever the reason.
func (s *Sheets) Open(ctx context.Context, code, name string) (body []byte, filename string, err error) {
	none := fmt.Errorf("payment sheet: %w", store.ErrNotFound)
	k, ok := s.read(code)
	if !ok || name != PDF && name != PNG && name != Barcode {
		return nil, "", none
	}
	now := s.Now()
	if !now.Before(k.expires) {
		return nil, "", none
	}
	generation, err := s.generation(ctx, k.tenant, k.claim)
	if err != nil {
		return nil, "", err
	}
	if generation != k.generation {
		return nil, "", none
	}
	t := s.Directory().Tenants[k.tenant]
	c, err := s.Claims.Claim(ctx, tenant.Only(k.tenant), k.claim)
	if err != nil {
		return nil, "", err
	}
	v := voucher(&c, now)
	if t == nil || v == nil || name == Barcode && v.Barcode == "" {
		return nil, "", none
	}
	issued := c.Current().IssuedAt
	if name == Barcode {
		body, err = s.Pages.Image(ctx, t.ID, page.Barcode(t, v, issued))
		return body, "barcode-" + c.Number + ".png", err
	}
	d, err := s.document(ctx, t, &c, v, k.lang)
	if err != nil {
		return nil, "", err
	}
	if name == PNG {
		body, err = s.Pages.Image(ctx, t.ID, d)
		return body, "sheet-" + c.Number + ".png", err
	}
	body, err = s.Pages.Document(ctx, t.ID, d)
	return body, "sheet-" + c.Number + ".pdf", err
}

// document is the sheet of a claim that has a voucher.
func (s *Sheets) document(ctx context.Context, t *tenant.Tenant, c *payment.State, v *proto.Voucher, lang string) (*proto.Document, error) {
	title, said, err := s.words(ctx, c)
	if err != nil {
		return nil, err
	}
	a := c.Current()
	words := page.SheetWords{Title: title, Payer: c.Content.Payer, Said: said, Kind: s.Claims.MethodKind(a.Module, a.Method)}
	return page.PaymentSheet(t, words, asked(c), v, lang, a.IssuedAt), nil
}

// Revoke ends all addresses of a claim that were made until now. Of two at once one loses, which is as good.
func (s *Sheets) Revoke(ctx context.Context, t *tenant.Tenant, number, by string) error {
	c, err := s.Claims.ByNumber(ctx, tenant.Only(t.ID), number)
	if err != nil {
		return err
	}
	generation, err := s.generation(ctx, t.ID, c.Ref.ID)
	if err != nil {
		return err
	}
	change := store.Change{Ref: register(t.ID, c.Ref.ID), Expect: int(generation), Events: []store.NewEvent{{Type: revoked, At: s.Now(), Data: []byte(by)}}}
	errs, err := s.Store.Commit(ctx, store.Tx{change})
	if err == nil {
		err = errs[0]
	}
	var twin *store.ConflictError
	if errors.As(err, &twin) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revoke payment sheets of claim %s: %w", c.Ref.ID, err)
	}
	return nil
}

// revoked is the one event of a claim's register of sheets. Its data is who did it, as in message.Act.
const revoked = 1

// register is where the revocations of a claim's addresses stand.
func register(id tenant.ID, claim ulid.ULID) store.Ref {
	sum := sha256.Sum256([]byte("sheet/" + string(id) + "/" + claim.String()))
	ref := store.Ref{Tenant: id, Kind: store.Register}
	copy(ref.ID[:], sum[:])
	return ref
}

func (s *Sheets) generation(ctx context.Context, id tenant.ID, claim ulid.ULID) (uint16, error) {
	events, err := s.Store.Load(ctx, tenant.Only(id), register(id, claim))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("load revocations of payment sheets: %w", err)
	}
	return uint16(len(events)), nil
}

func (s *Sheets) base(t *tenant.Tenant) string {
	host, scheme := t.LinkHost, "https://"
	if host == "" {
		host = s.LinkHost
	}
	if s.Plain {
		scheme = "http://"
	}
	return scheme + host
}
