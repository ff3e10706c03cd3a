// Program smsc runs simulated carriers for development, demonstrations and
// tests: one TCP port each for docomo, au, SoftBank and Rakuten Mobile (or
// whatever its configuration names), and an HTTP listener on loopback to see
// what they received and to make them fail. The carriers themselves, and the
// numbers that choose an outcome, are described in package smpp/smsc.
//
//	smsc -print-config > smsc.toml && chmod 600 smsc.toml
//	smsc -config smsc.toml
//
// It prints one line when it listens:
//
//	ready http=127.0.0.1:2780 docomo=127.0.0.1:2775 au=…
//
// and stops within two seconds of SIGINT or SIGTERM. Every accepted message is
// in the ledger file before it is acknowledged, so that a test that kills
// everything can read what the carriers received. See http.go for the HTTP
// interface.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/kakitome/kakitome/smpp/smsc"
)

func main() {
	config := flag.String("config", "", "configuration `file`, readable by its owner alone")
	printConfig := flag.Bool("print-config", false, "print a commented sample and exit")
	verbose := flag.Bool("v", false, "log binds and refusals")
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a carrier must not be what is measured
	}
	if *printConfig {
		fmt.Print(sample)
		return
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, *config, os.Stdout, log); err != nil {
		fmt.Fprintln(os.Stderr, "smsc:", err)
		os.Exit(1)
	}
}

// start runs the program until ctx ends.
func start(ctx context.Context, name string, out io.Writer, log *slog.Logger) error {
	cfg, err := load(name)
	if err != nil {
		return err
	}
	var ledger io.Writer
	if cfg.Ledger != "" {
		file, err := os.OpenFile(cfg.Ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open ledger: %w", err)
		}
		defer file.Close()
		ledger = file
	}
	ln, err := net.Listen("tcp", cfg.HTTP)
	if err != nil {
		return fmt.Errorf("listen for http: %w", err)
	}
	ready := "ready http=" + ln.Addr().String()
	var carriers []*smsc.Carrier
	for _, c := range cfg.Carriers {
		carrier, err := smsc.New(c, ledger, log)
		if err != nil {
			for _, open := range carriers {
				_ = open.Close()
			}
			_ = ln.Close()
			return err
		}
		carriers = append(carriers, carrier)
		ready += " " + strings.ReplaceAll(c.Name, " ", "-") + "=" + carrier.Addr()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(carriers)+1)
	var wg sync.WaitGroup
	for i, carrier := range carriers {
		wg.Go(func() {
			defer cancel()
			errs[i] = carrier.Run(ctx)
		})
	}
	wg.Go(func() {
		defer cancel()
		errs[len(carriers)] = serve(ctx, ln, carriers)
	})
	fmt.Fprintln(out, ready)
	wg.Wait()
	return errors.Join(errs...)
}
