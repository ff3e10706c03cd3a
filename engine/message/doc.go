// Package message owns the words of one message: the draft that a sender gives, the head record and events that are
// stored, the state that they fold to, and the limits of each. It is pure: no I/O, no clock, no goroutine.
//
// A message's life, as events (every arrow one event, with its time):
//
//	Accepted ─► LookedUp ─► Submitting ─► Submitted ─► Delivered | Undelivered
//	    │           │            ├─► Retrying ─► Submitting …
//	    │           └─► Refused  ├─► Refused
//	    ├─► Canceled             └─► InDoubt ─► Submitting (resend) | Failed
//	    └─► Lapsed (its validity ended before it was sent)
//	on the link, in any order with the above:
//	Opened ─► Tried … ─► CodeSent (CodeHeld) ─► Tried ─► Identified ─► Viewed ─► Answered        Locked ─► Unlocked     LinkMoved     Revoked
//	Disowned (お心当たりのない方) ─► Readmitted
//
// The state is a fold over the events (Fold); nothing else decides what may happen next. Type values and JSON names are
// stored: they are never reused for something else.
package message
