package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/callbacks"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
)

// Hook is a sender's system that takes callbacks and checks each signature. Now and then it fails at a notice that it had
// not seen. It is an http.Handler, safe for concurrent use.
type Hook struct {
	mu     sync.Mutex // guards what follows
	secret []byte     // nil: not known yet
	told   map[string][]Notice
	seen   map[string]bool // by webhook-id
	faults []string
	refuse bool // all of it
}

// Notice is one as it was taken.
type Notice struct {
	Type     string
	Sequence int
	Status   message.Phase
}

// NewHook makes one that was told nothing.
func NewHook() *Hook { return &Hook{told: map[string][]Notice{}, seen: map[string]bool{}} }

// Register has the engine call the hook at an address, which Options.Egress must allow.
func (h *Hook) Register(ctx context.Context, s *Sender, name, address string) error {
	var made callbacks.Callback
	if err := s.Do(ctx, http.MethodPut, "/v1/callbacks/"+name, fmt.Appendf(nil, `{"url":%q}`, address), http.StatusCreated, &made); err != nil {
		return err
	}
	secret, err := callback.ParseSecret(made.Secret)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secret = secret
	return err
}

func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var n struct {
		Type string
		Data struct {
			ID, Challenge, To string
			Sequence          int
			Status            message.Phase
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		return // an engine that went away asks again
	}
	if n.Type == callback.CallbackChallenge {
		_, _ = io.WriteString(w, n.Data.Challenge) // 〃
		return
	}
	id, stamp := r.Header.Get(callback.HeaderID), r.Header.Get(callback.HeaderTimestamp)
	seconds, _ := strconv.ParseInt(stamp, 10, 64) // 0 does not verify
	if callback.Sign(h.secret, id, time.Unix(seconds, 0), body) != r.Header.Get(callback.HeaderSignature) {
		h.faults = append(h.faults, "signature of "+id)
	}
	if n.Type != callback.MessageReceived && !strings.Contains(n.Data.To, "*") {
		h.faults = append(h.faults, "a whole number")
	}
	if h.refuse || !h.seen[id] && len(h.seen)%100 == 99 {
		h.seen[id] = true
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	h.seen[id] = true
	h.told[n.Data.ID] = append(h.told[n.Data.ID], Notice{n.Type, n.Data.Sequence, n.Data.Status})
}

// Told is what the hook was told of a message, in the order in which it came.
func (h *Hook) Told(id string) []Notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told[id])
}

// has reports whether the hook was told a type of notice of a message.
func (h *Hook) has(id, typ string) bool {
	return slices.ContainsFunc(h.Told(id), func(n Notice) bool { return n.Type == typ })
}

// Faults lists the notices that no sender's system expects.
func (h *Hook) Faults() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.faults)
}

// Notices is what the callbacks told.
type Notices struct {
	Told       int `json:"told"`
	Again      int `json:"again"`      // the last one of a message once more: the engine ended before it knew that it was taken
	Disordered int `json:"disordered"` // messages of which another order was told than that of their events; must be 0
}

// ends is the notice of a message that is over.
var ends = map[message.Phase]string{
	message.Arrived: callback.MessageDelivered, message.Confirming: callback.MessageSubmitted, message.Expired: callback.MessageLapsed,
}

// notices waits until the hook was told of the end of each message, and judges the order of what it was told.
func (v *Verdict) notices(ctx context.Context, h *Hook, records map[string]api.Message, t Terms) error {
	limited, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for id, m := range records {
		for ends[m.Status] != "" && !h.has(id, ends[m.Status]) && limited.Err() == nil {
			select {
			case <-limited.Done():
			case <-pace.C:
			}
		}
	}
	for id, m := range records {
		got := h.Told(id)
		v.Notices.Told += len(got)
		again, err := inTurn(got, m.Status)
		v.Notices.Again += again
		if err != nil {
			v.Notices.Disordered++
			v.broken("callbacks of message %s: %v: %v", id, err, got)
		}
	}
	for _, fault := range h.Faults() {
		v.broken("callback: %s", fault)
	}
	return ctx.Err()
}

// inTurn checks that a message was told in the order of its events, from its acceptance to its end; again is how many notices
// came twice.
func inTurn(got []Notice, end message.Phase) (again int, err error) {
	if len(got) == 0 || got[0].Type != callback.MessageAccepted {
		return 0, fmt.Errorf("it does not begin with %s", callback.MessageAccepted)
	}
	for i := 1; i < len(got); i++ {
		switch was, is := got[i-1], got[i]; {
		case is.Sequence < was.Sequence, is.Type == callback.MessageAccepted && is != was:
			return again, fmt.Errorf("%s came behind %s", is.Type, was.Type)
		case is.Sequence == was.Sequence && is != was:
			return again, fmt.Errorf("event %d was told as %s and as %s", is.Sequence, was.Type, is.Type)
		case is == was:
			again++
		}
	}
	last := got[len(got)-1]
	if end == message.Confirming && last.Status == message.Arrived {
		return again, nil // its receipt came since the record was read
	}
	if ends[end] != "" && last.Type != ends[end] || last.Status != end {
		return again, fmt.Errorf("it ends with %s, and the message as %q", last.Type, end)
	}
	return again, nil
}
