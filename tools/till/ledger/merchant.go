package ledger

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/kakitome/kakitome/tools/till/slip"
)

// The most that one payment takes, in yen.
const (
	MaxCardYen    = 9_999_999
	MaxPayEasyYen = 9_999_999
	MaxWalletYen  = 500_000
)

var payerKey = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

var attemptID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)

// validate names the first field at fault.
func (r *Request) validate(now time.Time) error {
	if !attemptID.MatchString(r.AttemptID) {
		return invalid("attempt_id", "want 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit")
	}
	most := int64(slip.MaxYen)
	switch r.Method {
	case KonbiniNumber:
		if _, ok := chainOf(r.Store); !ok {
			return invalid("store", fmt.Sprintf("%q is no store; want konbini_a to konbini_e", r.Store))
		}
	case KonbiniBarcode:
	case PayerNumber:
		if !payerKey.MatchString(r.Payer) {
			return invalid("payer", "want 1 to 64 letters and digits")
		}
	case PayEasy:
		most = MaxPayEasyYen
	case Card, CardRecurring, AccountRegistration:
		most = MaxCardYen
	case Wallet:
		most = MaxWalletYen
	default:
		return invalid("method", fmt.Sprintf("%q is unknown; want one of %v", r.Method, Methods))
	}
	switch {
	case r.CardID != "" && r.Method != CardRecurring:
		return invalid("card_id", "only with card_recurring")
	case r.Method.Redirects() && r.CardID == "" && !webURL(r.ReturnURL):
		return invalid("return_url", "want an http or https URL")
	case r.Method != PayerNumber && r.Payer != "":
		return invalid("payer", "only with payer_number")
	case r.Yen < 1 || r.Yen > most:
		return invalid("yen", fmt.Sprintf("%d; want 1 to %d for %s", r.Yen, most, r.Method))
	case r.TaxYen < -1 || r.TaxYen > r.Yen:
		return invalid("tax_yen", fmt.Sprintf("%d; want -1, or 0 to the amount", r.TaxYen))
	case !r.Due.After(now):
		return invalid("due", "is past")
	case r.Due.In(slip.Japan).Year() > 2099:
		return invalid("due", "is after 2099")
	case !webURL(r.WebhookURL):
		return invalid("webhook_url", "want an http or https URL")
	}
	return nil
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// Create opens a payment, and reports that it did. The same request again gets the payment as it now stands; another
// request with the same attempt id is refused with CodeDuplicate. With a card id the kept card is charged at once (CodeNoCard: there is
// none), unless decline says that it is declined; nil: it is not.
func (l *Ledger) Create(merchant string, r Request, decline func() bool) (v View, created bool, err error) {
	r.Due = r.Due.UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := l.attempts[merchant+"\n"+r.AttemptID]; ok {
		p := l.payments[id]
		if !equal(p.req, r) {
			return View{}, false, &Error{Code: CodeDuplicate, Field: "attempt_id",
				Detail: "the attempt id was used with another request"}
		}
		return p.view(id, l.opts.CardPages, l.now()), false, nil
	}
	now := l.now()
	if err := r.validate(now); err != nil {
		return View{}, false, err
	}
	if r.CardID != "" && !l.keeps(merchant, r.CardID) {
		return View{}, false, refuse(CodeNoCard, "no such card is kept")
	}
	id, is, err := l.issue(merchant, r, now)
	if err != nil {
		return View{}, false, err
	}
	facts := []fact{{Kind: factCreated, Payment: id, Created: &creation{merchant, r, is}}}
	switch {
	case r.CardID == "":
	case decline != nil && decline():
		facts = append(facts, fact{Kind: factDeclined, Payment: id})
	default:
		facts = append(facts, fact{Kind: factCaptured, Payment: id, Taking: 1, Store: string(r.Method)})
	}
	if err := l.commit(facts...); err != nil {
		return View{}, false, err
	}
	return l.payments[id].view(id, l.opts.CardPages, now), true, nil
}

// cardPrefix and the id of the payment that a card was kept with name the card.
const cardPrefix = "card-"

// keeps reports whether the merchant has a card of that name.
func (l *Ledger) keeps(merchant, card string) bool {
	id, ok := strings.CutPrefix(card, cardPrefix)
	p := l.payments[id]
	return ok && p != nil && p.merchant == merchant && p.req.Method == CardRecurring && p.req.CardID == "" && len(p.standing()) > 0
}

// equal compares what the two requests say, as they are kept in the books.
func equal(a, b Request) bool {
	ja, errA := json.Marshal(a)
	jb, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(ja) == string(jb)
}

// issue chooses the ids, numbers and the end of a new payment, none of them in use.
func (l *Ledger) issue(merchant string, r Request, now time.Time) (id string, is issued, err error) {
	day := now.In(slip.Japan).Format("20060102")
	for id = day + randomDigits(9); l.payments[id] != nil; {
		id = day + randomDigits(9)
	}
	for is.ReceiptNumber = day[2:] + randomDigits(8); l.receipts[is.ReceiptNumber]; {
		is.ReceiptNumber = day[2:] + randomDigits(8)
	}
	is.Expires = r.Due
	switch r.Method {
	case KonbiniNumber:
		c, _ := chainOf(r.Store)
		for is.Number == "" || l.numbers[is.Number] != "" {
			body := string(c.lead) + randomDigits(c.number-2)
			is.Number = body + string(slip.CheckDigit(body))
		}
		is.Confirmation = randomDigits(c.confirmation)
	case KonbiniBarcode:
		// A till knows days only: the slip can be paid until the end of its day, and the company says so.
		is.Expires = slip.EndOfDay(r.Due).UTC()
		var first shown
		first, err = l.barcode(id, r, 0, now)
		is.Barcode, is.ShownUntil = first.Barcode, first.Until
	case PayerNumber:
		is.Number = l.payers[merchant+"\n"+r.Payer]
		for is.Number == "" {
			body := string(payerLead) + randomDigits(payerDigits-2)
			if n := body + string(slip.CheckDigit(body)); len(l.bills[n]) == 0 && l.numbers[n] == "" {
				is.Number = n
			}
		}
	case PayEasy:
		for is.Number == "" || l.numbers[is.Number] != "" {
			body := string(payEasyLead) + randomDigits(payEasyDigits-2)
			is.Number = body + string(slip.CheckDigit(body))
		}
		is.Confirmation = randomDigits(payEasyConfirmation)
	case Card, CardRecurring, Wallet, AccountRegistration:
		is.Token = rand.Text()
	}
	return id, is, err
}

// randomDigits are n digits, each as likely as any other.
func randomDigits(n int) string {
	var out strings.Builder
	for buf := make([]byte, 32); out.Len() < n; {
		rand.Read(buf) // never fails
		for _, b := range buf {
			if b < 250 && out.Len() < n {
				out.WriteByte('0' + b%10)
			}
		}
	}
	return out.String()
}

// Get is the payment of an attempt; CodeNotFound when this merchant never created it.
func (l *Ledger) Get(merchant, attempt string) (View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, p, err := l.find(merchant, attempt)
	if err != nil {
		return View{}, err
	}
	return p.view(id, l.opts.CardPages, l.now()), nil
}

func (l *Ledger) find(merchant, attempt string) (string, *payment, error) {
	id, ok := l.attempts[merchant+"\n"+attempt]
	if !ok {
		return "", nil, refuse(CodeNotFound, "no payment with this attempt id")
	}
	return id, l.payments[id], nil
}

// Cancel withdraws a payment that nobody has paid; CodeAlreadyPaid when money was taken. A second cancel, or one of a
// declined card, changes nothing and is answered with the payment. A slip that was printed or shown may still be paid.
func (l *Ledger) Cancel(merchant, attempt string) (View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, p, err := l.find(merchant, attempt)
	if err != nil {
		return View{}, err
	}
	if len(p.standing()) > 0 {
		return View{}, refuse(CodeAlreadyPaid, "money was taken for this payment")
	}
	if p.registered {
		return View{}, refuse(CodeRegistered, "the account is registered")
	}
	if !p.canceled && !p.declined {
		if err := l.commit(fact{Kind: factCanceled, Payment: id}); err != nil {
			return View{}, err
		}
	}
	return p.view(id, l.opts.CardPages, l.now()), nil
}
