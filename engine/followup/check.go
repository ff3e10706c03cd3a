package followup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/store"
)

// Check compares the index of a directory that nobody has open with the record. A nil Check finds nothing.
type Check struct {
	f FollowUps
}

// OpenCheck changes nothing. It returns nil where there is no index, and where the index has not followed all of the record: what is
// missing in it may be yet to come.
func OpenCheck(dir string, s *store.Store) (*Check, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	broken := func(err error) error {
		return fmt.Errorf("they do not open (the directory can be deleted: it fills again from the store): %w", err)
	}
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{slog.New(slog.DiscardHandler)}})
	if err != nil {
		return nil, broken(err)
	}
	name, closer, err := db.Get([]byte(readerKey))
	switch {
	case errors.Is(err, pebble.ErrNotFound): // it was never followed
		return nil, db.Close()
	case err != nil:
		return nil, errors.Join(broken(err), db.Close())
	}
	behind := s.Lag(string(name))
	if err := closer.Close(); err != nil || behind > 0 {
		return nil, errors.Join(err, db.Close())
	}
	return &Check{FollowUps{Options: Options{Store: s}, index: &index{db: db}, now: clock.Now}}, nil
}

// Message says in which lists a message is missing, as an error. What stands in one too many is no fault: readers find that out.
func (c *Check) Message(ctx context.Context, ref store.Ref, events []store.Event) error {
	if c == nil || ulid.Time(ref.ID.Time()).Before(c.f.now().Add(-horizon)) {
		return nil
	}
	may := map[List]bool{}
	for i := range events {
		into, outOf := moves(&events[i])
		for _, l := range outOf {
			delete(may, l)
		}
		for _, l := range into {
			may[l] = true
		}
	}
	var errs []error
	for _, l := range kept() {
		if !may[l] {
			continue
		}
		_, closer, err := c.f.index.db.Get(key(ref.Tenant, l, ref.ID))
		switch {
		case err == nil:
			errs = append(errs, closer.Close())
		case errors.Is(err, pebble.ErrNotFound):
			errs = append(errs, c.missing(ctx, ref, l))
		default:
			errs = append(errs, fmt.Errorf("read a list: %w", err))
		}
	}
	return errors.Join(errs...)
}

// missing is nil where a reader has found that the message is out of the list for good.
func (c *Check) missing(ctx context.Context, ref store.Ref, l List) error {
	subjects, err := c.f.load(ctx, ref.Tenant, []ulid.ULID{ref.ID})
	if err != nil {
		return err
	}
	if l == failed {
		l = Undelivered
	}
	if subjects[0].over(l) {
		return nil
	}
	return fmt.Errorf("it is missing in the list %q of follow-ups (kakitome rebuild makes the lists anew)", l)
}

// Close closes the index.
func (c *Check) Close() error {
	if c == nil {
		return nil
	}
	return c.f.index.db.Close()
}
