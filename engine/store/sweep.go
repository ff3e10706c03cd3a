package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"
)

// Names that have ended still lie in the index, where nothing resolves to them. They are swept away every hour, a few at
// a time, so that the index grows with what is alive. A replay may bring some back until the next sweep.
const (
	sweepEvery = time.Hour
	sweepStep  = 512
)

func (s *Store) keepSwept() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		n, err := s.sweepNames()
		if err != nil && !errors.Is(err, ErrClosed) {
			s.opt.Log.Error("names not swept", "err", err)
		} else if n > 0 {
			s.opt.Log.Debug("names swept", "names", n)
		}
	}
}

// sweepNames deletes the names that have ended and returns how many.
func (s *Store) sweepNames() (swept int, err error) {
	if err := s.index.publish(); err != nil {
		return 0, fmt.Errorf("sweep names: %w", err)
	}
	from := []byte{keyName}
	for from != nil {
		select {
		case <-s.stop:
			return swept, ErrClosed
		default:
		}
		n := 0
		if from, n, err = s.index.sweepStep(from, s.opt.Now()); err != nil {
			return swept, fmt.Errorf("sweep names: %w", err)
		}
		swept += n
	}
	return swept, nil
}

// sweepStep looks at some names from a key on and returns where to go on; nil: at the end. No group is applied meanwhile,
// so that a name which is taken anew is not deleted.
func (ix *index) sweepStep(from []byte, now time.Time) (next []byte, swept int, err error) {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{keyName + 1}})
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	b := ix.db.NewBatch()
	defer b.Close()
	seen := 0
	for ok := it.First(); ok; ok = it.Next() {
		if seen++; seen > sweepStep {
			next = append([]byte(nil), it.Key()...)
			break
		}
		n, err := parseName(it.Value())
		if err != nil {
			return nil, swept, err
		}
		holds, err := n.holds(now, func(id ulid.ULID) (bool, error) {
			st, _, err := ix.state(id)
			return st.final, err
		})
		if err != nil {
			return nil, swept, err
		}
		if !holds {
			swept++
			if err := b.Delete(it.Key(), nil); err != nil {
				return nil, swept, err
			}
		}
	}
	if err := it.Error(); err != nil {
		return nil, swept, err
	}
	return next, swept, b.Commit(pebble.NoSync)
}
