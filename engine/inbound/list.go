package inbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Message is what a phone sent.
type Message struct {
	ID         ulid.ULID
	At         time.Time // of the first segment
	Carrier    string
	From       string // masked
	Number     string // E.164, or as the carrier wrote it; empty once its retention is over. Personal
	To         string // our address
	Text       string // empty while segments are awaited, and once its retention is over. Personal
	Segments   int
	Missing    []int // of a message that is over: parts that never came
	Waiting    bool  // for further segments
	Unreadable bool  // no text: a data_coding of pictures or programs
	Stop       bool  // a stop word
}

// Query selects messages of a tenant, newest first.
type Query struct {
	Number carrier.Number // zero: of all
	Before ulid.ULID      // cursor; zero: from the newest
	Limit  int            // 1 to 1,000
}

// List returns messages that phones sent to the tenant, and the cursor of the next page; zero: this is the last one.
func (in *Inbound) List(ctx context.Context, t tenant.ID, q Query) (messages []Message, next ulid.ULID, err error) {
	terms, err := intake.Filter{Number: q.Number}.Terms(in.Store, t)
	if err != nil {
		return nil, next, err
	}
	sq := store.Query{Kind: Kind, Terms: append(terms, store.Term{Field: fieldReceived, Value: receivedValue}), Before: q.Before, Limit: min(q.Limit+1, 1000)}
	for {
		refs, err := in.Store.Search(ctx, tenant.Only(t), sq)
		if err != nil {
			return nil, next, fmt.Errorf("received messages: %w", err)
		}
		all, err := in.Store.LoadMany(ctx, tenant.Only(t), refs)
		if err != nil {
			return nil, next, fmt.Errorf("received messages: %w", err)
		}
		for _, events := range all {
			s, err := fold(events)
			if err != nil {
				return nil, next, err
			}
			if s.repeated {
				continue
			}
			if len(messages) == q.Limit {
				return messages, messages[q.Limit-1].ID, nil
			}
			m, err := s.message(in.Store)
			if err != nil {
				return nil, next, err
			}
			messages = append(messages, m)
		}
		if len(refs) < sq.Limit {
			return messages, ulid.ULID{}, nil
		}
		sq.Before = refs[len(refs)-1].ID
	}
}

// Get returns one message of the tenant; store.ErrNotFound: there is none.
func (in *Inbound) Get(ctx context.Context, t tenant.ID, id ulid.ULID) (Message, error) {
	events, err := in.Store.Load(ctx, tenant.Only(t), store.Ref{Tenant: t, Kind: Kind, ID: id})
	if err != nil {
		return Message{}, err
	}
	s, err := fold(events)
	if err != nil {
		return Message{}, err
	}
	return s.message(in.Store)
}

// opener is engine/store.
type opener interface {
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

func (s *state) message(o opener) (Message, error) {
	m := Message{ID: s.ref.ID, At: s.at, Carrier: s.origin.Carrier, From: s.origin.Masked, To: s.origin.To, Segments: 1, Waiting: !s.over()}
	if s.assembly != nil {
		m.Segments, m.Missing = len(s.assembly.slots), s.assembly.missing()
	}
	if s.received == nil {
		return m, nil
	}
	m.Unreadable, m.Stop = s.received.Unreadable, s.received.Stop
	plain, err := o.Open(s.ref.Tenant, s.ref.ID.String()+"/text", s.received.Sealed)
	if errors.Is(err, store.ErrErased) {
		return m, nil
	}
	var c content
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil {
		return m, fmt.Errorf("open received message %s: %w", s.ref.ID, err)
	}
	m.Number, m.Text = c.From, c.Text
	return m, nil
}
