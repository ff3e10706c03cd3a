// Package smsc is a simulated carrier: an SMSC that listens on a TCP port,
// takes submit_sm as one carrier does, and sends delivery receipts, with every
// fault of real carriers to order.
//
// # The way of one submit_sm
//
//	sender rule ─► fault by number ─► rate ─► id ─► ledger (and its file)
//	  ─► response after Latency ─► receipt after ReceiptDelay ─► the phone
//
// The ledger line is written before the response goes out: what was
// acknowledged is in the file, also when the process is killed. Segments are
// joined by their user data header or sar TLVs; the ledger holds whole
// messages. Receipts go to any session of the same system_id that may receive,
// and wait until there is one; a receipt that is refused or not acknowledged
// is sent again.
//
// # Faults by number
//
// The last four digits of the destination choose what happens, unless
// NoBuiltinFaults is set; rules of Config.Faults, of a script (ReadScript) or
// of [Carrier.SetFaults] are looked at first, the longest suffix first, so that
// a whole number can have a script of its own. Rules of one suffix follow one
// another. Any command_status can be answered, any text be sent as a receipt,
// ids be written in any form, and the connection be dropped, unbound, stalled,
// left half-open or made to drip.
//
//	9401  refused: ESME_RINVDSTADR
//	9402  refused: ESME_RSUBMITFAIL
//	9408  refused once: ESME_RSYSERR, then accepted
//	9414  refused once: ESME_RMSGQFUL, then accepted
//	9458  refused twice: ESME_RTHROTTLED, then accepted
//	9500  never answered, not accepted
//	9501  never answered, but accepted and delivered
//	9502  once: connection closed unanswered, not accepted; then accepted
//	9503  once: connection closed unanswered, but accepted and delivered
//	9504  once: the connection is half-open from then on, not accepted
//	9505  once: accepted, and the carrier unbinds
//	9506  once: accepted, and the connection is not read for 20 s
//	9507  answered after 3 s
//	9601  receipt UNDELIV, err 001
//	9602  receipt EXPIRED, err 002
//	9603  receipt REJECTD, err 003
//	9604  receipt UNKNOWN, err 004
//	9605  receipt DELETED, err 005
//	9701  receipt sent 500 ms before the response
//	9702  receipt never sent
//	9703  receipt 30 s late
//	9704  receipt sent twice
//	9705  receipt on another bind, if there is one
//	9706  receipt with a malformed text and no TLVs
//	9707  receipt with TLVs and no text
//	9708  receipt with text and no TLVs
//	9709  receipt whose text is short, with an err of six characters
//	9710  receipt as data_sm
//
// # Trouble of the whole carrier
//
// [Carrier.SetTrouble] changes at run time how all numbers fare: down,
// stalled (reads nothing), half-open, dripping (byte by byte), silent,
// refusing, throttling, without receipts. Config.Spells, a script or
// [Carrier.SetSpells] say beforehand when such a trouble comes and for how
// long. [Carrier.Unbind] unbinds everybody,
// [Carrier.Outbind] asks an ESME to bind. A session lost without unbind counts
// for max_binds for BindLinger, so that the next bind finds ESME_RALYBND.
package smsc
