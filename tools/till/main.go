// Command till is サンドボックス決済, a payment company for a country in a box: it issues convenience store numbers and
// barcodes, hosts a card page, takes pretended money at its own till screen, tells the merchant by webhook (速報, 確報),
// and does all of it wrong when told to. README.md beside this file describes it for its users.
//
//	till -init DIR     write DIR/till.toml with a new secret, and end
//	till -config FILE  run
//
// It prints one line when it is ready. SIGTERM or SIGINT ends it within two seconds; what was answered is on disk.
// Its rooms: slip (44 digits) ← ledger (the books) ← notice (webhooks), fault ← company (HTTP).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/tools/till/company"
)

// stopGrace is how long requests may still run after a signal.
const stopGrace = time.Second

func main() {
	initDir := flag.String("init", "", "write a configuration with a new secret into this directory, and end")
	config := flag.String("config", "till.toml", "configuration `file`")
	listen := flag.String("listen", "", "`address` to listen on instead of the configured one")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "till: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if *initDir != "" {
		name := filepath.Join(*initDir, "till.toml")
		if err := writeSample(name); err != nil {
			fmt.Fprintln(os.Stderr, "till:", err)
			os.Exit(1)
		}
		fmt.Println(name)
		return
	}
	cfg, err := readConfig(*config)
	if err == nil && *listen != "" {
		cfg.Listen = *listen
		err = cfg.Validate()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "till: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, cfg); err != nil {
		fmt.Fprintf(os.Stderr, "till: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, cfg Config) (err error) {
	lis, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	publicURL := cfg.PublicURL
	if publicURL == "" {
		publicURL = "http://" + lis.Addr().String()
	}
	opts := company.Options{
		Directory: cfg.Directory, PublicURL: publicURL, CompanyCode: cfg.CompanyCode,
		ConfirmAfter: time.Duration(cfg.ConfirmAfter), ShowFor: time.Duration(cfg.ShowFor),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	for _, m := range cfg.Merchants {
		opts.Merchants = append(opts.Merchants, company.Merchant(m))
	}
	c, err := company.Open(opts)
	if err != nil {
		lis.Close()
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()

	var wg sync.WaitGroup
	defer wg.Wait()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { c.Run(running) })

	server := &http.Server{
		Handler:           c.Handler(),
		BaseContext:       func(net.Listener) context.Context { return running },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	fmt.Printf("till ready on http://%s/till\n", lis.Addr())
	select {
	case err = <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(context.Background(), stopGrace)
	defer done()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	<-served
	return nil
}
