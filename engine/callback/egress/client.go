package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Client posts through a dialer. Safe for concurrent use.
type Client struct {
	dialer *Dialer
	http   *http.Client
}

// Limits of a client. Zero values are the defaults.
type Limits struct {
	Total time.Duration // of one request, connection and reply included; 15 s
	Reply int64         // bytes of a reply that are read; 64 KiB
	Roots *tls.Config   // whom to trust; nil: the system's roots
}

const (
	defaultTotal = 15 * time.Second
	defaultReply = 64 << 10
	maxHeaders   = 16 << 10
	// maxRetryAfter bounds what a receiver may ask us to wait.
	maxRetryAfter = time.Hour
)

// NewClient makes a client of the dialer.
func NewClient(d *Dialer, l Limits) *Client {
	if l.Total == 0 {
		l.Total = defaultTotal
	}
	if l.Reply == 0 {
		l.Reply = defaultReply
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.Roots != nil {
		conf = l.Roots.Clone()
	}
	t := &http.Transport{
		Proxy: nil, DialContext: d.DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: l.Total, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
		MaxIdleConns: 512, MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
	}
	c := &Client{dialer: d, http: &http.Client{
		Transport: &bounded{t, l.Reply}, Timeout: l.Total,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return c
}

// bounded cuts replies off.
type bounded struct {
	http.RoundTripper
	reply int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, b.reply), res.Body}
	}
	return res, err
}

// Reply is what came back.
type Reply struct {
	Status     int
	Body       []byte        // cut off at the limit
	RetryAfter time.Duration // as asked for in seconds, at most an hour; 0: nothing was said
}

// CheckURL is Dialer.CheckURL.
func (c *Client) CheckURL(address string) error { return c.dialer.CheckURL(address) }

// Post sends a body. A redirect is a reply like another. An error says that no reply was seen: errors.Is(err, ErrRefused)
// when the address may not be reached.
func (c *Client) Post(ctx context.Context, address string, header http.Header, body []byte) (Reply, error) {
	if err := c.CheckURL(address); err != nil {
		return Reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Reply{}, &RefusedError{"it is no absolute URL"}
	}
	req.Header = header
	res, err := c.http.Do(req)
	if err != nil {
		var refused *RefusedError
		if errors.As(err, &refused) {
			return Reply{}, refused
		}
		return Reply{}, err
	}
	defer res.Body.Close()
	reply := Reply{Status: res.StatusCode}
	if reply.Body, err = io.ReadAll(res.Body); err != nil {
		return Reply{}, err
	}
	if s, err := strconv.Atoi(strings.TrimSpace(res.Header.Get("Retry-After"))); err == nil && s > 0 {
		reply.RetryAfter = min(time.Duration(min(s, 1<<20))*time.Second, maxRetryAfter)
	}
	return reply, nil
}

// Close lets go of connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }
