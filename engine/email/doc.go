// Package email sends what a claim is paid with (number, barcode sheet, account) to an e-mail address, because its payer asked
// for it on the identified page, or its sender ordered it by console or API (Order). It sends nothing else, and nothing by itself.
//
// A mail is one stream of kind store.Notice, of which this package owns the event types from 96 on:
//
//	asked ─► tried … ─► sent | failed
//
// Order of steps, and what a crash between them leaves:
//
//  1. Ask commits, in one transaction: the mail with its sealed address, in the queue "email/send"; and Mailed on the message,
//     against the version that was looked at, so that of many presses of the button one sends.
//  2. Run takes it from the queue and looks at the claim: the number is read from there, at this moment, and never kept with the
//     mail. An attempt that was paid, canceled or expired meanwhile ends the mail as failed, "obsolete".
//  3. The relay takes it, or not. Crash before the commit that follows: it is sent again, with the same Message-ID, by which
//     mailboxes know it.
//  4. Sent, tried or failed is committed, together with MailSent or MailFailed on the message.
//
// What the relay refuses for now (4xx), or does not answer, is tried again after 1, 2, 4 … 60 minutes, for a day at most. What it
// refuses for good (5xx to the address or the mail) ends the mail at once. A refused login is the operator's to mend: it is tried
// again, and said in the log.
//
// The address is sealed under the message's class and ends with its content; the timeline and the log have a mask (message.MaskAddress), the
// message's event a keyed hash, by which a second press is known. What a relay answers may repeat the address: the log has its
// code alone. An address is one dot-atom or one quoted word, and a domain of ASCII labels (message.ParseAddress): nothing that ends a line or a
// header comes as far as the mail, whose headers are made of what is checked here and encoded by go-mail.
package email
