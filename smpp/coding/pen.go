package coding

// pen writes one short message, character by character. It knows what an
// alphabet carries from one character to the next: the set that ISO-2022-JP is
// in. Every short message begins with a new pen, so that each can be read
// without the others.
type pen struct {
	alphabet Alphabet
	set      byte
}

// cost returns how many units r takes after what was written, and the pen
// behind it; 0 when the alphabet cannot write r.
func (p pen) cost(r rune) (units int, behind pen) {
	if p.alphabet != ISO2022JP {
		return p.alphabet.units(r), p
	}
	code := iso2022JP().of(r)
	if code == 0 {
		return 0, p
	}
	units = 1
	if code > 0xFF {
		units = 2
	}
	if set := jisSet(r, code); set != p.set {
		p.set = set
		units += jisEscape
	}
	return units, p
}

// closing returns how many units the end of the short message takes.
func (p pen) closing() int {
	if p.set != setASCII {
		return jisEscape
	}
	return 0
}

// append writes r, which the alphabet can write. Text of GSM7Packed is packed
// by close.
func (p pen) append(dst []byte, r rune) ([]byte, pen) {
	switch p.alphabet {
	case GSM7, GSM7Packed:
		return appendGSM(dst, r), p
	case Latin1:
		return append(dst, byte(r)), p
	case ShiftJIS:
		return appendCode(dst, shiftJIS().of(r)), p
	case ISO2022JP:
		code := iso2022JP().of(r)
		if set := jisSet(r, code); set != p.set {
			p.set = set
			dst = append(dst, jisEscapes[set]...)
		}
		return appendCode(dst, code), p
	}
	if r > 0xFFFF {
		r -= 0x10000
		hi, lo := 0xD800+r>>10, 0xDC00+r&0x3FF
		return append(dst, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo)), p
	}
	return append(dst, byte(r>>8), byte(r)), p
}

func appendCode(dst []byte, code uint16) []byte {
	if code > 0xFF {
		dst = append(dst, byte(code>>8))
	}
	return append(dst, byte(code))
}

// close ends the short message whose text begins at dst[start:], behind a user
// data header of so many bytes.
func (p pen) close(dst []byte, start, header int) []byte {
	switch {
	case p.alphabet == GSM7Packed:
		return dst[:start+packSeptets(dst[start:], header)]
	case p.set != setASCII:
		return append(dst, jisEscapes[setASCII]...)
	}
	return dst
}
