package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/kakitome/kakitome/conf"
)

// certificates gives the certificate for the name that a client asks for, and reads the files again when they change.
type certificates struct {
	files []conf.Certificate
	log   *slog.Logger
	now   atomic.Pointer[[]tls.Certificate]
	mtime time.Time // newest of the files, as loaded; Run's alone
}

// loadCertificates returns nil without files: the doors then speak plain HTTP.
func loadCertificates(files []conf.Certificate, log *slog.Logger) (*certificates, error) {
	if len(files) == 0 {
		return nil, nil
	}
	c := &certificates{files: files, log: log}
	return c, c.load()
}

func (c *certificates) load() error {
	all := make([]tls.Certificate, 0, len(c.files))
	for _, f := range c.files {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return fmt.Errorf("certificate %s: %w", f.Cert, err)
		}
		all = append(all, cert)
	}
	c.now.Store(&all)
	c.mtime = c.newest()
	return nil
}

func (c *certificates) newest() time.Time {
	var newest time.Time
	for _, f := range c.files {
		for _, path := range []string{f.Cert, f.Key} {
			if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	return newest
}

// run looks every half minute whether a file changed. A bad file keeps the old certificates in use.
func (c *certificates) run(ctx context.Context) error {
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if !c.newest().After(c.mtime) {
			continue
		}
		if err := c.load(); err != nil {
			c.log.Error("certificates were not reloaded; the old ones stay in use", "err", err)
			c.mtime = c.newest() // said once for each change
			continue
		}
		c.log.Info("certificates reloaded")
	}
}

// config is nil without certificates.
func (c *certificates) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		all := *c.now.Load()
		for i := range all {
			if hello.SupportsCertificate(&all[i]) == nil {
				return &all[i], nil
			}
		}
		return nil, errors.New("no certificate for this name")
	}}
}
