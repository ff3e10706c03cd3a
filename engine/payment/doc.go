// Package payment owns claims for money, the attempts to pay them, and the facts that payment agents report. It never
// sends an SMS; whoever wants to tell the payer follows the claim's events.
//
// A claim is one stream of kind store.Claim. Its head is what the sender asked for; its events are what happened:
//
//	Made, Joined (a message carries it), Amended, Withdrawn, Settled (消込, of all or of the rest of what is partly paid),
//	WentOverdue (unpaid at its due date, once for each), Resolved (somebody dealt with the alerts)
//	Started ─► Issued ─► Provisional (速報) ─► Confirmed (確報) ─► ReceiptIssued ─► ReceiptKept
//	   │          │           └─► Revoked (速報取消) ─► as before, or Expired when its end has passed
//	   │          ├─► Canceled | Expired ─► Provisional | Confirmed all the same, with an alert (要対応)
//	   ├─► Failed └─► Failed
//	   │          ├─► Registered (an account for direct debit; no money: the claim stays to be paid, unless it is debited from it)
//	   │          ├─► Deposited (a transfer; several add up) ─► as Confirmed, once they are as much as was asked for; until then Amended
//	   │          │   moves the due date alone, and the account stays (account.go)
//	   │          ├─► Doubted (a transfer that may be one of these, told by another file; it does not count) ─► Deposited, by a person
//	   │          └─► Confirmed ─► RefundAsked ─► Refunded | RefundRefused; or Refunded by itself: a chargeback
//	   └─► Unknown (the reply was lost) ─► settled by asking, never by creating again
//
// Everything that an agent says (a reply, a webhook, an answer to Get) is one Fact: its full view of one payment. The
// state is a fold (fold.go) that keeps, for each attempt, the greatest fact in a fixed order; so neither the order nor
// the repetition of facts matters, a confirmed payment is never undone, and an old notice changes nothing.
//
// Order of steps of an attempt, and what a crash between them leaves:
//
//  1. Started is committed against the version of the stream that was looked at, with the attempt's id as a name: of
//     many who start at once one wins, the others see the winner's attempt.
//  2. The agent's Create is called. Crash before or in it: the claim is in the queue "payment/settle", and Get says
//     whether the agent has the payment. The agent not having it after Config.Patience is Failed.
//  3. What it said is committed. Crash before: as above.
//
// What somebody at a page can cause, waiting or pressing, asks the agent about a claim once a minute and orders it to cancel an
// attempt once a minute; in between the page shows what is known (gate.go). Orders are those of attemptsDay. The engine's own questions
// about an attempt whose reply was lost are sooner, for the payer can do nothing until it is settled: after SettleFirst and then at
// doubling waits up to SettleMost, seven in the first minute by default, of the one attempt that lives. They count for who presses.
//
// A deposit is appended with its id as a name of the tenant's, so that it counts once, whatever account or claim a file that comes
// again, or at the same time, leads to. Of an account that several payments had one after another it is that of its day (holder).
//
// Order of steps of a webhook: budgets (source.go); the raw request sealed and committed as a stream of kind store.Notice in the
// queue "payment/notice"; the module verifies and reads it; the facts are committed, each with the notice's id as a
// name; the stream leaves the queue; the agent gets its reply. A crash anywhere leaves the stream in the queue, and
// applying it twice is applying it once. However late it is read, the module is told the time at which it came.
//
// A receipt's number is the version of the tenant's receipts stream (store.Register), committed together with the
// claim's ReceiptIssued: no number without a receipt, none twice. The event holds the whole model of the document,
// sealed, so the PDF can be drawn again byte by byte until ReceiptKept names the immutable copy in engine/document; every
// further copy is drawn from it too, marked 再発行, and is a ReceiptCopied. Money that goes back leads to a further ReceiptIssued
// that corrects the one before, with its own number.
package payment
