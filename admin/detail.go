package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	paysheet "github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// step is one stage of the timeline (FEATURES: SMS受付完了, SMS送信完了, 期限付URLアクセス済, 決済手続き状況).
type step struct {
	Title  string
	State  string // is, no, wait, or empty: not reached
	Fields []condition
}

// entry is one event in the table below.
type entry struct {
	At       time.Time
	Of, Name string
	Detail   string
}

type detailPage struct {
	ID       ulid.ULID
	St       *message.State
	Head     *message.Head
	Row      row
	Steps    []step
	Events   []entry
	Text     string // of the SMS; empty: not shown
	Hidden   string // why not
	Content  *message.Content
	Answers  []answer
	Claim    *payment.State
	Money    payment.Timeline
	Phase    payment.Phase
	Labels   map[string]string // method codes of attempts
	Campaign *campaign.State

	Locked                                                                 bool
	LockedUntil                                                            time.Time
	MayCancel, MayRevoke, MayMove, MayUnlock, MayResend, MayPay, MayRefund bool
	MayCharge                                                              bool
	MaySettleRest                                                          bool   // of a claim that is partly paid
	Key                                                                    string // of an order that the page may give once
	Receipt, Certificate                                                   bool
	SheetOffers                                                            []sheetOffer
	SheetIssued                                                            bool   // what is paid with on paper is there
	MayMail                                                                bool   // a number can be sent by e-mail now
	Email                                                                  string // where to, masked; empty: the message carries no address
	At                                                                     time.Time
}

func (s *Server) load(r *http.Request, v *visit) (ulid.ULID, []store.Event, message.State, error) {
	id, err := pathID(r)
	if err != nil {
		return id, nil, message.State{}, err
	}
	events, err := s.Store.Load(r.Context(), v.scope, store.Ref{Tenant: v.Tenant.ID, Kind: store.Message, ID: id})
	if err != nil {
		return id, nil, message.State{}, err
	}
	st, err := stored.State(events)
	return id, events, st, err
}

func (s *Server) detail(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, events, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	h := &st.Head
	p := &detailPage{ID: id, St: &st, Head: h, At: v.now, Locked: st.LockedAt(v.now), LockedUntil: st.LockedUntil}
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Message: true, store.Claim: true}}
	var claimEvents []store.Event
	if !h.Claim.IsZero() {
		c, err := s.Payments.Claim(r.Context(), v.scope, h.Claim)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			p.Claim, p.Phase, p.Money = &c, c.PhaseAt(v.now), s.Payments.Timeline(&c, v.now, v.Lang)
			if claimEvents, err = s.Store.Load(r.Context(), v.scope, c.Ref); err != nil {
				return err
			}
			p.Labels = map[string]string{}
			for _, a := range c.Attempts {
				p.Labels[a.Method] = s.Payments.MethodLabel(a.Module, a.Method, v.Lang)
			}
			p.Receipt = c.Phase == payment.Paid || c.Receipt() != nil
			p.MayRefund = len(s.Payments.Refundable(&c)) > 0
			p.MayCharge, p.Key = s.Payments.MayCharge(v.Tenant, &c), ulid.Make().String()
			p.SheetOffers, p.SheetIssued = s.sheetOffers(v, &c), paysheet.Issued(&c, v.now)
		}
	}
	if p.Row, err = s.row(v, id, &st, p.Claim); err != nil {
		return err
	}
	if err := s.auditNumbers(r.Context(), v, []row{p.Row}); err != nil {
		return err
	}
	if v.Is(senders...) {
		if err := s.reveal(v, p); err != nil {
			return err
		}
	}
	if p.MayMail = p.Claim != nil && s.Mails.Offered() && email.Mailable(p.Claim, v.now) != nil; p.MayMail && p.Content != nil && p.Content.Email != "" {
		p.Email = message.MaskAddress(p.Content.Email)
	}
	p.Steps = s.steps(v, p)
	if p.Events, err = s.entries(v, events, claimEvents, p.Labels); err != nil {
		return err
	}
	if !h.Campaign.IsZero() {
		if p.Campaign, err = s.Campaigns.State(r.Context(), v.scope, h.Campaign); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	phase := st.PhaseAt(v.now)
	p.MayCancel = phase == message.Waiting && st.SubmittingAt.IsZero()
	p.MayRevoke = h.Token != "" && st.RevokedAt.IsZero() && v.now.Before(h.StateUntil)
	p.MayMove = h.Token != "" && st.RevokedAt.IsZero() && !p.Row.Erased
	p.MayUnlock = p.Locked
	p.Certificate = s.Certificates != nil && s.Certificates.Certifies(h.Class)
	p.MayResend = h.Class != message.OTP && !p.Row.Erased
	p.MayPay = p.Claim != nil && p.Claim.WithdrawnBy == nil && p.Claim.SettledBy == nil && p.Claim.Received == 0
	p.MaySettleRest = p.Claim != nil && p.Claim.Phase == payment.PartlyPaid && p.Claim.Received == p.Claim.Confirmed && p.Claim.SettledBy == nil && p.Claim.WithdrawnBy == nil
	return s.show(w, r, v, "detail", p)
}

// reveal opens what senders may read. The text of a one-time code is never shown.
func (s *Server) reveal(v *visit, p *detailPage) error {
	if p.Row.Erased {
		p.Hidden = v.T("保存期間が過ぎたため内容は消去されました。", "The content was erased at the end of its term.")
		if at := s.Store.ErasedAt(v.Tenant.ID, p.Head.SMS); !at.IsZero() {
			p.Hidden += v.T("消去日時：", " Erased: ") + dateTime(at)
		}
		return nil
	}
	if p.Head.Class == message.OTP {
		p.Hidden = v.T("認証番号の本文は表示されません。", "The text of a one-time code is not shown.")
		return nil
	}
	sms, err := s.sms(v, p.ID, p.Head)
	if err != nil {
		return err
	}
	p.Text = sms.Text
	if p.Head.URL != "" { // whoever has the link can open it: the console shows its page instead
		p.Text = strings.ReplaceAll(p.Text, p.Head.URL, maskedURL(p.Head.URL))
	}
	if len(p.Head.Page) == 0 {
		return nil
	}
	content, err := s.content(v, p.ID, p.Head)
	if err != nil {
		if errors.Is(err, store.ErrErased) {
			return nil
		}
		return err
	}
	p.Content = &content
	if p.Answers, err = s.answers(v, p.ID, p.St); errors.Is(err, store.ErrErased) {
		err = nil
	}
	return err
}

// maskedURL keeps the host and the first characters of a link.
func maskedURL(url string) string {
	i := strings.LastIndexByte(url, '/')
	if i < 0 || len(url)-i <= 4 {
		return url
	}
	return url[:i+3] + strings.Repeat("*", len(url)-i-3)
}

func (s *Server) carrierLabel(name, lang string) string {
	if c, ok := s.Carriers.Carrier(name); ok {
		return c.Label(lang)
	}
	return name
}

// steps are the stages of the timeline.
func (s *Server) steps(v *visit, p *detailPage) []step {
	st, h := p.St, p.Head
	phase := st.PhaseAt(v.now)
	field := func(ja, en, value string) condition { return condition{v.T(ja, en), value} }
	steps := []step{{Title: v.StatusWord(string(message.Waiting)), State: "is", Fields: []condition{
		field("SMS受付日時", "Accepted", dateTime(st.AcceptedAt)), field("キャリア確認日時", "Carrier looked up", dateTime(st.LookedUpAt)), field("キャリア確認", "Carrier", s.carrierLabel(st.Carrier, v.Lang)),
	}}}
	if h.Parts > 0 {
		asked := ""
		switch {
		case !st.SubmittedAt.IsZero():
			asked = v.label(tenant.LabelSubmission, tenant.SubmissionOK)
		case phase == message.Rejected:
			asked = v.T("送信不可", "Refused")
		case phase == message.Doubtful:
			asked = v.T("応答なし（確認中）", "No response (being checked)")
		case !st.RetryAt.IsZero() && st.RetryAt.After(v.now):
			asked = v.T("再送予定 ", "To be retried ") + dateTime(st.RetryAt)
		}
		sent := step{Title: v.StatusWord(string(message.Arrived)), Fields: []condition{
			field("SMS送信依頼日時", "Submitted", dateTime(st.SubmittingAt)), field("SMS送信依頼", "Submission", asked), field("SMS送信日時", "Delivered", dateTime(st.DeliveredAt)),
		}}
		switch phase {
		case message.Arrived:
			sent.State = "is"
		case message.NotDelivered, message.Rejected, message.Expired, message.Withdrawn, message.Unknown:
			sent.State, sent.Title = "no", v.StatusWord(string(phase))
		case message.Sending, message.Doubtful, message.Confirming:
			sent.State, sent.Title = "wait", v.StatusWord(string(phase))
		}
		if st.Reason != "" || st.Status != 0 {
			why := reasonWord(st.Reason, v.Lang)
			if st.Status != 0 {
				why = strings.TrimSpace(why + fmt.Sprintf(" (command_status 0x%08X)", st.Status))
			}
			sent.Fields = append(sent.Fields, field("理由", "Reason", why))
		}
		steps = append(steps, sent)
	}
	if h.Token != "" {
		open := step{Title: v.StatusWord(statusOpened), Fields: []condition{
			field("期限付URL認証日時", "Opened", dateTime(st.OpenedAt)), field("認証日時", "Identified", dateTime(st.IdentifiedAt)), field("アクセス日時", "Viewed", dateTime(st.ViewedAt)),
		}}
		switch {
		case !st.OpenedAt.IsZero():
			open.State = "is"
		case !st.RevokedAt.IsZero():
			open.State, open.Title = "no", v.StatusWord(statusRevoked)
		default:
			open.Title = v.T("期限付URL アクセス無し", "Link not opened")
		}
		if st.DoubtfulOpening != "" {
			open.Fields = append(open.Fields, field("備考", "Note", v.T("自動アクセスの可能性あり", "may have been a machine")))
		}
		if !st.DisownedAt.IsZero() {
			open.State = "no"
			open.Fields = append(open.Fields, field("番号違いの申告", "Said to be for somebody else", dateTime(st.DisownedAt)))
		}
		if h.Survey {
			open.Fields = append(open.Fields, field("回答日時", "Answered", dateTime(st.AnsweredAt)))
		}
		steps = append(steps, open)
	}
	if p.Claim != nil {
		m := p.Money
		pay := step{Title: v.T("決済手続き状況", "Payment") + ": " + v.ClaimWord(m.Phase), Fields: []condition{
			field("決済方法", "Method", m.MethodLabel), field("決済連携ID", "Agent's id", m.AgentID), field("決済受付番号", "Agent's receipt number", m.ReceiptNumber),
		}}
		if !m.ProvisionalAt.IsZero() {
			pay.Fields = append(pay.Fields, field("速報日時", "Provisional", dateTime(m.ProvisionalAt)))
		}
		if !m.ConfirmedAt.IsZero() {
			pay.Fields = append(pay.Fields, field("確報日時", "Confirmed", dateTime(m.ConfirmedAt)))
		}
		if !m.RegisteredAt.IsZero() {
			pay.Fields = append(pay.Fields, field("口座振替登録日時", "Account registered", dateTime(m.RegisteredAt)))
		}
		switch m.Phase {
		case payment.Accepted, payment.Paid, payment.SettledElse, payment.IsRegistered:
			pay.State = "is"
		case payment.InProgress, payment.AwaitingMoney, payment.PartlyPaid, payment.PartRefunded, payment.AllRefunded:
			pay.State = "wait"
		case payment.Overdue, payment.IsWithdrawn:
			pay.State = "no"
		}
		steps = append(steps, pay)
	}
	return steps
}

// entries is every step of message and claim, oldest first, without what is secret in it. labels name payment methods.
func (s *Server) entries(v *visit, events, claim []store.Event, labels map[string]string) ([]entry, error) {
	out := make([]entry, 0, len(events)+len(claim))
	for _, e := range events {
		ev := message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
		text, err := s.eventDetail(v, ev)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", e.Seq, err)
		}
		name := eventWords[ev.Type].in(v.Lang)
		if name == "" {
			name = ev.Type.String()
		}
		out = append(out, entry{e.At, "SMS", name, text})
	}
	for _, e := range claim {
		name := claimEventWords[payment.Type(e.Type)].in(v.Lang)
		if name == "" {
			name = payment.Type(e.Type).String()
		}
		text, err := claimDetail(v, e, labels)
		if err != nil {
			return nil, fmt.Errorf("claim event %d: %w", e.Seq, err)
		}
		out = append(out, entry{e.At, v.T("決済", "Claim"), name, text})
	}
	slices.SortStableFunc(out, func(a, b entry) int { return a.At.Compare(b.At) })
	return out, nil
}

// list of "name value" pairs, those with a value.
func pairs(kv ...string) string {
	var parts []string
	for i := 0; i+1 < len(kv); i += 2 {
		if kv[i+1] != "" && kv[i+1] != "0" {
			parts = append(parts, strings.TrimSpace(kv[i]+" "+kv[i+1]))
		}
	}
	return strings.Join(parts, " / ")
}

func (s *Server) eventDetail(v *visit, e message.Event) (string, error) {
	switch e.Type {
	case message.LookedUp:
		var d message.Lookup
		err := e.Decode(&d)
		return pairs("", s.carrierLabel(d.Carrier, v.Lang), "", detailWord(d.By, v.Lang)), err
	case message.Submitting, message.Submitted, message.Retrying, message.InDoubt, message.Refused:
		var d message.Submission
		err := e.Decode(&d)
		status := ""
		if d.Status != 0 {
			status = fmt.Sprintf("0x%08X", d.Status)
		}
		return pairs("", s.carrierLabel(d.Carrier, v.Lang), v.T("接続", "bind"), d.Bind, v.T("分割", "part"), fmt.Sprint(d.Part), v.T("試行", "try"), fmt.Sprint(d.Attempt), "command_status", status,
			"", reasonWord(d.Reason, v.Lang), v.T("対応", "then"), detailWord(string(d.Policy), v.Lang), v.T("次回", "until"), dateTimeMS(d.Until), "message_id", d.SMSCID), err
	case message.Delivered, message.Undelivered:
		var d message.Report
		err := e.Decode(&d)
		return pairs("", s.carrierLabel(d.Carrier, v.Lang), v.T("接続", "bind"), d.Bind, v.T("分割", "part"), fmt.Sprint(d.Part), "stat", d.State, "err", d.Err, v.T("携帯電話会社の時刻", "carrier's time"), dateTimeMS(d.Done)), err
	case message.Canceled, message.Revoked, message.Unlocked, message.Readmitted:
		var d message.Act
		err := e.Decode(&d)
		return pairs("", whoWord(d.By, v.Lang), "", d.Reason), err
	case message.Opened:
		var d message.Opening
		err := e.Decode(&d)
		return pairs(v.T("自動アクセスの疑い", "maybe a machine"), detailWord(d.Doubtful, v.Lang)), err
	case message.Tried:
		var d message.Try
		err := e.Decode(&d)
		return pairs("", detailWord(d.Step, v.Lang), "", map[bool]string{true: v.T("一致", "right"), false: v.T("不一致", "mismatch")}[d.OK]), err
	case message.Kept:
		var d message.Keeping
		err := e.Decode(&d)
		return pairs(v.T("保存期間の起算日", "term counts from"), message.Day(d.Day)), err
	case message.Promised:
		var d message.Promise
		err := e.Decode(&d)
		return pairs("", detailWord(d.Word, v.Lang), v.T("期限", "by"), d.By), err
	case message.LinkMoved:
		var d message.LinkEnd
		err := e.Decode(&d)
		return pairs(v.T("有効期限", "until"), dateTime(d.Until), "", whoWord(d.By, v.Lang)), err
	case message.Mailed, message.MailSent, message.MailFailed:
		var d message.Mailing
		err := e.Decode(&d)
		by := ""
		if d.By != "" {
			by = whoWord(d.By, v.Lang)
		}
		return pairs(v.T("宛先", "to"), d.To, "", by, "", detailWord(d.Reason, v.Lang)), err
	case message.Locked:
		var d message.Lock
		err := e.Decode(&d)
		if d.Until.Year() > 9000 || d.Until.IsZero() {
			return v.T("解除されるまで", "until unlocked"), err
		}
		return pairs(v.T("解除予定", "until"), dateTimeMS(d.Until)), err
	}
	return "", nil
}

func claimDetail(v *visit, e store.Event, labels map[string]string) (string, error) {
	decode := func(to any) error { return json.Unmarshal(e.Data, to) }
	yen := func(n int64) string {
		if n == 0 || !v.SeesMoney() {
			return ""
		}
		return number(n) + v.T("円", " yen")
	}
	switch payment.Type(e.Type) {
	case payment.Withdrawn, payment.Settled, payment.Resolved:
		var d message.Act
		err := decode(&d)
		return pairs("", whoWord(d.By, v.Lang), "", d.Reason), err
	case payment.Started:
		var d payment.Start
		err := decode(&d)
		return pairs("", cmp.Or(labels[d.Method], d.Method), "", yen(d.Yen), v.T("決済代行", "agent"), d.Agent), err
	case payment.Issued, payment.Provisional, payment.Revoked, payment.Confirmed, payment.Refunded, payment.Failed, payment.Canceled, payment.Expired, payment.Registered:
		var d payment.Fact
		err := decode(&d)
		return pairs(v.T("決済連携ID", "agent's id"), d.View.AgentID, v.T("決済受付番号", "receipt number"), d.View.ReceiptNumber, "", yen(d.View.Paid), "", d.Reason, v.T("情報元:", "from"), detailWord(d.From, v.Lang)), err
	case payment.RefundAsked:
		var d payment.Refund
		err := decode(&d)
		return pairs("", whoWord(d.By, v.Lang), "", yen(d.Yen), "", d.Reason), err
	case payment.RefundRefused:
		var d payment.Doubt
		err := decode(&d)
		return pairs("", d.Reason), err
	case payment.Deposited, payment.Doubted:
		var d payment.Deposit
		err := decode(&d)
		return pairs("", yen(d.Yen), "", dateTimeMS(d.Paid), "", whoWord(d.By, v.Lang), "", d.Reason), err
	case payment.Amended, payment.Made:
		var d payment.Terms
		err := decode(&d)
		return pairs("", yen(d.Amount), v.T("期限", "due"), d.Due.In(message.Tokyo).Format("2006/01/02"), "", whoWord(d.By, v.Lang), "", d.Reason), err
	case payment.ReceiptIssued:
		var d payment.Receipt
		err := decode(&d)
		return pairs("No.", d.Number, v.T("訂正前", "corrects"), d.Corrects, v.T("返金", "given back"), yen(d.Refunded)), err
	case payment.ReceiptCopied:
		var d payment.Reissue
		err := decode(&d)
		return pairs("No.", d.Number, v.T("回数", "times"), fmt.Sprint(d.N), "", whoWord(d.By, v.Lang)), err
	}
	return "", nil
}

// messagePage shows the page behind a message's link, marked as a preview. It changes nothing.
func (s *Server) messagePage(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	if st.Head.Token == "" {
		return errNotFound
	}
	content, err := s.content(v, id, &st.Head)
	if err != nil {
		return err
	}
	d := &message.Draft{Page: &content.Page}
	if !st.Head.Claim.IsZero() {
		c, err := s.Payments.Claim(r.Context(), v.scope, st.Head.Claim)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			d.Claim = claimDraft(&c)
		}
	}
	if err := s.record(r.Context(), v, "message.page", st.Head.No, ""); err != nil {
		return err
	}
	return s.writePreview(w, r, v, d)
}

// claimDraft is a claim as a message asks for it.
func claimDraft(c *payment.State) *message.Claim {
	d := &message.Claim{Number: c.Number, Amount: c.Amount, Due: message.Day(c.Due), TaxRate: c.TaxRate, Lines: c.Content.Lines, Methods: c.Methods, Payer: c.Content.Payer}
	if c.Tax >= 0 {
		d.Tax = &c.Tax
	}
	return d
}

// act does one thing to a message and leads back to it.
func (s *Server) act(w http.ResponseWriter, r *http.Request, v *visit, action, ja, en string, do func(id ulid.ULID) error) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, action, st.Head.No, ""); err != nil {
		return err
	}
	to := "/messages/" + id.String()
	err = do(id)
	var late *intake.PhaseError
	switch {
	case errors.As(err, &late):
		return back(w, r, s.note(v, to, "すでに送信処理に入っているため、取り消せませんでした。", "It is too late: the message is already on its way."))
	case errors.Is(err, intake.ErrNoLink):
		return errNotFound
	case err != nil:
		return err
	}
	return back(w, r, s.note(v, to, ja, en))
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.act(w, r, v, "message.cancel", "送信を取り消しました。URLも無効になりました。", "The message is canceled and its link is closed.", func(id ulid.ULID) error {
		return s.Intake.Cancel(r.Context(), v.Tenant.ID, id, v.By())
	})
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.act(w, r, v, "message.revoke", "URLを無効にしました。", "The link is closed.", func(id ulid.ULID) error {
		return s.Intake.Revoke(r.Context(), v.Tenant.ID, id, v.By())
	})
}

// moveExpiry lets the link end at another time.
func (s *Server) moveExpiry(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	fr := &formReader{f: r.PostForm, names: map[string]string{}}
	until, to := fr.time("expires", "link.expires_at", true), "/messages/"+id.String()
	switch {
	case len(fr.ps) > 0:
		err = fr.ps
	case until == nil:
		err = message.Problems{{Field: "link.expires_at", Code: "required"}}
	default:
		if err := s.record(r.Context(), v, "message.expiry", st.Head.No, dateTime(*until)); err != nil {
			return err
		}
		err = s.Intake.MoveExpiry(r.Context(), v.Tenant.ID, id, *until, v.By())
	}
	var ps message.Problems
	switch {
	case errors.Is(err, intake.ErrNoLink):
		return errNotFound
	case errors.As(err, &ps):
		return back(w, r, s.note(v, to, "変更できませんでした："+problemText(ps[0], v.Lang), "It could not be changed: "+problemText(ps[0], v.Lang)))
	case err != nil:
		return err
	}
	return back(w, r, s.note(v, to, "URLの有効期限を変更しました。", "The link ends then."))
}

func (s *Server) unlock(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.act(w, r, v, "message.unlock", "本人認証のロックを解除しました。", "Identification is unlocked.", func(id ulid.ULID) error {
		return s.Identity.Unlock(r.Context(), store.Ref{Tenant: v.Tenant.ID, Kind: store.Message, ID: id}, v.By())
	})
}

// readmit takes back that a message is for somebody else. Its number may stay listed for another reason, which is said.
func (s *Server) readmit(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "message.readmit", st.Head.No, ""); err != nil {
		return err
	}
	if err := s.DoNotSend.Readmit(r.Context(), store.Ref{Tenant: v.Tenant.ID, Kind: store.Message, ID: id}, v.By(), v.now); err != nil {
		return err
	}
	to := "/messages/" + id.String()
	if st.DisownedEntry.IsZero() {
		return back(w, r, s.note(v, to, "申告を取り消しました。URLは再び使えます。この番号は別の理由で送信停止リストに残っています。",
			"It is taken back and the link opens again. The number stays on the do-not-send list for another reason."))
	}
	return back(w, r, s.note(v, to, "申告を取り消しました。URLは再び使え、この番号への送信停止も解除されました。", "It is taken back: the link opens again, and the number is off the do-not-send list."))
}
