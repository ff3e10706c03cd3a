package certificate

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

// fields is what of an event is digested and shown. Empty values are left out, so that a field which is added to an event
// later changes no digest of those before it. Names and values are stored in certificates: what is here never changes for an
// event that was digested.
type fields map[string]string

func (f fields) text(name, value string) {
	if value != "" {
		f[name] = value
	}
}

func (f fields) number(name string, n int64) {
	if n != 0 {
		f[name] = strconv.FormatInt(n, 10)
	}
}

func (f fields) truth(name string, v bool) {
	if v {
		f[name] = "true"
	}
}

func (f fields) time(name string, t time.Time) {
	if !t.IsZero() {
		f[name] = t.UTC().Format(time.RFC3339Nano)
	}
}

func (f fields) id(name string, id ulid.ULID) {
	if !id.IsZero() {
		f[name] = id.String()
	}
}

// eventOf is an event of a message or a claim without its place in a chain.
func eventOf(e *store.Event) (proof.Event, error) {
	f := fields{}
	out := proof.Event{N: e.Seq + 1, At: e.At.UTC()}
	var err error
	if e.Ref.Kind == store.Message {
		out.Type = message.Type(e.Type).String()
		err = f.message(message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data})
	} else {
		out.Type = payment.Type(e.Type).String()
		err = f.claim(payment.Type(e.Type), e.Data)
	}
	if len(f) > 0 {
		out.Fields = f
	}
	return out, err
}

// message takes what a message's event says. Without content: SMS, page, answers to a survey; without what opens something:
// link, expected answers, codes.
func (f fields) message(e message.Event) error {
	switch e.Type {
	case message.Accepted:
		var h message.Head
		if err := e.Decode(&h); err != nil {
			return err
		}
		f.head(&h)
	case message.LookedUp:
		var d message.Lookup
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.text("carrier", d.Carrier)
		f.text("by", d.By)
	case message.Submitting, message.Submitted, message.Retrying, message.InDoubt, message.Refused:
		var d message.Submission
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.number("part", int64(d.Part))
		f.number("attempt", int64(d.Attempt))
		f.text("carrier", d.Carrier)
		f.text("bind", d.Bind)
		f.text("smsc_id", d.SMSCID)
		f.number("command_status", int64(d.Status))
		f.text("reason", d.Reason)
		f.text("policy", string(d.Policy))
		f.time("until", d.Until)
		f.time("written", d.Written)
	case message.Delivered, message.Undelivered:
		var d message.Report
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.number("part", int64(d.Part))
		f.text("carrier", d.Carrier)
		f.text("bind", d.Bind)
		f.text("state", d.State)
		f.text("error", d.Err)
		f.time("done", d.Done)
	case message.Canceled, message.Revoked, message.Unlocked, message.Readmitted:
		var d message.Act
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.act(d)
	case message.Opened:
		var d message.Opening
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.text("doubtful", d.Doubtful)
	case message.Tried:
		var d message.Try
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.text("step", d.Step)
		f.text("ok", strconv.FormatBool(d.OK))
	case message.CodeSent:
		var d message.Code
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.time("until", d.Until)
		f.id("message", d.Message)
	case message.Locked:
		var d message.Lock
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.time("until", d.Until)
	case message.Kept:
		var d message.Keeping
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.time("day", d.Day)
	case message.Resent:
		var d message.Resending
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.id("message", d.Message)
		f.id("run", d.Run)
		f.truth("replaced", d.Replaced)
	case message.Promised:
		var d message.Promise
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.text("word", d.Word)
		f.text("by", d.By)
	case message.Disowned:
		var d message.Disowning
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.id("listed", d.Entry)
	case message.LinkMoved:
		var d message.LinkEnd
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.act(d.Act)
		f.time("link_expires", d.Until)
		f.time("state_until", d.StateUntil)
	case message.Mailed, message.MailSent, message.MailFailed:
		var d message.Mailing
		if err := e.Decode(&d); err != nil {
			return err
		}
		f.id("mail", d.Mail)
		f.id("attempt", d.Attempt)
		f.text("to", d.To)
		f.text("reason", d.Reason)
		f.text("by", d.By)
	}
	return nil
}

func (f fields) act(a message.Act) {
	f.text("by", a.By)
	f.text("reason", a.Reason)
}

func (f fields) head(h *message.Head) {
	f.text("no", h.No)
	f.text("class", string(h.Class))
	f.text("via", string(h.Via))
	f.text("by", h.By)
	f.id("for", h.For)
	f.id("campaign", h.Campaign)
	f.text("sender", h.Sender)
	f.text("carrier", h.Carrier)
	f.number("parts", int64(h.Parts))
	f.time("send_at", h.SendAt)
	if h.Window != nil {
		f.text("window", h.Window.From+"-"+h.Window.To)
	}
	f.time("valid_until", h.ValidUntil)
	f.text("to", h.Masked)
	f.truth("link", h.Token != "")
	f.time("link_expires", h.LinkExpires)
	f.time("state_until", h.StateUntil)
	var asked []string
	for _, a := range h.Answers {
		asked = append(asked, a.Field)
	}
	f.text("asked", strings.Join(asked, " "))
	f.truth("code", h.Code)
	f.id("claim", h.Claim)
	f.truth("survey", h.Survey)
	f.id("resends", h.Resends)
	f.id("answering", h.Answering)
	if c := h.Commit; c != nil {
		for part, of := range map[string][]byte{proof.PartText: c.Text, proof.PartPage: c.Page, proof.PartNumber: c.Number} {
			f.text(proof.ContentField(part), hex.EncodeToString(of))
		}
	}
}

// claim takes what a claim's event says, without the payer, the lines, and what can be paid with.
func (f fields) claim(typ payment.Type, data []byte) error {
	switch typ {
	case payment.Made:
		var d payment.Head
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.text("number", d.Number)
		f.terms(&d.Terms)
	case payment.WentOverdue:
		var d payment.Lapse
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.time("due", d.Due)
	case payment.Joined, payment.PayerTold:
		var d payment.Join
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("message", d.Message)
	case payment.Amended:
		var d payment.Terms
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.terms(&d)
	case payment.Withdrawn, payment.Settled:
		var d message.Act
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.act(d)
	case payment.Resolved:
		var d payment.Resolution
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.text("alerts", strings.Join(d.Alerts, " "))
		f.act(d.Act)
	case payment.Started:
		var d payment.Start
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("attempt", d.ID)
		f.text("agent", d.Agent)
		f.text("module", d.Module)
		f.text("method", d.Method)
		f.text("store", d.Store)
		f.number("yen", d.Yen)
		f.time("due", d.Due)
		f.id("message", d.Message)
		f.text("by", d.By)
	case payment.Unknown:
		var d payment.Doubt
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("attempt", d.Attempt)
		f.text("reason", d.Reason)
	case payment.Issued, payment.Provisional, payment.Revoked, payment.Confirmed, payment.Refunded, payment.Failed, payment.Canceled, payment.Expired, payment.Registered:
		var d payment.Fact
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.fact(&d)
	case payment.RefundAsked:
		var d payment.Refund
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("refund", d.ID)
		f.id("attempt", d.Attempt)
		f.number("yen", d.Yen)
		f.act(d.Act)
	case payment.RefundRefused:
		var d payment.Doubt
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("refund", d.Refund)
		f.id("attempt", d.Attempt)
		f.text("reason", d.Reason)
	case payment.Deposited, payment.Doubted:
		var d payment.Deposit
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.id("attempt", d.Attempt)
		f.text("deposit", d.ID)
		f.number("yen", d.Yen)
		f.time("paid_at", d.Paid)
	case payment.ReceiptIssued:
		var d payment.Receipt
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.text("number", d.Number)
		f.time("issued", d.Issued)
		f.number("refunded", d.Refunded)
		f.text("corrects", d.Corrects)
	case payment.ReceiptKept:
		var d payment.Copy
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.text("document", d.Document)
		f.text("number", d.Number)
		f.text("by", d.By)
	case payment.ReceiptCopied:
		var d payment.Reissue
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		f.text("number", d.Number)
		f.number("n", int64(d.N))
		f.text("by", d.By)
	}
	return nil
}

func (f fields) terms(t *payment.Terms) {
	f.number("amount", t.Amount)
	f.number("tax", t.Tax)
	f.number("tax_rate", t.TaxRate)
	f.time("due", t.Due)
	f.text("methods", strings.Join(t.Methods, " "))
	f.text("by", t.By)
}

func (f fields) fact(d *payment.Fact) {
	f.id("attempt", d.Attempt)
	f.text("state", d.View.State)
	f.number("yen", d.View.Yen)
	f.number("paid", d.View.Paid)
	f.truth("revoked", d.View.Revoked)
	f.time("provisional_at", d.View.ProvisionalAt)
	f.time("confirmed_at", d.View.ConfirmedAt)
	f.number("refunded", d.View.Refunded)
	f.time("refunded_at", d.View.RefundedAt)
	f.truth("charged_back", d.View.ChargedBack)
	f.text("agent_id", d.View.AgentID)
	f.text("receipt_number", d.View.ReceiptNumber)
	f.text("store", d.View.Store)
	f.time("seen", d.Seen)
	f.text("from", d.From)
	f.text("notice", d.Notice)
	f.text("reason", d.Reason)
}
