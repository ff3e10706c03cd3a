package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Find gives the message that a text names, its 17-digit number or its id, within the scope.
func (c *Certificates) Find(ctx context.Context, scope tenant.Scope, text string) (store.Ref, error) {
	if id, err := ulid.ParseStrict(text); err == nil {
		for _, t := range c.o.Directory().IDs() {
			ref := store.Ref{Tenant: t, Kind: store.Message, ID: id}
			if !scope.Sees(t) {
				continue
			}
			if _, err := c.o.Store.Load(ctx, scope, ref); !errors.Is(err, store.ErrNotFound) {
				return ref, err
			}
		}
		return store.Ref{}, store.ErrNotFound
	}
	ref, _, err := c.o.Store.Lookup(ctx, scope, store.ByNo, text)
	return ref, err
}

// Make makes the certificate of a message. content opens text and page, as long as they are kept. Who asks has been checked
// and recorded. Errors: store.ErrNotFound (also outside the scope), ErrClass, and those of store and key.
func (c *Certificates) Make(ctx context.Context, scope tenant.Scope, ref store.Ref, content bool) (*proof.Certificate, error) {
	events, err := c.o.Store.Load(ctx, scope, ref)
	if err != nil {
		return nil, err
	}
	var h message.Head
	if ref.Kind != store.Message || len(events) == 0 {
		return nil, store.ErrNotFound
	}
	if err := (message.Event{Type: message.Accepted, Data: events[0].Data}).Decode(&h); err != nil {
		return nil, err
	}
	if !c.o.Config.Certifies(h.Class) {
		return nil, ErrClass
	}
	clock := c.o.Clock()
	cert := &proof.Certificate{Version: 1, Made: clock.At, Clock: clock, Tenant: proof.Sender{ID: string(ref.Tenant)}, Message: ref.ID.String()}
	if t := c.o.Directory().Tenants[ref.Tenant]; t != nil {
		cert.Tenant.Name = t.Name
	}
	if err := c.add(ctx, cert, ref, events); err != nil {
		return nil, err
	}
	if !h.Claim.IsZero() {
		claim := store.Ref{Tenant: ref.Tenant, Kind: store.Claim, ID: h.Claim}
		events, err := c.o.Store.Load(ctx, scope, claim)
		if err != nil {
			return nil, fmt.Errorf("claim of a certificate: %w", err)
		}
		if err := c.add(ctx, cert, claim, events); err != nil {
			return nil, err
		}
	}
	if content {
		if cert.Content, err = c.openings(ref, events); err != nil {
			return nil, err
		}
	}
	if err := c.sign(cert); err != nil {
		return nil, err
	}
	c.metrics.made.Inc()
	return cert, nil
}

// add puts a stream into a certificate, with the proofs of the days that hold it.
func (c *Certificates) add(ctx context.Context, cert *proof.Certificate, ref store.Ref, events []store.Event) error {
	s, err := c.stream(ref, events)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.loadLocked(ctx); err != nil {
		return err
	}
	for date := c.tracked[ref.ID].day; date != ""; {
		t, err := c.treeLocked(ctx, date)
		if err != nil {
			return err
		}
		i, there := slices.BinarySearchFunc(t.leaves, ref.ID, func(l leaf, id ulid.ULID) int { return l.ID.Compare(id) })
		if !there {
			return fmt.Errorf("stream %s is not in the tree of %s", ref, date)
		}
		l := &t.leaves[i]
		if int(l.N) <= len(events) { // else the day was closed after events was read
			s.Days = append(s.Days, proof.Day{Events: l.N, Index: uint64(i), Path: proof.Path(hashes(t.leaves), i), Line: t.line})
		}
		date = l.Prev
	}
	slices.Reverse(s.Days)
	cert.Streams = append(cert.Streams, s)
	return nil
}

// tree is a closed day.
type tree struct {
	date   string
	leaves []leaf
	line   string
}

// maxTrees are kept: certificates are asked for in runs, of the same days.
const maxTrees = 4

func (c *Certificates) treeLocked(ctx context.Context, date string) (*tree, error) {
	if i := slices.IndexFunc(c.trees, func(t *tree) bool { return t.date == date }); i >= 0 {
		return c.trees[i], nil
	}
	ref, err := dayRef(date)
	if err != nil {
		return nil, err
	}
	events, err := c.o.Store.Load(ctx, tenant.Only(tenant.OperatorID), ref)
	if err != nil {
		return nil, fmt.Errorf("day of certificates %s: %w", date, err)
	}
	d, err := foldDay(events)
	if err != nil {
		return nil, err
	}
	if d.closing == nil {
		return nil, fmt.Errorf("day of certificates %s is not closed", date)
	}
	t := &tree{date, d.leaves, d.closing.Line}
	c.trees = append(c.trees, t)
	if len(c.trees) > maxTrees {
		c.trees = c.trees[1:]
	}
	return t, nil
}

// sign adds the keys that signed the lines, and signs with the key in use.
func (c *Certificates) sign(cert *proof.Certificate) error {
	keys, err := c.Keys()
	if err != nil || len(keys) == 0 {
		return err
	}
	for i := range cert.Streams {
		for _, d := range cert.Streams[i].Days {
			line, err := proof.ParseLine(d.Line)
			if err != nil {
				return err
			}
			for _, k := range keys {
				if k.ID == line.Key {
					cert.AddKey(k)
				}
			}
		}
	}
	key, err := proof.ReadKey(c.o.Config.Key)
	if err != nil {
		return err
	}
	return cert.Sign(key)
}

// openings opens the content of a message; nothing when it was erased.
func (c *Certificates) openings(ref store.Ref, events []store.Event) ([]proof.Opening, error) {
	s, err := stored.State(events)
	if err != nil {
		return nil, err
	}
	sms, err := stored.SMS(c.o.Store, ref.Tenant, ref.ID, &s.Head)
	if errors.Is(err, store.ErrErased) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var page []byte
	if len(s.Head.Page) > 0 {
		if page, err = c.o.Store.Open(ref.Tenant, stored.AAD(ref.ID, stored.PlacePage), s.Head.Page); err != nil {
			return nil, err
		}
	}
	return openings(&s.Head, &sms, page)
}
