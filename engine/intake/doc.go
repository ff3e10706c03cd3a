// Package intake is the one door for a message, from whichever side it comes: API, file, console or the engine itself.
// It validates, makes the record, and acknowledges only what is on disk.
//
// Order of steps, for chunks of drafts at once:
//
//  1. An idempotency key that is known gives the first answer again, or a conflict when the body was another. Nearly all
//     keys are new, so whether one is known is found by the commit, or when something speaks against the draft.
//  2. What a draft has by itself (message.Draft.Check), then what needs the tenant, the carrier and the clock: number,
//     carrier, approved sender address, text with the link in and its length, times, the do-not-send list; then the
//     tenant's limits (limit.go).
//  3. Documents are there; expected identity answers are hashed (Identity); the claim is planned (Claims).
//  4. Token and number are minted, SMS and page sealed, and the message, its names, its place in the queue and the
//     claim's events are committed as one transaction, synced.
//  5. Links are told, so that the link opens at once. Then the caller is answered.
//
// Each draft is atomic and stands alone: one that is refused or fails says so in its own Result. A crash before the
// commit leaves nothing; after it, everything, and the same key gives the same answer. Links that were not told are
// replayed by the link server from the store.
//
// Losing a race is decided by the names of the transaction: of two drafts with one key the first is stored and the other
// gets its answer; a token that exists is minted again; a claim number that was taken meanwhile is planned again; a message
// that is like one of a short time ago is refused as its duplicate (guard.go).
//
// Personal data leaves this package only sealed or as keyed hashes (the terms in terms.go). Quiet hours and windows are
// engine/dispatch's: a message waits in the queue "<carrier>/<lane>" from its send_at on.
package intake
