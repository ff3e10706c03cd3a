package followup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Types of a run's events. Values are stored.
const (
	evBegun    = 1 // begun
	evAdvanced = 2 // Progress: totals
	evDone     = 3
	evStopped  = 4 // message.Act
)

// begun is the head of a run.
type begun struct {
	V    int    `json:"v"` // 1
	List List   `json:"list"`
	By   string `json:"by"`
	Filter
	Class      message.Class `json:"as,omitempty"`
	Template   string        `json:"template,omitempty"`
	Sender     string        `json:"sender,omitempty"`
	Due        string        `json:"due,omitempty"`
	Text       []byte        `json:"text,omitempty"` // sealed, aad "<id>/text"; empty: each message's own
	Candidates int64         `json:"candidates"`
}

// Order is one action on a list.
type Order struct {
	Key    string // idempotency key of the sender; empty: none
	List   List
	Filter Filter
	// Text with {url}, or Template, of the tenant or an occasion ("std:reminder"); both empty: each message's own text again.
	// {number} and {due} stand for what its claim says, {amount} for what is still to be paid of it.
	Text, Template string
	Class          message.Class // of the new messages; empty: that of each
	Sender         string        // sender profile; empty: that of each
	// Due is the day, YYYY-MM-DD in Asia/Tokyo, until whose end each claim can be paid from then on; empty: as it is. It changes in
	// the transaction of the message that says so. What cannot be changed (payment.Payments.Again) is not sent again.
	Due string
	By  string
}

// Audited is what the audit log says of an order besides its list: nothing that was typed by hand.
func (o *Order) Audited() string {
	var said []string
	if due, err := dueTime(o.Due); err == nil && !due.IsZero() {
		said = append(said, "due="+o.Due)
	}
	if n := o.Filter.MaxResent; n != 0 {
		said = append(said, "max_resent="+strconv.Itoa(n))
	}
	if at := o.Filter.NotSince; !at.IsZero() {
		said = append(said, "not_since="+message.Day(at))
	}
	return strings.Join(said, " ")
}

// Progress says how far a run is. Counts are of messages.
type Progress struct {
	Before  ulid.ULID        `json:"before,omitzero"` // looked at down to here
	Looked  int64            `json:"looked"`          // candidates
	Sent    int64            `json:"sent"`            // accepted by intake
	Left    int64            `json:"left"`            // not sent: paid, or otherwise gone from the list since it was read
	Refused map[string]int64 `json:"refused,omitempty"`
}

// Phases of a run.
const (
	Running = "running"
	Done    = "done"
	Stopped = "stopped"
)

// State is the fold of a run's events.
type State struct {
	ID         ulid.ULID
	List       List
	Filter     Filter
	By         string
	Class      message.Class
	Template   string
	Sender     string
	Due        string // YYYY-MM-DD; empty: claims stay due when they are
	Phase      string
	Candidates int64 // messages that could belong to the list when it began
	Progress
	BegunAt, EndedAt time.Time
	StoppedBy        string

	ref     store.Ref
	version int
	text    []byte
}

func fold(events []store.Event) (State, error) {
	var s State
	for _, e := range events {
		var err error
		switch e.Type {
		case evBegun:
			var b begun
			err = json.Unmarshal(e.Data, &b)
			s.ID, s.ref, s.List, s.Filter, s.By, s.Class, s.Template, s.Sender = e.Ref.ID, e.Ref, b.List, b.Filter, b.By, b.Class, b.Template, b.Sender
			s.Due = b.Due
			s.Phase, s.Candidates, s.BegunAt, s.text = Running, b.Candidates, e.At, b.Text
		case evAdvanced:
			s.Progress = Progress{}
			err = json.Unmarshal(e.Data, &s.Progress)
		case evDone:
			s.Phase, s.EndedAt = Done, e.At
		case evStopped:
			var a message.Act
			err = json.Unmarshal(e.Data, &a)
			s.Phase, s.EndedAt, s.StoppedBy = Stopped, e.At, a.By
		}
		if err != nil {
			return s, fmt.Errorf("event %d of run %s: %w", e.Seq, e.Ref.ID, err)
		}
		s.version = int(e.Seq) + 1
	}
	return s, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: event of a run of follow-ups: " + err.Error())
	}
	return b
}

const queue = "followup"

// class under which a run's text is sealed.
const class = message.Notice

// check reports what is wrong with an order, but for its list and filter.
func (o *Order) check(t *tenant.Tenant, now time.Time) message.Problems {
	var ps message.Problems
	add := func(p message.Problem) { ps = append(ps, p) }
	if c, err := message.ParseClass(string(o.Class)); err != nil || c == message.OTP {
		add(message.Problem{Field: "class", Code: "unknown", Value: message.Mask(string(o.Class)), Detail: "one of notice, billing, collection, legal_notice, ad"})
	}
	if o.Text != "" && o.Template != "" {
		add(message.Problem{Field: "template", Code: "mismatch", Detail: "give text or template, not both"})
	}
	if n := message.Length(o.Text); n > message.MaxText {
		add(message.Problem{Field: "text", Code: "too_long", Limit: message.MaxText, Got: int64(n)})
	}
	_, ready := message.FindOccasion(o.Template)
	if _, ok := t.Template(o.Template); !ok && !ready && o.Template != "" {
		add(message.Problem{Field: "template", Code: "unknown", Value: message.Mask(o.Template), Detail: "there is no such template"})
	}
	if _, ok := t.Sender(o.Sender); !ok && o.Sender != "" {
		add(message.Problem{Field: "sender", Code: "unknown", Value: message.Mask(o.Sender), Detail: "there is no such sender profile"})
	}
	if due, err := dueTime(o.Due); err != nil {
		add(message.Problem{Field: "due", Code: "pattern", Value: message.Mask(o.Due), Detail: "YYYY-MM-DD"})
	} else if o.Due != "" && !due.After(now) {
		add(message.Problem{Field: "due", Code: "past"})
	}
	if o.Key != "" && !message.ValidKey(o.Key) {
		add(message.Problem{Field: "key", Code: "pattern", Limit: message.MaxKey, Got: int64(len(o.Key)), Detail: "1 to 128 printable ASCII characters without spaces"})
	}
	return ps
}

// dueTime is the end of a day, YYYY-MM-DD; zero where there is none.
func dueTime(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	return (&message.Claim{Due: day}).DueTime()
}

// Start begins a run. A known key gives the run that it began, or the code "conflict" where it began another. The error is
// message.Problems for what is wrong with the order.
func (f *FollowUps) Start(ctx context.Context, t *tenant.Tenant, o Order) (State, error) {
	now := f.now().UTC()
	ps := o.check(t, now)
	if _, err := ParseList(string(o.List)); err != nil {
		ps = append(ps, message.Problem{Field: "list", Code: "unknown", Value: message.Mask(string(o.List)), Detail: "one of undelivered, unopened, unidentified, unpaid, promised, broken_promise"})
	}
	if n := o.Filter.MaxResent; n < 0 || n > MaxResents {
		ps = append(ps, message.Problem{Field: "filter.max_resent", Code: "range", Limit: MaxResents, Got: int64(n), Detail: "1 to 100"})
	}
	if err := ps.Err(); err != nil {
		return State{}, err
	}
	id := ulid.MustNew(ulid.Timestamp(now), rand.Reader)
	b := begun{V: 1, List: o.List, By: o.By, Filter: o.Filter, Class: o.Class, Template: o.Template, Sender: o.Sender, Due: o.Due}
	var err error
	if b.Candidates, err = f.index.count(ctx, t.ID, o.List, id, o.Filter.From); err != nil {
		return State{}, err
	}
	if o.Text != "" {
		if b.Text, err = f.Store.Seal(t.ID, string(class), now, id.String()+"/text", []byte(o.Text)); err != nil {
			return State{}, fmt.Errorf("seal the text of a run: %w", err)
		}
	}
	change := store.Change{
		Ref: store.Ref{Tenant: t.ID, Kind: store.FollowUp, ID: id}, Due: &store.Due{Queue: queue},
		Events: []store.NewEvent{{Type: evBegun, At: now, Data: encode(b)}},
	}
	if o.Key != "" {
		name, err := intake.KeyName(f.Store, t.ID, "follow-up\x00"+o.Key)
		if err != nil {
			return State{}, err
		}
		change.Names = []store.Name{{Space: store.ByKey, Key: name, Until: now.Add(72 * time.Hour), WhileOpen: true, Exclusive: true}}
	}
	errs, err := f.Store.Commit(ctx, store.Tx{change})
	if err = errors.Join(err, errors.Join(errs...)); err != nil {
		var taken *store.TakenError
		if errors.As(err, &taken) && taken.Holder.Kind == store.FollowUp {
			return f.begunBy(ctx, t.ID, taken.Holder.ID, &o)
		}
		return State{}, fmt.Errorf("begin a run: %w", err)
	}
	f.Log.Info("follow-up begun", "tenant", t.ID, "run", id, "list", o.List, "by", o.By)
	return f.State(ctx, t.ID, id)
}

// begunBy is the run of a known key, if the order is the one that began it.
func (f *FollowUps) begunBy(ctx context.Context, of tenant.ID, id ulid.ULID, o *Order) (State, error) {
	s, err := f.State(ctx, of, id)
	if err != nil {
		return State{}, err
	}
	text, err := f.text(of, &s)
	if err != nil {
		return State{}, err
	}
	if s.List != o.List || !s.Filter.equal(&o.Filter) || s.Class != o.Class || s.Template != o.Template || s.Sender != o.Sender || s.Due != o.Due || text != o.Text {
		return State{}, message.Problems{{Field: "key", Code: "conflict", Value: o.Key, Detail: "the key was used for another order"}}
	}
	return s, nil
}

// text is what a run sends; empty: each message's own.
func (f *FollowUps) text(of tenant.ID, s *State) (string, error) {
	if len(s.text) == 0 {
		return "", nil
	}
	plain, err := f.Store.Open(of, s.ID.String()+"/text", s.text)
	if err != nil {
		return "", fmt.Errorf("open the text of run %s: %w", s.ID, err)
	}
	return string(plain), nil
}

// State is a tenant's run as it is now, or store.ErrNotFound.
func (f *FollowUps) State(ctx context.Context, of tenant.ID, id ulid.ULID) (State, error) {
	events, err := f.Store.Load(ctx, tenant.Only(of), store.Ref{Tenant: of, Kind: store.FollowUp, ID: id})
	if err != nil {
		return State{}, err
	}
	return fold(events)
}

// Runs lists a tenant's runs, newest first, older than before (zero: from the newest), at most limit.
func (f *FollowUps) Runs(ctx context.Context, of tenant.ID, before ulid.ULID, limit int) ([]State, error) {
	scope := tenant.Only(of)
	refs, err := f.Store.Search(ctx, scope, store.Query{Kind: store.FollowUp, Before: before, Limit: min(max(limit, 1), 100)})
	if err != nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	streams, err := f.Store.LoadMany(ctx, scope, refs)
	if err != nil {
		return nil, fmt.Errorf("load runs: %w", err)
	}
	var all []State
	for _, events := range streams {
		if len(events) == 0 {
			continue
		}
		s, err := fold(events)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Stop ends a run: it makes no more messages. What it made goes its way. A run that is over is left as it is.
func (f *FollowUps) Stop(ctx context.Context, of tenant.ID, id ulid.ULID, by string) (State, error) {
	for {
		s, err := f.State(ctx, of, id)
		if err != nil || s.Phase != Running {
			return s, err
		}
		err = f.append(ctx, &s, store.NewEvent{Type: evStopped, Data: encode(message.Act{By: by})}, true)
		if conflict := (*store.ConflictError)(nil); err != nil && !errors.As(err, &conflict) {
			return s, err
		}
	}
}

func (f *FollowUps) append(ctx context.Context, s *State, e store.NewEvent, last bool) error {
	c := store.Change{Ref: s.ref, Expect: s.version, Events: []store.NewEvent{e}, Final: last}
	if last {
		c.Due = &store.Due{}
	}
	errs, err := f.Store.Commit(ctx, store.Tx{c})
	return errors.Join(err, errors.Join(errs...))
}

func (p *Progress) refuse(code string) {
	refused := maps.Clone(p.Refused)
	if refused == nil {
		refused = map[string]int64{}
	}
	refused[code]++
	p.Refused = refused
}
