package api

import (
	"errors"
	"fmt"
	"time"
)

// Config is the operator's part. All of it needs a restart.
type Config struct {
	// Listen is the address of the listener that the root opens for this API, e.g. "127.0.0.1:8081".
	Listen string `toml:"listen"`
	// TrustedProxies are the networks whose forwarded client address is believed and that may speak plain HTTP.
	TrustedProxies []string `toml:"trusted_proxies"`
	// ForwardedHeader is the one header that those proxies set: X-Forwarded-For (default) or Forwarded. Only one is
	// believed, for a proxy passes on the other as the client wrote it.
	ForwardedHeader string `toml:"forwarded_header"`
	// MaxBody bounds the body of one message and one line of a batch, in bytes. Default 524,288.
	MaxBody int `toml:"max_body"`
	// MaxBatchBody and MaxBatchLines bound a batch. Defaults 67,108,864 bytes and 10,000 lines.
	MaxBatchBody  int `toml:"max_batch_body"`
	MaxBatchLines int `toml:"max_batch_lines"`
	// ReadTimeout bounds reading a request, BatchTimeout that of a batch or an upload, WriteTimeout the answer. A connection on
	// which a request does not come in time is closed without a word: clients dial one to have it at hand, and would take what
	// it says for the answer to their next request.
	// Defaults 10s, 120s, 30s.
	ReadTimeout  time.Duration `toml:"read_timeout"`
	BatchTimeout time.Duration `toml:"batch_timeout"`
	WriteTimeout time.Duration `toml:"write_timeout"`
	// IdleTimeout ends idle connections. Default 60s.
	IdleTimeout time.Duration `toml:"idle_timeout"`
	// Concurrency bounds connections; further ones get 503. Default 2,048.
	Concurrency int `toml:"concurrency"`
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxBody, 512<<10)
	def(&c.MaxBatchBody, 64<<20)
	def(&c.MaxBatchLines, 10_000)
	def(&c.Concurrency, 2048)
	defTime(&c.ReadTimeout, 10*time.Second)
	defTime(&c.BatchTimeout, 120*time.Second)
	defTime(&c.WriteTimeout, 30*time.Second)
	defTime(&c.IdleTimeout, 60*time.Second)
	return c
}

// Validate reports all faults, each naming its field.
func (c *Config) Validate() error {
	var errs []error
	if _, err := NewProxies(c.TrustedProxies, c.ForwardedHeader); err != nil {
		errs = append(errs, err)
	}
	for name, v := range map[string]int64{
		"max_body": int64(c.MaxBody), "max_batch_body": int64(c.MaxBatchBody), "max_batch_lines": int64(c.MaxBatchLines), "concurrency": int64(c.Concurrency),
		"read_timeout": int64(c.ReadTimeout), "batch_timeout": int64(c.BatchTimeout), "write_timeout": int64(c.WriteTimeout), "idle_timeout": int64(c.IdleTimeout),
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s: %d must not be negative", name, v))
		}
	}
	return errors.Join(errs...)
}
