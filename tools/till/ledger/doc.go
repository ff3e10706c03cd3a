// Package ledger is the books of サンドボックス決済: every payment asked for, every yen taken over a counter, every
// notice that a merchant still has to hear.
//
// The truth is an append-only file of facts, facts.ndjson, one JSON object per line, numbered from 1:
//
//	{"n":1,"at":"2026-11-22T09:00:00Z","fact":"created","payment":"20261122000000001","created":{…}}
//	{"n":2,"at":"2026-11-22T09:03:10Z","fact":"collected","payment":"20261122000000001","taking":1,"store":"konbini_a"}
//	{"n":3,"at":"2026-11-22T09:03:15Z","fact":"confirmed","payment":"20261122000000001","taking":1}
//	{"n":4,"at":"2026-11-22T09:03:15Z","fact":"delivered","notice":"n2"}
//
// A decision is taken under one lock: look at the state, write the facts, sync the file, apply them to the state,
// answer. So an answer that went out is on disk, and at the next Open the same fold gives the same state. Notices are
// derived: each fact that a merchant must hear of is one, "n" with the number of its fact, and is owed until a delivered
// fact names it. Only delivered facts are not synced: losing one costs a second delivery, which a merchant must bear
// anyway.
//
// A last line without its line feed was never answered for and is cut off at Open. Anything else that cannot be read
// stops Open, naming the line: books are never repaired by deleting. The file is locked while it is open.
//
// Times are those of the company's clock, which can be put forward to see due dates pass. Within one payment the times
// of facts strictly increase, in whole milliseconds, so that a receiver can order them.
package ledger
