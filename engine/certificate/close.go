package certificate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// closeLocked closes the days that have ended, the oldest first.
func (c *Certificates) closeLocked(ctx context.Context) error {
	var due []*day
	for _, date := range slices.Sorted(maps.Keys(c.days)) {
		if d := c.days[date]; d.ended {
			due = append(due, d)
		}
	}
	if len(due) == 0 && c.published {
		return nil
	}
	published, err := c.publish()
	if err != nil {
		return err
	}
	c.published = true
	var carried []*day
	for _, d := range due {
		if d.date <= published.Last() { // a day of a record that was restored: it has a line already, for other streams
			carried = append(carried, d)
			continue
		}
		if err := c.carry(ctx, carried, d); err != nil {
			return err
		}
		carried = nil
		if err := c.closeDay(ctx, d, published.Head()); err != nil {
			return fmt.Errorf("close %s: %w", d.date, err)
		}
		if published, err = c.publish(); err != nil {
			return err
		}
	}
	return nil
}

// carry notes the streams of days that get no line of their own in a later day.
func (c *Certificates) carry(ctx context.Context, from []*day, to *day) error {
	for _, d := range from {
		all := slices.SortedFunc(maps.Values(d.sights), func(a, b sight) int { return a.ID.Compare(b.ID) })
		for part := range slices.Chunk(all, perEvent) {
			if err := c.appendLocked(ctx, to, store.NewEvent{Type: seen, Data: encode(part)}); err != nil {
				return err
			}
		}
		if err := c.appendLocked(ctx, d, store.NewEvent{Type: closed, Data: encode(closing{Into: to.date})}); err != nil {
			return err
		}
		delete(c.days, d.date)
	}
	return nil
}

// closeDay makes the tree of a day and its line. What it makes of the same sights and the same clock is the same.
func (c *Certificates) closeDay(ctx context.Context, d *day, prev proof.Hash) error {
	key, err := proof.ReadKey(c.o.Config.Key)
	if err != nil {
		return err
	}
	all, err := c.leaves(ctx, slices.SortedFunc(maps.Values(d.sights), func(a, b sight) int { return a.ID.Compare(b.ID) }))
	if err != nil {
		return err
	}
	if len(d.leaves) > len(all) {
		return errors.New("more streams were closed than noted")
	}
	for part := range slices.Chunk(all[len(d.leaves):], perEvent) { // some are there after a crash
		if err := c.appendLocked(ctx, d, store.NewEvent{Type: leaves, Data: encode(part)}); err != nil {
			return err
		}
	}
	line := &proof.Line{Day: d.date, Streams: uint64(len(all)), Root: proof.Root(hashes(d.leaves)), Prev: prev, Clock: *d.ending}
	line.Sign(key)
	if err := c.appendLocked(ctx, d, store.NewEvent{Type: closed, Data: encode(closing{Line: line.String()})}); err != nil {
		return err
	}
	delete(c.days, d.date)
	if line, err = proof.ParseLine(line.String()); err != nil { // as it is read again: microseconds
		return err
	}
	c.lines = append(c.lines, line)
	for _, l := range all {
		m := c.tracked[l.ID]
		m.day = d.date
		c.tracked[l.ID] = m
	}
	c.metrics.days.Inc()
	c.metrics.streams.Add(float64(len(all)))
	if line.Clock.State != proof.Synchronised {
		c.o.Log.Warn("a day of certificates was closed by a clock that is not known to be synchronised", "day", d.date, "clock", line.Clock.State)
	}
	c.o.Log.Info("day of certificates closed", "day", d.date, "streams", len(all), "root", line.Root)
	return nil
}

func hashes(all []leaf) []proof.Hash {
	h := make([]proof.Hash, len(all))
	for i := range all {
		h[i] = all[i].Hash
	}
	return h
}

// step is how many streams are read together.
const step = 256

// leaves digests streams up to the events that were noted.
func (c *Certificates) leaves(ctx context.Context, sights []sight) ([]leaf, error) {
	all := make([]leaf, 0, len(sights))
	for part := range slices.Chunk(sights, step) {
		refs := make([]store.Ref, len(part))
		for i := range part {
			refs[i] = part[i].ref()
		}
		loaded, err := c.o.Store.LoadMany(ctx, tenant.Operator(), refs)
		if err != nil {
			return nil, err
		}
		for i, events := range loaded {
			n := int(part[i].N)
			if len(events) < n {
				return nil, fmt.Errorf("stream %s has %d events, %d were noted", refs[i], len(events), n)
			}
			s, err := c.stream(refs[i], events[:n])
			if err != nil {
				return nil, err
			}
			l := proof.Leaf{Kind: s.Kind, ID: s.ID, N: part[i].N, Digest: s.Events[n-1].Digest}
			all = append(all, leaf{ID: refs[i].ID, N: part[i].N, Hash: l.Hash(), Prev: c.tracked[refs[i].ID].day})
		}
	}
	return all, nil
}

// stream gives the events of a message or claim, digested.
func (c *Certificates) stream(ref store.Ref, events []store.Event) (proof.Stream, error) {
	s := proof.Stream{Kind: kindName(ref.Kind), ID: ref.ID.String(), Events: make([]proof.Event, len(events))}
	for i := range events {
		var err error
		if s.Events[i], err = eventOf(&events[i]); err != nil {
			return s, fmt.Errorf("stream %s: %w", ref, err)
		}
	}
	key, err := c.saltKey(ref.Tenant, ref.ID)
	if err != nil {
		return s, err
	}
	proof.Chain(string(ref.Tenant), &s, key)
	return s, nil
}

// saltKey is the secret of one stream's salts, derived from the tenant's hash key: nobody else can, and it is nowhere stored.
func (c *Certificates) saltKey(id tenant.ID, stream ulid.ULID) (key proof.Hash, err error) {
	for i, purpose := range []string{"certificate salt 1", "certificate salt 2"} {
		half, err := c.o.Store.Keyed(id, purpose, stream.String())
		if err != nil {
			return key, fmt.Errorf("salts of a certificate: %w", err)
		}
		copy(key[16*i:], half[:])
	}
	return key, nil
}

// publish brings the published file up to the lines of the record and gives what it holds.
func (c *Certificates) publish() (*proof.Published, error) {
	data, err := os.ReadFile(c.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("published file: %w", err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	torn := data[len(whole):]
	p, err := proof.ParsePublished(whole)
	if err != nil {
		return nil, fmt.Errorf("published file %s: %w", c.path, err)
	}
	var add []byte
	for _, l := range c.lines {
		if l.Day > p.Last() {
			add = append(add, l.String()+"\n"...)
		} else if have := p.Day(l.Day); have == nil || have.String() != l.String() {
			return nil, fmt.Errorf("published file %s: its line of %s is not that of the record; restore the file, nothing is closed until then", c.path, l.Day)
		}
	}
	if !bytes.HasPrefix(add, torn) {
		return nil, fmt.Errorf("published file %s: it ends in the middle of a line that the record does not have", c.path)
	}
	if len(add) == 0 {
		return p, nil
	}
	next, err := proof.ParsePublished(append(bytes.Clone(whole), add...))
	if err != nil {
		return nil, fmt.Errorf("published file %s: the lines of the record do not follow: %w", c.path, err)
	}
	return next, appendFile(c.path, add[len(torn):])
}

// appendFile appends to a file that anybody may read, synced with its directory.
func appendFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("published file: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("published file: %w", err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("published file: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
