package journey

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/identity"
)

// Who a recipient is can be asked at a page of somebody else, an identity provider (engine/identity, Begin and Finish).
//
//	Open or Identify ─► goElsewhere: a state and where to go, in the session
//	Identify         ─► that page, which the screen has named
//	CameBack         ◄─ GET with the state of this session: kept in it, changes nothing else; a button
//	Identified       ─► Code | In | the same screen, with a new state
//
// A state is good in the browser that holds the session, once: a second press of the button (press.go) is answered as the first
// was, without asking the provider again.

// ReturnPath is where browsers come back to, whatever their link: providers want an address that they know beforehand.
const ReturnPath = "/return"

// returnURL is that address on the host of the message's link.
func returnURL(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return "", errors.New("the link of a message is no URL")
	}
	return u.Scheme + "://" + u.Host + ReturnPath, nil
}

// goElsewhere prepares the way to the other page, where the message's recipient is identified at one. What fails is told by
// the next screen.
func (j *Journey) goElsewhere(ctx context.Context, in *visit) error {
	answers := in.state.Head.Answers
	in.Session.Away = nil
	if !j.Identity.Elsewhere(answers) || in.state.LockedAt(j.Now()) {
		return nil
	}
	back, err := returnURL(in.state.Head.URL)
	if err != nil {
		return fmt.Errorf("message %s: %w", in.Link.Message, err)
	}
	a := &Away{State: rand.Text()}
	a.URL, a.Keep, err = j.Identity.Begin(ctx, in.t, answers, identity.Going{Return: back, State: a.State, Lang: in.Lang})
	if errors.Is(err, identity.ErrUnavailable) {
		in.Session.Note = NoteUnavailable
		return nil
	}
	if err != nil {
		return err
	}
	if _, ok := agentPage(a.URL); !ok {
		j.Log.Error("identity module leads to no page", "tenant", in.t.ID, "msg", in.Link.Message)
		in.Session.Note = NoteUnavailable
		return nil
	}
	in.Session.Away = a
	return nil
}

// CameBack keeps what a browser brings back from the other page; false: it is not what this session went there with.
func (v *Visit) CameBack(state, query string) bool {
	a := v.Session.Away
	if v.Session.Step != Identify || a == nil || tooLong(query) || subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 {
		return false
	}
	a.URL, a.Query = "", query
	return true
}

// tooLong reports whether a query does not fit into the session's cookie, where some characters take six bytes.
func tooLong(query string) bool {
	return len(query) > identity.MaxQuery || strings.Count(query, "&") > 20 || strings.ContainsAny(query, `<>"\`)
}

// Identified is the button of a browser that came back.
func (j *Journey) Identified(ctx context.Context, v *Visit) (Next, error) {
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < StateOnly || v.Session.Step != Identify {
		return again, err
	}
	a := v.Session.Away
	v.Session.Away = nil
	if a == nil || a.Query == "" {
		v.Session.Note = NoteIncomplete
		return again, j.goElsewhere(ctx, in)
	}
	back, err := returnURL(in.state.Head.URL)
	if err != nil {
		return again, fmt.Errorf("message %s: %w", v.Link.Message, err)
	}
	of := pressOf(v.Session, "identified", map[string]string{"state": a.State, "query": a.Query})
	result, _, err := j.presses.once(of, j.Now, func() (identity.Result, []int, error) {
		if !j.states.take(a.State, j.Now()) {
			return identity.Incomplete, nil, nil
		}
		going := identity.Going{Return: back, State: a.State, Lang: v.Lang, Keep: a.Keep, Query: a.Query}
		result, err := j.Identity.Finish(context.WithoutCancel(ctx), in.t, v.Link.Ref(), going)
		return result, nil, err
	})
	switch {
	case errors.Is(err, identity.ErrUnavailable):
		v.Session.Note = NoteUnavailable
		return again, nil
	case err != nil:
		return again, err
	}
	if err := j.identified(ctx, in, result); err != nil || v.Session.Step != Identify {
		return again, err
	}
	return again, j.goElsewhere(ctx, in)
}

// states are those that came back, for as long as a session that holds one can live. What is lost at a restart is bounded by the
// provider, which takes each of its codes once.
type states struct {
	mu    sync.Mutex // guards what follows
	seen  map[string]time.Time
	swept time.Time
}

// take reports whether the state comes for the first time.
func (s *states) take(state string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.seen[state]; again {
		return false
	}
	if s.seen == nil {
		s.seen, s.swept = map[string]time.Time{}, now
	}
	if now.Sub(s.swept) >= time.Hour {
		s.swept = now
		for old, at := range s.seen {
			if now.Sub(at) >= SessionLife {
				delete(s.seen, old)
			}
		}
	}
	s.seen[state] = now
	return true
}
