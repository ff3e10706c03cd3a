// Package identity owns who may see a page: the chain of questions and a one-time code, canonical forms, keyed hashes,
// tries and locks.
//
// The chain of a message is fixed when it is accepted: up to four items asked at once (Head.Answers), then, where the
// sender wanted it, a one-time code to the message's own number (Head.Code). What a person types is made canonical by a
// module (width, kana, dates); everything else is the host's: the canonical form is hashed with the tenant's key, bound
// to the message and the field, and compared in constant time. Plain answers are never stored and never logged.
//
//	Enroll     at acceptance: items → answers to store, in batches
//	Items      all items at once → Incomplete | Unreadable | Mismatch | Locked | NeedCode | Passed
//	SendCode   a fresh code to the message's number → Sent | TooSoon | TooMany | Locked
//	Code       the code → Incomplete | Unreadable | Mismatch | Locked | Passed
//	Unlock     by somebody of the tenant
//
// What is learned from a wrong answer. All items are hashed and compared whatever the first ones gave, and the answer is
// one word for all of them. Where a code follows, a mismatch looks as a match does: the code's screen, which says that an SMS
// comes only if the answers were right, and leads back to the questions. Behind a mismatch all goes on as behind a match (the
// code is minted, the same limits are counted, typed codes are compared, counted and lock), but nothing is sent and no code
// is right (Asking.Held, CodeHeld). So the screen does not show the number either, and an answer takes as long: the one commit
// that a match costs more, of the SMS, lies behind a least time in linkserver/web. Where no code follows, a match shows the
// page, and a mismatch the questions again.
//
// Tries are events (message.Tried) appended with the version that was read. Of two at the same moment one commits and
// the other reads again, so each is counted, and no try is answered before it is on disk. Every fifth
// wrong one of a step locks the message (Locked) for 30 minutes, the third lock until somebody unlocks it; the count
// starts anew only with a success of that step or an Unlock. A new code does not start it anew: with four digits the
// chance to guess is 15 in 10,000. A form with an empty or malformed item is no try. Which item is malformed is told: its
// module says so by what was typed alone (kanji in a field for kana), and nothing was compared.
//
// Where a code follows the questions, right answers are counted as wrong ones are, and the fifth closes the questions but not
// the code, until somebody has passed both: else the lock would tell which was which.
//
// A code is valid for five minutes; only its keyed hash is kept (CodeSent). A new one can be had after 30 s, then 60 s,
// 120 s …; at most 3 in a session, and 5 an hour and 10 a day for one message, and for one number over all that the tenant
// asks it. The tenant has a budget for the day: past four fifths it is said in the log and the console, past all of it nothing
// is sent. Codes that were held back count as those that were sent: else a limit would tell them apart. Each code that is
// asked for is a stream of kind Verification, by which they are counted, also after a restart (shares.go).
//
// At a tenant's shared entry page (entry.go) people are found by name, birth date and phone. A code to the phone of one of their
// messages, with the limits, tries and locks of that message, lets them choose which one to open.
//
// # Codes for the sender's own pages
//
//	Verify        a fresh code to a number → Verification, on disk together with its SMS
//	Check         a typed code → Approved (once) | Pending (wrong, counted) | Shut | Expired
//	Verification  as it stands
//
// The sender's system asks and checks by API (engine/api/verifications). Five tries a code, each on disk before it is answered
// (verification.go draws the stream); of right codes at the same moment one is Approved. The same limits hold as for pages, and
// further budgets of the day for each API key and for the numbers of one prefix: whoever lets codes be sent for money (toll
// pumping) has many numbers, but few prefixes.
//
// After a crash between the acceptance of a code's SMS and CodeSent, the SMS arrives and its code does not match; a new
// one can be asked for.
package identity
