package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"github.com/kakitome/kakitome/engine/store"
)

// Reader is the name under which Run follows the store.
const Reader = "links"

// Check compares the entries of a directory that nobody has open with the record, changes nothing, and calls find with
// each that does not agree. current says that Run has seen all of the record: then a link that was revoked or
// disowned there must be so here. A link that is missing is no fault, it is asked for.
func Check(ctx context.Context, dir string, record Record, current bool, find func(l Link, what string)) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	damaged := func(err error) { find(Link{}, err.Error()) }
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{slog.New(slog.DiscardHandler), damaged}})
	if err != nil {
		find(Link{}, fmt.Sprintf("they do not open (the directory can be deleted: it fills again from the store): %v", err))
		return nil
	}
	defer db.Close()
	it, err := db.NewIterWithContext(ctx, nil)
	if err != nil {
		return fmt.Errorf("check the links: %w", err)
	}
	defer it.Close()
	s := &Links{record: record}
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		have, err := parseEntry(string(it.Key()), it.Value())
		if err != nil {
			continue // of another version: it is asked for
		}
		state, err := s.state(ctx, have.Ref())
		if errors.Is(err, store.ErrNotFound) {
			find(have, "there is no such message")
			continue
		}
		if err != nil {
			find(have, err.Error())
			continue
		}
		want, ok := Of(have.Ref(), &state.Head)
		want.Revoked, want.Disowned = !state.RevokedAt.IsZero(), !state.DisownedAt.IsZero()
		switch {
		case !ok || want.Token != have.Token:
			find(have, "the message has another link")
		case (want.Revoked != have.Revoked || want.Disowned != have.Disowned || !state.LinkMovedAt.IsZero()) && !current:
		case !bytes.Equal(appendEntry(nil, want), it.Value()):
			find(have, "it says something else than the message")
		}
	}
	if err := it.Error(); err != nil {
		find(Link{}, err.Error())
	}
	return ctx.Err()
}
