// Package certificate makes certificates of delivery: the recorded timeline of one message, as a PDF and as a file that
// verifies on another machine without this one (package proof says how).
//
// # What is recorded when
//
// A message of a class that is certified (Config.Classes) is accepted with commitments to its content in its head
// (Commitment). Everything else follows the record: a named reader of store.Follow notes which streams, messages and their
// claims, got events, in a stream of the day (store.Day, the operator's; day.go draws its events). When the day is over in
// Asia/Tokyo, five minutes later:
//
//	Ending   with the state of the clock, by the timer
//	Ended    by the reader when it meets Ending in the record: all that was committed before is noted, so the same streams
//	         belong to the day however often the reader is restarted
//	Leaves   the digest of each noted stream
//	Closed   the line of the day: the root of the tree of leaves, signed
//	         then the line is appended to the published file, synced
//
// What is committed later belongs to a later day, whatever its own time is. A crash between any two of these goes on there:
// the digests follow from the record, the clock's state is that of Ending, and ed25519 signs the same text in the same way.
// Without a key nothing is followed and no day is closed: certificates then are 暫定, a chain of events without a root. The
// first start with a key notes the past as of its first day.
//
// # What is digested
//
// The meaning of an event as it was decoded, never the bytes that are stored (fields.go): no sealed box, because boxes are
// sealed anew or purged; no hash of an answer or a code; no link. So a certificate says the same after the content was purged.
// Salts are derived from the tenant's hash key, one secret a stream, and are given for the one message that is asked for.
//
// # The published file
//
// It is append-only; lines that the record has and the file lacks are appended, a line cut off by a crash is completed, and a
// file that contradicts the record stops the closing of days (an error in the log and kakitome_certificate_failures_total) until
// somebody has looked. After a restore the file may know more days than the record: those are not closed a second time; what
// they hold goes into the next day.
package certificate
