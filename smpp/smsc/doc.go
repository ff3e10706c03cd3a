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
// NoBuiltinFaults is set; rules of Config.Faults are looked at first, the
// longest suffix first.
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
//	9601  receipt UNDELIV, err 001
//	9602  receipt EXPIRED, err 002
//	9603  receipt REJECTD, err 003
//	9604  receipt UNKNOWN, err 004
//	9605  receipt DELETED, err 005
//	9701  receipt sent 500 ms before the response
//	9702  receipt never sent
//	9703  receipt 30 s late
//	9704  receipt sent twice
//
// # Trouble of the whole carrier
//
// [Carrier.SetTrouble] changes at run time how all numbers fare: down,
// stalled (reads nothing), silent, refusing, throttling, without receipts.
package smsc
