package ledger

// CardOutcome is what the payer does on the company's page, whatever method led there.
type CardOutcome string

const (
	CardApproved  CardOutcome = "approved"
	CardDeclined  CardOutcome = "declined"
	CardAbandoned CardOutcome = "abandoned"
)

// CardPage finds the payment of a card page by the token in its URL; CodeNotFound when there is none.
func (l *Ledger) CardPage(token string) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recordOf(l.tokens[token])
}

// PayCard ends a card payment one way or another. It refuses one that has ended: CodePaid, CodeCanceled, CodeExpired,
// CodeFinished.
func (l *Ledger) PayCard(token string, outcome CardOutcome, waive Waive) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.tokens[token]
	p := l.payments[id]
	if p == nil {
		return Record{}, refuse(CodeNotFound, "no such payment")
	}
	if p.declined {
		return Record{}, refuse(CodeFinished, "the card was declined; a new payment is needed")
	}
	if p.registered {
		return Record{}, refuse(CodeFinished, "the account is registered")
	}
	f := fact{Payment: id}
	switch outcome {
	case CardApproved:
		if f.Kind = factRegistered; p.req.Method != AccountRegistration {
			f.Kind, f.Taking, f.Store = factCaptured, len(p.takings)+1, string(p.req.Method)
		}
	case CardDeclined:
		f.Kind = factDeclined
	case CardAbandoned:
		f.Kind = factAbandoned
	default:
		return Record{}, invalid("outcome", "want approved, declined or abandoned")
	}
	if outcome != CardApproved {
		waive = nil // only money is taken where it should not be
	}
	if len(p.takings) > 0 {
		if err := waive.refuse(CodePaid, "was paid already"); err != nil {
			return Record{}, err
		}
	}
	if err := l.refuseOver(p, waive); err != nil {
		return Record{}, err
	}
	if err := l.commit(f); err != nil {
		return Record{}, err
	}
	return l.recordOf(id)
}
