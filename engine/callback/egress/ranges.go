package egress

import (
	"net/netip"
)

// span is a range that is never reached, with the word that a refusal says.
type span struct {
	prefix netip.Prefix
	word   string
}

func spans(word string, prefixes ...string) []span {
	all := make([]span, len(prefixes))
	for i, p := range prefixes {
		all[i] = span{netip.MustParsePrefix(p), word}
	}
	return all
}

func join(lists ...[]span) []span {
	var all []span
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// metadata are the addresses at which clouds tell a machine its secrets; no exception opens them.
var metadata = spans("metadata",
	"169.254.169.254/32",     // AWS, Azure, Google and most others
	"169.254.170.0/24",       // AWS ECS, EKS
	"100.100.100.200/32",     // Alibaba
	"168.63.129.16/32",       // Azure's host, in a public range
	"192.0.0.192/32",         // Oracle
	"fd00:ec2::/32",          // AWS
	"fd20:ce::254/128",       // Google
	"fe80::a9fe:a9fe/128",    // link-local form of 169.254.169.254
	"fd00:c1::a9fe:a9fe/128", // Oracle
)

// special4 are the IPv4 ranges that are not globally reachable. IANA IPv4 Special-Purpose Address Registry
var special4 = join(
	spans("unspecified", "0.0.0.0/8"),
	spans("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
	spans("carrier-grade NAT", "100.64.0.0/10"),
	spans("loopback", "127.0.0.0/8"),
	spans("link-local", "169.254.0.0/16"),
	spans("reserved", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"), // with 255.255.255.255
	spans("documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
	spans("multicast", "224.0.0.0/4"),
)

// special6 are the IPv6 ranges that are not globally reachable. IANA IPv6 Special-Purpose Address Registry
// What is in none of them and outside 2000::/3 is refused as reserved.
var special6 = join(
	spans("unspecified", "::/128"),
	spans("loopback", "::1/128"),
	spans("IPv4-compatible", "::/96"),
	spans("NAT64 of a site", "64:ff9b:1::/48"),
	spans("reserved", "100::/64", "2001::/23", "5f00::/16"), // with Teredo and ORCHID
	spans("documentation", "2001:db8::/32", "3fff::/20"),
	spans("6to4", "2002::/16"),
	spans("private", "fc00::/7"),
	spans("link-local", "fe80::/10"),
	spans("site-local", "fec0::/10"),
	spans("multicast", "ff00::/8"),
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 §2.1
)

// plain strips what an address may be wrapped in: the zone, the IPv4-mapped form, and the well-known NAT64 prefix, which a
// translator in our network would take off again.
func plain(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// special says why an address is not of the public internet; empty: it is.
func special(a netip.Addr) string {
	a = plain(a)
	if word := within(a, metadata); word != "" {
		return word
	}
	if a.Is4() {
		return within(a, special4)
	}
	if word := within(a, special6); word != "" {
		return word
	}
	if !global6.Contains(a) {
		return "reserved"
	}
	return ""
}

func within(a netip.Addr, list []span) string {
	for _, s := range list {
		if s.prefix.Contains(a) {
			return s.word
		}
	}
	return ""
}
