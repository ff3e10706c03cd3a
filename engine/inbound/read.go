package inbound

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// piece is what one deliver_sm brings. It holds no memory of the PDU.
type piece struct {
	number  carrier.Number // zero: not a mobile number
	from    string         // E.164, or as the carrier wrote it. Personal
	masked  string
	to      string // our address, digits as in a sender profile
	coding  byte   // data_coding
	payload []byte // without the user data header

	// Of a segment of several; total is 0 for a message of one piece.
	ref   uint16
	kind  byte // how the reference was written: '8', 'w' (16 bit), 's' (SAR)
	total int
	part  int // 1 to total
}

// readPiece reads a deliver_sm. It takes whatever comes: what cannot be joined is a message of its own.
func readPiece(p *pdu.SM) piece {
	m := piece{coding: p.DataCoding, to: address(&p.Dest)}
	m.readSource(&p.Source)
	payload := p.Text()
	var c coding.Concat
	kind := byte('8')
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		c, payload, _ = coding.ParseUDH(payload) // of a damaged header what follows it is the text
		if c.Wide {
			kind = 'w'
		}
	} else if sar, ok := readSAR(&p.TLVs); ok {
		c, kind = sar, 's'
	}
	m.payload = bytes.Clone(payload)
	// A payload that no short message can hold is no segment of one. That bounds what is joined to 255 times 254 bytes.
	if c.Total > 1 && len(payload) <= pdu.MaxShortMessage {
		m.ref, m.kind, m.total, m.part = c.Reference, kind, int(c.Total), int(c.Part)
	}
	return m
}

// readSAR reads the parameters by which segments are joined without a header. SMPP 3.4 §5.3.2.22 to §5.3.2.24
func readSAR(t *pdu.TLVs) (c coding.Concat, ok bool) {
	ref, ok1 := t.Get(pdu.TagSARMsgRefNum)
	total, ok2 := t.Get(pdu.TagSARTotalSegments)
	part, ok3 := t.Get(pdu.TagSARSegmentSeqnum)
	if !ok1 || !ok2 || !ok3 || len(ref) != 2 || len(total) != 1 || len(part) != 1 || part[0] == 0 || part[0] > total[0] {
		return c, false
	}
	return coding.Concat{Reference: binary.BigEndian.Uint16(ref), Total: total[0], Part: part[0], Wide: true}, true
}

func (m *piece) readSource(a *pdu.Address) {
	text := string(a.Addr)
	if a.TON == pdu.TONInternational && text != "" && text[0] != '+' {
		text = "+" + text
	}
	n, err := carrier.ParseNumber(text)
	if err != nil && text != string(a.Addr) {
		n, err = carrier.ParseNumber(string(a.Addr)) // international by name, national in fact
	}
	if err == nil {
		m.number, m.from, m.masked = n, n.E164(), n.Masked()
		return
	}
	m.from = printable(string(a.Addr))
	var ne *carrier.NumberError
	if errors.As(err, &ne) {
		m.masked = ne.Masked
	}
}

// address is a destination as a sender profile has it: national digits.
func address(a *pdu.Address) string {
	text := string(a.Addr)
	digits := strings.TrimPrefix(text, "+")
	if rest, ok := strings.CutPrefix(digits, "81"); ok && rest != "" && (a.TON == pdu.TONInternational || digits != text) {
		return "0" + strings.TrimPrefix(printable(rest), "0")
	}
	return printable(digits)
}

// printable keeps what a carrier's address may hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7F {
			return r
		}
		return -1
	}, s)
}

// decode reads a payload by its data_coding, as far as it can be read; false when it is no text, and then it is not guessed at.
func decode(dc byte, payload []byte) (string, bool) {
	a, ok := coding.FromDataCoding(dc)
	if !ok {
		return "", false
	}
	if dc == 0x05 && bytes.IndexByte(payload, 0x1B) >= 0 { // SMPP 3.4 §5.2.19 says JIS; without escapes it is Shift_JIS
		a = coding.ISO2022JP
	}
	text := strings.ReplaceAll(strings.TrimPrefix(coding.Decode(a, payload), "\uFEFF"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text), true
}
