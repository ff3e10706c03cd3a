// Program handsets shows simulated phones in the browser: who received which
// SMS from the carriers of tools/smsc, as a phone would show it, live. Links
// can be tapped, one-time codes read, and a message answered (STOP).
//
//	handsets -listen 127.0.0.1:2781 -smsc http://127.0.0.1:2780
//
// It loads what the carriers have at start and then follows their stream; when
// the carriers are away it tries again every second. Nothing is stored: the
// history lives in memory, the last 200 messages of the last 10,000 phones.
// With -ledger it begins with what the carriers' ledger file has of earlier
// runs.
//
// book.go holds the phones, feed.go follows the carriers, web.go shows them.
// Pages name a phone by a number of their own, so that no phone number stands
// in a URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:2781", "loopback `address` of the pages")
	smsc := flag.String("smsc", "http://127.0.0.1:2780", "base `URL` of tools/smsc")
	ledger := flag.String("ledger", "", "ledger `file` of tools/smsc, for what phones got in its earlier runs")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, options{*listen, *smsc, *ledger}, os.Stdout, log); err != nil {
		fmt.Fprintln(os.Stderr, "handsets:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct{ listen, smsc, ledger string }

// start runs the program until ctx ends. It prints "ready http=…" on out.
func start(ctx context.Context, o options, out io.Writer, log *slog.Logger) error {
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return fmt.Errorf("listen %q: %w", o.listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("listen %q: not a loopback address", o.listen)
	}
	base, err := url.Parse(o.smsc)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return fmt.Errorf("smsc %q: not a base URL such as http://127.0.0.1:2780", o.smsc)
	}
	book := newBook()
	feed := &feed{base: base, book: book, log: log}
	if o.ledger != "" {
		if err := feed.recall(o.ledger); err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { feed.run(ctx) })
	srv := &http.Server{
		Handler: newSite(book, feed), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	wg.Go(func() {
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	})
	fmt.Fprintf(out, "ready http=%s\n", ln.Addr())
	err = srv.Serve(ln)
	cancel()
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
