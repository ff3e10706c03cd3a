// Package link is the serving store of links: it answers, for the token of a URL, whose link it is and whether it is
// still open, without reading a stream.
//
// It is Pebble in a directory of its own, written without a sync, in front of engine/store. Truth is the message's
// stream: a link that is not here is asked for there (Lookup by token, then the fold of the stream) before it is a
// miss, and is then kept here. So nothing here has to survive a crash: what an unclean end takes away, and a directory
// that somebody deleted, comes back link by link as the links are opened.
//
//	engine/intake ── Put, after the sync of the message and before its 202 ──► the link opens at once
//	engine/store ─── Follow("links"): Revoked ──► the entry is marked, synced (Run)
//	linkserver/web ─ Get ──► recent ──► Pebble ──miss──► engine/store ──► kept | a miss
//
// In front of Pebble stand the entries that were put or found last, in slots of a fixed size (recent): what is opened is mostly new, and new
// entries lie in Pebble's memory table, where one is found in 4 to 6 µs. That takes a quarter of the cache's bytes. Why no map of all
// links: with Pebble's cache an old one costs a few microseconds more (194,000 requests/s against 204,000/s with a map of ten million
// tokens, where the smallest handler alone makes 293,000/s), and a cache in blocks takes the bytes of the entries and nothing a pointer.
//
// Why Run does not read the heads that are accepted: Put has told them, and what Put has lost is asked for. Decoding
// each head a second time would cost a fifth of a core at 20,000 messages a second.
//
// Revocation never waits for this package to be right: what changes anything goes by the stream. The entry only lets
// the landing page of a revoked link disappear, within the milliseconds that Follow is behind.
//
// An entry is dropped a while after its link has ended (Run, daily).
package link
