package retention

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
)

// Erasure says what goes with content.
func Erasure() store.Erasure {
	plain := func(_ byte, data []byte, cut func([]byte) []byte) ([]byte, error) { return cutData(data, cut) }
	return store.Erasure{
		Cut: map[store.Kind]func(byte, []byte, func([]byte) []byte) ([]byte, error){
			store.Message: func(typ byte, data []byte, cut func([]byte) []byte) ([]byte, error) {
				return message.Cut(message.Type(typ), data, cut)
			},
			store.Claim: plain, store.File: plain, store.Campaign: plain, store.Notice: plain, store.FollowUp: plain, store.Verification: plain,
		},
		Term: func(kind store.Kind, field byte) bool {
			personal := field == intake.FieldNumber || field == intake.FieldLast4 || field == intake.FieldReference
			return personal && (kind == store.Message || kind == store.Notice) || kind == store.Verification || kind == store.File
		},
		Name: func(kind store.Kind, space store.Space) bool {
			return kind == store.Message && space != store.ByNo || kind == store.File
		},
		Source: source,
		Content: func(events []store.Event) ([]byte, error) {
			st, err := stored.State(events)
			return st.Head.SMS, err
		},
	}
}

// erasure is Erasure of which links hear.
func (r *Retention) erasure() store.Erasure {
	e := Erasure()
	e.Gone = r.forget
	return e
}

// cutData cuts what is one box as a whole, or the boxes that stand as base64 in a JSON object. A box is known by the id of
// a destroyed key in it, so no field needs to be named.
func cutData(data []byte, cut func([]byte) []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != '{' {
		return cut(data), nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	changed := false
	for name, raw := range fields {
		if len(raw) < 2 || raw[0] != '"' {
			continue
		}
		box, err := base64.StdEncoding.DecodeString(string(raw[1 : len(raw)-1]))
		if err != nil {
			continue // another text
		}
		if next := cut(box); !bytes.Equal(next, box) {
			changed = true
			fields[name] = json.RawMessage(`"` + base64.StdEncoding.EncodeToString(next) + `"`)
		}
	}
	if !changed {
		return data, nil
	}
	return json.Marshal(fields)
}

// source is the message that a callback was told of; false: it was told of something else.
func source(ref store.Ref, head []byte) (store.Ref, bool, error) {
	var of struct {
		Kind   store.Kind `json:"kind"`
		Stream ulid.ULID  `json:"stream"`
	}
	err := json.Unmarshal(head, &of)
	return store.Ref{Tenant: ref.Tenant, Kind: store.Message, ID: of.Stream}, err == nil && of.Kind == store.Message, err
}

// forget drops links.
func (r *Retention) forget(heads []store.Event) error {
	var tokens []string
	for _, e := range heads {
		var h message.Head
		if e.Ref.Kind != store.Message {
			continue
		}
		if err := (message.Event{Type: message.Type(e.Type), Data: e.Data}).Decode(&h); err != nil {
			return fmt.Errorf("message %s: %w", e.Ref.ID, err)
		}
		if h.Token != "" {
			tokens = append(tokens, h.Token)
		}
	}
	if len(tokens) == 0 || r.o.Links == nil {
		return nil
	}
	return r.o.Links.Forget(tokens)
}
