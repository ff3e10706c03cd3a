package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/width"

	"github.com/kakitome/kakitome/tools/till/slip"
)

// Scan is what comes in at a store's till.
type Scan struct {
	Code         string // a payment number or 44 digits; spaces, hyphens and brackets do not matter
	Confirmation string // of a payment number; empty: not asked for
	Store        string // where a slip or a payer's number is taken; empty: the first. A payment number knows its own
	Institution  string // of a Pay-easy number, which needs it and the confirmation
	Payment      string // of a payer's number: which of the bills; may be empty while there is one alone
}

// Bills lists what can be paid with a payer's number, oldest first; ok is false when it is nobody's.
func (l *Ledger) Bills(code string) (bills []Record, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids, ok := l.bills[digitsOf(code)]
	now := l.now()
	for _, id := range ids {
		if p := l.payments[id]; p.state(now) == Awaiting {
			bills = append(bills, p.record(id, l.opts.CardPages, now))
		}
	}
	return bills, ok
}

// Look finds what a scan would pay and refuses what a till refuses: misread digits, another company's slip, an amount
// or a date that is not in the books, a passed due date, a canceled number, a bill that was paid.
//
// A canceled slip is taken: its digits are all that a till sees of it.
func (l *Ledger) Look(s Scan, waive Waive) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, _, err := l.look(s, waive)
	if err != nil {
		return Record{}, err
	}
	return l.recordOf(id)
}

// Pay takes the money: 速報. It refuses what Look refuses.
func (l *Ledger) Pay(s Scan, waive Waive) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, store, err := l.look(s, waive)
	if err != nil {
		return Record{}, err
	}
	f := fact{Kind: factCollected, Payment: id, Taking: len(l.payments[id].takings) + 1, Store: store}
	if err := l.commit(f); err != nil {
		return Record{}, err
	}
	return l.recordOf(id)
}

func (l *Ledger) look(s Scan, waive Waive) (id, store string, err error) {
	code := digitsOf(s.Code)
	if len(code) == slip.Length {
		id, store, err = l.lookSlip(code, s.Store, waive)
	} else {
		s.Code, s.Confirmation, s.Institution = code, digitsOf(s.Confirmation), digitsOf(s.Institution)
		id, store, err = l.lookNumber(s, waive)
	}
	if err != nil {
		return "", "", err
	}
	if len(l.payments[id].standing()) > 0 {
		if err := waive.refuse(CodePaid, "was paid already"); err != nil {
			return "", "", err
		}
	}
	return id, store, nil
}

func (l *Ledger) lookSlip(digits, store string, waive Waive) (string, string, error) {
	s, err := slip.Parse(digits)
	if errors.Is(err, slip.ErrCheckDigit) {
		return "", "", refuse(CodeCheckDigit, err.Error())
	} else if err != nil {
		return "", "", refuse(CodeUnreadable, err.Error())
	}
	if s.Company != l.opts.CompanyCode {
		return "", "", refuse(CodeWrongCompany, fmt.Sprintf("company code %s: this till takes %s", s.Company, l.opts.CompanyCode))
	}
	id := s.Free[:17]
	p := l.payments[id]
	if p == nil || p.req.Method != KonbiniBarcode {
		return "", "", refuse(CodeUnknownNumber, "no such slip")
	}
	switch {
	case s.Yen != p.req.Yen:
		return "", "", refuse(CodeWrongAmount, fmt.Sprintf("the slip says %d yen", s.Yen))
	case s.Due.IsZero() || !slip.EndOfDay(s.Due).Equal(p.issued.Expires):
		return "", "", refuse(CodeWrongDue, "the slip says another due date")
	}
	i := slices.IndexFunc(p.shown, func(have shown) bool { return have.Barcode == digits })
	switch {
	case i < 0:
		return "", "", refuse(CodeUnknownNumber, "no such slip")
	case !p.shown[i].Until.IsZero() && l.now().After(p.shown[i].Until):
		return "", "", refuse(CodeStale, "its time on a screen is over")
	}
	if s.Expired(l.now()) {
		if err := waive.refuse(CodeExpired, "the due date has passed"); err != nil {
			return "", "", err
		}
	}
	store, err = storeOf(store)
	return id, store, err
}

// storeOf is where something that any store takes is paid; empty: the first.
func storeOf(store string) (string, error) {
	if store == "" {
		store = chains[0].Code
	}
	if _, ok := chainOf(store); !ok {
		return "", invalid("store", fmt.Sprintf("%q is no store; want konbini_a to konbini_e", store))
	}
	return store, nil
}

func (l *Ledger) lookNumber(s Scan, waive Waive) (id, store string, err error) {
	number := s.Code
	if len(number) < 2 {
		return "", "", refuse(CodeUnreadable, "want a payment number or the 44 digits of a slip")
	}
	if body := number[:len(number)-1]; slip.CheckDigit(body) != number[len(number)-1] {
		return "", "", refuse(CodeCheckDigit, "check digit does not match")
	}
	if ids, ok := l.bills[number]; ok {
		if id, err = l.choose(ids, s.Payment); err != nil {
			return "", "", err
		}
		if store, err = storeOf(s.Store); err != nil {
			return "", "", err
		}
		return id, store, l.refuseOver(l.payments[id], waive)
	}
	id, ok := l.numbers[number]
	if !ok {
		return "", "", refuse(CodeUnknownNumber, "no such payment number")
	}
	p := l.payments[id]
	store, needed := p.req.Store, false
	if p.req.Method == PayEasy {
		store, needed = Bank, true
		if s.Institution != Institution {
			return "", "", refuse(CodeUnknownNumber, "no such institution")
		}
	}
	if (needed || s.Confirmation != "") && s.Confirmation != p.issued.Confirmation {
		return "", "", refuse(CodeWrongConfirmation, "the confirmation number does not match")
	}
	return id, store, l.refuseOver(p, waive)
}

// choose finds which of a payer's bills is meant: the one that is named, or the only one that is open.
func (l *Ledger) choose(ids []string, named string) (string, error) {
	if named != "" {
		if !slices.Contains(ids, named) {
			return "", refuse(CodeUnknownNumber, "no such bill of this payer")
		}
		return named, nil
	}
	open := ""
	for _, id := range ids {
		if l.payments[id].state(l.now()) != Awaiting {
			continue
		}
		if open != "" {
			return "", refuse(CodeChoose, "several bills are open; say which")
		}
		open = id
	}
	if open == "" {
		return "", refuse(CodePaid, "no bill of this payer is open")
	}
	return open, nil
}

// refuseOver refuses a payment that was canceled or is past its end.
func (l *Ledger) refuseOver(p *payment, waive Waive) error {
	if p.canceled {
		if err := waive.refuse(CodeCanceled, "was canceled"); err != nil {
			return err
		}
	}
	if l.now().After(p.issued.Expires) {
		return waive.refuse(CodeExpired, "the due date has passed")
	}
	return nil
}

// digitsOf folds full-width digits and drops what people and scanners put between digits. Anything else makes it "".
func digitsOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n-‐−ー()", r) {
			return -1
		}
		return r
	}, width.Fold.String(s))
	if strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// Revoke takes one taking back: 速報取消. CodeConfirmed once it is confirmed, CodeNotOpen once it is revoked.
func (l *Ledger) Revoke(id string, taking int, waive Waive) (Record, error) {
	return l.settle(id, taking, factRevoked, func(t *Taking) error {
		switch {
		case t.RevokedAt != nil:
			return refuse(CodeNotOpen, "the taking is revoked already")
		case t.ConfirmedAt != nil:
			return waive.refuse(CodeConfirmed, "the taking is confirmed")
		}
		return nil
	})
}

// Confirm makes one taking final: 確報. CodeNotOpen once it is confirmed or revoked.
func (l *Ledger) Confirm(id string, taking int) (Record, error) {
	return l.settle(id, taking, factConfirmed, func(t *Taking) error {
		if !t.Open() {
			return refuse(CodeNotOpen, "the taking is confirmed or revoked already")
		}
		return nil
	})
}

func (l *Ledger) settle(id string, taking int, kind string, may func(*Taking) error) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.payments[id]
	if p == nil || taking < 1 || taking > len(p.takings) {
		return Record{}, refuse(CodeNotFound, "no such payment or taking")
	}
	if err := may(p.takings[taking-1]); err != nil {
		return Record{}, err
	}
	if err := l.commit(fact{Kind: kind, Payment: id, Taking: taking}); err != nil {
		return Record{}, err
	}
	return l.recordOf(id)
}

// setBack is how far in the future a taking must be for the clock to have been set back since: it is old then.
const setBack = time.Minute

// ConfirmOlder confirms, in one commit, all takings that have been open for that long, and counts them; 0 confirms all.
func (l *Ledger) ConfirmOlder(than time.Duration) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var facts []fact
	seen := 0
	for _, r := range l.open { // oldest first
		t := l.payments[r.payment].takings[r.taking-1]
		if age := now.Sub(t.At); t.Open() && age < than && than > 0 && age > -setBack {
			break
		}
		if seen++; t.Open() {
			facts = append(facts, fact{Kind: factConfirmed, Payment: r.payment, Taking: r.taking})
		}
	}
	if len(facts) > 0 {
		if err := l.commit(facts...); err != nil {
			return 0, err
		}
	}
	l.open = l.open[seen:]
	return len(facts), nil
}
