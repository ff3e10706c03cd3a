package web

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// client is who is at the other end, as far as it can be believed.
type client struct {
	addr  netip.Addr
	https bool
}

func (s *Server) client(ctx *fasthttp.RequestCtx) client {
	addr, _ := netip.AddrFromSlice(ctx.RemoteIP())
	c := client{addr: addr.Unmap(), https: ctx.IsTLS()}
	if !s.trusted(c.addr) {
		return c
	}
	c.https = c.https || strings.EqualFold(string(ctx.Request.Header.Peek("X-Forwarded-Proto")), "https")
	// The last address that no trusted proxy has is the one that a trusted proxy saw.
	var all []string
	for _, line := range ctx.Request.Header.PeekAll("X-Forwarded-For") {
		all = append(all, strings.Split(string(line), ",")...)
	}
	for i := len(all) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(all[i]))
		if err != nil {
			break
		}
		c.addr = a.Unmap().WithZone("")
		if !s.trusted(c.addr) {
			break
		}
	}
	return c
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

const (
	budgetTime    = 10 * time.Minute
	networkFactor = 5
	maxBudgets    = 100_000 // addresses and networks counted at once
	sweepEvery    = time.Minute
)

// budget counts by address and network what is to be had so often: misses, forms of shared entries.
type budget struct {
	limit int

	mu    sync.Mutex // guards what follows
	spent map[netip.Prefix]*window
	swept time.Time
}

type window struct {
	since  time.Time
	misses int
}

// ranges are what an address is counted as: itself (of IPv6 its /64) and its network.
func ranges(a netip.Addr) (own, network netip.Prefix) {
	bits, net := 32, 24
	if a.Is6() {
		bits, net = 64, 48
	}
	own, _ = a.Prefix(bits)
	network, _ = a.Prefix(net)
	return own, network
}

// over reports whether the address has no misses left.
func (b *budget) over(a netip.Addr, now time.Time) bool {
	own, network := ranges(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.misses(own, now) >= b.limit || b.misses(network, now) >= b.limit*networkFactor
}

// misses is what a range has spent. Ranges that there is no room for have spent all: hits are served all the same.
func (b *budget) misses(p netip.Prefix, now time.Time) int {
	w, ok := b.spent[p]
	switch {
	case ok && now.Sub(w.since) < budgetTime:
		return w.misses
	case !ok && len(b.spent) >= maxBudgets:
		return b.limit * networkFactor
	}
	return 0
}

// miss counts one.
func (b *budget) miss(a netip.Addr, now time.Time) {
	own, network := ranges(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spent) >= maxBudgets && now.Sub(b.swept) >= sweepEvery {
		b.swept = now
		for p, w := range b.spent {
			if now.Sub(w.since) >= budgetTime {
				delete(b.spent, p)
			}
		}
	}
	for _, p := range []netip.Prefix{own, network} {
		w, ok := b.spent[p]
		switch {
		case ok && now.Sub(w.since) < budgetTime:
			w.misses++
		case ok || len(b.spent) < maxBudgets:
			b.spent[p] = &window{since: now, misses: 1}
		}
	}
}
