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

// Fields by which messages are searched. The values are stored.
const (
	FieldNumber    byte = 'n' // keyed hash of the E.164 number
	FieldLast4     byte = '4' // keyed hash of its last four digits
	FieldReference byte = 'r' // keyed hash of the reference
	FieldClass     byte = 'c'
	FieldVia       byte = 'v'
	FieldCampaign  byte = 'u'
	FieldCarrier   byte = 'k' // as known at acceptance
	FieldSender    byte = 's' // profile, where its messages are counted by the day
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
}

// Keyer hashes under a tenant's key; *store.Store is one.
type Keyer interface {
	Keyed(id tenant.ID, purpose, value string) ([16]byte, error)
}

// Terms are the search terms of the filter for the tenant's messages.
func (f Filter) Terms(k Keyer, id tenant.ID) ([]store.Term, error) {
	var terms []store.Term
	hashed := func(field byte, purpose, value string) error {
		if value == "" {
			return nil
		}
		sum, err := k.Keyed(id, purpose, value)
		if err != nil {
			return err
		}
		terms = append(terms, store.Term{Field: field, Value: string(sum[:])})
		return nil
	}
	number := ""
	if !f.Number.IsZero() {
		number = f.Number.E164()
	}
	if err := hashed(FieldNumber, "number", number); err != nil {
		return nil, err
	}
	if err := hashed(FieldLast4, "last4", f.Last4); err != nil {
		return nil, err
	}
	if err := hashed(FieldReference, "reference", strings.TrimSpace(f.Reference)); err != nil {
		return nil, err
	}
	plain := func(field byte, value string) {
		if value != "" {
			terms = append(terms, store.Term{Field: field, Value: value})
		}
	}
	plain(FieldClass, string(f.Class))
	plain(FieldVia, string(f.Via))
	if !f.Campaign.IsZero() {
		plain(FieldCampaign, f.Campaign.String())
	}
	plain(FieldCarrier, f.Carrier)
	return terms, nil
}

// KeyName is the name in store.ByKey of a sender's idempotency key. It is hashed: senders use numbers as keys.
func KeyName(k Keyer, id tenant.ID, key string) (string, error) {
	sum, err := k.Keyed(id, "key", key)
	return hex.EncodeToString(sum[:]), err
}
