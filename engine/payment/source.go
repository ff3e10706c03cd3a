package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The path of a hook is a secret of the agent's, but not a strong one: it may stand in somebody's log. Whoever knows it can send what
// does not verify, from as many addresses as he has, and must neither fill the disk nor use up what the agent's notices need. So half
// of a hook's requests are kept for addresses from which a notice verified before, whatever all others send. That an address is one of
// these is a name in the store, so it is known after a restart too; an agent's new address is, with its first notice. Until then that
// has a quarter with all addresses of which nothing is known, and whoever sends what does not verify is no longer one of them: he is
// left the other quarter. In memory are at most maxSources addresses.

const (
	maxSources = 4096

	sourceTerm  = 90 * 24 * time.Hour // how long an address is known after a notice that verified
	sourceAgain = 24 * time.Hour      // so often that is written
)

// hookBudget is what one agent account's hook may cost. Payments.mu guards sources.
type hookBudget struct {
	// verified, fresh and forging are requests: half of all, and a quarter each.
	verified, fresh, forging *rate.Limiter
	unverified               *rate.Limiter
	// unread is of bytes that are kept before anybody could say whether they verify: while the module is down.
	unread  *rate.Limiter
	sources map[string]*source
}

// source is an address from which webhooks come, or a network of IPv6: that is one customer's.
type source struct {
	requests *rate.Limiter // half of the hook's
	key      string        // its name in the store

	mu       sync.Mutex // guards all below
	standing standing
	noted    time.Time // when its name was written, by this process
}

// standing is what the notices of a source were so far.
type standing int

const (
	fresh standing = iota // none was verified or refused
	forging
	verified
)

func (p *Payments) budget(hook string) *hookBudget {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.hooks[hook]
	if b == nil { // as many as there are agents: an unknown hook does not come here
		b = &hookBudget{
			verified: p.share(2), fresh: p.share(4), forging: p.share(4),
			unverified: rate.NewLimiter(rate.Every(time.Hour/time.Duration(p.c.Unverified)), p.c.Unverified),
			unread:     rate.NewLimiter(maxUnread/3600, maxUnread),
			sources:    map[string]*source{},
		}
		p.hooks[hook] = b
	}
	return b
}

// share is a part of a hook's requests.
func (p *Payments) share(part int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(p.c.HookRate/float64(part)), max(1, p.c.HookBurst/part))
}

// source is the one of an address. When there are too many all begin anew; those that verified are known by their names.
func (p *Payments) source(ctx context.Context, b *hookBudget, id tenant.ID, agent, remote string) *source {
	if a, err := netip.ParseAddr(remote); err == nil && a.Unmap().Is6() {
		if n, err := a.WithZone("").Prefix(64); err == nil {
			remote = n.String()
		}
	}
	p.mu.Lock()
	src := b.sources[remote]
	p.mu.Unlock()
	if src != nil {
		return src
	}
	sum := sha256.Sum256([]byte("source\n" + agent + "\n" + remote))
	src = &source{requests: p.share(2), key: string(id) + "/" + hex.EncodeToString(sum[:])}
	if _, _, err := p.s.Lookup(ctx, tenant.Only(id), store.ByNoticeID, src.key); err == nil {
		src.standing = verified
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := b.sources[remote]; other != nil {
		return other
	}
	if len(b.sources) >= maxSources {
		clear(b.sources)
	}
	b.sources[remote] = src
	return src
}

// allows takes one request of a source.
func (b *hookBudget) allows(src *source, now time.Time) bool {
	src.mu.Lock()
	standing := src.standing
	src.mu.Unlock()
	if !src.requests.AllowN(now, 1) {
		return false
	}
	switch standing {
	case verified:
		return b.verified.AllowN(now, 1) || b.fresh.AllowN(now, 1) || b.forging.AllowN(now, 1)
	case forging:
		return b.forging.AllowN(now, 1)
	}
	return b.fresh.AllowN(now, 1)
}

// named is the name that a notice gives its source once it verifies; nil: it has that.
func (s *source) named(now time.Time) *store.Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.noted.IsZero() && now.Sub(s.noted) < sourceAgain {
		return nil
	}
	return &store.Name{Space: store.ByNoticeID, Key: s.key, Until: now.Add(sourceTerm)}
}

// judge notes whether a notice of the source verified. One that did is not undone by others: a secret that is replaced on one side
// first must not leave the agent among those who forge.
func (s *source) judge(ok bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ok:
		if s.standing = verified; s.noted.IsZero() || now.Sub(s.noted) >= sourceAgain {
			s.noted = now
		}
	case s.standing == fresh:
		s.standing = forging
	}
}
