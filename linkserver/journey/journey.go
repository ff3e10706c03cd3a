package journey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Claims is the part of engine/payment that a recipient meets. *payment.Payments implements it.
type Claims interface {
	Claim(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (payment.State, error)
	Methods(t *tenant.Tenant, s *payment.State) []*proto.PaymentMethod
	Start(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, o payment.StartOptions) (payment.Attempt, error)
	Cancel(ctx context.Context, scope tenant.Scope, claim ulid.ULID, warned bool) (payment.State, error)
	Refresh(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (payment.State, error)
	Receipt(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, o payment.ReceiptOptions) (pdf []byte, filename string, err error)
	MethodLabel(module, code, lang string) string
	MethodKind(module, code string) proto.MethodKind
	StoreLabel(a *payment.Attempt, code, lang string) string
}

// Documents are the files that senders uploaded. *document.Documents implements it.
type Documents interface {
	Get(ctx context.Context, scope tenant.Scope, id string) (name string, pdf []byte, err error)
}

// DoNotSend takes the word of people who got what is for somebody else. *donotsend.List implements it.
type DoNotSend interface {
	Disown(ctx context.Context, m store.Ref, at time.Time) error
}

// Mails send what a claim is paid with by e-mail. *email.Emails implements it.
type Mails interface {
	Offered() bool
	UsedUp(s *message.State) bool
	Ask(ctx context.Context, t *tenant.Tenant, a email.Asking) error
}

// Options are the rooms that a journey leads through. All but Mails (nil: none are offered), CarrierLabel, LinkHost, Log and
// Now are required.
type Options struct {
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Links     *link.Links
	Identity  *identity.Identity
	Claims    Claims
	Documents Documents
	DoNotSend DoNotSend
	Pages     *page.Pages
	// CarrierLabel names a carrier to people; nil: by its code.
	CarrierLabel func(name, lang string) string
	LinkHost     string // of links of tenants without a host of their own
	Mails        Mails
	Log          *slog.Logger
	Now          func() time.Time
}

// Journey is safe for concurrent use.
type Journey struct {
	Options
	titles   titles
	presses  presses
	states   states
	landings landings
	behind   behind
}

// New keeps no state but the titles of documents, what was pressed a moment ago, the last states, and landing pages.
func New(o Options) *Journey {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	return &Journey{Options: o, behind: behind{log: o.Log, slots: make(chan struct{}, maxBehind)}}
}

// Visit is one request of a browser. Its steps change Session.
type Visit struct {
	Link     link.Link
	Standing Standing
	Session  *Session
	Lang     string // ja, en
	Agent    string // User-Agent
	Source   string // at a shared entry: the range of addresses that it comes from
}

// Next is where a step leads: to Screen, to URL (the page of an agent or of who identifies), or, when both are empty, to what
// Show shows.
type Next struct {
	Screen *Screen
	URL    string
	State  string // what comes back from URL to CameFrom; empty: nothing does
}

// again shows what is the case now.
var again = Next{}

// visit is a Visit with what was read for it.
type visit struct {
	*Visit
	t     *tenant.Tenant
	state message.State
}

var errNoTenant = errors.New("tenant of a link is not in the directory")

// load reads the message. Errors are of the store.
func (j *Journey) load(ctx context.Context, v *Visit) (*visit, error) {
	t := j.Directory().Tenants[v.Link.Tenant]
	if t == nil {
		return nil, errNoTenant
	}
	events, err := j.Store.Load(ctx, tenant.Only(v.Link.Tenant), v.Link.Ref())
	if err != nil {
		return nil, fmt.Errorf("load message %s: %w", v.Link.Message, err)
	}
	in := &visit{Visit: v, t: t}
	if in.state, err = stored.State(events); err != nil {
		return nil, err
	}
	switch { // the stream decides
	case !in.state.RevokedAt.IsZero():
		v.Standing = Gone
	case !in.state.DisownedAt.IsZero():
		v.Standing = Stopped
	}
	return in, nil
}

// append commits one event on the version that was read.
func (j *Journey) append(ctx context.Context, v *visit, typ message.Type, data any) error {
	errs, err := j.Store.Commit(ctx, store.Tx{{
		Ref: v.Link.Ref(), Expect: v.state.Version,
		Events: []store.NewEvent{{Type: byte(typ), At: j.Now(), Data: message.Encode(data)}},
	}})
	if err == nil {
		err = errs[0]
	}
	return err
}

func conflict(err error) bool {
	var c *store.ConflictError
	return errors.As(err, &c)
}

// opening is how long after its submission an opening may be a machine's.
const opening = 3 * time.Second

// robot matches programs that say what they are. linkserver/web/testdata/robots.tsv
var robot = regexp.MustCompile(`(?i)bot\b|crawl|spider|preview|facebookexternalhit|^whatsapp/|safelinks|proofpoint|mimecast|barracuda|inspect|embedly|` +
	`iframely|cardyb|vkshare|archiver|expanse|slack-imgproxy|curl/|wget/|python-|go-http-client|java/|okhttp|headless|^$`)

// vague matches what may be a program or the browser within one: a person who scanned a QR code.
var vague = regexp.MustCompile(`(?i)scan|fetch|monitor|whatsapp|telegram|slack|discord`)

// notBots are makers of phones whose names end like a robot's.
var notBots = regexp.MustCompile(`(?i)cubot`)

// doubt says why an opening may be a machine's; "" when nothing speaks for it.
func (j *Journey) doubt(v *visit) string {
	switch s := &v.state; {
	case s.Head.Parts > 0 && (s.SubmittingAt.IsZero() || j.Now().Sub(s.SubmittingAt) < opening):
		return "early"
	case !s.SubmittedAt.IsZero() && j.Now().Sub(s.SubmittedAt) < opening:
		return "early"
	case v.robot(), vague.MatchString(v.Agent):
		return "scanner"
	}
	return ""
}

// robot reports whether the visitor says that it is a program: what it presses, nobody wanted.
func (v *Visit) robot() bool { return robot.MatchString(notBots.ReplaceAllString(v.Agent, "")) }

// Open is the button of the landing page.
func (j *Journey) Open(ctx context.Context, v *Visit) (Next, error) {
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < StateOnly {
		return again, err
	}
	doubt := j.doubt(in)
	if in, err = j.opened(ctx, in, doubt); err != nil || v.Standing < StateOnly {
		return again, err
	}
	switch {
	case v.Session.Step != Landing:
	case len(in.state.Head.Answers) > 0:
		v.Session.promote(Identify)
		return again, j.goElsewhere(ctx, in)
	case in.state.Head.Code:
		v.Session.promote(Code)
		if doubt == "" {
			return again, j.sendCode(ctx, in, false)
		}
	default:
		v.Session.promote(In)
	}
	return again, nil
}

// opened records an opening, unless a better one is known. It gives back the message as it was when that was certain.
func (j *Journey) opened(ctx context.Context, in *visit, doubt string) (*visit, error) {
	for in.state.OpenedAt.IsZero() || (in.state.DoubtfulOpening != "" && doubt == "") {
		err := j.append(ctx, in, message.Opened, message.Opening{Doubtful: doubt})
		if err == nil {
			break
		}
		if !conflict(err) {
			return in, fmt.Errorf("record an opening: %w", err)
		}
		next, err := j.load(ctx, in.Visit)
		if err != nil || in.Standing < StateOnly {
			return in, err
		}
		in = next
	}
	return in, nil
}

// asksAtOnce reports whether the tenant's questions come without a page before them.
func asksAtOnce(in *visit) bool { return in.t.PrePage.Skip && len(in.state.Head.Answers) > 0 }

// Identify takes the answers to all questions at once; control gives what was typed into one.
func (j *Journey) Identify(ctx context.Context, v *Visit, control func(name string) string) (Next, error) {
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < StateOnly {
		return again, err
	}
	switch {
	case v.Session.Step == Identify:
	case v.Session.Step == Landing && asksAtOnce(in):
		if in, err = j.opened(ctx, in, j.doubt(in)); err != nil || v.Standing < StateOnly {
			return again, err
		}
		v.Session.promote(Identify)
	default:
		return again, nil
	}
	if j.Identity.Elsewhere(in.state.Head.Answers) {
		if a := v.Session.Away; a != nil && a.URL != "" {
			return Next{URL: a.URL, State: a.State}, nil
		}
		return again, j.goElsewhere(ctx, in)
	}
	typed := j.Identity.Join(in.state.Head.Answers, control)
	result, unreadable, err := j.presses.once(pressOf(v.Session, "identify", typed), j.Now, func() (identity.Result, []int, error) {
		return j.Identity.Items(context.WithoutCancel(ctx), in.t, v.Link.Ref(), typed)
	})
	if err != nil {
		return again, err
	}
	v.Session.Unreadable = unreadable
	return again, j.identified(ctx, in, result)
}

// identified goes on by what came of the questions.
func (j *Journey) identified(ctx context.Context, in *visit, result identity.Result) error {
	s := in.Session
	switch result {
	case identity.Passed:
		s.promote(In)
	case identity.NeedCode, identity.Mismatch:
		if !in.state.Head.Code {
			s.Note = NoteMismatch
			break
		}
		s.promote(Code) // whether all matched, nobody sees
		s.Held = held(result == identity.Mismatch)
		return j.sendCode(ctx, in, true)
	case identity.Incomplete:
		s.Note = NoteIncomplete
	case identity.Unreadable:
		s.Note = NoteUnreadable
	}
	return nil
}

// sendCode asks for a code. asked: behind the questions that were answered just now.
func (j *Journey) sendCode(ctx context.Context, v *visit, asked bool) error {
	s, now := v.Session, j.Now()
	result, err := j.Identity.SendCode(ctx, v.t, v.Link.Ref(), identity.Asking{Session: s.codes(now), Held: s.Held == codeHeld, Asked: asked, Lang: v.Lang})
	if err != nil {
		return err
	}
	switch result {
	case identity.Sent:
		if s.Codes > 0 {
			s.Note = NoteResent
		}
		s.asked(now)
	case identity.TooSoon:
		if s.Codes > 0 {
			s.Note = NoteTooSoon
			break
		}
		s.asked(now) // the same button pressed twice, or another browser of the same person: a code is on its way
	case identity.TooMany:
		s.Note = NoteTooMany
	}
	return nil
}

// Again leads back from the code to the questions.
func (j *Journey) Again(ctx context.Context, v *Visit) (Next, error) {
	in, err := j.load(ctx, v)
	if err == nil && v.Standing >= StateOnly && v.Session.Step == Code && len(in.state.Head.Answers) > 0 {
		v.Session.promote(Identify)
		return again, j.goElsewhere(ctx, in)
	}
	return again, err
}

// Resend sends another code.
func (j *Journey) Resend(ctx context.Context, v *Visit) (Next, error) {
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < StateOnly || v.Session.Step != Code || v.robot() {
		return again, err
	}
	return again, j.sendCode(ctx, in, false)
}

// Code takes the one-time code.
func (j *Journey) Code(ctx context.Context, v *Visit, typed string) (Next, error) {
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < StateOnly || v.Session.Step != Code {
		return again, err
	}
	of := pressOf(v.Session, "code", map[string]string{"": typed})
	result, _, err := j.presses.once(of, j.Now, func() (identity.Result, []int, error) {
		result, err := j.Identity.Code(context.WithoutCancel(ctx), in.t, v.Link.Ref(), typed, v.Session.Held == codeHeld)
		return result, nil, err
	})
	if err != nil {
		return again, err
	}
	switch result {
	case identity.Passed:
		v.Session.promote(In)
	case identity.Mismatch:
		v.Session.Note = NoteMismatch
	case identity.Incomplete:
		v.Session.Note = NoteIncomplete
	case identity.Unreadable:
		v.Session.Note = NoteUnreadable
	case identity.Locked: // once unlocked, all is asked again
		if len(in.state.Head.Answers) > 0 {
			v.Session.promote(Identify)
		}
	}
	return again, nil
}

// paying loads the message of an identified session whose claim may be acted upon; ok is false when there is nothing to do. Behind a
// link that asks for no identity, what programs press that name themselves is not taken.
func (j *Journey) paying(ctx context.Context, v *Visit, least Standing) (in *visit, ok bool, err error) {
	in, err = j.load(ctx, v)
	ok = err == nil && v.Standing >= least && v.Session.Step == In && !in.state.Head.Claim.IsZero() && (v.Link.Identity || !v.robot())
	return in, ok, err
}

// Checkout chooses a method.
func (j *Journey) Checkout(ctx context.Context, v *Visit, method string) (Next, error) {
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
	v.Session.Method, v.Session.Note = "", NoteIncomplete
	for _, m := range j.methods(in, content, &claim) {
		if m.Code == method {
			v.Session.Method, v.Session.Yen, v.Session.Note = method, claim.Amount, NoteCheckout
			return again, nil
		}
	}
	v.Session.Content = true // there the methods are
	return again, nil
}

// Pay starts an attempt with the method that was chosen.
func (j *Journey) Pay(ctx context.Context, v *Visit, method, at string) (Next, error) {
	in, ok, err := j.paying(ctx, v, Open)
	if err != nil || !ok {
		return again, err
	}
	if v.Session.Method == "" || v.Session.Method != method {
		v.Session.Method = "" // of another tab or of a page that was left: choose again
		return again, nil
	}
	v.Session.Return = rand.Text()
	start := payment.StartOptions{
		Method: method, Store: at, Yen: v.Session.Yen, MessageID: v.Link.Message, Warned: false,
		ReturnURL: in.state.Head.URL + "/return?s=" + v.Session.Return,
	}
	payer, err := j.payer(in)
	if err != nil {
		return again, err
	}
	start.Payer = payer.key
	attempt, err := j.Claims.Start(ctx, in.t, in.state.Head.Claim, start)
	switch {
	case err == nil:
		v.Session.Method = ""
		if j.Claims.MethodKind(attempt.Module, attempt.Method) == proto.MethodKind_PAYER_NUMBER && attempt.Lives() && !attempt.Settling() {
			j.startOthers(ctx, in, payer, method)
		}
	case errors.Is(err, payment.ErrPaid), errors.Is(err, payment.ErrNotAsked), errors.Is(err, payment.ErrOverdue),
		errors.Is(err, payment.ErrSettling), errors.Is(err, payment.ErrWarn), errors.Is(err, payment.ErrAmended), errors.Is(err, payment.ErrRegistered):
		v.Session.Method = "" // the page says how it stands
	case errors.Is(err, payment.ErrNotOffered):
		v.Session.Note = NoteCheckout
	case errors.Is(err, payment.ErrDeclined):
		v.Session.Method, v.Session.Note = "", NoteDeclined
	case errors.Is(err, payment.ErrUnavailable):
		v.Session.Note = NoteUnavailable
	default:
		return again, err
	}
	return again, nil
}

// Redirect leads to the agent's page of the attempt that lives.
func (j *Journey) Redirect(ctx context.Context, v *Visit) (Next, error) {
	in, ok, err := j.paying(ctx, v, Open)
	if err != nil || !ok {
		return again, err
	}
	claim, err := j.Claims.Claim(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
	if err != nil {
		return again, err
	}
	if a := claim.Live(); a != nil && !a.Void && a.Phase == payment.RequiresAction {
		if u, ok := agentPage(a.Redirect); ok {
			return Next{URL: u.String()}, nil
		}
	}
	return again, nil
}

// agentHost is a plain host, with its port. url.Parse lets much more pass (";" in a name, spaces in a zone) that would have
// another meaning in a header.
var agentHost = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

// agentPage checks where an agent wants the payer to go: https, or http on this machine (rehearsals).
func agentPage(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, false
	}
	if !agentHost.MatchString(u.Host) {
		return nil, false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := err == nil && addr.IsLoopback() || u.Hostname() == "localhost"
	return u, u.Scheme == "https" || (u.Scheme == "http" && local)
}

// State asks the agent how the payment stands.
func (j *Journey) State(ctx context.Context, v *Visit) (Next, error) {
	in, ok, err := j.paying(ctx, v, StateOnly)
	if err != nil || !ok {
		return again, err
	}
	v.Session.Return = ""
	_, err = j.Claims.Refresh(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
	if errors.Is(err, payment.ErrUnavailable) {
		err = nil // what is known is shown
	}
	return again, err
}

// Cancel ends the attempt that lives, to choose again. The page has warned that its number must not be used any more: behind a link
// that asks for no identity nobody has read that who came just now.
func (j *Journey) Cancel(ctx context.Context, v *Visit) (Next, error) {
	in, ok, err := j.paying(ctx, v, Open)
	if err != nil || !ok || !v.Link.Identity && j.Now().Sub(time.Unix(v.Session.Since, 0)) < thought {
		return again, err
	}
	_, err = j.Claims.Cancel(ctx, tenant.Only(in.t.ID), in.state.Head.Claim, true)
	switch {
	case errors.Is(err, payment.ErrUnavailable):
		v.Session.Note, err = NoteUnavailable, nil
	case errors.Is(err, payment.ErrSettling), errors.Is(err, payment.ErrPaid), errors.Is(err, payment.ErrNotAsked):
		err = nil
	}
	return again, err
}

// Returned reports whether a browser that comes from an agent's page brings back what this session gave it.
func (v *Visit) Returned(state string) bool {
	return v.Session.Step == In && v.Session.Return != "" && state == v.Session.Return
}

// content opens what the sender wrote. store.ErrErased: its term is over.
func (j *Journey) content(v *visit) (*message.Content, error) {
	c, err := stored.Content(j.Store, v.Link.Tenant, v.Link.Message, &v.state.Head)
	return &c, err
}

// titles keeps the names and sizes of uploaded files, which never change.
type titles struct {
	mu   sync.Mutex // guards byID
	byID map[string]title
}

type title struct {
	name  string
	bytes int
}

const maxTitles = 10_000 // then it begins anew

func (c *titles) get(key string) (title, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byID[key]
	return t, ok
}

func (c *titles) put(key string, t title) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxTitles {
		c.byID = map[string]title{}
	}
	c.byID[key] = t
}
