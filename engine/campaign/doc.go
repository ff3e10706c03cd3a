// Package campaign owns files of messages: an upload is received, checked row by row, staged, and by one decision released
// into engine/intake or dropped.
//
// # The way of an upload
//
//	Begin ─► receiving ─► checking ─► staged ─► (canary ─►) releasing ─► done
//	             │            │          └─► dropped (also from receiving and checking)
//	             └────────────┴─► failed: no CSV, unknown columns, another digest …
//
//	released: paused ⇄ resumed (said.go) · canary ─► stopped: a person decides (canary.go) · canceling ─► canceled (sweep.go)
//
//	receiving  Append seals the bytes as they come, in parts of at most 1 MiB, each committed before it is acknowledged; a
//	           client goes on at Offset after whatever broke. The same file with the same settings, begun again, is resumed.
//	checking   A worker reads the parts twice as a stream: once for the digest and the encoding, once for the rows, which
//	           it makes drafts of and shows to intake.Validate. Nothing is reserved, nothing is due.
//	staged     All faults are on record, with line, column, masked value and reason. The upload waits for a person.
//	releasing  Release appended one event, with an expected version: of many at once one wins. A worker reads the parts
//	           again, leaves out the rows that were faulty, and gives the others to intake.Accept, each with a key.
//
// # What survives a crash
//
// Everything that was answered. An upload is a stream (store.Campaign) of small events; the bytes of the file and the lists
// of findings are streams of their own (store.File), whose ids follow from the upload's (derive), so that nothing is ever
// read but what is needed: memory does not grow with the file. Checking and releasing commit how far they are together
// with what they found, every batch rows; Run finds unfinished uploads in the queue "upload" and goes on there, reading the
// file again from its beginning but skipping rows. A batch that was accepted but not yet recorded is given to intake
// again with the same keys (the row's own, or the upload's id and the row's number), which gives the first answers again.
// Intake keeps keys for three days; a release that was interrupted for longer first looks by campaign and number which
// rows of that batch are in already (release.go).
//
// # Limits
//
// Rows that the tenant's limit of a day holds back keep no worker: what was answered is put on record (advanced.Ahead has the
// rows behind the first that was not), and the upload waits in its queue until the day is over, or a quarter of an hour, as
// the limit may be raised. Rows that wait otherwise, for a second's limit or a busy store, are asked again in place, as long
// as nobody paused or canceled the upload.
//
// # What is said of a released upload
//
// Pause, resume, cancel and the drop of a carrier are events of the upload; dispatch heeds them from a small set in memory
// (order.go: Word) that is put right after each commit, before whoever said it is answered, and read from the store by New.
// Where an upload rests is by its state alone (State.place): "upload" for workers, "upload/watch" for what only waits for
// messages (a canary, the last messages of a cancel), "upload/held" for what must be found when the program starts.
//
// # The same file twice
//
// When the digest of a whole file is known, the upload takes the name of its content (store.ByFileHash) and remembers who
// had it before. State.Twin tells of such an earlier (or later) upload unless it was dropped or failed; Release then asks
// for Again.
//
// # What is sealed
//
// The file, its name, digest and settings are content: sealed under the class of the upload and the day it began, and gone
// with that key. Findings hold masked values only. docs/csv.md describes the format for senders; columns.go is where it is
// decided.
package campaign
