package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
)

// Verify compares everything in a store that nobody has open with everything else in it, and changes nothing: it works on
// a view (view.go). It goes through these steps, and each tells what it found:
//
//	files    FORMAT, ACKED, READERS and keys can be read and unwrapped; checksums of the files of log and index
//	opening  the view opens as the store would: torn tail, lost files, what the index lacks is replayed
//	groups   every entry by its checksum; the order and numbers of groups and events; from this a second index is made
//	index    every key of the index against the second one, in both directions
//	streams  every event is where the index says; whoever owns the kind looks at the whole (VerifyOptions.Inspect)
//
// The second index needs the room of the first. Memory does not grow with the store: what is compared lies on disk, in
// the same order, and streams are loaded some at a time.
//
// What is no fault: names that were swept because they had ended, and what a purge that ended early took from the index
// first; groups that the index has yet to replay (Behind); a torn
// end of the log that nobody was told of. A finding names streams and files, never a number, a token or any content.

// VerifyOptions say what is verified.
type VerifyOptions struct {
	Options
	Most int            // findings that are kept; 0: 100
	Tell func(Progress) // may be nil
	// Inspect returns what looks at each stream; it may read from the store it is given. nil: nobody.
	Inspect func(*Store) func(context.Context, Inspected) error
	// Erasure says what a sweep of retention takes away: the index forgets it before the log does.
	Erasure Erasure
	// Beside looks at what lies beside the store and follows from it; it calls find with what does not agree. nil: nobody.
	Beside func(ctx context.Context, s *Store, find func(of, what string)) error
}

// Inspected is a stream with what the index says of it.
type Inspected struct {
	Ref    Ref
	Events []Event
	Final  bool
	Queue  string // it stands in; "": none
	Due    time.Time
}

// Finding is something that does not agree.
type Finding struct {
	Of   string // a file, a group or a stream
	What string
}

// VerifyReport says what was looked at and what was found.
type VerifyReport struct {
	Groups, Events, Streams, Names uint64
	Queued                         uint64            // streams that stand in queues
	Queues                         map[string]uint64 // how many in each
	Behind                         uint64            // groups that a start will replay into the index
	Swept                          uint64            // names that had ended and are no longer in the index
	Found                          int
	Findings                       []Finding // the first of them
}

func (o *VerifyOptions) fill() {
	o.Options = o.Options.withDefaults()
	if o.Most == 0 {
		o.Most = 100
	}
	if o.Tell == nil {
		o.Tell = func(Progress) {}
	}
}

type verifier struct {
	VerifyOptions
	ctx     context.Context
	report  VerifyReport
	dir     string // of the store
	storeID ulid.ULID
	view    *view
	store   *Store     // of the view; nil when it does not open
	log     *badgerLog // of the view
	fresh   *index     // made from the log
}

func (v *verifier) find(of, what string, args ...any) {
	if v.report.Found++; len(v.report.Findings) < v.Most {
		v.report.Findings = append(v.report.Findings, Finding{of, fmt.Sprintf(what, args...)})
	}
}

// Verify returns what it found. An error means that it could not look: the store is in use, there is none, the master key
// is another's, ctx ended.
func Verify(ctx context.Context, o VerifyOptions) (_ *VerifyReport, err error) {
	o.fill()
	o.Cache = 64 << 20 // twice
	v := &verifier{VerifyOptions: o, ctx: ctx, dir: o.Dir}
	if v.view, err = makeView(o.Options, true); err != nil {
		if errors.Is(err, errDamaged) {
			v.find(formatFile, "%v", err)
			return &v.report, nil
		}
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if v.storeID, err = ulid.ParseStrict(v.view.of.Store); err != nil {
		v.find(formatFile, "store id: %v", err)
		return &v.report, nil
	}
	for _, step := range []func() error{v.files, v.open, v.groups, v.compare, v.streams, v.beside} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &v.report, nil
}

func (v *verifier) close() error {
	var errs []error
	if v.fresh != nil {
		errs = append(errs, v.fresh.db.Close())
	}
	if v.store != nil {
		errs = append(errs, v.store.Close())
	} else if v.log != nil {
		errs = append(errs, v.log.Close())
	}
	return errors.Join(append(errs, v.view.close())...)
}

// open opens the view as a store; without its index when that is what does not open; or at least its log.
func (v *verifier) open() error {
	open := func() (err error) {
		o := v.view.options(v.Options)
		o.Fatal = func(error) {} // what it failed of is found by its use
		v.store, err = Open(o)
		return err
	}
	next, err := v.marked()
	if err != nil {
		return err
	}
	err = open()
	if err != nil {
		v.find("store", "it does not open: %v", v.named(err))
		if err := os.RemoveAll(filepath.Join(v.view.dir, indexDir)); err != nil {
			return err
		}
		err = open()
	}
	if err == nil {
		v.log = v.store.log.(*badgerLog)
	} else if v.log, err = v.view.openLog(v.Options); err != nil {
		v.find(logDir, "it does not open: %v", v.named(err))
		return nil
	}
	if last := v.log.Last(); next > 0 && next <= last {
		v.report.Behind = last + 1 - next
	}
	if err := v.log.db.VerifyChecksum(); err != nil {
		v.find(logDir, "%v", v.named(err))
	}
	return v.ctx.Err()
}

// named is an error with the view's directory called by the store's.
func (v *verifier) named(err error) string { return renamed(err.Error(), v.view.dir, v.dir) }

// groups reads the log from its begin and makes the second index of what is in order.
func (v *verifier) groups() (err error) {
	if v.log == nil {
		return nil
	}
	if v.fresh, err = newIndex(filepath.Join(v.view.dir, "fresh"), v.view.of, v.Options); err != nil {
		return err
	}
	last := v.log.Last()
	for seq := uint64(1); seq <= last; seq++ {
		if seq%tellGroups == 0 || seq == last {
			v.Tell(Progress{"groups", seq, last})
			if err := v.ctx.Err(); err != nil {
				return err
			}
		}
		if err := v.log.Read(seq, func(group []byte) error { return v.group(seq, group) }); err != nil {
			v.find(fmt.Sprintf("group %d", seq), "%v", v.named(err))
		}
		v.report.Groups++
		v.fresh.next = seq + 1
		if err := v.fresh.makeRoom(); err != nil {
			return err
		}
	}
	if err := v.fresh.writeOut(); err != nil {
		return err
	}
	return v.fresh.merge(v.ctx)
}

// group looks at one group and applies to the second index what fits. An error is of the group as a whole.
func (v *verifier) group(seq uint64, group []byte) error {
	ix := v.fresh
	ix.applying.Lock()
	defer ix.applying.Unlock()
	ix.mu.Lock()
	defer ix.mu.Unlock()
	h, err := parseGroupHeader(group)
	if err != nil {
		return err
	}
	var f storedFacts
	_, err = eachEntry(group, false, func(n uint32, off int, body []byte) error {
		of := fmt.Sprintf("group %d, entry %d", seq, n)
		switch body[0] {
		case entryEvent:
			e, err := parseEvent(body)
			if err != nil {
				return err
			}
			v.report.Events++
			of = fmt.Sprintf("stream %c/%s/%s", e.kind, e.tenant, e.id)
			l, err := ix.touch(e.kind, e.id, e.tenant, e.seq == 0)
			switch {
			case err != nil:
				v.find(of, "event %d in group %d: %v", e.seq, seq, err)
				return nil
			case l == nil: // it went with its head
				return nil
			case e.seq != l.version:
				v.find(of, "event %d in group %d follows %d events", e.seq, seq, l.version)
				return nil
			case l.ref.Kind != e.kind || string(l.ref.Tenant) != string(e.tenant):
				v.find(of, "event %d in group %d is of another stream than its id, %s", e.seq, seq, l.ref)
				return nil
			case l.version > 0 && e.at < l.lastAt:
				v.find(of, "event %d in group %d is older than the one before it", e.seq, seq)
			}
			return ix.applyEvent(body, place{seq, uint32(off)})
		case entryFacts:
			if err := parseFacts(&f, body); err != nil {
				return err
			}
			if err := ix.applyFacts(&f, place{seq, n}, h.floor); err != nil {
				v.find(of, "%v", err)
			}
			return nil
		}
		return fmt.Errorf("%w: entry of type %q", errDamaged, body[0])
	})
	return err
}

func (v *verifier) beside() error {
	if v.store == nil || v.Beside == nil {
		return nil
	}
	return v.Beside(v.ctx, v.store, func(of, what string) { v.find(of, "%s", what) })
}

// Lag is how many groups the named reader of Follow is behind; all of them when it never read.
func (s *Store) Lag(reader string) uint64 {
	next := s.recent.next()
	if lag, ok := s.readers.lag(next)[reader]; ok {
		return lag
	}
	return next - 1
}
