// Package pdu encodes and decodes the PDUs of SMPP 3.4.
//
// Every PDU is a 16-byte header and a body:
//
//	0        4        8        12       16
//	| length | command| status |sequence| body …            all big-endian
//
// [Next] cuts one PDU out of a read buffer without copying. A body is decoded
// by the ParseBody method of its type and encoded by [Append]. Byte slices
// that ParseBody stores ([]byte fields, TLVs) are borrowed: they point into
// the buffer given and are valid only as long as it is; copy what must live
// on. Strings are copies. The hot bodies (SubmitSM, DeliverSM, MessageResp)
// hold byte slices only, so encoding and decoding them allocates nothing; the
// rare ones (binds, queries) hold strings.
//
// Encoding never truncates and never lets a value leak into its neighbour: a
// field over the limit of the specification, or with a NUL inside, is a
// [*FieldError]. Decoding is lenient where carriers are known to be: a
// C-octet string may be longer than the specification allows, a response that
// reports an error may have no body, and bytes after the last whole TLV are
// kept apart in Trailing. TLVs keep their order and their duplicates.
//
// A command that is not of SMPP 3.4 (5.0 has some, and vendors) is a [Raw]
// body.
package pdu
