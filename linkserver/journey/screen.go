package journey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Screen is one view, ready to be drawn.
type Screen struct {
	Tenant tenant.ID // empty: nobody's (GONE)
	Page   *proto.Page
	Model  *page.Model // of Page, which then is not changed; nil: it is made when Page is drawn
	// Reload is after how long the page is asked for again by itself. 0: never.
	Reload time.Duration
	// Until is when the link ends, for a page with UntilMark.
	Until string
}

// reloadEvery is how often a payment that is under way is looked at again while its page is open.
const reloadEvery = 3 * time.Minute

// A barcode that may be shown for a while only is asked for anew so long before its time ends, and one that could not be had after
// a minute: sooner the agent is not asked again (payment.Refresh).
const (
	reloadBefore = 30 * time.Second
	reloadLeast  = time.Minute
)

// reload is for who waits for news of a payment. The page itself leaves what is being typed as it is (linkserver/web, wait.js).
func reload(p *proto.Page, now time.Time) time.Duration {
	switch {
	case p.View == proto.View_VOUCHER && !p.ExpiredPayment && p.Voucher.ShownUntil != nil:
		return min(reloadEvery, max(reloadLeast, p.Voucher.ShownUntil.AsTime().Sub(now)-reloadBefore))
	case p.View == proto.View_ACCEPTED || p.View == proto.View_WAITING || p.View == proto.View_VOUCHER && !p.ExpiredPayment:
		return reloadEvery
	}
	return 0
}

// Gone is the page of whatever is not there.
func (j *Journey) Gone(lang string) *Screen {
	return &Screen{Page: page.View(nil, proto.View_GONE, lang)}
}

// Fault is shown when something failed on our side. message says what to do; empty: try again later.
func (j *Journey) Fault(v *Visit, message string) *Screen {
	t := j.Directory().Tenants[v.Link.Tenant]
	s := &Screen{Tenant: v.Link.Tenant, Page: page.View(t, proto.View_FAULT, v.Lang)}
	s.Page.Message = message
	return s
}

// Show is what the visitor sees now. It takes what the session had to say once.
func (j *Journey) Show(ctx context.Context, v *Visit) (*Screen, error) {
	note, unreadable := v.Session.Note, v.Session.Unreadable
	defer func() { v.Session.Note, v.Session.Unreadable = NoNote, nil }()
	switch {
	case v.Standing < Expired:
		return j.closed(v), nil
	case v.Standing == Expired:
		return j.expired(v), nil
	case v.Session.Step == Landing && !j.skipsLanding(v) && !page.NoticeHasDay(j.Directory().Tenants[v.Link.Tenant]):
		return j.landing(v, nil), nil
	}
	in, err := j.load(ctx, v)
	if err != nil {
		return nil, err
	}
	if v.Standing < Expired {
		return j.closed(v), nil
	}
	switch {
	case v.Session.Step == Landing && !asksAtOnce(in):
		return j.landing(v, in), nil
	case note == NoteDeclined:
		return j.Fault(v, say(v.Lang, "決済会社で受け付けられませんでした。別のお支払い方法をお選びいただくか、お問い合わせ先までご連絡ください。",
			"The payment company refused. Please choose another way to pay, or contact us.")), nil
	case note == NoteUnavailable && v.Session.Step == Identify:
		return j.Fault(v, say(v.Lang, "ただいま本人確認のページに接続できません。しばらくしてから、もう一度お試しください。",
			"The page that identifies you cannot be reached. Please try again in a little while.")), nil
	case note == NoteUnavailable:
		return j.Fault(v, say(v.Lang, "ただいま決済会社に接続できません。しばらくしてから、もう一度お試しください。",
			"The payment company cannot be reached. Please try again in a little while.")), nil
	case v.Session.Step == In:
		screen, err := j.screen(ctx, in)
		if err != nil {
			return nil, err
		}
		return screen, j.viewed(ctx, in)
	case in.state.CodeLockedAt(j.Now()), in.state.LockedAt(j.Now()) && v.Session.Step != Code:
		s := j.view(v, proto.View_LOCKED)
		s.Page.StaysLocked = !in.state.LockedUntil.Before(identity.UntilUnlocked)
		return s, nil
	}
	s := j.view(v, proto.View_IDENTIFY)
	if v.Session.Step == Code {
		s.Page.View = proto.View_CODE
		s.Page.Digits = uint32(identity.Digits(in.t, &in.state.Head))
		if s.Page.CanAskAgain = len(in.state.Head.Answers) > 0; !s.Page.CanAskAgain { // who got here may have known nothing
			s.Page.PhoneMasked = in.state.Head.Masked
		}
		s.Page.ValidMinutes = uint32(identity.CodeValid / time.Minute)
		s.Page.Resent, s.Page.Message = note == NoteResent, unsent(note, v.Session.Codes, v.Lang)
	} else {
		s.Page.Fields = j.Identity.Fields(in.t, in.state.Head.Answers, v.Lang)
		for i, f := range s.Page.Fields {
			f.Unreadable = slices.Contains(unreadable, i)
		}
		if a := v.Session.Away; a != nil {
			if u, ok := agentPage(a.URL); ok {
				s.Page.RedirectHost = u.Host
			}
		}
	}
	s.Page.Mismatch, s.Page.Incomplete, s.Page.Unreadable = note == NoteMismatch, note == NoteIncomplete, note == NoteUnreadable
	return s, nil
}

// unsent says why no code was sent, by the session alone; empty: one was. codes is how many it has asked for.
func unsent(note Note, codes int, lang string) string {
	switch {
	case note == NoteTooSoon:
		return say(lang, "前の認証番号の送信から間もないため、再送信していません。2分ほどお待ちいただき、それでも届かないときは、もう一度「認証番号を再送信」を押してください。",
			"No new code was sent: the last one was sent only just now. Please wait about two minutes. If it does not arrive, ask for a new code again.")
	case note == NoteTooMany:
		return say(lang, "認証番号を送信できる回数を超えたため、送信していません。30分以上たってから、もう一度お試しください。お急ぎのときは、お問い合わせ先までご連絡ください。",
			"No new code was sent: there were too many. Please try again after 30 minutes or more, or contact us.")
	case codes == 0:
		return say(lang, "認証番号は、まだ送信していません。「認証番号を再送信」を押してください。", "No code was sent yet. Please ask for a new code below.")
	}
	return ""
}

// skipsLanding reports whether the tenant wants no page before the questions; whether there are any, the message says.
func (j *Journey) skipsLanding(v *Visit) bool {
	t := j.Directory().Tenants[v.Link.Tenant]
	return t != nil && t.PrePage.Skip && v.Link.Identity
}

// landing is the page before the questions. in is the message, where it is known.
func (j *Journey) landing(v *Visit, in *visit) *Screen {
	snapshot := j.Directory()
	until := message.Moment(v.Link.Expires, v.Lang)
	key := landingOf{v.Link.Tenant, v.Lang, v.Link.Identity, v.Link.Code, mayDisown(v)}
	if in == nil {
		if m := j.landings.get(snapshot, key); m != nil {
			return &Screen{Tenant: v.Link.Tenant, Page: m.Page, Model: m, Until: until}
		}
	}
	s := j.view(v, proto.View_LANDING)
	s.Page.Identify, s.Page.Code = v.Link.Identity, v.Link.Code
	s.Page.LinkExpires, s.Page.UntilMark, s.Until = nil, true, until // one page for all links
	var sent time.Time
	if in != nil {
		sent = in.state.AcceptedAt
		for _, at := range []time.Time{in.state.Head.SendAt, in.state.SubmittedAt} {
			if at.After(sent) {
				sent = at
			}
		}
	}
	t := snapshot.Tenants[v.Link.Tenant]
	page.SetNotice(s.Page, t, sent)
	if !page.NoticeHasDay(t) {
		s.Model = page.NewModel(s.Page)
		j.landings.put(snapshot, key, s.Model)
	}
	return s
}

// Returned is shown to a browser that comes back from the page of an agent, or of who identifies: a button.
func (j *Journey) Returned(v *Visit) *Screen {
	s := j.view(v, proto.View_RETURNED)
	s.Page.Identify = v.Session.Step == Identify
	return s
}

func (j *Journey) view(v *Visit, view proto.View) *Screen {
	t := j.Directory().Tenants[v.Link.Tenant]
	s := &Screen{Tenant: v.Link.Tenant, Page: page.View(t, view, v.Lang)}
	s.Page.MayDisown = mayDisown(v)
	if v.Standing == Open {
		s.Page.LinkExpires = expires(v.Link)
	}
	return s
}

// expires is the minute in which a link ends. Pages show no more of it, and those that are the same are drawn once.
func expires(l link.Link) *timestamppb.Timestamp {
	return timestamppb.New(l.Expires.Truncate(time.Minute))
}

func (j *Journey) expired(v *Visit) *Screen {
	s := j.view(v, proto.View_EXPIRED_VIEW)
	s.Page.LinkExpires = expires(v.Link)
	return s
}

// manyEvents of a message are more than its sender and recipient cause: from there on no further view is recorded, for a
// link that asks for no identity gives everybody as many sessions as they like.
const manyEvents = 500

// viewed records the first page of a session that got in, unless it may be a machine's that pressed the button. Somebody else's
// event at the same moment leaves it to the next page.
func (j *Journey) viewed(ctx context.Context, v *visit) error {
	if v.Session.Viewed || (!v.Link.Identity && j.doubt(v) != "") || (v.state.Version >= manyEvents && !v.state.ViewedAt.IsZero()) {
		return nil
	}
	err := j.append(ctx, v, message.Viewed, nil)
	if conflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record a view: %w", err)
	}
	v.Session.Viewed = true
	return nil
}

// screen is what somebody who got in sees.
func (j *Journey) screen(ctx context.Context, v *visit) (*Screen, error) {
	content, err := j.content(v)
	if errors.Is(err, store.ErrErased) {
		content, err = nil, nil // the claim's facts are kept longer
	}
	if err != nil {
		return nil, err
	}
	s := j.view(v.Visit, proto.View_INFO)
	s.Page.No, s.Page.Identify = v.state.Head.No, v.Link.Identity
	if v.Standing == Open && content != nil {
		page.SetContent(s.Page, content)
		if err := j.answered(v, s.Page); err != nil {
			return nil, err
		}
		if s.Page.Documents, err = j.documents(ctx, v, content); err != nil {
			return nil, err
		}
		if s.Page.Past, err = j.pastLinks(ctx, v); err != nil {
			return nil, err
		}
	}
	if v.state.Head.Claim.IsZero() {
		switch {
		case content == nil || v.Standing != Open:
			return j.expired(v.Visit), nil
		case v.Session.Note == NoteAnswered:
			s.Page.View = proto.View_ANSWERED
		}
		return s, nil
	}
	claim, err := j.Claims.Claim(ctx, tenant.Only(v.t.ID), v.state.Head.Claim)
	if err != nil {
		return nil, err
	}
	if v.Standing != Open && claim.LastFact().IsZero() {
		return j.expired(v.Visit), nil
	}
	if content == nil {
		content = new(message.Content)
	}
	if a := claim.Current(); a != nil && a.Lives() && !a.Void && a.Stale(j.Now()) && !j.Now().After(claim.Due) {
		if claim, err = j.Claims.Refresh(ctx, tenant.Only(v.t.ID), v.state.Head.Claim); err != nil {
			return nil, err
		}
	}
	j.claim(v, s, content, &claim)
	if s.Page.View == proto.View_INFO || s.Page.View == proto.View_REGISTERED_VIEW { // elsewhere no method is to be chosen any more
		s.Page.Unchosen = v.Session.Note == NoteIncomplete && len(s.Page.Methods) > 0
		s.Page.Incomplete = s.Page.Unchosen
	}
	if v.Session.Note == NoteAnswered {
		s.Page.View = proto.View_ANSWERED
	}
	s.Reload = reload(s.Page, j.Now())
	return s, nil
}

// claim chooses the view by the state of the claim.
func (j *Journey) claim(v *visit, s *Screen, content *message.Content, c *payment.State) {
	p, now := s.Page, j.Now()
	a := c.Current()
	p.Claim = j.claimOf(c, a, v.Lang)
	p.Promise = j.promise(v, content, c)
	overdue, registered := now.After(c.Due), c.RegisteredAt()
	if !registered.IsZero() {
		p.Rows = slices.Insert(p.Rows, 0, &proto.Row{Item: say(v.Lang, "口座振替のお申し込み", "Direct debit"),
			Value: fmt.Sprintf(say(v.Lang, "受け付けました（%s）", "registered (%s)"), message.Moment(registered, v.Lang))})
	}
	if a != nil && (a.Received > 0 || (a.Lives() && !a.Void)) {
		p.Methods = []*proto.MethodChoice{{
			Code: a.Method, Label: j.Claims.MethodLabel(a.Module, a.Method, v.Lang), Kind: j.Claims.MethodKind(a.Module, a.Method),
		}}
	}
	switch {
	case c.Phase == payment.Paid:
		p.View, p.ReceiptDocument = proto.View_CONFIRMED_VIEW, receiptName
		return
	case c.Phase == payment.Accepted:
		p.View = proto.View_ACCEPTED
		return
	case c.Phase == payment.InProgress && a.Phase == payment.RequiresAction && !overdue && v.Standing == Open:
		if u, ok := agentPage(a.Redirect); ok {
			p.View, p.RedirectHost, p.CanChangeMethod = proto.View_REDIRECT, u.Host, true
			return
		}
		p.View = proto.View_WAITING
		return
	case c.Phase == payment.InProgress && !overdue:
		p.View = proto.View_WAITING
		return
	case c.Phase == payment.AwaitingMoney:
		if j.voucher(v, p, content, c, a) {
			p.CanChangeMethod = !overdue && v.Standing == Open && len(j.methods(v, content, c)) > 1
			return
		}
		p.View = proto.View_WAITING
		return
	case c.Phase == payment.PartlyPaid && !overdue && j.voucher(v, p, content, c, c.Live()): // the account again, and the rest
		return
	case c.Phase == payment.IsRegistered:
		p.View, p.Methods, p.Claim.Debited = proto.View_REGISTERED_VIEW, nil, true
		return
	case c.Live() != nil && c.Phase == payment.Unpaid: // canceled, and not yet certain
		p.View = proto.View_WAITING
		return
	case c.Phase == payment.Unpaid && !overdue && v.Standing == Open:
		p.Methods = j.methods(v, content, c)
		chosen := slices.IndexFunc(p.Methods, func(m *proto.MethodChoice) bool { return m.Code == v.Session.Method })
		switch menu := v.t.Policy.ClaimMenu; {
		case v.Session.Note == NoteCheckout && chosen >= 0:
			p.View, p.CanChangeMethod, p.Methods = proto.View_CHECKOUT, len(p.Methods) > 1, p.Methods[chosen:chosen+1]
			p.ClaimMenu = menu && !v.Session.Content && registered.IsZero()
		case !registered.IsZero():
			p.View = proto.View_REGISTERED_VIEW
		case menu && v.Session.Content:
			p.ClaimMenu = true
		case menu:
			p.View = proto.View_CLAIM_MENU
			p.Lead, p.Rows, p.Closing, p.Past = "", nil, "", nil // they are behind it
		}
		return
	case c.Phase == payment.Unpaid && !registered.IsZero(): // past the due date, or the link's end
		p.View, p.Methods = proto.View_REGISTERED_VIEW, nil
		return
	}
	p.Methods = nil
	if c.Refunded > 0 && c.Confirmed >= c.Amount {
		p.Documents = append(p.Documents, &proto.DocumentLink{Name: receiptName, Title: say(v.Lang, "電子領収書（返金後）", "Receipt after the refund")})
	}
	// Nothing can be paid here, and nothing was, or it went back: say how it stands.
	stands := []*proto.Row{{Item: say(v.Lang, "お支払い状況", "Payment"), Value: payment.PayerLabel(c.PhaseAt(now), v.Lang)}}
	if c.Phase == payment.PartlyPaid {
		stands = append(stands, &proto.Row{Item: say(v.Lang, "ご入金済み", "Paid so far"), Value: message.Yen(c.Received, v.Lang)},
			&proto.Row{Item: say(v.Lang, "残りのお支払い金額", "Still to pay"), Value: message.Yen(c.Amount-c.Received, v.Lang)})
	}
	p.Rows = append(stands, p.Rows...)
}

// voucher shows what is paid with; false: there is nothing to show. a may be nil.
func (j *Journey) voucher(v *visit, p *proto.Page, content *message.Content, c *payment.State, a *payment.Attempt) bool {
	if a == nil {
		return false
	}
	overdue := j.Now().After(c.Due)
	switch p.Voucher = payment.VoucherOf(a, j.Now()); {
	case p.Voucher == nil && a.Stale(j.Now()): // and no other one could be had
		p.Voucher = &proto.Voucher{ShownUntil: timestamppb.New(a.Voucher.ShownUntil)}
		p.View, p.ExpiredPayment = proto.View_VOUCHER, overdue
		return true
	case p.Voucher == nil:
		return false
	}
	p.View, p.ExpiredPayment = proto.View_VOUCHER, overdue
	if overdue {
		return true
	}
	if payment.Printable(p.Voucher) {
		p.Documents = append(p.Documents, &proto.DocumentLink{Name: sheetName, Title: say(v.Lang, "お支払いシート（印刷用）", "Payment sheet to print")})
	}
	p.Mail = j.mailOffer(v, content, c)
	return true
}

func (j *Journey) claimOf(c *payment.State, a *payment.Attempt, lang string) *proto.Claim {
	out := &proto.Claim{Number: c.Number, Yen: c.Amount, TaxYen: c.Tax, Due: timestamppb.New(c.Due), ReceivedYen: c.Received - c.Refunded}
	out.Lines, out.Taxes = payment.LineItems(c.Content.Lines), payment.RateTotals(c.Content.Lines, c.TaxRate, c.Amount, c.Tax)
	if a == nil {
		return out
	}
	if at := c.PaidAt(); !at.IsZero() {
		out.PaidAt = timestamppb.New(at)
		if a.PaidStore != "" {
			out.PaidAtStore = j.Claims.StoreLabel(a, a.PaidStore, lang)
		}
	}
	if a.Received > 0 || a.Lives() {
		out.ReceiptNumber = a.AgentReceipt
	}
	return out
}

// methods are what this message offers of what its claim can be paid with.
func (j *Journey) methods(v *visit, content *message.Content, c *payment.State) []*proto.MethodChoice {
	var out []*proto.MethodChoice
	for _, m := range j.Claims.Methods(v.t, c) {
		if len(content.Methods) > 0 && !slices.Contains(content.Methods, m.Code) {
			continue
		}
		choice := &proto.MethodChoice{Code: m.Code, Label: say(v.Lang, m.LabelJa, m.LabelEn), Redirect: m.Redirect, Kind: m.Kind}
		if m.Kind == proto.MethodKind_KONBINI_NUMBER {
			choice.Stores = m.Stores // a barcode is taken everywhere
		}
		out = append(out, choice)
	}
	return out
}

// Names of documents below the link.
const (
	noticeName  = "notice.pdf"
	receiptName = "receipt.pdf"
	sheetName   = "sheet.pdf"
	invoiceName = "invoice.pdf"
	readingName = "reading.pdf"
)

func uploadedName(i int) string { return fmt.Sprintf("document-%d.pdf", i+1) }

func (j *Journey) documents(ctx context.Context, v *visit, c *message.Content) ([]*proto.DocumentLink, error) {
	var out []*proto.DocumentLink
	if c.Page.NoticePDF {
		out = append(out, &proto.DocumentLink{Name: noticeName, Title: say(v.Lang, "お知らせ", "This notice")})
	}
	if c.Page.Invoice != nil {
		switch _, ok, err := j.invoice(ctx, v, c); {
		case err != nil:
			return nil, err
		case ok:
			out = append(out, &proto.DocumentLink{Name: invoiceName, Title: say(v.Lang, "請求書", "Invoice")})
		}
	}
	if c.Page.Reading != nil {
		out = append(out, &proto.DocumentLink{Name: readingName, Title: say(v.Lang, "検針のお知らせ（検針票）", "Meter reading")})
	}
	for i, a := range c.Page.Documents {
		key := string(v.t.ID) + "/" + a.ID
		t, ok := j.titles.get(key)
		if !ok {
			name, pdf, err := j.Documents.Get(ctx, tenant.Only(v.t.ID), a.ID)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrErased) {
				continue
			}
			if err != nil {
				return nil, err
			}
			t = title{name, len(pdf)}
			j.titles.put(key, t)
		}
		out = append(out, &proto.DocumentLink{Name: uploadedName(i), Title: cmp.Or(a.Title, t.name), Bytes: uint64(t.bytes)})
	}
	return out, nil
}

// Document is a file behind the page, for a session that got in. store.ErrNotFound: there is none, or not now.
func (j *Journey) Document(ctx context.Context, v *Visit, name string) (pdf []byte, filename string, err error) {
	none := fmt.Errorf("document: %w", store.ErrNotFound)
	if v.Session.Step != In || v.Standing < StateOnly {
		return nil, "", none
	}
	in, err := j.load(ctx, v)
	if err != nil {
		return nil, "", err
	}
	switch {
	case v.Standing < StateOnly:
		return nil, "", none
	case name == receiptName && !in.state.Head.Claim.IsZero():
		pdf, filename, err = j.Claims.Receipt(ctx, in.t, in.state.Head.Claim, payment.ReceiptOptions{Lang: v.Lang})
		if errors.Is(err, payment.ErrNotConfirmed) {
			return nil, "", none
		}
		return pdf, filename, err
	case name == sheetName && !in.state.Head.Claim.IsZero():
		return j.sheet(ctx, in)
	case v.Standing != Open:
		return nil, "", none
	}
	if strings.HasPrefix(name, "past-") {
		return j.pastDocument(ctx, in, name)
	}
	content, err := j.content(in)
	if err != nil {
		return nil, "", err
	}
	if name == noticeName && content.Page.NoticePDF {
		var claim *proto.Claim
		if !in.state.Head.Claim.IsZero() {
			c, err := j.Claims.Claim(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
			if err != nil {
				return nil, "", err
			}
			claim = j.claimOf(&c, nil, v.Lang)
		}
		pdf, err = j.Pages.Document(ctx, in.t.ID, page.Notice(in.t, content, claim, v.Lang, in.state.AcceptedAt))
		return pdf, "notice-" + in.state.Head.No + ".pdf", err
	}
	switch {
	case name == invoiceName && content.Page.Invoice != nil:
		d, ok, err := j.invoice(ctx, in, content)
		switch {
		case err != nil:
			return nil, "", err
		case !ok:
			return nil, "", none
		}
		pdf, err = j.Pages.Document(ctx, in.t.ID, d)
		return pdf, "invoice-" + in.state.Head.No + ".pdf", err
	case name == readingName && content.Page.Reading != nil:
		pdf, err = j.Pages.Document(ctx, in.t.ID, page.Reading(in.t, &content.Page, v.Lang, in.state.AcceptedAt))
		return pdf, "reading-" + in.state.Head.No + ".pdf", err
	}
	for i, a := range content.Page.Documents {
		if name == uploadedName(i) {
			filename, pdf, err = j.Documents.Get(ctx, tenant.Only(in.t.ID), a.ID)
			return pdf, filename, err
		}
	}
	return nil, "", none
}

// invoice is 請求書 of a page that has one, as its claim stands. false: the claim asks for another amount.
func (j *Journey) invoice(ctx context.Context, v *visit, content *message.Content) (*proto.Document, bool, error) {
	var cl *message.Claim
	if !v.state.Head.Claim.IsZero() {
		c, err := j.Claims.Claim(ctx, tenant.Only(v.t.ID), v.state.Head.Claim)
		if err != nil {
			return nil, false, err
		}
		cl = &message.Claim{Amount: c.Amount, Due: message.Day(c.Due), Lines: c.Content.Lines, Payer: c.Content.Payer}
	}
	d, ok := page.Invoice(v.t, &content.Page, cl, v.Lang, v.state.AcceptedAt)
	return d, ok, nil
}

// sheet is what the claim is paid with now, to print: there as long as the page shows it.
func (j *Journey) sheet(ctx context.Context, in *visit) (pdf []byte, filename string, err error) {
	c, err := j.Claims.Claim(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
	if err != nil {
		return nil, "", err
	}
	if c.Phase != payment.AwaitingMoney || j.Now().After(c.Due) {
		return nil, "", fmt.Errorf("payment sheet: %w", store.ErrNotFound)
	}
	a := c.Current()
	voucher := payment.VoucherOf(a, j.Now())
	if voucher == nil || !payment.Printable(voucher) {
		return nil, "", fmt.Errorf("payment sheet: %w", store.ErrNotFound)
	}
	title, said := "", ""
	switch content, err := j.content(in); {
	case err == nil:
		title, said = content.Page.Title, content.Page.SheetMessage
	case !errors.Is(err, store.ErrErased): // the claim's facts are kept longer
		return nil, "", err
	}
	d := page.PaymentSheet(in.t, page.SheetWords{Title: title, Payer: c.Content.Payer, Said: said, Kind: j.Claims.MethodKind(a.Module, a.Method)}, j.claimOf(&c, a, in.Lang), voucher, in.Lang, a.IssuedAt)
	pdf, err = j.Pages.Document(ctx, in.t.ID, d)
	return pdf, "sheet-" + c.Number + ".pdf", err
}

func say(lang, ja, en string) string {
	if lang == "en" && en != "" {
		return en
	}
	return ja
}

func headOf(events []store.Event) (message.Head, error) {
	var h message.Head
	if len(events) == 0 {
		return h, store.ErrNotFound
	}
	err := message.Event{Type: message.Type(events[0].Type), At: events[0].At, Data: events[0].Data}.Decode(&h)
	return h, err
}
