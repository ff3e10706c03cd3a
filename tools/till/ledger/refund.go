package ledger

import "time"

// refund is money that was given back; the key is the merchant's own.
type refund struct {
	key string
	yen int64
	at  time.Time
}

// Refund gives money of a card payment back. The same key again is the same refund, and gets the payment as it now stands; with
// another amount it is refused with CodeDuplicate. CodeNotCaptured: there is not so much of a captured card payment left.
func (l *Ledger) Refund(merchant, attempt, key string, yen int64) (View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, p, err := l.find(merchant, attempt)
	if err != nil {
		return View{}, err
	}
	if key == "" || len(key) > 64 {
		return View{}, invalid("key", "want 1 to 64 bytes")
	}
	var left int64
	if p.req.Method == Card {
		left = p.req.Yen * int64(len(p.standing()))
	}
	for _, r := range p.refunds {
		if r.key == key && r.yen != yen {
			return View{}, &Error{Code: CodeDuplicate, Field: "key", Detail: "the key was used for another amount"}
		}
		if r.key == key {
			return p.view(id, l.opts.CardPages, l.now()), nil
		}
		left -= r.yen
	}
	if yen < 1 || yen > left {
		return View{}, refuse(CodeNotCaptured, "not so much of a captured card payment is left")
	}
	if err := l.commit(fact{Kind: factRefunded, Payment: id, Key: key, Yen: yen}); err != nil {
		return View{}, err
	}
	return p.view(id, l.opts.CardPages, l.now()), nil
}
