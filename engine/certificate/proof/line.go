package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Line is one day of the published file:
//
//	v=1 day=2026-11-28 streams=3 root=… prev=… clock=synchronised source=… offset_us=… estimated_us=… maximum_us=… closed=… key=… sig=…
//
// prev is the SHA-256 of the line before, without its line feed; of the first line it is zero. The signature is over what
// stands before " sig=". Streams are those that got events on that day (Asia/Tokyo) or, when they came late, since the day
// before it was closed.
type Line struct {
	Day     string // 2006-01-02
	Streams uint64
	Root    Hash
	Prev    Hash
	Clock   Clock // At is when the day was closed
	Key     string
	Sig     []byte
}

var lineFields = []string{"v", "day", "streams", "root", "prev", "clock", "source", "offset_us", "estimated_us", "maximum_us", "closed", "key", "sig"}

const maxLine = 2048

func (l *Line) unsigned() string {
	return fmt.Sprintf("v=1 day=%s streams=%d root=%s prev=%s %s closed=%s key=%s", l.Day, l.Streams, l.Root, l.Prev, l.Clock.line(),
		l.Clock.At.UTC().Format(time.RFC3339Nano), l.Key)
}

func (l *Line) String() string {
	return l.unsigned() + " sig=" + base64.StdEncoding.EncodeToString(l.Sig)
}

// Hash is what the next line says of this one.
func (l *Line) Hash() Hash { return sha256.Sum256([]byte(l.String())) }

func (l *Line) signed() []byte { return []byte("kakitome day 1\x00" + l.unsigned()) }

// Sign signs the line.
func (l *Line) Sign(k *PrivateKey) {
	l.Key = k.Public().ID
	l.Sig = ed25519.Sign(k.key, l.signed())
}

// Verify checks the signature.
func (l *Line) Verify(k PublicKey) bool {
	return k.ID == l.Key && len(k.Public) == ed25519.PublicKeySize && ed25519.Verify(k.Public, l.signed(), l.Sig)
}

// ParseLine reads a line as String writes it, and nothing else. The error names the field.
func ParseLine(text string) (*Line, error) {
	if len(text) > maxLine {
		return nil, fmt.Errorf("a line of %d bytes, at most %d", len(text), maxLine)
	}
	words := strings.Split(text, " ")
	if len(words) != len(lineFields) {
		return nil, fmt.Errorf("%d fields instead of %d", len(words), len(lineFields))
	}
	l := &Line{}
	for i, name := range lineFields {
		value, ok := strings.CutPrefix(words[i], name+"=")
		if !ok {
			return nil, fmt.Errorf("field %d is not %s", i+1, name)
		}
		if err := l.set(name, value); err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
	}
	if l.String() != text {
		return nil, errors.New("not written as the engine writes it")
	}
	return l, nil
}

func (l *Line) set(name, value string) (err error) {
	switch name {
	case "v":
		if value != "1" {
			err = fmt.Errorf("format %.10q is not known to this program", value)
		}
	case "day":
		_, err = time.Parse(time.DateOnly, value)
		l.Day = value
	case "streams":
		l.Streams, err = strconv.ParseUint(value, 10, 32)
	case "root":
		err = l.Root.UnmarshalText([]byte(value))
	case "prev":
		err = l.Prev.UnmarshalText([]byte(value))
	case "clock":
		if value != Synchronised && value != Unsynchronised && value != ClockUnknown {
			err = fmt.Errorf("%.20q is no state of a clock", value)
		}
		l.Clock.State = value
	case "source":
		if value != "-" {
			l.Clock.Source, err = url.QueryUnescape(value)
		}
	case "offset_us":
		l.Clock.Offset, err = parseMicroseconds(value)
	case "estimated_us":
		l.Clock.Estimated, err = parseMicroseconds(value)
	case "maximum_us":
		l.Clock.Maximum, err = parseMicroseconds(value)
	case "closed":
		l.Clock.At, err = time.Parse(time.RFC3339Nano, value)
	case "key":
		if len(value) != keyIDLength {
			err = fmt.Errorf("%.20q is no id of a key", value)
		}
		l.Key = value
	case "sig":
		l.Sig, err = base64.StdEncoding.DecodeString(value)
	}
	return err
}
