package egress

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxTunnels = 64 // of one module; what comes beyond is answered 503
	// tunnelLife bounds one tunnel: a module's calls take seconds.
	tunnelLife = 10 * time.Minute
)

// Proxy lets one module out to the hosts that were declared for it: an HTTP proxy that knows only CONNECT. What it connects
// to is checked as everything is that leaves through the dialer; what is inside the tunnel is the module's TLS.
type Proxy struct {
	dialer *Dialer
	hosts  []string // host:port
	log    *slog.Logger
	slots  chan struct{}
}

// NewProxy makes the proxy of a module. Hosts are names with or without a port; without, 443.
func NewProxy(d *Dialer, hosts []string, log *slog.Logger) *Proxy {
	p := &Proxy{dialer: d, log: log, slots: make(chan struct{}, maxTunnels)}
	for _, h := range hosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), "443")
		}
		p.hosts = append(p.hosts, strings.ToLower(h))
	}
	return p
}

// Serve serves on ln, which it closes, until ctx ends. Tunnels end then too.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	var tunnels sync.WaitGroup
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tunnels.Add(1)
			defer tunnels.Done()
			p.tunnel(ctx, w, r)
		})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	_ = srv.Close() // no request of a module's is worth waiting for
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	tunnels.Wait()
	return nil
}

func (p *Proxy) tunnel(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	if !slices.Contains(p.hosts, strings.ToLower(r.Host)) {
		p.log.Warn("module asked for a host that is not declared", "host", r.Host)
		http.Error(w, "this host is not declared", http.StatusForbidden)
		return
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	out, err := p.dialer.DialContext(ctx, "tcp", r.Host)
	if err != nil {
		status := http.StatusBadGateway
		if errors.Is(err, ErrRefused) {
			status = http.StatusForbidden
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	defer out.Close()
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	limit, cancel := context.WithTimeout(ctx, tunnelLife)
	defer cancel()
	stop := context.AfterFunc(limit, func() { in.Close(); out.Close() })
	defer stop()
	if _, err := io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out) // either end closes when it likes
		in.Close()
	})
	_, _ = io.Copy(out, buffered) // with what had come behind the request
	out.Close()
	back.Wait()
}
