package document

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Events of a file. Values are stored.
const (
	begun    = 1 // head
	chunk    = 2 // sealed bytes, aad "<id>/<seq>"
	complete = 3
	held     = 4 // holding: a link shows the file until then; behind complete
	removed  = 5 // removal; behind complete
	named    = 6 // naming: uploaded again under another name, or after it was removed
)

type head struct {
	V      int    `json:"v"` // 1
	Size   int    `json:"size"`
	Chunks int    `json:"chunks"`
	Digest []byte `json:"digest"` // SHA-256 of the file, sealed, aad "<id>/digest"
	Name   []byte `json:"name"`   // sealed, aad "<id>/name"
	// Of files from before these were noted they are empty.
	Class    string `json:"class,omitempty"`
	Uploaded bool   `json:"uploaded,omitempty"` // by the sender
	Pages    int    `json:"pages,omitempty"`    // 0: not known
}

// holding is the data of held. Its form, and that of removal, is read by engine/retention.
type holding struct {
	Until time.Time `json:"until"`
}

type removal struct {
	Removed bool `json:"removed"`
}

type naming struct {
	Name []byte `json:"name"` // sealed, aad "<id>/name/<seq>"
}

// state is the fold of a file's events.
type state struct {
	head    head
	at      time.Time // of the head
	whole   bool
	removed bool
	until   time.Time // held
	names   []nameBox // since it was last removed; not empty
	version int
}

// nameBox is a sealed name; what is the end of its aad.
type nameBox struct {
	what string
	box  []byte
}

// there: it is whole and was not removed.
func (s *state) there() bool { return s.whole && !s.removed }

// fold reads a stream of kind store.File. One without an end is a file that was never finished, or content of another room that has
// such streams too (engine/campaign): nothing of it is read.
func fold(events []store.Event) (st state, err error) {
	st.version = len(events)
	if !slices.ContainsFunc(events, func(e store.Event) bool { return e.Type == complete }) {
		return st, nil
	}
	for n, e := range events {
		switch e.Type {
		case begun:
			err = json.Unmarshal(e.Data, &st.head)
			st.at, st.names = e.At, []nameBox{{"name", st.head.Name}}
		case complete:
			st.whole = true
		case held:
			var h holding
			err = json.Unmarshal(e.Data, &h)
			st.until = h.Until
		case removed:
			st.removed, st.until = true, time.Time{}
		case named:
			var h naming
			err = json.Unmarshal(e.Data, &h)
			if st.removed {
				st.removed, st.names = false, nil
			}
			st.names = append(st.names, nameBox{nameAt(n), h.Name})
		}
		if err != nil {
			return st, fmt.Errorf("event %d of document %s: %w", n, e.Ref.ID, err)
		}
	}
	return st, nil
}

func nameAt(seq int) string { return fmt.Sprintf("name/%d", seq) }

// maxRemembered bounds the states in memory: a file's stream is its bytes, which are not read again for each message.
const maxRemembered = 4096

// state is the file as it stands. It must not be changed.
func (d *Documents) state(ctx context.Context, scope tenant.Scope, ref store.Ref) (state, error) {
	d.mu.Lock()
	st, ok := d.files[ref]
	commits := d.commits
	d.mu.Unlock()
	if ok && scope.Sees(ref.Tenant) {
		return st, nil
	}
	events, err := d.s.Load(ctx, scope, ref)
	if err != nil {
		return st, err
	}
	if st, err = fold(events); err != nil || !st.whole {
		return st, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if commits != d.commits {
		return st, nil // perhaps of before a commit
	}
	if len(d.files) >= maxRemembered {
		clear(d.files)
	}
	d.files[ref] = st
	return st, nil
}

// open is the name in a box.
func (d *Documents) open(ref store.Ref, n nameBox) (string, error) {
	plain, err := d.s.Open(ref.Tenant, ref.ID.String()+"/"+n.what, n.box)
	return string(plain), err
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: event of a document: " + err.Error())
	}
	return b
}
