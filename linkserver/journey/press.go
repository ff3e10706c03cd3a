package journey

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/kakitome/kakitome/engine/identity"
)

// secondPress is how long the same button with the same words is the same press: on a slow network people press again, the
// browser drops the first answer, and a code is used up.
const secondPress = 10 * time.Second

// presses answers a button that is pressed again, by the same session with the same words, as it was answered first: however often,
// at the same moment or within secondPress, it is one try. Only the browser whose session it is knows its id, which no later
// session has. What is lost at a restart costs a person another code. Safe for concurrent use.
type presses struct {
	calls singleflight.Group

	mu         sync.Mutex // guards what follows
	since      time.Time  // when young began
	young, old map[press]pressed
}

// press is the digest of a session, a step and what was typed.
type press [sha256.Size]byte

type pressed struct {
	at         time.Time
	result     identity.Result
	unreadable []int
}

func pressOf(s *Session, step string, typed map[string]string) press {
	h := sha256.New()
	h.Write(s.ID[:])
	write := func(word string) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(word))))
		h.Write([]byte(word))
	}
	write(step)
	for _, field := range slices.Sorted(maps.Keys(typed)) {
		write(field)
		write(typed[field])
	}
	return press(h.Sum(nil))
}

// once calls try unless the same was pressed a moment ago. try must not end with its request: others may wait for it.
func (p *presses) once(of press, now func() time.Time, try func() (identity.Result, []int, error)) (identity.Result, []int, error) {
	v, err, _ := p.calls.Do(string(of[:]), func() (any, error) {
		if was, ok := p.last(of, now()); ok {
			return was, nil
		}
		result, unreadable, err := try()
		done := pressed{now(), result, unreadable}
		if err == nil && (result == identity.Passed || result == identity.NeedCode || result == identity.Mismatch) {
			p.keep(of, done)
		}
		return done, err
	})
	done := v.(pressed)
	return done.result, done.unreadable, err
}

func (p *presses) last(of press, now time.Time) (pressed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.young[of]
	if !ok {
		was, ok = p.old[of]
	}
	return was, ok && now.Sub(was.at) < secondPress
}

func (p *presses) keep(of press, done pressed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young == nil || done.at.Sub(p.since) >= secondPress {
		p.old, p.young, p.since = p.young, map[press]pressed{}, done.at
	}
	p.young[of] = done
}
