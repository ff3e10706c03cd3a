package sheet

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// ticket is what a code says.
type ticket struct {
	expires    time.Time // whole seconds
	generation uint16
	lang       string
	claim      ulid.ULID
	tenant     tenant.ID
}

const (
	codeVersion   = 1
	codeHead      = 1 + 4 + 2 + 1 + 16
	signatureSize = 16
	maxTenant     = 32
)

var encoding = base64.RawURLEncoding.Strict()

func (k *ticket) bytes() []byte {
	b := make([]byte, 0, codeHead+len(k.tenant)+signatureSize)
	b = append(b, codeVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(k.expires.Unix()))
	b = binary.BigEndian.AppendUint16(b, k.generation)
	lang := byte('j')
	if k.lang == "en" {
		lang = 'e'
	}
	b = append(append(b, lang), k.claim[:]...)
	return append(b, k.tenant...)
}

func (s *Sheets) code(k ticket) (string, error) {
	b := k.bytes()
	sum, err := s.sign(k.tenant, b)
	if err != nil {
		return "", err
	}
	return encoding.EncodeToString(append(b, sum[:]...)), nil
}

func (s *Sheets) sign(id tenant.ID, b []byte) ([16]byte, error) {
	sum, err := s.Store.Keyed(id, "payment sheet", string(b))
	if err != nil {
		return sum, fmt.Errorf("sign a payment sheet's address: %w", err)
	}
	return sum, nil
}

// read checks a code's form and signature.
func (s *Sheets) read(code string) (k ticket, ok bool) {
	if len(code) > encoding.EncodedLen(codeHead+maxTenant+signatureSize) {
		return k, false
	}
	b, err := encoding.DecodeString(code)
	if err != nil || len(b) <= codeHead+signatureSize || b[0] != codeVersion {
		return k, false
	}
	signed, signature := b[:len(b)-signatureSize], b[len(b)-signatureSize:]
	k.tenant = tenant.ID(signed[codeHead:])
	if s.Directory().Tenants[k.tenant] == nil { // no key is made for what is no tenant
		return k, false
	}
	sum, err := s.sign(k.tenant, signed)
	if err != nil || subtle.ConstantTimeCompare(sum[:], signature) != 1 {
		return k, false
	}
	k.expires = time.Unix(int64(binary.BigEndian.Uint32(signed[1:])), 0)
	k.generation = binary.BigEndian.Uint16(signed[5:])
	k.lang = "ja"
	if signed[7] == 'e' {
		k.lang = "en"
	}
	copy(k.claim[:], signed[8:])
	return k, true
}
