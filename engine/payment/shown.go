package payment

import "time"

// ShowFor is how long a claim that was paid, or has a number issued, keeps showing its state after the last thing that
// happened to it.
const ShowFor = 90 * 24 * time.Hour

// LastFact is the time of the last thing that a payer did or was given; zero: nothing was paid or issued.
func (s *State) LastFact() time.Time {
	var last time.Time
	for _, a := range s.Attempts {
		if a.Phase == WasRegistered && a.EndedAt.After(last) {
			last = a.EndedAt
		}
		if a.Received == 0 && (a.Voucher == nil || a.Phase == WasCanceled || a.Phase == HasFailed) {
			continue
		}
		for _, at := range []time.Time{a.StartedAt, a.IssuedAt, a.ProvisionalAt, a.ConfirmedAt} {
			if at.After(last) {
				last = at
			}
		}
	}
	if r := s.Receipt(); r != nil && r.Issued.After(last) {
		last = r.Issued
	}
	return last
}

// ShownUntil is how long the claim lives for a link of which stated is the least (message.Head.StateUntil): while an
// attempt lives or nobody knows what became of it, there is no end, and then until stated or ShowFor behind the last fact.
// Zero: it shows nothing but on an open link.
func (s *State) ShownUntil(stated time.Time) (until time.Time, noEnd bool) {
	for _, a := range s.Attempts {
		noEnd = noEnd || a.Lives()
	}
	last := s.LastFact()
	if last.IsZero() {
		return time.Time{}, noEnd
	}
	if until = last.Add(ShowFor); until.Before(stated) {
		until = stated
	}
	return until, noEnd
}
