// Package proof is what a certificate of delivery says and how it is checked: pure, without a store, so that a stranger can
// check one on another machine (`kakitome certificate verify`).
//
// From the bottom up (every H is SHA-256; every text that is hashed has its length before it; n counts from 1):
//
//	event    e = H("kakitome event 1\0" salt canonical(event))        event.go: what was decoded, not the bytes that were stored
//	chain    d0 = H("kakitome stream 1\0" kind tenant id)
//	         dn = H("kakitome chain 1\0" d(n-1) en)                    one chain for each stream: the message, its claim
//	leaf     "kakitome leaf 1\0" kind id n dn                          a stream as it was at the end of a day
//	tree     RFC 9162 §2.1.1: H(0 leaf), H(1 left right)               all streams that got events on that day, by id
//	line     day, size, root, hash of the line before, clock, key      line.go: one line a day, signed with ed25519, published
//
// Each event has its own salt, 32 bytes that only its certificate gives: whoever has the tree's hashes cannot try what an event
// of somebody else may say. The salts of one stream say nothing of another's.
//
// Content (text, page, number) is never digested itself. When a message is accepted, its head gets commitments to them
// (content.go), blinded by a secret that is sealed with the content and ends with it: afterwards nobody can try guesses
// against them, and the chain still verifies.
//
// Verify names the first event, or the first link behind the events, that is not as it was.
package proof
