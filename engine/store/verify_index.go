package store

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// compare walks through the index and the second one, which have their keys in the same order.
func (v *verifier) compare() error {
	if v.store == nil {
		return nil
	}
	if err := v.store.index.writeOut(); err != nil {
		return err
	}
	have, err := v.store.index.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer have.Close()
	want, err := v.fresh.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer want.Close()
	now := v.Now()
	h, w := have.First(), want.First()
	for steps := 0; h || w; steps++ {
		if steps%100_000 == 0 {
			v.Tell(Progress{"keys of the index", uint64(steps), 0})
			if err := v.ctx.Err(); err != nil {
				return err
			}
		}
		order := 0
		switch {
		case !h:
			order = 1
		case !w:
			order = -1
		default:
			order = bytes.Compare(have.Key(), want.Key())
		}
		switch {
		case order < 0:
			v.find(v.describe(have.Key(), have.Value()), "it is in the index and not in the log")
		case order > 0 && (v.ended(want.Key(), want.Value(), now) || v.forgotten(want.Key(), want.Value())):
			v.report.Swept++
		case order > 0:
			v.find(v.describe(want.Key(), want.Value()), "it is in the log and not in the index")
		case want.Key()[0] != keyMark && !bytes.Equal(have.Value(), want.Value()):
			v.find(v.describe(want.Key(), want.Value()), "index and log say different things of it")
		default:
			v.count(want.Key())
		}
		if order <= 0 {
			h = have.Next()
		}
		if order >= 0 {
			w = want.Next()
		}
	}
	if err := have.Error(); err != nil {
		v.find(indexDir, "%v", v.named(err))
	}
	return want.Error()
}

func (v *verifier) count(key []byte) {
	switch key[0] {
	case keyLife:
		v.report.Streams++
	case keyName:
		v.report.Names++
	case keyDue:
		v.report.Queued++
		if v.report.Queues == nil {
			v.report.Queues = map[string]uint64{}
		}
		v.report.Queues[string(key[1:max(1, len(key)-dueSize-1)])]++
	}
}

// ended reports whether the key is that of a name that no longer holds, which is swept sooner or later.
func (v *verifier) ended(key, value []byte, now time.Time) bool {
	if key[0] != keyName {
		return false
	}
	n, err := parseName(value)
	if err != nil {
		return false
	}
	holds, err := n.holds(now, func(id ulid.ULID) (bool, error) {
		st, _, err := v.fresh.state(id)
		return st.final, err
	})
	return err == nil && !holds
}

// forgotten reports whether the index has lost the key to a purge that the log has yet to follow (purge.go): names and
// terms of erased content, and whole streams of callbacks. Of ByKept it forgets by Unkeep.
func (v *verifier) forgotten(key, value []byte) bool {
	switch key[0] {
	case keyName:
		n, err := parseName(value)
		if err != nil || len(key) < 2 {
			return false
		}
		space := Space(key[1])
		return space == ByKept || v.Erasure.Name != nil && v.Erasure.Name(n.holder.Kind, space) && v.erased(n.holder.ID)
	case keyTerm:
		_, rest, ok := bytes.Cut(key[1:], []byte{0}) // behind the tenant
		if !ok || len(rest) < 3+newestSize || v.Erasure.Term == nil || !v.Erasure.Term(Kind(rest[0]), rest[1]) {
			return false
		}
		_, id := parseNewest(key[len(key)-newestSize:])
		return v.erased(id)
	case keyLife, keyChunk:
		return len(key) >= 17 && v.goesWhole(ulid.ULID(key[1:17]))
	case keyHead:
		if len(key) < newestSize {
			return false
		}
		_, id := parseNewest(key[len(key)-newestSize:])
		return v.goesWhole(id)
	}
	return false
}

// logged loads a stream by the second index.
func (v *verifier) logged(id ulid.ULID) (ref Ref, events []Event) {
	places, have, there, err := v.fresh.places(nil, id, 0)
	if err != nil || !there {
		return ref, nil
	}
	wants := make([]want, len(places))
	for i, p := range places {
		wants[i] = want{place: p, ref: have, seq: uint32(i), at: i}
	}
	events = make([]Event, len(places))
	if err := v.store.fetch(v.ctx, wants, func(w want, e Event) { events[w.at] = e }); err != nil {
		return ref, nil
	}
	return have, events
}

// erased reports whether a stream has a box whose key has been destroyed.
func (v *verifier) erased(id ulid.ULID) (gone bool) {
	ref, events := v.logged(id)
	cut := v.Erasure.Cut[ref.Kind]
	if cut == nil {
		return false
	}
	for _, e := range events {
		_, err := cut(e.Type, e.Data, func(box []byte) []byte {
			gone = gone || isStub(box) || v.store.keys.erasedBox(ref.Tenant, box)
			return box
		})
		if err != nil {
			return false
		}
	}
	return gone
}

func (v *verifier) goesWhole(id ulid.ULID) bool {
	ref, events := v.logged(id)
	if ref.Kind != Callback || len(events) == 0 {
		return false
	}
	whole, err := v.store.sourceGone(v.ctx, &v.Erasure, ref, events[0].Data)
	return err == nil && whole
}

// describe says what a key of the index is about, without the name or term in it.
func (v *verifier) describe(key, value []byte) string {
	unreadable := fmt.Sprintf("key of type %q and %d bytes", key[0], len(key))
	switch key[0] {
	case keyLife:
		if len(key) == 17 {
			return "stream " + ulid.ULID(key[1:]).String()
		}
	case keyChunk:
		if len(key) == 21 {
			return fmt.Sprintf("places of stream %s", ulid.ULID(key[1:17]))
		}
	case keyName:
		if n, err := parseName(value); err == nil && len(key) > 1 {
			return fmt.Sprintf("name in space %c of stream %s", key[1], n.holder)
		}
	case keyHead, keyTerm:
		if len(key) > newestSize {
			_, id := parseNewest(key[len(key)-newestSize:])
			return fmt.Sprintf("%s of stream %s", map[byte]string{keyHead: "place in the list", keyTerm: "term"}[key[0]], id)
		}
	case keyDue:
		if len(key) > 2+dueSize {
			if d, err := parseDue(key[len(key)-dueSize:], value); err == nil {
				return fmt.Sprintf("place in queue %s of stream %s", key[1:len(key)-dueSize-1], d.ref)
			}
		}
	case keyMark:
		return "mark of the index"
	}
	return unreadable
}

// Streams are looked at some at a time.
const (
	verifyStreams = 256
	verifyEvents  = 4096 // of a stream that is looked at as a whole; longer ones are read in pieces of this length
)

// streams reads the events of every stream where the index says that they are.
func (v *verifier) streams() error {
	if v.store == nil {
		return nil
	}
	inspect := func(Inspected) error { return nil }
	if v.Inspect != nil {
		look := v.Inspect(v.store)
		inspect = func(i Inspected) error { return look(v.ctx, i) }
	}
	it, err := v.store.index.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyLife}, UpperBound: []byte{keyLife + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	var some []*life
	events, done := uint32(0), uint64(0)
	flush := func() error {
		v.together(some, inspect)
		done += uint64(len(some))
		v.Tell(Progress{"streams", done, v.report.Streams})
		some, events = some[:0], 0
		return v.ctx.Err()
	}
	for ok := it.First(); ok; ok = it.Next() {
		l, err := parseLife(ulid.ULID(it.Key()[1:]), it.Value())
		if err != nil {
			v.find(v.describe(it.Key(), nil), "%v", err)
			continue
		}
		switch {
		case l.version > verifyEvents:
			v.long(l)
			continue
		case l.ref.Kind == File: // of some MiB
			v.together([]*life{l}, inspect)
			continue
		}
		some, events = append(some, l), events+l.version
		if len(some) >= verifyStreams || events >= verifyEvents {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := it.Error(); err != nil {
		v.find(indexDir, "%v", v.named(err))
	}
	return flush()
}

// together loads streams in one go, and one by one when something is wrong with one of them.
func (v *verifier) together(some []*life, inspect func(Inspected) error) {
	refs := make([]Ref, len(some))
	for i, l := range some {
		refs[i] = l.ref
	}
	all, err := v.store.LoadMany(v.ctx, tenant.Operator(), refs)
	if err != nil && len(some) > 1 {
		for _, l := range some {
			v.together([]*life{l}, inspect)
		}
		return
	}
	for i, l := range some {
		of := "stream " + l.ref.String()
		if err != nil {
			v.find(of, "%v", v.named(err))
			continue
		}
		in := Inspected{Ref: l.ref, Events: all[i], Final: l.final, Queue: l.due.queue}
		if l.due.queue != "" {
			in.Due = time.Unix(0, l.due.at).UTC()
		}
		if err := inspect(in); err != nil {
			v.find(of, "%v", v.named(err))
		}
	}
}

// long reads a stream of many events in pieces; nobody looks at it as a whole.
func (v *verifier) long(l *life) {
	of := "stream " + l.ref.String()
	places, _, _, err := v.store.index.places(nil, l.ref.ID, 0)
	if err == nil && uint32(len(places)) != l.version {
		err = fmt.Errorf("%w: %d places of %d events", errDamaged, len(places), l.version)
	}
	for from := 0; err == nil && from < len(places); from += verifyEvents {
		part := places[from:min(from+verifyEvents, len(places))]
		wants := make([]want, len(part))
		for i, p := range part {
			wants[i] = want{place: p, ref: l.ref, seq: uint32(from + i)}
		}
		err = v.store.fetch(v.ctx, wants, func(want, Event) {})
	}
	if err != nil {
		v.find(of, "%v", v.named(err))
	}
}
