package coding

import "unicode/utf8"

// filler ends packed text whose last byte has room for one more septet:
// without it that septet would read as '@'. 3GPP TS 23.038 §6.1.2.3.1
const filler = '\r'

// fillBits is how many bits lie between a user data header and the text, which
// begins at a septet's boundary. 3GPP TS 23.040 §9.2.3.24
func fillBits(header int) int { return (7 - header*8%7) % 7 }

// packSeptets packs b, one septet a byte, in place as it stands behind a header
// of so many bytes, and returns the new length. 3GPP TS 23.038 §6.1.2.1
func packSeptets(b []byte, header int) int {
	acc, bits := uint(0), fillBits(header)
	n := 0
	for _, septet := range b {
		acc |= uint(septet&0x7F) << bits
		if bits += 7; bits >= 8 {
			b[n] = byte(acc)
			acc, bits, n = acc>>8, bits-8, n+1
		}
	}
	if bits == 1 && len(b) > 0 { // seven bits are left
		acc |= filler << 1
	}
	if bits > 0 && len(b) > 0 {
		b[n] = byte(acc)
		n++
	}
	return n
}

// unpackSeptets returns the septets of b behind a header of so many bytes, one
// a byte, without a filler at the end.
func unpackSeptets(b []byte, header int) []byte {
	fill := fillBits(header)
	n := max(len(b)*8-fill, 0) / 7
	out := make([]byte, 0, n)
	for i := range n {
		at := fill + i*7
		v := uint(b[at/8])
		if at/8+1 < len(b) {
			v |= uint(b[at/8+1]) << 8
		}
		out = append(out, byte(v>>(at%8))&0x7F)
	}
	if n > 0 && fill+n*7 == len(b)*8 && out[n-1] == filler {
		out = out[:n-1]
	}
	return out
}

// decodePacked decodes packed septets.
func decodePacked(out, b []byte, header int) []byte {
	return decodeGSM(out, unpackSeptets(b, header))
}

// packable reports whether packed text may hold r: the filler could not be
// told from a carriage return.
func packable(r rune) bool { return r != filler && r != utf8.RuneError }
