package api

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// Proxies knows whose word on a client's address is believed. It never changes.
type Proxies struct {
	nets      []netip.Prefix
	forwarded bool // the header is Forwarded (RFC 7239), not X-Forwarded-For
}

// NewProxies reads networks or addresses and the name of the header that they set; empty is X-Forwarded-For.
func NewProxies(networks []string, header string) (Proxies, error) {
	var p Proxies
	switch {
	case strings.EqualFold(header, "Forwarded"):
		p.forwarded = true
	case header != "" && !strings.EqualFold(header, "X-Forwarded-For"):
		return p, fmt.Errorf("forwarded_header: %q must be X-Forwarded-For or Forwarded", header)
	}
	for i, s := range networks {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return p, fmt.Errorf("trusted_proxies[%d]: %q is no address or network", i, s)
			}
			n = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		p.nets = append(p.nets, n.Masked())
	}
	return p, nil
}

// Trusts reports whether the address is one of the proxies.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap()
	for _, n := range p.nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of whoever made the request: the connection's unless it is a trusted proxy's, then the
// nearest address in its header that is not a proxy too. False means that nobody can be named: a proxy wrote something
// that is no address.
func (p Proxies) Client(ctx *fasthttp.RequestCtx) (client netip.Addr, ok bool) {
	peer := peerAddr(ctx)
	if !p.Trusts(peer) {
		return peer, peer.IsValid()
	}
	name := "X-Forwarded-For"
	if p.forwarded {
		name = "Forwarded"
	}
	client = peer
	lines := ctx.Request.Header.PeekAll(name)
	for i := len(lines) - 1; i >= 0; i-- {
		hops := strings.Split(string(lines[i]), ",")
		for j := len(hops) - 1; j >= 0; j-- {
			hop := hops[j]
			if p.forwarded {
				hop = forwardedFor(hop)
			}
			if client, ok = parseHop(hop); !ok {
				return netip.Addr{}, false
			}
			if !p.Trusts(client) {
				return client, true
			}
		}
	}
	return client, true
}

// forwardedFor is the for= of one element of Forwarded. RFC 7239 §4
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, [2001:db8::1], 2001:db8::1.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}

func peerAddr(ctx *fasthttp.RequestCtx) netip.Addr {
	if t, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
