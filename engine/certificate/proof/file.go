package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Certificate is the file. It holds no whole number and no link that works.
type Certificate struct {
	Version int       `json:"kakitome_certificate"` // 1
	Made    time.Time `json:"made"`
	Clock   Clock     `json:"clock"` // when it was made
	Tenant  Sender    `json:"tenant"`
	Message string    `json:"message"` // its id
	Streams []Stream  `json:"streams"` // the message, then its claim
	// Content is opened on demand: text and page, never the number.
	Content []Opening `json:"content,omitempty"`
	// Keys are those that signed the lines and the certificate.
	Keys []PublicKey `json:"keys,omitempty"`
	// Key and Signature are over all the rest. Empty: the engine had no key.
	Key       string `json:"key,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// Sender is the tenant that sent the message.
type Sender struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// MaxFile is the largest certificate that is read, in bytes.
const MaxFile = 16 << 20

func (c *Certificate) signed() ([]byte, error) {
	plain := *c
	plain.Signature = nil
	b, err := json.Marshal(&plain)
	return append([]byte("kakitome certificate 1\x00"), b...), err
}

// Sign signs the certificate and adds the key to Keys.
func (c *Certificate) Sign(k *PrivateKey) error {
	public := k.Public()
	c.Key = public.ID
	c.AddKey(public)
	b, err := c.signed()
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	c.Signature = ed25519.Sign(k.key, b)
	return nil
}

// AddKey lists a key once.
func (c *Certificate) AddKey(k PublicKey) {
	for _, have := range c.Keys {
		if have.ID == k.ID {
			return
		}
	}
	c.Keys = append(c.Keys, k)
}

// Encode gives the file.
func (c *Certificate) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", " ")
	return append(b, '\n'), err
}

// Parse reads a file. Unknown members, members given twice, and anything behind the end are refused.
func Parse(data []byte) (*Certificate, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("the file has %d bytes, at most %d", len(data), MaxFile)
	}
	var version struct {
		V int `json:"kakitome_certificate"`
	}
	if err := json.Unmarshal(data, &version); err != nil || version.V == 0 {
		return nil, errors.New("the file is not a certificate of delivery")
	}
	if version.V != 1 {
		return nil, fmt.Errorf("the certificate has format %d, this program knows format 1", version.V)
	}
	if err := unique(data); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	c := &Certificate{}
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	return c, nil
}

// unique refuses a member that is given twice: two programs could read two different things.
func unique(data []byte) error {
	type level struct {
		names map[string]bool // nil: an array
		value bool            // the next token of the object is a value
	}
	var open []level
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the certificate cannot be read: %w", err)
		}
		top := func() *level {
			if len(open) == 0 {
				return &level{}
			}
			return &open[len(open)-1]
		}
		if name, ok := token.(string); ok && top().names != nil && !top().value {
			if top().names[name] {
				return fmt.Errorf("the certificate gives %.40q twice", name)
			}
			top().names[name], top().value = true, true
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			top().value = false
		default:
			top().value = false
		}
	}
}
