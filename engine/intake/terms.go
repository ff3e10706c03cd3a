package intake

import (
	"encoding/hex"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Fields by which messages are searched, beside document.MessageField. The values are stored.
const (
	FieldNumber    byte = 'n' // keyed hash of the E.164 number
	FieldLast4     byte = '4' // keyed hash of its last four digits
	FieldReference byte = 'r' // keyed hash of the reference
	FieldClass     byte = 'c'
	FieldVia       byte = 'v'
	FieldCampaign  byte = 'u'
	FieldCarrier   byte = 'k' // as known at acceptance
	FieldSender    byte = 's' // profile, where its messages are counted by the day
	FieldClaim     byte = 'm' // id of the claim, 16 bytes
	FieldEntry     byte = 'e' // what its recipient is found by at the tenant's shared entry page (identity.Identity.EntryKeys)
)

// Filter is what messages are searched by; zero fields do not filter. Both sides build their terms with it.
type Filter struct {
	Number    carrier.Number
	Last4     string
	Reference string
	Class     message.Class
	Via       message.Via
	Campaign  ulid.ULID
	Carrier   string
	Claim     ulid.ULID
}

// Keyer hashes under a tenant's key; *store.Store is one.
type Keyer interface {
	Keyed(id tenant.ID, purpose, value string) ([16]byte, error)
}

// Terms are the search terms of the filter for the tenant's messages.
func (f Filter) Terms(k Keyer, id tenant.ID) ([]store.Term, error) {
	number := ""
	if !f.Number.IsZero() {
		number = f.Number.E164()
	}
	return f.appendTerms(nil, k, id, number)
}

// appendTerms appends the terms to dst; number is that of the filter as E.164, empty: none.
func (f *Filter) appendTerms(dst []store.Term, k Keyer, id tenant.ID, number string) ([]store.Term, error) {
	hashed := [...]struct {
		field          byte
		purpose, value string
	}{{FieldNumber, "number", number}, {FieldLast4, "last4", f.Last4}, {FieldReference, "reference", strings.TrimSpace(f.Reference)}}
	var room [len(hashed) * 16]byte
	sums := room[:0]
	for _, h := range hashed {
		if h.value != "" {
			sum, err := k.Keyed(id, h.purpose, h.value)
			if err != nil {
				return nil, err
			}
			sums = append(sums, sum[:]...)
		}
	}
	values := string(sums) // one for all
	for _, h := range hashed {
		if h.value != "" {
			dst = append(dst, store.Term{Field: h.field, Value: values[:16]})
			values = values[16:]
		}
	}
	plain := func(field byte, value string) {
		if value != "" {
			dst = append(dst, store.Term{Field: field, Value: value})
		}
	}
	plain(FieldClass, string(f.Class))
	plain(FieldVia, string(f.Via))
	if !f.Campaign.IsZero() {
		plain(FieldCampaign, f.Campaign.String())
	}
	plain(FieldCarrier, f.Carrier)
	if !f.Claim.IsZero() {
		plain(FieldClaim, string(f.Claim[:]))
	}
	return dst, nil
}

// KeyName is the name in store.ByKey of a sender's idempotency key. It is hashed: senders use numbers as keys.
func KeyName(k Keyer, id tenant.ID, key string) (string, error) {
	sum, err := k.Keyed(id, "key", key)
	var text [2 * len(sum)]byte
	hex.Encode(text[:], sum[:])
	return string(text[:]), err
}
