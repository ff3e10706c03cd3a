// Package fault holds the faults that サンドボックス決済 is told to show: what it does wrong, how many times more, and
// by how much. Faults live in memory; a new start has none.
package fault

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Name is a fault. Each takes one of its times when it shows.
type Name string

const (
	LostReply       Name = "lost_reply"       // create does its work, then closes the connection
	SlowReply       Name = "slow_reply"       // the merchant API answers after the delay
	ServerError     Name = "server_error"     // the merchant API answers 500 and does nothing
	NoVoucher       Name = "no_voucher"       // another barcode for a payer's screen is refused
	DeclineCharge   Name = "decline_charge"   // a kept card is declined when it is charged
	DuplicateNotice Name = "duplicate_notice" // a notice is delivered twice
	OutOfOrder      Name = "out_of_order"     // notices are held until the last time is taken, then sent last first
	LateNotice      Name = "late_notice"      // a notice is first sent after the delay, others pass it
	ForgedSignature Name = "forged_signature" // the first delivery of a notice is signed with a wrong secret
	PayAfterCancel  Name = "pay_after_cancel" // a canceled number or card payment is paid all the same
	PayAfterExpiry  Name = "pay_after_expiry" // a till takes money after the due date
	PayTwice        Name = "pay_twice"        // a till takes money again
	RevokeConfirmed Name = "revoke_confirmed" // 速報取消 after 確報
)

// Names lists all faults in the order in which they are shown.
var Names = []Name{LostReply, SlowReply, ServerError, NoVoucher, DeclineCharge, DuplicateNotice, OutOfOrder, LateNotice, ForgedSignature,
	PayAfterCancel, PayAfterExpiry, PayTwice, RevokeConfirmed}

// Limits of a Setting.
const (
	MaxTimes = 1_000_000
	MaxDelay = time.Hour
)

// Setting says how often a fault shows from now on, and its delay where it has one.
type Setting struct {
	Name  Name
	Times int           // left; 0: it does not show
	Delay time.Duration // slow_reply, late_notice
}

// Set is the faults in force. The zero value has none; it is safe for concurrent use.
type Set struct {
	mu    sync.Mutex // guards armed
	armed map[Name]Setting
}

// HasDelay reports whether the fault waits.
func (n Name) HasDelay() bool { return n == SlowReply || n == LateNotice }

// Arm puts one fault in force, or with 0 times ends it.
func (s *Set) Arm(f Setting) error {
	switch {
	case !slices.Contains(Names, f.Name):
		return fmt.Errorf("fault %q is unknown; want one of %v", f.Name, Names)
	case f.Times < 0 || f.Times > MaxTimes:
		return fmt.Errorf("times %d; want 0 to %d", f.Times, MaxTimes)
	case f.Delay < 0 || f.Delay > MaxDelay:
		return fmt.Errorf("delay %v; want 0s to %v", f.Delay, MaxDelay)
	case f.Delay > 0 && !f.Name.HasDelay():
		return fmt.Errorf("fault %s has no delay", f.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.armed == nil {
		s.armed = map[Name]Setting{}
	}
	s.armed[f.Name] = f
	return nil
}

// Clear ends all faults.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.armed)
}

// Take uses one time of the fault if it has any left, and gives its setting after that.
func (s *Set) Take(n Name) (Setting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.armed[n]
	if f.Times == 0 {
		return f, false
	}
	f.Times--
	s.armed[n] = f
	return f, true
}

// Armed reports whether the fault would show.
func (s *Set) Armed(n Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.armed[n].Times > 0
}

// List gives every fault with what is left of it.
func (s *Set) List() []Setting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Setting
	for _, n := range Names {
		f := s.armed[n]
		f.Name = n
		out = append(out, f)
	}
	return out
}
