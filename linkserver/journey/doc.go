// Package journey is the recipient's way behind a link, as a state machine that knows nothing of HTTP.
//
// Three things decide what is shown, in this order:
//
//	standing   of the link: Gone, Stopped, Expired, StateOnly, Open (standing.go)
//	step       of the browser's session: Landing ─open─► Identify ─► Code ─► In
//	state      of the message and of its claim
//
// The message's stream and the claim's stream are the truth; the session (sealed in a cookie by linkserver/web) only says
// how far this browser has come. A session older than its limits begins anew at Landing. Steps are:
//
//	Open      the button of the landing page: Opened, once; without anything to identify by, In
//	Identify  the questions ─► Code | In | the same screen
//	Identified  back from the page of an identity provider ─► Code | In | the same screen (elsewhere.go)
//	Code      the one-time code ─► In;  Resend
//	Answer    the survey, once: the second of two at the same moment sees the first one's answer
//	Checkout, Pay, Redirect, State, Cancel     the claim; engine/payment decides. Not by robots, where nothing identifies
//	Disown    お心当たりのない方: the number is put on the do-not-send list, and the link shows nothing more (stranger.go)
//	Turn      between the menu of a claim and the content behind it, in the session alone (claimmenu.go)
//	Promise   what the payer says of the payment;  Mail  the number that was issued, by e-mail (engine/email)
//
// A tenant may have a shared entry page, whose session leads to one of the person's links (entry.go).
//
// Each step changes the session and, by one commit, the stream; afterwards Show draws what is the case then. So a reload
// repeats nothing, and after a crash the next Show tells the truth.
//
// Show changes nothing, with one exception: the first page that an identified session sees is recorded as Viewed. What
// robots do (GET, HEAD) leaves no trace; an Open within three seconds of the submission, before it, or by a program that
// names itself is recorded as doubtful, replaced by the first Open that is not, and sends no code by itself.
//
// Two ends. expires_at closes content, answers and new attempts. A claim that was paid or has a number issued is shown
// behind identity until state_until, or 90 days after its last fact where this is later. Whether an expired link still
// has such a state to show can be seen without identity (the landing page in place of the expired one); what it is, not.
package journey
