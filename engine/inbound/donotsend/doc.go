// Package donotsend keeps each tenant's do-not-send list (送信停止リスト): the numbers to which the tenant sends nothing but
// one-time codes, because their owners said so, or because the tenant's people did.
//
// An entry is a stream of kind store.Tenant: its head holds the number (sealed), the reason, the time and who put it there;
// one more event ends it. While it holds, its number's keyed hash is an exclusive name, so a number stands on a list once,
// whoever adds it at the same time, and asking whether a number is listed is one look at the index. A tenant without any
// entry is not even asked for. The stream of an entry that was removed stays, as the record of what held when.
//
// Whoever gets a message that is for somebody else says so on its page: Disown lists the number and records it in the message,
// in one commit; Readmit, the sender's, takes both back (stranger.go).
//
// The list is asked twice: by engine/intake before a message is taken, and by engine/dispatch before it is submitted,
// because a STOP may come while a message waits for its hour. Additions are on disk before they are acknowledged.
package donotsend
