// Package egress is the one way out to hosts that others name: tenants (callbacks) and modules (the hosts they declare).
// Whoever may name a host may try to make us reach what only we can reach: our own doors, the network behind us, a cloud's
// metadata. So:
//
//   - https only, no user or password in the address, no redirects, bounded time, a bounded reply, no proxy of the environment;
//   - the address is checked when the connection is made (net.Dialer.Control), after the name was resolved, each time: a name
//     that resolved to something harmless when it was registered, and to 127.0.0.1 now, gets no connection (DNS rebinding);
//   - what is refused: all that IANA does not list as globally reachable (ranges.go), in IPv4, IPv6, IPv4-mapped and NAT64
//     form, every address of this machine, and every listener of ours;
//   - the operator may except hosts by name ([egress] allow): those may have private addresses and plain http. Our own
//     listeners and a cloud's metadata stay refused even there.
//
// A connection that is kept open was checked when it was made and goes on to lead to the same address.
package egress
