// Package page owns what each state of a link shows: the same for the phone and for the console's preview.
//
// Three steps:
//
//	Model.Page     builds the contract's proto.Page of a view from tenant, content and claim (model.go)
//	Pages.Page     has a renderer draw it, checks the HTML once and keeps it, split at its placeholders (pages.go)
//	HTML.Append    fills in the link's path and the form token of one request: two kinds of appends (html.go)
//
// What a renderer gives is not trusted (check.go): the HTML is parsed when it enters the cache, and refused when it has
// a script, a form that does not post to the link, a foreign resource, or anything else that is not on the list of what
// a page of words, forms and a barcode needs. Its one style is allowed by the hash of its bytes (HTML.Style), so that
// the Content-Security-Policy needs no 'unsafe-inline'.
//
// A renderer that is down, slow, broken or refused never keeps a recipient waiting: the page is drawn by a plain
// template of the host's own (plain.go), the log and kakitome_page_plain_total say so, and the renderer is asked again
// a few seconds later: behind the plain page of whoever comes then, so that nobody waits for one that failed until it has answered. A tenant may have a renderer of its own (tenant.Brand.Renderer): where that one fails, the standard one
// draws first, and kakitome_page_stand_in_total counts it. Before a tenant has one it must draw a sample of everything (trial.go). Documents (PDF) have no plain form: they fail and are asked for again.
//
// Who was not identified yet, at the landing page above all, waits for a page that is not kept no longer than Options.Patience,
// for one renderer or two, and not at all while it is being drawn for somebody else who has waited so long. Then the same stand in,
// counted as late; the page is drawn on behind, at most maxFlights of a module at once, and is there for the next. A renderer that
// is late has not failed: it has until Options.Timeout, as for a page of somebody identified, which is drawn once and waited for.
//
// The cache is in memory, bounded by bytes, keyed by a digest of what the renderer is asked. It holds personal content
// for as long as an entry lives (at most ten minutes) and nothing of one request: no token, no link, no session.
// Everything here is lost at a restart and made again. Safe for concurrent use.
package page
