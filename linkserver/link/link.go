package link

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// StatePatience is how long after its end a link without a stated StateUntil is told to have expired, rather than not
// to exist.
const StatePatience = 90 * 24 * time.Hour

// MaxToken is the longest token, with its path letter and slash.
const MaxToken = 64

// Link is what is known of a link without its content. Times have a precision of seconds.
type Link struct {
	Token   string // with its path letter, "a/SQND01gr…"
	Tenant  tenant.ID
	Message ulid.ULID

	Expires    time.Time // content, answers and new attempts end here
	StateUntil time.Time // what was paid or issued is shown until here at least; never before Expires
	Revoked    bool
	Disowned   bool // whoever has it said that it is for somebody else
	Identity   bool // something must be known or held before the page is shown
	Code       bool // of that, a code by SMS. Of links that were indexed before this was kept: unknown
	Claim      bool // it asks for money
}

// Ref names the message's stream.
func (l Link) Ref() store.Ref {
	return store.Ref{Tenant: l.Tenant, Kind: store.Message, ID: l.Message}
}

// Of is the link of a message; false when it has none.
func Of(ref store.Ref, h *message.Head) (Link, bool) {
	if h.Token == "" || len(h.Token) > MaxToken {
		return Link{}, false
	}
	l := Link{
		Token: h.Token, Tenant: ref.Tenant, Message: ref.ID,
		Expires: h.LinkExpires.Truncate(time.Second), StateUntil: h.StateUntil.Truncate(time.Second),
		Identity: len(h.Answers) > 0 || h.Code, Code: h.Code, Claim: !h.Claim.IsZero(),
	}
	if l.StateUntil.IsZero() {
		l.StateUntil = l.Expires.Add(StatePatience)
	}
	if l.StateUntil.Before(l.Expires) {
		l.StateUntil = l.Expires
	}
	return l, true
}

// An entry:
//
//	key    token
//	value  version (1) | flags | expires, 8 bytes | state until, 8 bytes | message id, 16 bytes | tenant
//
// Times are Unix seconds, big endian.
const (
	entryVersion = 1
	entryFixed   = 2 + 8 + 8 + 16

	flagRevoked  = 1 << 0
	flagIdentity = 1 << 1
	flagClaim    = 1 << 2
	flagDisowned = 1 << 3
	flagCode     = 1 << 4
)

var errEntry = errors.New("entry of a link cannot be read")

func appendEntry(dst []byte, l Link) []byte {
	flags := byte(0)
	if l.Revoked {
		flags |= flagRevoked
	}
	if l.Identity {
		flags |= flagIdentity
	}
	if l.Claim {
		flags |= flagClaim
	}
	if l.Disowned {
		flags |= flagDisowned
	}
	if l.Code {
		flags |= flagCode
	}
	dst = append(dst, entryVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Expires.Unix()))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.StateUntil.Unix()))
	dst = append(dst, l.Message[:]...)
	return append(dst, l.Tenant...)
}

func parseEntry(token string, v []byte) (Link, error) {
	if len(v) <= entryFixed || v[0] != entryVersion {
		return Link{}, errEntry
	}
	l := Link{
		Token: token, Tenant: tenant.ID(v[entryFixed:]),
		Expires:    time.Unix(int64(binary.BigEndian.Uint64(v[2:])), 0).UTC(),
		StateUntil: time.Unix(int64(binary.BigEndian.Uint64(v[10:])), 0).UTC(),
		Revoked:    v[1]&flagRevoked != 0, Identity: v[1]&flagIdentity != 0, Claim: v[1]&flagClaim != 0,
		Disowned: v[1]&flagDisowned != 0, Code: v[1]&flagCode != 0,
	}
	copy(l.Message[:], v[18:])
	return l, nil
}
