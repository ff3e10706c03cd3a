// Package web serves links to recipients, and webhooks to payment agents: the one listener that strangers reach.
//
//	GET, HEAD /a/{token}                     what the link shows to this browser
//	POST      /a/{token}/{step}              open, identify, code, resend, again, answer, checkout, pay, cancel, state, redirect,
//	                                         promise, mail, stranger, content, menu
//	GET       /a/{token}/stranger            お心当たりのない方: what the step of that name would do
//	GET       /a/{token}/return              back from an agent's page: a button, for the browser that left
//	GET       /a/{token}/documents/{name}    a PDF, for a session that got in
//	any       /hooks/{path}                  engine/payment
//	GET       /s/{tenant}                    how the tenant's messages are told from others', for anybody; "/" where the host is its own
//	GET       /e/{tenant}                    the tenant's shared entry page (entry.go);  POST /e/{tenant}/{step}: open, identify, code, resend,
//	                                         again, pick
//	GET       /robots.txt                    nothing else is for robots
//
// ("a" stands for any one lower-case letter.) A POST does one step of linkserver/journey and answers 303 to the link, so
// that what is seen is always the answer to a GET and a reload repeats nothing; a GET of a step leads to the link as well. What leads to
// somebody else's page is answered with a page that goes on there (leave.go). There is one script,
// the host's own (wait.go), on pages that wait for news of a payment: every three minutes it asks how the payment stands, as its
// button does, and exchanges what is shown where that has changed, without moving the focus, until the session was idle for too
// long.
//
// A browser is known by a cookie for each link (cookie.go): the session, sealed with AES-GCM, HttpOnly, SameSite=Lax, with
// the prefix __Host- wherever the browser's connection is TLS. It is set by the first GET, which changes nothing of the
// message; a POST without it, or whose form token was not made for it, is refused before anything is read. So a form that
// another site submits, a scanner that keeps no cookies, and a token of another link do nothing.
//
// Nobody can find links by trying. Unknown, revoked and ended links give the same page and status, no sooner than
// goneAfter has passed; misses (never hits: carriers put thousands behind an address) are budgeted by address and
// network, and beyond the budget a token that is not in the serving store is 429, with that page, without asking further.
//
// On a host that is a tenant's own, links, entries and public pages of the others look as if they were not there.
//
// Nor can people be found by trying. At a shared entry name, birth date and phone are asked, and what follows looks the same whether or
// not somebody was found, and takes alikeAfter at least: a code is made and sent behind the answer. Forms are budgeted by address,
// whoever is asked for.
//
// The client's address and whether its connection is TLS are the connection's, and a header's only where the connection
// comes from a trusted proxy. Nothing of a request is kept after it, and no log line has a token, an address of a link
// or anything that was typed.
package web
