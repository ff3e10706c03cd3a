package journey

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/linkserver/link"
)

// Step is how far a session has come.
type Step byte

const (
	Landing Step = iota
	Identify
	Code
	In // whoever it is has passed all that the message asks for
)

// Note is what the next screen has to say once.
type Note byte

const (
	NoNote Note = iota
	NoteMismatch
	NoteIncomplete
	NoteResent
	NoteAnswered
	NoteCheckout    // Method was chosen: confirm it
	NoteDeclined    // the agent refused
	NoteUnavailable // nothing was done: try again
	NoteUnreadable  // what was typed is not in its form; of the questions, Unreadable says which
	NotePromised    // what was said of the payment is on record
	NoteMailed      // a mail with the number was asked for
	NoteNoAddress   // what was typed is no e-mail address
	NoteTooSoon     // no other code was sent: the one before may still come
	NoteTooMany     // no other code was sent, for some time
)

// codesAgain is how long after its last code a session may ask for as many again.
const codesAgain = 30 * time.Minute

// A session ends when it was idle for so long, and in any case when it is so old.
const (
	SessionIdle = 30 * time.Minute
	SessionLife = 8 * time.Hour
)

// Session is what a browser has shown of itself, for one link or at one shared entry. linkserver/web keeps it sealed in a cookie.
type Session struct {
	Token string `json:"t"` // of the link
	ID    ID     `json:"i"` // random; form tokens are made from it
	Step  Step   `json:"p,omitempty"`
	Since int64  `json:"b"` // Unix seconds
	Seen  int64  `json:"s"`

	Codes      int    `json:"c,omitempty"` // one-time codes asked for, see codes
	CodeAt     int64  `json:"g,omitempty"` // Unix seconds: when the last one was
	Held       byte   `json:"h,omitempty"` // at Code: whether they go out. A byte long either way, for a cookie's length is seen
	Viewed     bool   `json:"v,omitempty"` // Viewed was recorded
	Note       Note   `json:"n,omitempty"`
	Unreadable []int  `json:"u,omitempty"` // indexes of the questions, with NoteUnreadable
	Method     string `json:"m,omitempty"` // chosen, not yet started
	Yen        int64  `json:"y,omitempty"` // the amount that was shown with it
	Return     string `json:"r,omitempty"` // what the agent brings back
	Away       *Away  `json:"a,omitempty"` // at Identify: on the way to the page that says who it is
	Content    bool   `json:"d,omitempty"` // it went on from the menu of the claim to the content behind it
	Asked      int64  `json:"q,omitempty"` // Unix seconds: since when it has known what お心当たりのない方 does

	// Of a shared entry. All of it is as long whether or not somebody was found.
	Key   []byte `json:"k,omitempty"` // of the person who was asked for
	Wrong int    `json:"w,omitempty"` // codes, since the questions were answered
}

// AppendJSON appends the session as encoding/json has it. One that has done nothing yet, which is what each landing page begins, is
// written by hand: it takes a tenth of the time.
func (s *Session) AppendJSON(dst []byte) ([]byte, error) {
	rest := *s
	rest.Token, rest.ID, rest.Since, rest.Seen = "", ID{}, 0, 0
	if !reflect.ValueOf(&rest).Elem().IsZero() || strings.ContainsFunc(s.Token, quoted) {
		b, err := json.Marshal(s)
		return append(dst, b...), err
	}
	dst = append(append(dst, `{"t":"`...), s.Token...)
	dst = hex.AppendEncode(append(dst, `","i":"`...), s.ID[:])
	dst = strconv.AppendInt(append(dst, `","b":`...), s.Since, 10)
	dst = strconv.AppendInt(append(dst, `,"s":`...), s.Seen, 10)
	return append(dst, '}'), nil
}

// quoted reports whether JSON may write a character of a token in another way.
func quoted(r rune) bool {
	return !(r >= '-' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
}

// ID tells sessions apart. It is written as hex.
type ID [16]byte

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return errors.New("a session's id has another length")
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// Away is a browser that is identified at another page.
type Away struct {
	State string `json:"s"`
	URL   string `json:"u,omitempty"` // of that page, until it came back
	Keep  []byte `json:"k,omitempty"`
	Query string `json:"q,omitempty"` // with which it came back
}

const (
	codeGoesOut = 1
	codeHeld    = 2 // not all items matched
)

func held(yes bool) byte {
	if yes {
		return codeHeld
	}
	return codeGoesOut
}

// NewSession begins at the landing page.
func NewSession(token string, now time.Time) *Session {
	s := &Session{Token: token, Since: now.Unix(), Seen: now.Unix()}
	rand.Read(s.ID[:])
	return s
}

// Holds reports whether the session is of the link and still good.
func (s *Session) Holds(l link.Link, now time.Time) bool {
	idle, age := now.Sub(time.Unix(s.Seen, 0)), now.Sub(time.Unix(s.Since, 0))
	return s.Token == l.Token && idle < SessionIdle && age < SessionLife && idle > -time.Minute && age > -time.Minute
}

// codes is how many one-time codes count against the session.
func (s *Session) codes(now time.Time) int {
	if now.Sub(time.Unix(s.CodeAt, 0)) >= codesAgain {
		return 0
	}
	return s.Codes
}

// asked counts a code.
func (s *Session) asked(now time.Time) { s.Codes, s.CodeAt = s.codes(now)+1, now.Unix() }

// promote moves on and takes a new id: what was known of the session before is worth nothing after.
func (s *Session) promote(to Step) {
	s.Step, s.Note, s.Away = to, NoNote, nil
	rand.Read(s.ID[:])
}
