// Package store keeps the engine's record: streams of events, committed in groups.
//
// # What is true
//
// The log is the truth: commit groups, numbered from 1, each one value in Badger, synced before anybody is answered
// (group.go draws the format). All else follows from the log, or is small and has a file of its own:
//
//	LOCK     held by flock while a process has the store open
//	FORMAT   the format's version, the store's id, and a box that only the right master key opens
//	ACKED    the last acknowledged group: written before each answer, synced every few seconds
//	READERS  how far the named readers of Follow are; replaced every few seconds
//	log/     Badger: the groups
//	index/   Pebble: what streams, names, terms and queues the groups make; may be deleted, then it is replayed
//	keys/    data keys and hash keys, wrapped under the master key, which lies outside
//	RESTORED that this is the restored state of an earlier time, until that was dealt with
//
// # The way of a commit
//
// Commit puts a request into a bounded queue (ErrBusy when full). Three goroutines take it on: build checks it against
// the index and an overlay of what is on its way, and encodes it; append puts the group into the log; settle applies it
// to the index, notes it in ACKED, shows it to followers, and answers. See commit.go for the order of these, index.go for
// what is in memory and what is in Pebble, due.go for queues.
//
// # What survives a crash
//
// Whatever was answered with success is on disk. A group that was synced but not answered is there as well: a caller
// that got no answer finds out by the stream's version or by its exclusive name. When the process is killed, or the
// power fails, opening replays the groups from the index's mark on (some seconds of work), so that the index says what
// the log says. Named readers meet some seconds of events again.
//
// A failed sync, a failed write, a disk with no room (space.go), or an error in Pebble's background ends the store at once: nothing more is answered
// with success and Options.Fatal is called, which by default ends the process. Opening it anew finds out what is true.
//
// # What is taken away
//
// Content ends when its data key is destroyed (seal.go, shred.go); Purge then writes groups anew without it, under their own
// numbers and with the places that the index has (rewrite.go), and Reclaim gives the space back (reclaim.go). When, and for
// whom, engine/retention says. The master key is rotated by rotate.go.
//
// # What it refuses
//
// Open never repairs by deleting. It refuses a directory that another process holds, a newer format, a missing or
// foreign or readable master key, a log that ends before the last acknowledged group or has a gap, a damaged group among
// those it replays, and an index that knows more than the log. A damaged index alone may be moved away by hand. Damage
// in older groups is found by the checksum of each entry when it is read. tail.go says how a torn tail, which Badger
// cuts off, is told from damage.
//
// # What operators do with it
//
// backup.go copies the record while it is used, restore.go makes a store of a backup, verify.go compares everything in it
// with everything else, rebuild.go makes the index anew, upgrade.go leads from one format to the next. Those that want
// the store closed work on a view of it (view.go).
//
// The scope of a tenant is asked for by every read of a stream. Due, NextDue, Queues, and Follow are the engine's own
// and see all tenants; what they give out carries its tenant.
package store
