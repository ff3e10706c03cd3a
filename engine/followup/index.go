package followup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	// syncEvery is the least time between two synced batches of the index: it lies on the disk of the log. Batches of crowd
	// events and more go at once, or the lists would fall behind a busy store, and take hours to fill anew.
	syncEvery = 200 * time.Millisecond
	crowd     = 500
	// horizon is how long a message can be followed up: links live 400 days at the most.
	horizon = 500 * 24 * time.Hour
	// readerKey holds the name of the reader that fills this directory. It is shorter than any other key.
	readerKey = "\x00"
	// readerPrefix begins that name: a directory that was deleted had another one.
	readerPrefix = "followup "
)

// index is which messages may belong to lists. Safe for concurrent use.
type index struct {
	db     *pebble.DB
	reader string // of store.Follow
	synced time.Time
}

func openIndex(dir string, log *slog.Logger) (*index, error) {
	// Two keys a message, one of which goes soon: in a small memory each table would span all lists, and be merged with all of them. But
	// a file of its log is reserved with a tenth more than the memory, at once: that must be little beside the store's floor of free space.
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{log}, MemTableSize: 8 << 20, L0CompactionThreshold: 8, LBaseMaxBytes: 256 << 20})
	if err != nil {
		return nil, fmt.Errorf("open the lists in %s (the directory can be deleted: it fills again from the store): %w", dir, err)
	}
	ix := &index{db: db}
	name, closer, err := db.Get([]byte(readerKey))
	switch {
	case err == nil:
		ix.reader = string(name)
		err = closer.Close()
	case errors.Is(err, pebble.ErrNotFound):
		ix.reader = readerPrefix + rand.Text()[:10]
		err = db.Set([]byte(readerKey), []byte(ix.reader), pebble.Sync)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the lists in %s: %w", dir, err), db.Close())
	}
	return ix, nil
}

func key(t tenant.ID, l List, id ulid.ULID) []byte {
	return append(append(append(make([]byte, 0, len(t)+18), t...), 0, keys[l]), id[:]...)
}

// pause is how long a batch of n events waits when the one before was synced a time ago.
func pause(n int, ago time.Duration) time.Duration {
	if n >= crowd {
		return 0
	}
	return max(syncEvery-ago, 0)
}

// firstID is the id with which those of a time begin. A time that no id can have, as somebody may type it, is taken as the next
// one that an id can have; the id is never zero.
func firstID(at time.Time) (id ulid.ULID) {
	ms := uint64(min(max(at.UnixMilli(), 1), int64(ulid.MaxTime())))
	if err := id.SetTime(ms); err != nil {
		panic("BUG: time of an id: " + err.Error())
	}
	return id
}

// apply takes what happened to messages. A small batch waits for its turn, so that single messages do not have the disk synced
// all the time.
func (ix *index) apply(ctx context.Context, batch []store.Event) error {
	b := ix.db.NewBatch()
	defer b.Close()
	for i := range batch {
		if err := ix.event(b, &batch[i]); err != nil {
			return err
		}
	}
	if b.Empty() {
		return nil
	}
	if wait := pause(len(batch), clock.Now().Sub(ix.synced)); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("keep the lists: %w", err)
	}
	ix.synced = clock.Now()
	return nil
}

func (ix *index) event(b *pebble.Batch, e *store.Event) error {
	if e.Ref.Kind != store.Message {
		return nil
	}
	var errs []error
	into, outOf := moves(e)
	for _, l := range outOf {
		errs = append(errs, b.Delete(key(e.Ref.Tenant, l, e.Ref.ID), nil))
	}
	for _, l := range into {
		errs = append(errs, b.Set(key(e.Ref.Tenant, l, e.Ref.ID), nil, nil))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("keep the lists: %w", err)
	}
	return nil
}

// moves says into which of the kept lists an event of a message may bring it, and out of which it does.
func moves(e *store.Event) (into, outOf []List) {
	ev := message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
	switch ev.Type {
	case message.Accepted:
		if message.HasLink(e.Data) {
			return []List{Undelivered, Unopened}, nil
		}
		return []List{Undelivered}, nil
	case message.Delivered:
		return nil, []List{Undelivered}
	case message.Undelivered, message.Refused, message.Lapsed: // it stays when another segment is delivered after it
		return []List{failed}, nil
	case message.Opened:
		var o message.Opening
		if err := ev.Decode(&o); err == nil && o.Doubtful == "" {
			return []List{Unidentified, Unpaid}, []List{Undelivered, failed, Unopened}
		}
	case message.Identified:
		return []List{Unpaid}, []List{Undelivered, failed, Unopened, Unidentified}
	case message.Promised:
		return []List{BrokenPromise}, []List{Unpaid}
	case message.Canceled:
		return nil, kept()
	case message.Revoked:
		return nil, []List{Unopened, Unidentified, Unpaid, BrokenPromise}
	case message.Resent:
		return nil, []List{Undelivered, failed}
	}
	return nil, nil
}

// walk gives candidates of a list, newest first, older than before (zero: all) and not older than from, at most limit.
func (ix *index) walk(ctx context.Context, t tenant.ID, l List, before ulid.ULID, from time.Time, limit int) (ids []ulid.ULID, err error) {
	for _, l := range partsOf(l) {
		it, err := ix.iterate(ctx, t, l, before, from)
		if err != nil {
			return nil, err
		}
		for ok, n := it.Last(), 0; ok && n < limit; ok, n = it.Prev(), n+1 {
			var id ulid.ULID
			copy(id[:], it.Key()[len(t)+2:])
			ids = append(ids, id)
		}
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return nil, fmt.Errorf("read a list: %w", err)
		}
	}
	slices.SortFunc(ids, func(a, b ulid.ULID) int { return b.Compare(a) })
	ids = slices.Compact(ids)
	return ids[:min(limit, len(ids))], nil
}

// kept are the lists that the index has.
func kept() []List { return []List{Undelivered, failed, Unopened, Unidentified, Unpaid, BrokenPromise} }

// partsOf is what a list is kept as.
func partsOf(l List) []List {
	switch l {
	case Undelivered:
		return []List{Undelivered, failed}
	case Promised:
		return []List{BrokenPromise}
	}
	return []List{l}
}

// count counts the candidates that walk would give, some perhaps twice.
func (ix *index) count(ctx context.Context, t tenant.ID, l List, before ulid.ULID, from time.Time) (n int64, err error) {
	for _, l := range partsOf(l) {
		it, err := ix.iterate(ctx, t, l, before, from)
		if err != nil {
			return 0, err
		}
		for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
			n++
		}
		if err := errors.Join(it.Error(), it.Close(), ctx.Err()); err != nil {
			return 0, fmt.Errorf("count a list: %w", err)
		}
	}
	return n, nil
}

func (ix *index) iterate(ctx context.Context, t tenant.ID, l List, before ulid.ULID, from time.Time) (*pebble.Iterator, error) {
	o := &pebble.IterOptions{LowerBound: key(t, l, firstID(from)), UpperBound: key(t, l, before)}
	if before.IsZero() {
		o.UpperBound = append(key(t, l, ulid.ULID{})[:len(t)+1], keys[l]+1)
	}
	it, err := ix.db.NewIterWithContext(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("read a list: %w", err)
	}
	return it, nil
}

// forget takes messages out of a list for good.
func (ix *index) forget(t tenant.ID, l List, ids []ulid.ULID) error {
	b := ix.db.NewBatch()
	defer b.Close()
	for _, l := range partsOf(l) {
		for _, id := range ids {
			if err := b.Delete(key(t, l, id), nil); err != nil {
				return fmt.Errorf("keep the lists: %w", err)
			}
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("keep the lists: %w", err)
	}
	return nil
}

// sweep drops what is older than anything can be followed up.
func (ix *index) sweep(tenants []tenant.ID, now time.Time) error {
	end := firstID(now.Add(-horizon))
	for _, t := range tenants {
		for _, l := range kept() {
			if err := ix.db.DeleteRange(key(t, l, ulid.ULID{}), key(t, l, end), pebble.NoSync); err != nil {
				return fmt.Errorf("sweep the lists: %w", err)
			}
		}
	}
	return nil
}

// quiet passes on what Pebble says of faults.
type quiet struct{ log *slog.Logger }

func (quiet) Infof(string, ...any) {}
func (q quiet) Errorf(format string, args ...any) {
	q.log.Error("follow-up directory", "err", fmt.Sprintf(format, args...))
}
func (q quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("follow-up directory: "+format, args...))
}
