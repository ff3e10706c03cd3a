package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// startEgress makes the one way out to hosts that others name.
func startEgress(_ context.Context, _ *running, cfg *conf.Config, rm *rooms) error {
	own, err := listeners(cfg.Listen)
	if err != nil {
		return err
	}
	if rm.egress, err = egress.New(egress.Options{Config: cfg.Egress, Own: own, OwnHosts: ownHosts(cfg.Links)}); err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	return nil
}

// wayOut opens the proxy to the hosts that a module declares and returns what the module is told of it.
func wayOut(r *running, rm *rooms, m conf.Module) ([]string, error) {
	if len(m.Hosts) == 0 {
		return nil, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy of module %s: %w", m.Name, err)
	}
	proxy := egress.NewProxy(rm.egress, m.Hosts, r.log.With("plugin", m.Name))
	r.background("proxy of module "+m.Name, func(ctx context.Context) error { return proxy.Serve(ctx, ln) })
	return []string{"HTTPS_PROXY=http://" + ln.Addr().String()}, nil
}

// startCallbacks begins to tell senders' systems what happens.
func startCallbacks(_ context.Context, r *running, _ *conf.Config, rm *rooms) (err error) {
	client := egress.NewClient(rm.egress, egress.Limits{})
	r.onStop("egress", func(context.Context) error { client.Close(); return nil })
	rm.callbacks, err = callback.New(callback.Options{Store: rm.store, Directory: rm.directory, Poster: client,
		Sources: map[store.Kind]callback.Source{inbound.Kind: inbound.Notices{}, store.Campaign: campaign.Notices{}}, Log: r.log, Registerer: rm.registry})
	if err != nil {
		return err
	}
	r.background("callbacks", rm.callbacks.Run)
	return nil
}

// listeners are the addresses of our doors.
func listeners(l conf.Listen) ([]netip.AddrPort, error) {
	var own []netip.AddrPort
	for _, addr := range []string{l.Links, l.API, l.Console, l.Operator} {
		if addr == "" {
			continue
		}
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			ip = netip.IPv6Unspecified()
		}
		own = append(own, netip.AddrPortFrom(ip, uint16(a.Port)))
	}
	return own, nil
}

// ownHosts are the names under which the world knows us.
func ownHosts(l conf.Links) []string {
	var hosts []string
	for _, address := range []string{l.BaseURL, l.WebhookURL} {
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// callbackDiff lists what a definition changes of its tenant's callbacks. Those that it does not name stay as console or
// API made them.
func callbackDiff(old *tenant.Tenant, next []tenant.Callback) []string {
	var lines []string
	for i := range next {
		was, is := map[string]string{}, map[string]string{}
		if old != nil {
			if cb, ok := old.Callback(next[i].Name); ok {
				flatten("", spec(&cb), was)
			}
		}
		flatten("", spec(&next[i]), is)
		for _, field := range slices.Sorted(maps.Keys(is)) {
			at := fmt.Sprintf("callback.%s.%s", next[i].Name, field)
			switch w, ok := was[field]; {
			case !ok:
				lines = append(lines, fmt.Sprintf("+ %s: %s", at, is[field]))
			case w != is[field]:
				lines = append(lines, fmt.Sprintf("~ %s: %s → %s", at, w, is[field]))
			}
		}
		for _, field := range slices.Sorted(maps.Keys(was)) {
			if _, ok := is[field]; !ok {
				lines = append(lines, fmt.Sprintf("- callback.%s.%s: %s", next[i].Name, field, was[field]))
			}
		}
	}
	return lines
}

// spec is the JSON form of what a definition says of a callback.
func spec(cb *tenant.Callback) any {
	data, err := json.Marshal(callback.SpecOf(cb))
	if err != nil {
		panic("BUG: callback: " + err.Error())
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		panic("BUG: callback: " + err.Error())
	}
	return v
}

// applyCallbacks adds and changes the callbacks that a definition names. It returns the secrets of new ones, and what was
// refused. What does not differ is not asked to prove itself again.
func (d *operatorDoor) applyCallbacks(ctx context.Context, old *tenant.Tenant, id tenant.ID, next []tenant.Callback) (secrets map[string]string, faults []string) {
	secrets = map[string]string{}
	for i := range next {
		cb := &next[i]
		if len(callbackDiff(old, next[i:i+1])) == 0 {
			continue
		}
		switch secret, err := d.callbacks.Put(ctx, id, cb.Name, callback.SpecOf(cb)); {
		case err != nil:
			faults = append(faults, fmt.Sprintf("callback %q: %v", cb.Name, err))
		case secret != "":
			secrets[cb.Name] = secret
		}
	}
	return secrets, faults
}
