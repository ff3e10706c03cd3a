package campaign

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// evBox is the one event of a stream of content: a sealed part of the file or a page of findings.
const evBox = 1

func newID(now time.Time) ulid.ULID { return ulid.MustNew(ulid.Timestamp(now), rand.Reader) }

// derive is the stream of the nth piece of something of an upload. Its id has the upload's time, so that it lies beside it.
func derive(upload store.Ref, what string, n int) store.Ref {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", upload.ID, what, n))
	id := upload.ID
	copy(id[6:], sum[:])
	return store.Ref{Tenant: upload.Tenant, Kind: store.File, ID: id}
}

// seal encrypts content of an upload under its class and day.
func (c *Campaigns) seal(st *State, aad string, plain []byte) ([]byte, error) {
	box, err := c.Store.Seal(st.ref.Tenant, strings.ReplaceAll(string(st.Class), "_", "-"), st.BegunAt, aad, plain)
	if err != nil {
		return nil, fmt.Errorf("seal content of upload %s: %w", st.ID, err)
	}
	return box, nil
}

// sealed is a stream of one piece of content.
func (c *Campaigns) sealed(st *State, ref store.Ref, plain []byte) (store.Change, error) {
	box, err := c.seal(st, ref.ID.String()+"/box", plain)
	return store.Change{Ref: ref, Events: []store.NewEvent{{Type: evBox, Data: box}}, Final: true}, err
}

func (c *Campaigns) open(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]byte, error) {
	events, err := c.Store.Load(ctx, scope, ref)
	if err != nil {
		return nil, err
	}
	return c.Store.Open(ref.Tenant, ref.ID.String()+"/box", events[0].Data)
}

// parts reads a file as it was received, a part at a time.
type parts struct {
	ctx   context.Context
	c     *Campaigns
	st    *State
	next  int
	plain []byte
}

func (p *parts) Read(b []byte) (int, error) {
	for len(p.plain) == 0 {
		if p.next == p.st.parts {
			return 0, io.EOF
		}
		var err error
		if p.plain, err = p.c.open(p.ctx, tenant.Only(p.st.ref.Tenant), derive(p.st.ref, "part", p.next)); err != nil {
			return 0, fmt.Errorf("part %d of upload %s: %w", p.next, p.st.ID, err)
		}
		p.next++
	}
	n := copy(b, p.plain)
	p.plain = p.plain[n:]
	return n, nil
}
