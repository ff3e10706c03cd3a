package payment

import "time"

// Some agents let a barcode be shown for minutes only, so that no picture of it goes round, and give another one of the same payment
// to who still looks at it. The attempt, and what it is paid with at the store's own books, stay the same.

// Stale reports whether the time of what the attempt is paid with is over on a screen. It may still be taken at a till.
func (a *Attempt) Stale(now time.Time) bool {
	return a.Voucher != nil && !a.Voucher.ShownUntil.IsZero() && !now.Before(a.Voucher.ShownUntil)
}

// renews reports whether the attempt's module gives another thing to show.
func (p *Payments) renews(a *Attempt) bool {
	m, ok := p.method(a.Module, a.Method)
	return ok && m.Refreshes
}
