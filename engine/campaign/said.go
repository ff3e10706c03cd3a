package campaign

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// What people say of an upload that was released: pause, resume, cancel, and after a canary: try it again, go on, go on
// without a carrier.
// This file is the fold of it and the rules; order.go lets dispatch know, sweep.go ends messages, canary.go sends seeds.
//
//	staged ─► canary ─► releasing ─► done            paused and resumed: releasing, done
//	            ▲  └──► stopped ─┴────┴──► canceling ─► canceled
//	            └───────────┴─ or canceled, as from canary

// Said is one thing that a person or program said.
type Said struct {
	By     string    `json:"by"` // "user:<login>", "key:<name>"
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"` // in their words, at most 200 characters
}

// Without is a carrier that the upload goes on without.
type Without struct {
	Carrier string    `json:"carrier"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// Canary is what is known of the seeds. They are messages of the tenant's own phones: they do not carry the upload's id and
// are in none of its counts.
type Canary struct {
	Minutes int       `json:"minutes"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`             // all have to be delivered by then
	Retries []Said    `json:"retries,omitempty"` // who tried it again, the oldest first; Since and Until are of the last
	Seeds   []Probe   `json:"seeds,omitempty"`
	Failed  []string  `json:"failed,omitempty"` // carriers that stopped it and are not decided on
	WentOn  *Said     `json:"went_on,omitempty"`

	again []string // carriers whose seeds a retry has yet to send
}

// Probe is the seed of one carrier.
type Probe struct {
	Carrier string        `json:"carrier"`
	Message ulid.ULID     `json:"message,omitzero"` // zero: intake refused it
	Phase   message.Phase `json:"status,omitempty"` // as last seen; kept when the canary is decided
	Reason  string        `json:"reason,omitempty"`
}

// Sweep is how far the ending of messages is. Counts are of messages.
type Sweep struct {
	Looked int64 `json:"looked"` // of Of
	Of     int64 `json:"of"`     // that the upload made, as known when the sweep began
	Ended  int64 `json:"ended"`  // canceled by the sweep; dispatch ends some itself
	Gone   int64 `json:"gone"`   // had been given to a carrier, or were over for another reason
	Over   bool  `json:"over"`   // every message was looked at

	before ulid.ULID // the oldest that was
}

type swept struct {
	Sweep
	Before ulid.ULID `json:"before,omitzero"`
}

type stopped struct {
	Failed []string `json:"failed"`
	Seeds  []Probe  `json:"seeds"`
}

type probed struct {
	Seeds []Probe `json:"seeds"`
}

type wentOn struct {
	act
	Seeds []Probe `json:"seeds,omitempty"`
}

type without struct {
	act
	Carrier string `json:"carrier"`
}

// applySaid folds the events of this file. What a State points to is never changed, since copies of it share it.
func (s *State) applySaid(e store.Event, decode func(any) error) error {
	said := func() (*Said, error) {
		var a act
		err := decode(&a)
		return &Said{By: a.By, At: e.At, Reason: a.Reason}, err
	}
	canary := Canary{}
	if s.Canary != nil {
		canary = *s.Canary
	}
	var err error
	switch e.Type {
	case evProbing:
		var r released
		err = decode(&r)
		s.Phase, s.ReleasedAt, s.ReleasedBy, s.GoodOnly = Probing, e.At, r.By, r.GoodOnly
		s.Canary = &Canary{Minutes: r.Minutes, Since: e.At, Until: e.At.Add(time.Duration(r.Minutes) * time.Minute)}
	case evProbed:
		var p probed
		err = decode(&p)
		canary.Seeds, canary.again = canary.with(p.Seeds), nil
		s.Canary = &canary
	case evStopped:
		var st stopped
		err = decode(&st)
		s.Phase = Stopped
		canary.Failed, canary.Seeds = st.Failed, st.Seeds
		s.Canary = &canary
	case evRetried:
		var by *Said
		by, err = said()
		s.Phase = Probing
		canary.Retries = append(slices.Clip(canary.Retries), *by)
		canary.Since, canary.Until = e.At, e.At.Add(time.Duration(canary.Minutes)*time.Minute)
		canary.again, canary.Failed = canary.Failed, nil
		due := make([]Probe, len(canary.again))
		for i, name := range canary.again {
			due[i] = Probe{Carrier: name, Phase: message.Waiting}
		}
		canary.Seeds = canary.with(due)
		s.Canary = &canary
	case evWentOn:
		var w wentOn
		err = decode(&w)
		s.Phase, s.rowsAt = Releasing, e.At
		canary.Failed, canary.WentOn = nil, &Said{By: w.By, At: e.At}
		if w.Seeds != nil {
			canary.Seeds = w.Seeds
		}
		s.Canary = &canary
	case evDropCarr:
		var w without
		err = decode(&w)
		s.Without = append(slices.Clip(s.Without), Without{Carrier: w.Carrier, By: w.By, At: e.At})
		canary.Failed = slices.DeleteFunc(slices.Clone(canary.Failed), func(c string) bool { return c == w.Carrier })
		if s.Canary = &canary; len(canary.Failed) == 0 {
			s.Phase, s.rowsAt = Releasing, e.At
		}
	case evPaused:
		s.Paused, err = said()
	case evResumed:
		var a act
		err = decode(&a)
		s.Paused, s.resumedBy, s.until = nil, a.By, time.Time{}
	case evCanceled:
		s.Canceled, err = said()
		s.Phase, s.Paused, s.Sweep, s.settled = Canceling, nil, nil, false
	case evSwept:
		var w swept
		err = decode(&w)
		w.before, s.Sweep = w.Before, &w.Sweep
	case evSettled:
		s.settled = true
		if s.Phase == Canceling {
			s.Phase, s.EndedAt = Canceled, e.At
		}
	default:
		return fmt.Errorf("event %d of upload %s is of type %d: written by a newer program", e.Seq, e.Ref.ID, e.Type)
	}
	return err
}

// with is the seeds with those of the same carriers replaced.
func (c *Canary) with(seeds []Probe) []Probe {
	all := slices.Clone(c.Seeds)
	for _, p := range seeds {
		if i := slices.IndexFunc(all, func(have Probe) bool { return have.Carrier == p.Carrier }); i >= 0 {
			all[i] = p
			continue
		}
		all = append(all, p)
	}
	return all
}

// sweeps reports whether messages of the upload are to be ended by a worker now.
func (s *State) sweeps() bool {
	return !s.settled && (s.Phase == Canceling || s.Phase == Done && len(s.Without) > 0 && s.Paused == nil)
}

// place is the queue in which the upload waits for a worker, by its state alone; empty: in none.
func (s *State) place() string {
	switch {
	case s.Phase == Checking, s.Phase == Releasing && s.Paused == nil:
		return queue
	case s.Phase == Probing:
		return watchQueue
	case s.sweeps() && (s.Sweep == nil || !s.Sweep.Over):
		return queue
	case s.sweeps():
		return watchQueue
	case s.ordered(): // nothing to do, but it must be found when the program starts
		return heldQueue
	}
	return ""
}

// limited reports whether a limit of the tenant holds the rows back for now.
func (s *State) limited() bool {
	return s.Phase == Releasing && s.Paused == nil && clock.Now().Before(s.until)
}

// ordered reports whether dispatch has to heed something of the upload.
func (s *State) ordered() bool {
	return s.Paused != nil || !s.settled && (s.Canceled != nil || len(s.Without) > 0)
}

// word is what holds for messages to a carrier, or to any where it is empty.
func (s *State) word(carrier string) (w message.Word) {
	w.Held = s.Paused != nil
	if s.settled {
		return w
	}
	if s.Canceled != nil {
		w.End = &message.Act{By: s.Canceled.By, Reason: message.ReasonCampaignCanceled}
		return w
	}
	for i := range s.Without {
		if s.Without[i].Carrier == carrier {
			w.End = &message.Act{By: s.Without[i].By, Reason: message.ReasonCarrierDropped}
		}
	}
	return w
}

// next is the step that appends the events: the upload then waits where its state says.
func (s *State) next(now time.Time, events ...store.NewEvent) (step, error) {
	after := *s
	after.Carriers = maps.Clone(s.Carriers)
	for i, e := range events {
		if e.At.IsZero() {
			e.At = now
		}
		if err := after.apply(store.Event{Ref: s.ref, Seq: uint32(s.version + i), Type: e.Type, At: e.At, Data: e.Data}); err != nil {
			return step{}, err
		}
	}
	return step{Events: events, Due: &store.Due{Queue: after.place()}, Final: after.Over()}, nil
}

// The decisions. Each returns the event to append, none where it is so already, or *PhaseError.

func (s *State) pause(by string) ([]store.NewEvent, error) {
	switch {
	case s.Paused != nil:
		return nil, nil
	case s.Phase != Releasing && s.Phase != Done:
		return nil, &PhaseError{s.Phase}
	}
	return []store.NewEvent{{Type: evPaused, Data: encode(act{By: by})}}, nil
}

func (s *State) resume(by string) ([]store.NewEvent, error) {
	switch {
	case s.Phase != Releasing && s.Phase != Done:
		return nil, &PhaseError{s.Phase}
	case s.Paused == nil:
		return nil, nil
	}
	return []store.NewEvent{{Type: evResumed, Data: encode(act{By: by})}}, nil
}

func (s *State) cancel(by, reason string) ([]store.NewEvent, error) {
	switch s.Phase {
	case Canceling, Canceled:
		return nil, nil
	case Probing, Stopped, Releasing, Done:
		return []store.NewEvent{{Type: evCanceled, Data: encode(act{By: by, Reason: reason})}}, nil
	}
	return nil, &PhaseError{s.Phase}
}

// maxRetries bounds what one canary sends to each phone.
const maxRetries = 20

func (s *State) retryCanary(by string) ([]store.NewEvent, error) {
	switch {
	case s.Phase != Stopped:
		return nil, &PhaseError{s.Phase}
	case len(s.Canary.Retries) >= maxRetries:
		return nil, message.Problems{{Field: "canary", Code: "too_many", Limit: maxRetries, Got: maxRetries + 1, Detail: "tries"}}
	}
	return []store.NewEvent{{Type: evRetried, Data: encode(act{By: by})}}, nil
}

func (s *State) goOn(by string) ([]store.NewEvent, error) {
	if s.Phase != Stopped {
		return nil, &PhaseError{s.Phase}
	}
	return []store.NewEvent{{Type: evWentOn, Data: encode(wentOn{act: act{By: by}})}}, nil
}

func (s *State) dropCarrier(by, carrier string) ([]store.NewEvent, error) {
	switch {
	case slices.ContainsFunc(s.Without, func(w Without) bool { return w.Carrier == carrier }):
		return nil, nil
	case s.Phase != Stopped:
		return nil, &PhaseError{s.Phase}
	case !slices.Contains(s.Canary.Failed, carrier):
		return nil, message.Problems{{Field: "carrier", Code: "unknown", Value: message.Mask(carrier), Detail: detailNotFailed}}
	}
	return []store.NewEvent{{Type: evDropCarr, Data: encode(without{act: act{By: by}, Carrier: carrier})}}, nil
}

const detailNotFailed = "is none of the carriers whose seed did not arrive"
