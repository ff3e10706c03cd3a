package egress

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryRangeIsRefused has the first and the last address of each range, its neighbours where they are public, and each
// IPv4 address also in the forms in which IPv6 wraps it.
func TestEveryRangeIsRefused(t *testing.T) {
	for _, c := range []struct {
		word  string
		addrs []string
	}{
		{"unspecified", []string{"0.0.0.0", "0.255.255.255", "::"}},
		{"private", []string{"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "fc00::", "fdff:ffff::1"}},
		{"carrier-grade NAT", []string{"100.64.0.0", "100.127.255.255"}},
		{"loopback", []string{"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"}},
		{"link-local", []string{"169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1", "fe80::1%eth0"}},
		{"metadata", []string{"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"}},
		{"reserved", []string{"192.0.0.0", "192.0.0.255", "192.88.99.1", "198.18.0.0", "198.19.255.255", "240.0.0.0", "255.255.255.255",
			"100::1", "2001::1", "2001:1ff:ffff::1", "5f00::1", "4000::1", "64:ff9b:2::1"}},
		{"documentation", []string{"192.0.2.1", "198.51.100.255", "203.0.113.0", "2001:db8::1", "3fff:fff::1"}},
		{"multicast", []string{"224.0.0.0", "239.255.255.255", "ff02::1"}},
		{"IPv4-compatible", []string{"::7f00:1", "::808:808"}},
		{"NAT64 of a site", []string{"64:ff9b:1::1", "64:ff9b:1:ffff::7f00:1"}},
		{"6to4", []string{"2002:7f00:1::", "2002:808:808::1"}},
		{"site-local", []string{"fec0::1"}},
		{"", []string{"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0",
			"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
			"2001:200::1", "2400:cb00::1", "2606:4700:4700::1111"}},
	} {
		for _, text := range c.addrs {
			a := netip.MustParseAddr(text)
			require.Equal(t, c.word, special(a), text)
			if a.Is4() {
				b := a.As4()
				mapped := netip.AddrFrom16(a.As16())
				require.True(t, mapped.Is4In6())
				require.Equal(t, c.word, special(mapped), "IPv4-mapped %s", text)
				through := nat64.Addr().As16()
				copy(through[12:], b[:])
				require.Equal(t, c.word, special(netip.AddrFrom16(through)), "NAT64 %s", text)
			}
		}
	}
}

// FuzzSpecial: whatever the form, what Go itself calls private is never public.
func FuzzSpecial(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{0, 100, 255, 155, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		p := plain(a)
		if special(a) == "" && (p.IsPrivate() || p.IsLoopback() || p.IsLinkLocalUnicast() || p.IsMulticast() || p.IsUnspecified() || p.Is4In6() || p.Zone() != "") {
			t.Errorf("%s counts as public", a)
		}
	})
}
