package ledger

import (
	"fmt"
	"time"

	"github.com/kakitome/kakitome/tools/till/slip"
)

// shown is one barcode of a payment and until when it may be on a payer's screen; zero: until the payment expires. A till takes it
// no longer than that.
type shown struct {
	Barcode string    `json:"barcode"`
	Until   time.Time `json:"until,omitzero"`
}

// mostShown is how many barcodes one payment can have: the free digits have four for their number.
const mostShown = 10_000

// barcode is the nth barcode of a payment, from 0, that begins to be shown now. The lock is held.
func (l *Ledger) barcode(id string, r Request, n int, now time.Time) (shown, error) {
	digits, err := slip.Slip{
		Company: l.opts.CompanyCode, Free: fmt.Sprintf("%s%04d", id, n), Due: r.Due, Stamp: slip.NeedsStamp(r.Yen, r.TaxYen), Yen: r.Yen,
	}.Digits()
	s := shown{Barcode: digits}
	if l.opts.ShowFor > 0 {
		s.Until = now.Add(l.opts.ShowFor)
	}
	return s, err
}

// Show gives a payment another barcode with a new time to be shown; those before it are taken until their own time ends. Where
// barcodes have no such time it changes nothing. CodeNotOpen: it is no barcode that waits for its money.
func (l *Ledger) Show(merchant, attempt string) (View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, p, err := l.find(merchant, attempt)
	if err != nil {
		return View{}, err
	}
	now := l.now()
	if p.req.Method != KonbiniBarcode || p.state(now) != Awaiting || len(p.shown) >= mostShown {
		return View{}, refuse(CodeNotOpen, "no barcode of this payment waits to be paid")
	}
	if l.opts.ShowFor > 0 {
		s, err := l.barcode(id, p.req, len(p.shown), now)
		if err != nil {
			return View{}, err
		}
		if err := l.commit(fact{Kind: factShown, Payment: id, Shown: &s}); err != nil {
			return View{}, err
		}
	}
	return p.view(id, l.opts.CardPages, l.now()), nil
}
