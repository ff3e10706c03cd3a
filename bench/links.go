package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/tools/apptest"
)

// links fills the serving store of links, ends it as a crash would find it, and opens it again: bytes for each link, the time
// until it serves, and what reading one costs when all are live.
func links(ctx context.Context, s settings) (figures []figure, err error) {
	dir, err := os.MkdirTemp("", "kakitome-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	debug.FreeOSMemory() // here and below: what this program left behind is not the links'
	before, _, err := residentOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	l, err := link.Open(link.Options{Dir: dir, Record: empty{}})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	part := make([]link.Link, 0, s.Batch)
	for i := 0; i < s.Links && err == nil; i++ {
		if part = append(part, liveLink(i)); len(part) == cap(part) || i == s.Links-1 {
			err = errors.Join(l.Put(part), ctx.Err())
			part = part[:0]
		}
		if (i+1)%1_000_000 == 0 {
			say("links: %d", i+1)
		}
	}
	put := time.Since(began)
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	began = time.Now()
	if l, err = link.Open(link.Options{Dir: dir, Record: empty{}}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	get := func(i int) (time.Duration, error) {
		began := time.Now()
		_, ok, err := l.Get(ctx, liveLink(i).Token)
		if err == nil && !ok {
			err = fmt.Errorf("link %d is lost", i)
		}
		return time.Since(began), err
	}
	if _, err := get(0); err != nil {
		return nil, err
	}
	open := time.Since(began)
	took := make([]time.Duration, 200_000)
	for i := range took {
		if took[i], err = get(rand.IntN(s.Links)); err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	debug.FreeOSMemory()
	own, _, err := residentOf(os.Getpid())
	us := func(q float64) float64 { return quantile(took, q) * 1000 }
	return []figure{
		{"live links", float64(s.Links), "links", ""},
		{"kept", float64(s.Links) / put.Seconds(), "links/s", ""},
		{"on disk", float64(diskUse(dir)) / float64(s.Links), "bytes a link", "at most 100"},
		{"memory of the process, with its cache of 48 MiB", (own - before) * (1 << 20) / float64(s.Links), "bytes a link", "at most 100"},
		{"from opening until a link was found", open.Seconds(), "s", "at most 5"},
		{"a link at random: p50", us(0.5), "µs", ""},
		{"a link at random: p99", us(0.99), "µs", ""},
	}, err
}

// liveLink is the i-th link, as intake makes them.
func liveLink(i int) link.Link {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"
	token := []byte("a/")
	for range 22 {
		token = append(token, letters[r.IntN(len(letters))])
	}
	expires := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second)
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(time.UnixMilli(1_800_000_000_000 + int64(i))))
	return link.Link{Token: string(token), Tenant: apptest.Tenant, Message: id, Expires: expires, StateUntil: expires.Add(link.StatePatience), Identity: true}
}

// empty is a record without messages: a link that is not in the serving store is lost.
type empty struct{}

func (empty) Lookup(context.Context, tenant.Scope, store.Space, string) (store.Ref, []byte, error) {
	return store.Ref{}, nil, store.ErrNotFound
}

func (empty) Load(context.Context, tenant.Scope, store.Ref) ([]store.Event, error) {
	return nil, store.ErrNotFound
}

func (empty) Follow(ctx context.Context, _ string, _ func([]store.Event, bool) error) error {
	<-ctx.Done()
	return ctx.Err()
}
