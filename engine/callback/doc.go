// Package callback tells the sender's own system what happens to its messages and claims: signed notices over https, in
// the form of Standard Webhooks, each delivered at least once.
//
// # The way of a notice
//
// The record itself is the queue's content: nothing is copied. A reader of the store (follow.go, cursor "callbacks") sees
// each committed event; where a callback of its tenant may want it, it appends to the delivery: a small stream, one for each
// callback and each stream that is told of, which holds how far that callback has been told (delivery.go). The delivery
// stands in the store's queue "callback/<callback id>" while there is something to tell.
//
// Each callback has one goroutine (endpoint.go) that takes what is due and hands it to at most Config.Width requests at a
// time. A request loads the delivery and its source, folds the source into notices (message.go, claim.go; the same events
// always give the same notices), posts the first that has not been told, and commits the delivery one notice further.
// So the order within a message is kept, the id of a notice is the same at each try, and messages do not wait for each other.
//
// # What goes wrong
//
// A notice that is not answered with 2xx is tried again after growing waits over days (Config.Retry, jitter). Meanwhile the
// later notices of the same message wait. When Config.ParkAfter different deliveries have failed without one success between
// them, the receiver counts as down: the callback is parked, and one request at a time probes, after waits that grow from
// Config.ProbeFirst to Config.ProbeMost. That burns no retry. A notice is given up after its last retry when the receiver
// refuses it (4xx), or after Config.GiveUp in any case; the ones behind it follow. 410 pauses the callback.
//
// All waiting is in the store: a killed engine goes on where it was, and may tell again what it had not yet noted as told.
//
// # Fairness
//
// Nothing here is on the way of a message. Requests are bounded for each callback, each tenant and all together; probes of
// parked callbacks have slots of their own, so that dead receivers take none from those that live.
package callback
