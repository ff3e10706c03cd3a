// Package survey says what recipients answered: message by message, in total by question and choice, and who viewed a page that
// asks and did not answer. Everything is read from the messages; nothing is kept.
//
// Whether a message asks stands in its head, when it was viewed and answered in its events: only what is told of a message is
// opened. Where the term of its content is over its answers are gone, and it counts as answered with nothing known of it.
package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Which messages are asked for.
type Which string

const (
	Answered   Which = "answered"
	Unanswered Which = "unanswered" // viewed, and not answered
)

// Query selects messages of one tenant that ask something.
type Query struct {
	Campaign ulid.ULID // of an upload; zero: any
	From, To time.Time // accepted; zero: open
}

// Reply is what became of one message that asks.
type Reply struct {
	ID         ulid.ULID
	No         string
	Masked     string // number
	Reference  string // "" also where its retention is over
	ViewedAt   time.Time
	AnsweredAt time.Time // zero: not yet
	Items      []Item    // nil where it was not answered, or its retention is over
}

// Item is one question with what was answered.
type Item struct {
	Title  string
	Type   string   // radio, check, text
	Values []string // none: it was left out
}

// Totals are over the messages of a query.
type Totals struct {
	Asked, Viewed, Answered int
	Erased                  int  // of Answered: what was answered is past its retention
	Complete                bool // false: there are older messages that were not looked at
	Questions               []Question
}

// Question is one question over all messages that ask it: those of the same words and kind.
type Question struct {
	Title, Type string
	Asked       int // answered messages that have it
	Given       int // of them, with an answer to it
	Choices     []Choice
}

// Choice is how many chose one.
type Choice struct {
	Text  string
	Count int
}

// MaxTotalled is how many messages totals are taken of at most, the newest.
const MaxTotalled = 200_000

const batch = 500

// Surveys is safe for concurrent use.
type Surveys struct{ Store *store.Store }

// each calls fn with the state of each message of the query that asks something, the newest first, from behind before on; until
// fn returns false. looked bounds the messages that are looked at; whether there were more is the result.
func (s Surveys) each(ctx context.Context, scope tenant.Scope, q Query, before ulid.ULID, looked int, fn func(ulid.ULID, *message.State) (bool, error)) (more bool, err error) {
	t, ok := scope.Tenant()
	if !ok {
		return false, fmt.Errorf("surveys: %w", store.ErrNotFound)
	}
	terms, err := intake.Filter{Campaign: q.Campaign}.Terms(s.Store, t)
	if err != nil {
		return false, fmt.Errorf("surveys: %w", err)
	}
	find := store.Query{Kind: store.Message, Terms: terms, From: q.From, To: q.To, Before: before, Limit: batch}
	var into store.Streams
	for n := 0; ; n += batch {
		if n >= looked {
			return true, nil
		}
		refs, err := s.Store.Search(ctx, scope, find)
		if err != nil {
			return false, fmt.Errorf("surveys: %w", err)
		}
		streams, err := s.Store.LoadInto(ctx, scope, refs, &into)
		if err != nil {
			return false, fmt.Errorf("surveys: %w", err)
		}
		for i, events := range streams {
			if len(events) == 0 {
				continue
			}
			st, err := stored.State(events)
			if err != nil {
				return false, fmt.Errorf("surveys: %w", err)
			}
			if !st.Head.Survey {
				continue
			}
			if on, err := fn(refs[i].ID, &st); err != nil || !on {
				return true, err
			}
		}
		if len(refs) < batch {
			return false, nil
		}
		find.Before = refs[len(refs)-1].ID
	}
}

// Reply is that of one message; store.ErrNotFound where it asks nothing.
func (s Surveys) Reply(ctx context.Context, scope tenant.Scope, id ulid.ULID) (Reply, error) {
	t, _ := scope.Tenant()
	events, err := s.Store.Load(ctx, scope, store.Ref{Tenant: t, Kind: store.Message, ID: id})
	if err != nil {
		return Reply{}, fmt.Errorf("survey of message %s: %w", id, err)
	}
	st, err := stored.State(events)
	if err == nil && !st.Head.Survey {
		err = store.ErrNotFound
	}
	if err != nil {
		return Reply{}, fmt.Errorf("survey of message %s: %w", id, err)
	}
	return s.reply(t, id, &st)
}

func (st Which) is(m *message.State) bool {
	if st == Unanswered {
		return !m.ViewedAt.IsZero() && m.AnsweredAt.IsZero()
	}
	return !m.AnsweredAt.IsZero()
}

// List gives up to limit replies, the newest messages first; before is the next of the last call, zero at the end.
func (s Surveys) List(ctx context.Context, scope tenant.Scope, q Query, which Which, before ulid.ULID, limit int) (all []Reply, next ulid.ULID, err error) {
	err = s.Each(ctx, scope, q, which, before, func(r *Reply) error {
		if len(all) == limit {
			next = all[limit-1].ID
			return errEnough
		}
		all = append(all, *r)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, next, err
}

var errEnough = errors.New("enough")

// Each calls fn with every reply of the query, the newest messages first, and returns its error.
func (s Surveys) Each(ctx context.Context, scope tenant.Scope, q Query, which Which, before ulid.ULID, fn func(*Reply) error) error {
	t, _ := scope.Tenant()
	_, err := s.each(ctx, scope, q, before, int(^uint(0)>>1), func(id ulid.ULID, st *message.State) (bool, error) {
		if !which.is(st) {
			return true, nil
		}
		r, err := s.reply(t, id, st)
		if err == nil {
			err = fn(&r)
		}
		return true, err
	})
	return err
}

// Totals counts over the newest MaxTotalled messages.
func (s Surveys) Totals(ctx context.Context, scope tenant.Scope, q Query) (*Totals, error) {
	t, _ := scope.Tenant()
	all := &Totals{}
	at := map[[2]string]int{} // title and type → place
	more, err := s.each(ctx, scope, q, ulid.ULID{}, MaxTotalled, func(id ulid.ULID, st *message.State) (bool, error) {
		all.Asked++
		if !st.ViewedAt.IsZero() {
			all.Viewed++
		}
		if st.AnsweredAt.IsZero() {
			return true, nil
		}
		all.Answered++
		sv, given, err := stored.Answers(s.Store, t, id, st)
		if errors.Is(err, store.ErrErased) {
			all.Erased++
			return true, nil
		}
		if err != nil || sv == nil {
			return err == nil, err
		}
		for i, it := range sv.Items {
			key := [2]string{it.Title, it.Type}
			n, ok := at[key]
			if !ok {
				n = len(all.Questions)
				at[key] = n
				all.Questions = append(all.Questions, Question{Title: it.Title, Type: it.Type})
			}
			all.Questions[n].add(it, given[i])
		}
		return true, nil
	})
	all.Complete = !more
	return all, err
}

func (q *Question) add(it message.SurveyItem, given []string) {
	q.Asked++
	if len(given) > 0 {
		q.Given++
	}
	if it.Type == "text" {
		return
	}
	for _, text := range it.Choices {
		i := slices.IndexFunc(q.Choices, func(c Choice) bool { return c.Text == text })
		if i < 0 {
			i = len(q.Choices)
			q.Choices = append(q.Choices, Choice{Text: text})
		}
		if slices.Contains(given, text) {
			q.Choices[i].Count++
		}
	}
}

func (s Surveys) reply(t tenant.ID, id ulid.ULID, st *message.State) (Reply, error) {
	h := &st.Head
	r := Reply{ID: id, No: h.No, Masked: h.Masked, ViewedAt: st.ViewedAt, AnsweredAt: st.AnsweredAt}
	sms, err := stored.SMS(s.Store, t, id, h)
	if err != nil && !errors.Is(err, store.ErrErased) {
		return r, err
	}
	r.Reference = sms.Reference
	if st.AnsweredAt.IsZero() {
		return r, nil
	}
	sv, given, err := stored.Answers(s.Store, t, id, st)
	if errors.Is(err, store.ErrErased) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if sv != nil {
		for i, it := range sv.Items {
			r.Items = append(r.Items, Item{it.Title, it.Type, append([]string{}, given[i]...)})
		}
	}
	return r, nil
}
