package store

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// A stream whose content outlives the key of its day has been sealed anew under the key of a later day, in an event of its
// own, and is listed by a name in the space ByKept until that key goes too. engine/retention decides who.

// KeptName is the name of a stream that was sealed anew under the key of a class and day.
func KeptName(id ulid.ULID, class, day string) Name {
	return Name{Space: ByKept, Key: string(id[:]), Value: []byte(class + "/" + day)}
}

// Kept is a stream that was sealed anew.
type Kept struct {
	Ref        Ref
	Class, Day string // of the key
}

// EachKept calls fn with the tenant's streams that were sealed anew, until fn fails.
func (s *Store) EachKept(ctx context.Context, id tenant.ID, fn func(Kept) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	if err := s.index.publish(); err != nil {
		return fmt.Errorf("list what is kept: %w", err)
	}
	prefix := appendNameKey(nil, ByKept, id, "")
	it, err := s.index.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("list what is kept: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, err := parseName(it.Value())
		if err != nil {
			return err
		}
		class, day, _ := strings.Cut(string(n.value), "/")
		if err := errors.Join(ctx.Err(), fn(Kept{n.holder, class, day})); err != nil {
			return err
		}
	}
	return it.Error()
}

// Unkeep takes streams off the list. The list forgets durably only with the next Purge of their groups.
func (s *Store) Unkeep(refs []Ref) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	if err := s.index.publish(); err != nil { // else what is staged would bring them back
		return err
	}
	b := s.index.db.NewBatch()
	defer b.Close()
	for _, ref := range refs {
		if err := b.Delete(appendNameKey(nil, ByKept, ref.Tenant, ref.ID[:]), nil); err != nil {
			return err
		}
	}
	s.index.applying.Lock()
	defer s.index.applying.Unlock()
	return b.Commit(pebble.NoSync)
}

// SealedUnder says which class and day the key of a box is of; false: it is no box of the tenant.
func (s *Store) SealedUnder(id tenant.ID, box []byte) (class, day string, ok bool) {
	if len(box) < stubSize || box[0] != boxVersion {
		return "", "", false
	}
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	d := s.keys.byID[keyID(box[1:stubSize])]
	if d == nil || d.slot.tenant != id {
		return "", "", false
	}
	return d.slot.class, d.slot.day, true
}

// GroupsOf lists the groups that hold events of a stream, in order.
func (s *Store) GroupsOf(ref Ref) ([]uint64, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	places, have, there, err := s.index.places(nil, ref.ID, 0)
	if err != nil || !there || have != ref {
		return nil, err
	}
	var groups []uint64
	for _, p := range places {
		if n := len(groups); n == 0 || groups[n-1] != p.group {
			groups = append(groups, p.group)
		}
	}
	return groups, nil
}

// GroupAt is the first group that was made at a time or later; one behind the last when there is none. Where the clock was
// set back it is one of several.
func (s *Store) GroupAt(at time.Time) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.exit()
	last := s.applied.Load()
	var failed error
	n := sort.Search(int(last), func(i int) bool {
		if failed != nil {
			return true
		}
		var made time.Time
		made, failed = s.log.(*badgerLog).made(uint64(i) + 1)
		return !made.Before(at)
	})
	return uint64(n) + 1, failed
}

// Newest is when the newest group was made that was there when the store was opened; zero: there was none.
func (s *Store) Newest() time.Time { return s.newest }

// made is when a group was made; zero for group 0.
func (b *badgerLog) made(seq uint64) (at time.Time, err error) {
	if seq == 0 {
		return at, nil
	}
	err = b.Read(seq, func(group []byte) error {
		h, err := parseGroupHeader(group)
		at = unnano(h.time)
		return err
	})
	return at, err
}

// unnano is the time that nanos stored.
func unnano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
