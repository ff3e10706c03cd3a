package smsc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// The forms of a message_id. Those of receipts show the same number in another
// form, as some carriers do; "upper" is a uuid in capitals.
var (
	idForms      = []string{"", "decimal", "padded", "hex", "hex-short", "uuid"}
	receiptForms = []string{"", "decimal", "padded", "hex", "hex-short"}
)

// checkIDs checks the form of message_id and that which it takes in receipts.
func checkIDs(messageID, receiptID string) error {
	if !slices.Contains(idForms, messageID) {
		return fmt.Errorf("message_id %q: not one of %q", messageID, idForms)
	}
	allowed := receiptForms
	if messageID == "uuid" {
		allowed = []string{"", "upper"}
	}
	if !slices.Contains(allowed, receiptID) {
		return fmt.Errorf("receipt_id %q: not one of %q", receiptID, allowed)
	}
	return nil
}

// appendID appends id n in a form: "decimal" 4660, "padded" with zeros to 20
// digits, "hex" 0000000000001234 in capitals, "hex-short" 1234 in small ones.
func appendID(dst []byte, form string, n uint64) []byte {
	start, width, base := len(dst), 0, 10
	switch form {
	case "padded":
		width = 20
	case "hex":
		width, base = 16, 16
	case "hex-short":
		base = 16
	}
	var digits [20]byte
	s := strconv.AppendUint(digits[:0], n, base)
	for range width - len(s) {
		dst = append(dst, '0')
	}
	dst = append(dst, s...)
	if form == "hex" {
		upper(dst[start:])
	}
	return dst
}

func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'f' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// appendUUID appends a random uuid, version 4.
func appendUUID(dst []byte) []byte {
	var b [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		b[i], b[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

// appendIDs appends the next message_id and the form that it takes in receipts,
// those of the fault if it has its own. The lock is held.
func (c *Carrier) appendIDs(dst []byte, f *Fault) (all, id, inReceipt []byte) {
	form, receiptForm := c.cfg.MessageID, c.cfg.ReceiptID
	if f.MessageID != "" {
		form, receiptForm = f.MessageID, f.ReceiptID
	}
	c.lastID++
	start := len(dst)
	if form == "uuid" {
		dst = appendUUID(dst)
	} else {
		dst = appendID(dst, form, c.lastID)
	}
	id = dst[start:len(dst):len(dst)]
	switch receiptForm {
	case "":
		return dst, id, id
	case "upper":
		inReceipt = bytes.Clone(id)
		upper(inReceipt)
		return dst, id, inReceipt
	}
	start = len(dst)
	dst = appendID(dst, receiptForm, c.lastID)
	return dst, id, dst[start:len(dst):len(dst)]
}
