package store

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// Kind is what a stream is about. The values are stored: they never change.
type Kind byte

const (
	Message      Kind = 'm' // one message, from acceptance to the end of its life
	Claim        Kind = 'c' // one claim for money, whatever messages carry it
	Campaign     Kind = 'u' // one upload of a file
	Verification Kind = 'v' // one identification by code
	Tenant       Kind = 't' // a tenant's definition, users, keys
	Audit        Kind = 'a' // what people did, one stream a tenant
	Register     Kind = 'r' // a tenant's receipts, numbered without gaps by their version
	Notice       Kind = 'w' // one raw notice of a payment agent, as it came
	File         Kind = 'f' // one sealed document
	Callback     Kind = 'b' // what one address of the sender's system has been told of one stream
	Day          Kind = 'd' // one day of certificates: which streams it holds, and its signed root; the operator's
	FollowUp     Kind = 'l' // one run of follow-ups: a list of messages that are sent again
)

// Ref names a stream. ID is time-ordered; it is unique over all kinds and tenants.
type Ref struct {
	Tenant tenant.ID
	Kind   Kind
	ID     ulid.ULID
}

func (r Ref) String() string { return fmt.Sprintf("%c/%s/%s", r.Kind, r.Tenant, r.ID) }

// Event is one committed event of a stream. Seq 0 is the head record; Version after it is Seq+1.
// Type and the shape of Data belong to the package that owns the stream's word (engine/message, engine/payment, …).
type Event struct {
	Ref  Ref
	Seq  uint32
	Type byte
	At   time.Time // UTC, nanoseconds; never before the event ahead of it in the same stream
	Data []byte    // owned by the reader
}

// NewEvent is an event to be appended. A zero At is the time of the commit.
type NewEvent struct {
	Type byte
	At   time.Time
	Data []byte // kept until the commit returns; not changed
}

// Any as Change.Expect appends whatever the stream's version is. The stream must exist.
const Any = -1

// Change appends events to one stream.
type Change struct {
	Ref    Ref
	Expect int // events already in the stream; 0 makes it (its first event is the head); Any
	Events []NewEvent

	Names []Name // further ways to find the stream
	Terms []Term // what the stream is searched by; only together with its head
	Due   *Due   // nil leaves the stream's place in its queue as it is
	// Final says that nothing more is expected of the stream (more may come all the same).
	Final bool
}

// Tx is a set of changes that are committed together or not at all.
type Tx []Change

// Space is a set of names that do not clash with those of another space. The values are stored.
type Space byte

const (
	ByToken       Space = 'k' // link token → message; over all tenants
	ByNo          Space = 'n' // 17-digit number → message; over all tenants
	ByKey         Space = 'i' // the sender's idempotency key → message or campaign; a tenant's
	ByClaimNumber Space = 'c' // the tenant's claim number → claim
	BySMSCID      Space = 's' // carrier and its id of a submission → message; over all tenants
	ByFileHash    Space = 'h' // digest of an uploaded file → campaign; a tenant's
	ByAttempt     Space = 'p' // attempt id → claim; over all tenants
	ByNoticeID    Space = 'w' // agent account and its notice id → claim, or an address that it tells from → a notice; over all tenants
	ByFileName    Space = 'f' // the hashed name of an uploaded document → its newest file; a tenant's
	ByKept        Space = 'y' // id of a stream that was sealed anew → itself; a tenant's (keep.go)
)

// Name finds a stream by something other than its id. A key that holds personal data is given hashed.
type Name struct {
	Space Space
	Key   string // at most 256 bytes
	Value []byte // small, given back by Lookup: a part number, a digest of the request
	// Until ends the name; zero: never. After it the name no longer resolves and may be taken again,
	// unless WhileOpen is set and the stream is not final.
	Until     time.Time
	WhileOpen bool
	// Exclusive refuses the transaction with *TakenError while the name resolves to another stream.
	// Without it the newest holder wins.
	Exclusive bool
}

// Term is one thing that a stream is found by in Search. Field is the owner's; Value is given hashed where personal.
type Term struct {
	Field byte
	Value string // at most 64 bytes
}

// Due puts the stream into a queue, or takes it out when Queue is empty. A stream is in one queue at a time.
// The entry is a hint: whoever takes it decides by the stream's state.
type Due struct {
	Queue string    // e.g. "docomo/bulk"; at most 64 bytes
	At    time.Time // a time in the past means now
}

// ConflictError says that a stream had another version than expected: somebody else was first.
type ConflictError struct {
	Ref    Ref
	Expect int
	Have   int
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("stream %s has %d events, expected %d", e.Ref, e.Have, e.Expect)
}

// TakenError says that an exclusive name belongs to another stream.
type TakenError struct {
	Space  Space
	Key    string
	Holder Ref
	Value  []byte // the holder's
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("name %c is taken by %s", e.Space, e.Holder)
}
