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
)

// budget counts by address and network what is to be had so often: misses, forms of shared entries. Beyond maxBudgets any range is
// forgotten: to have one forgotten takes as many others, and whoever comes new has a budget all the same.
type budget struct {
	limit int

	mu    sync.Mutex // guards what follows
	spent map[netip.Prefix]*window
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

// misses is what a range has spent.
func (b *budget) misses(p netip.Prefix, now time.Time) int {
	if w := b.spent[p]; w != nil && now.Sub(w.since) < budgetTime {
		return w.misses
	}
	return 0
}

// miss counts one.
func (b *budget) miss(a netip.Addr, now time.Time) {
	own, network := ranges(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range []netip.Prefix{own, network} {
		w := b.spent[p]
		if w != nil && now.Sub(w.since) < budgetTime {
			w.misses++
			continue
		}
		if w == nil && len(b.spent) >= maxBudgets {
			for other := range b.spent {
				delete(b.spent, other)
				break
			}
		}
		b.spent[p] = &window{since: now, misses: 1}
	}
}
