// Package retention ends content at the end of its term.
//
// Content is sealed under data keys of tenant × class × day (engine/store). When the term of a class is over for a day, its
// key is destroyed: from then on nobody can read what it sealed, in the record and in every backup of it, old ones too,
// because keys are in no backup of the record. The events stay: when a message was sent, delivered, paid, and what is billed
// for it. What shows them says that the content is gone (store.ErrErased).
//
// # The order of steps, for each tenant, class and day that is due
//
//	keep     messages of the day that live are sealed anew, in an event of their own, under the key of the later day whose
//	         term ends when their life does
//	note     the groups of that day, to be swept, are written to the state file, synced
//	audit    an entry of the tenant says what is destroyed and what was kept
//	destroy  the key is overwritten and removed, synced; messages that count as kept under it no longer do
//	sweep    groups are written anew without what cannot be read; links, search terms and names that lead to it go; files of
//	         the log that hold little else are given back. At its own pace, a share of one core that is
//	         larger while the engine has little else to do (pace.go).
//
// Each step may be done again: a message that was kept is found to be under another key, a group that was swept has nothing
// more to give. A crash anywhere leaves a day that is still due, groups that are noted, or messages that count as kept under a key that is
// gone, which the next sweep finds. The hourly sweep believes the clock only within reason (doubt).
//
// # What lives
//
// A message, while its SMS may still be sent; while its link is open; while its claim shows a state: 90 days from the last
// thing that its payer did or was given (payment.State.ShownUntil). A file, while the link of a message that shows it is
// open (engine/document): files are few and large, so a day of files waits for the last of them. A claim that may still be
// paid: its day waits too. What is over stays over: a later fact does not bring content back.
//
// Sealing living messages anew was chosen over waiting for them: with claims that run for months nearly every day has some,
// and one of them would keep the content of millions.
package retention
