// Package followup finds messages that came to nothing yet and sends them again, to one list at a time: not delivered, not
// opened, opened but not identified, identified but unpaid, promised, promise broken.
//
// # Lists
//
// Whether a message belongs to a list is decided by its stream, that of its claim, and the clock (judge.go). The index only
// says which messages may belong (index.go): Pebble in a directory of its own, keys without values, written while the store
// is followed:
//
//	tenant | 0 | list, a byte | id of the message, 16
//
// What happens to a message puts it into a list's candidates or takes it out, without reading anything; what a reader finds
// to be out of its list for good it takes out as well. So a list of millions costs a walk over keys, newest first, and the
// streams of what is shown: memory does not grow with it. Batches are synced, some times a second, before the reader's place in the
// store moves on. The directory may be deleted: the name of its reader is in it, so a new one is filled from the beginning.
// Check (check.go) compares it with the record, for kakitome verify.
//
// # Runs
//
// A run sends one list again (run.go). It is a stream (store.FollowUp): Begun, Advanced …, Done or Stopped. A worker walks the
// candidates from the run's beginning backwards, some hundred at a time, and gives what belongs to the list to intake. Where the link of a
// message still works the new SMS carries it; where it has ended the new message has a link of its own with the same content,
// the same expected answers and the same claim.
//
// One message is sent again in the same way without a run (again.go).
//
// A run may have a new due date: it changes each claim in the transaction of the message that says so, and leaves out what could
// then be paid twice (payment.Payments.Again). A claim that is partly paid keeps its account for the rest (payment.State.Account); without
// one it is in no list. A link that ends before that day is replaced as one that has ended.
//
// Resent is appended to the message that is followed up in the transaction of the new one, against the version that was
// judged, together with a guard on its claim: whoever pays in between wins, and a batch that is given to intake again
// after a crash finds out by Resent what was sent. Between acceptance and its turn a message may wait for hours: dispatch asks Awaited right
// before it records the submission, again with a guard on the claim's version.
package followup
