package campaign

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Phase is where an upload stands.
type Phase string

const (
	Receiving Phase = "receiving"
	Checking  Phase = "checking"
	Staged    Phase = "staged"
	Probing   Phase = "canary"  // seeds were sent; what becomes of them decides
	Stopped   Phase = "stopped" // a seed did not arrive; a person decides
	Releasing Phase = "releasing"
	Done      Phase = "done"
	Canceling Phase = "canceling" // nothing more is sent; messages are being ended one by one
	Canceled  Phase = "canceled"
	Dropped   Phase = "dropped"
	Failed    Phase = "failed"
)

// Events of an upload. Values are stored; the data is JSON of the type named beside them.
const (
	evBegun    = 1  // head
	evPart     = 2  // part
	evReceived = 3  // received: the file is whole
	evVerified = 4  // verified: digest and encoding are known
	evChecked  = 5  // checked: progress of checking
	evStaged   = 6  // all rows are checked
	evReleased = 7  // released
	evAdvanced = 8  // advanced: progress of releasing
	evDone     = 9  // all rows are with intake
	evDropped  = 10 // act
	evFailed   = 11 // failure
	evProbing  = 12 // released, with Minutes: seeds first
	evProbed   = 13 // probed: the seeds are with intake
	evStopped  = 14 // stopped
	evWentOn   = 15 // act: all seeds arrived (engine), or a person says so
	evDropCarr = 16 // dropped: one carrier's messages end
	evPaused   = 17 // act
	evResumed  = 18 // act
	evCanceled = 19 // act
	evSwept    = 20 // swept: progress of ending messages
	evSettled  = 21 // no message is left that could still be submitted
	evRetried  = 22 // act: the seeds that did not arrive are sent again
)

// head is the immutable record of an upload.
type head struct {
	V     int           `json:"v"` // 1
	Size  int64         `json:"size"`
	Class message.Class `json:"class"`
	Via   string        `json:"via"` // api, console
	By    string        `json:"by"`
	Meta  []byte        `json:"meta"` // sealed, aad "<id>/meta"
}

// meta is the part of the head that may be personal.
type meta struct {
	Name     string   `json:"name"`
	SHA256   string   `json:"sha256,omitempty"` // as declared, lower-case hex
	Settings Settings `json:"settings"`
}

type part struct {
	Size int64 `json:"size"`
}

type received struct {
	Size   int64  `json:"size"`
	SHA256 []byte `json:"sha256,omitempty"` // sealed, aad "<id>/declared": declared at the end only
}

type verified struct {
	Encoding Encoding  `json:"encoding"`
	Lines    int64     `json:"lines"` // line ends in the file: about as many rows
	Sum      string    `json:"sum"`   // name of the content: a keyed hash of the digest
	Earlier  ulid.ULID `json:"earlier,omitzero"`
}

// checked has totals, but Faults and Warnings are what this event's batch added to the lists.
type checked struct {
	Rows     int64  `json:"rows"`
	Line     int64  `json:"line"`
	Faulty   int64  `json:"faulty"`
	Warned   int64  `json:"warned"`
	Restored int64  `json:"restored"`
	Faults   uint32 `json:"faults,omitempty"`
	Warnings uint32 `json:"warnings,omitempty"`
	// Carriers has the good rows that are sent, by carrier.
	Carriers map[string]int64 `json:"carriers,omitempty"`
}

type released struct {
	By       string `json:"by"`
	GoodOnly bool   `json:"good_only,omitempty"`
	Again    bool   `json:"again,omitempty"`
	Minutes  int    `json:"minutes,omitempty"` // of a canary
}

// advanced has totals, but Refusals is what this event's batch added to the list.
type advanced struct {
	Row      int64  `json:"row"`
	Accepted int64  `json:"accepted"`
	Repeated int64  `json:"repeated"`
	Refused  int64  `json:"refused"`
	Refusals uint32 `json:"refusals,omitempty"`
	// Ahead has the rows beyond Row that are dealt with, where others before them are not.
	Ahead []int64 `json:"ahead,omitempty"`
	// Until is when a limit of the tenant is asked again; zero: none holds the rows back.
	Until time.Time `json:"until,omitzero"`
}

type act struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

type failure struct {
	Reason Reason `json:"reason"`
	Faults uint32 `json:"faults,omitempty"`
}

// Reason is why an upload failed as a whole. The words are stable.
type Reason string

const (
	ReasonDigest  Reason = "digest"  // the content is not what was declared
	ReasonHeader  Reason = "header"  // the first line is not one of columns that we know; the faults say which
	ReasonEmpty   Reason = "empty"   // no row
	ReasonNotCSV  Reason = "not_csv" // too many lines cannot be read
	ReasonTooMany Reason = "too_many_rows"
	ReasonErased  Reason = "erased"    // the content's term ended before it was released
	ReasonTenant  Reason = "no_tenant" // the tenant is gone
)

// State is the fold of an upload's events, and what belongs to it. Counts are of rows. Times are zero: not yet.
type State struct {
	ID      ulid.ULID     `json:"id"`
	Name    string        `json:"name"` // empty once the content is erased
	Phase   Phase         `json:"phase"`
	Reason  Reason        `json:"reason,omitempty"`  // of Failed
	Waiting string        `json:"waiting,omitempty"` // why the worker does not get on: busy, full, limit, unavailable
	Class   message.Class `json:"class"`
	By      string        `json:"by"`
	Via     string        `json:"via"`
	Size    int64         `json:"size"`   // bytes; -1: not known until Finish
	Offset  int64         `json:"offset"` // bytes on disk

	Encoding Encoding `json:"encoding,omitempty"`
	Lines    int64    `json:"lines"` // of the file
	Line     int64    `json:"line"`  // checked up to here
	Rows     int64    `json:"rows"`  // checked so far
	Good     int64    `json:"good"`
	Faulty   int64    `json:"faulty"`
	Warned   int64    `json:"warned"`   // good or faulty rows with a warning
	Restored int64    `json:"restored"` // rows whose phone number got its leading zero back

	Row      int64 `json:"row"` // released up to here
	Accepted int64 `json:"accepted"`
	Repeated int64 `json:"repeated"` // rows whose own key was known
	Refused  int64 `json:"refused"`  // rows that were good when checked

	Faults   int64 `json:"faults"` // entries of the lists
	Warnings int64 `json:"warnings"`
	Refusals int64 `json:"refusals"`

	BegunAt    time.Time `json:"begun_at"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	StagedAt   time.Time `json:"staged_at,omitzero"`
	ReleasedAt time.Time `json:"released_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"` // done, dropped, failed
	ReleasedBy string    `json:"released_by,omitempty"`
	DroppedBy  string    `json:"dropped_by,omitempty"`
	GoodOnly   bool      `json:"good_only,omitempty"`

	Carriers map[string]int64 `json:"carriers,omitempty"` // good rows that are sent, by carrier
	Canary   *Canary          `json:"canary,omitempty"`
	Without  []Without        `json:"dropped_carriers,omitempty"`
	Paused   *Said            `json:"paused,omitempty"`
	Canceled *Said            `json:"canceled,omitempty"`
	Sweep    *Sweep           `json:"sweep,omitempty"`

	Twin *Twin `json:"twin,omitempty"`

	ref       store.Ref
	version   int
	box       []byte // sealed meta
	declared  []byte // sealed digest of Finish
	sum       string
	earlier   ulid.ULID
	parts     int
	lists     [3][]uint32 // lengths of the pages of each List
	rowsAt    time.Time   // the last event that began or advanced the release
	ahead     []int64     // rows beyond Row that are dealt with
	until     time.Time   // of a limit that holds the rows back
	resumedBy string
	settled   bool // evSettled: nothing is left of what was said but the record
}

// Twin is another upload with the same content that was neither dropped nor failed.
type Twin struct {
	ID    ulid.ULID `json:"id"`
	Name  string    `json:"name"`
	Phase Phase     `json:"phase"`
	At    time.Time `json:"at"` // when it was begun
	By    string    `json:"by"`
}

// Over reports whether nothing more will happen to the upload by itself.
func (s *State) Over() bool {
	return s.Phase == Done || s.Phase == Dropped || s.Phase == Failed || s.Phase == Canceled
}

// apply folds one more event.
func (s *State) apply(e store.Event) error {
	s.version = int(e.Seq) + 1
	decode := func(v any) error {
		if err := json.Unmarshal(e.Data, v); err != nil {
			return fmt.Errorf("event %d of upload %s: %w", e.Seq, e.Ref.ID, err)
		}
		return nil
	}
	switch e.Type {
	case evBegun:
		var h head
		if err := decode(&h); err != nil {
			return err
		}
		s.ref, s.ID, s.Phase, s.BegunAt, s.box = e.Ref, e.Ref.ID, Receiving, e.At, h.Meta
		s.Class, s.By, s.Via, s.Size = h.Class, h.By, h.Via, h.Size
	case evPart:
		var p part
		if err := decode(&p); err != nil {
			return err
		}
		s.Offset += p.Size
		s.parts++
	case evReceived:
		var r received
		if err := decode(&r); err != nil {
			return err
		}
		s.Phase, s.Size, s.ReceivedAt, s.declared = Checking, r.Size, e.At, r.SHA256
	case evVerified:
		var v verified
		if err := decode(&v); err != nil {
			return err
		}
		s.Encoding, s.Lines, s.sum, s.earlier = v.Encoding, v.Lines, v.Sum, v.Earlier
	case evChecked:
		var c checked
		if err := decode(&c); err != nil {
			return err
		}
		s.Rows, s.Line, s.Faulty, s.Good = c.Rows, c.Line, c.Faulty, c.Rows-c.Faulty
		s.Warned, s.Restored = c.Warned, c.Restored
		if c.Carriers != nil {
			s.Carriers = c.Carriers
		}
		s.grow(ListFaults, c.Faults)
		s.grow(ListWarnings, c.Warnings)
	case evStaged:
		s.Phase, s.StagedAt = Staged, e.At
	case evReleased:
		var r released
		if err := decode(&r); err != nil {
			return err
		}
		s.Phase, s.ReleasedAt, s.ReleasedBy, s.GoodOnly = Releasing, e.At, r.By, r.GoodOnly
		s.rowsAt = e.At
	case evAdvanced:
		var a advanced
		if err := decode(&a); err != nil {
			return err
		}
		s.rowsAt = e.At
		s.Row, s.Accepted, s.Repeated, s.Refused = a.Row, a.Accepted, a.Repeated, a.Refused
		s.ahead, s.until = a.Ahead, a.Until
		s.grow(ListRefusals, a.Refusals)
	case evDone:
		s.Phase, s.EndedAt = Done, e.At
	case evDropped:
		var a act
		if err := decode(&a); err != nil {
			return err
		}
		s.Phase, s.EndedAt, s.DroppedBy = Dropped, e.At, a.By
	case evFailed:
		var f failure
		if err := decode(&f); err != nil {
			return err
		}
		s.Phase, s.EndedAt, s.Reason = Failed, e.At, f.Reason
		s.grow(ListFaults, f.Faults)
	default:
		return s.applySaid(e, decode)
	}
	return nil
}

func (s *State) grow(l List, n uint32) {
	if n == 0 {
		return
	}
	s.lists[l] = append(s.lists[l], n)
	switch l {
	case ListFaults:
		s.Faults += int64(n)
	case ListWarnings:
		s.Warnings += int64(n)
	case ListRefusals:
		s.Refusals += int64(n)
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: event of an upload: " + err.Error())
	}
	return b
}
