// Package inbound takes the messages that phones send to a sender's address (mobile-originated, MO): joins their segments,
// finds the tenant that they are for, keeps them, and lets stop words put a number on that tenant's do-not-send list.
//
// # The way of a message
//
// A carrier hands it over as deliver_sm or data_sm without the bits of a receipt (SMPP 3.4 §5.2.12); engine/dlr passes it on (Take). It
// is read (read.go: address, user data header or SAR parameters, data_coding), given to a tenant (tenant.go), committed, and
// only then answered. A refusal of the store is answered ESME_RX_T_APPN: the carrier keeps the message and sends it again.
//
// A message is a stream of kind store.Notice of its tenant, of which this package owns the event types from 64 on
// (event.go); those below are engine/payment's. What came in one piece is one event, Received. Of several, each segment is an
// event (segmentArrived) as it comes, on any bind, in any order; whoever brings the last one adds Received with the text. So a
// segment that was acknowledged is on disk, nothing waits in memory, and a restart changes nothing.
//
// # Segments
//
// The segments of one message find each other by a name (carrier, sender, address, reference, number of segments; keyed
// hash), which is held for namesFor. Two binds may bring the first two at once: the name is exclusive, and the loser adds to
// the winner's stream. A segment that is there already with the same bytes was sent again, and is only answered. One with
// other bytes, or one for a message that has ended, begins a new message under the same name: references of eight bits come
// round. When a message whose segments all equal those of the one before it is whole, or given up, it was a repetition by
// the carrier, and ends without Received.
//
// Streams with missing segments stand in the queue "inbound/join". After joinFor, Run ends them with what there is; the text
// has "…" where something is missing, and Received lists the gaps. Part numbers outside 1 to total, and headers that are
// damaged, join nothing: the text is kept as a message of its own.
//
// A message of one piece carries nothing by which a repetition could be told from a person who writes the same twice. When
// the engine dies between commit and answer, it is kept twice.
//
// # Callbacks
//
// Received is what the notice "message.received" tells of (notice.go).
package inbound
