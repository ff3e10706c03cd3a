// Package company is サンドボックス決済 over HTTP: what merchants, payers, clerks and test scripts meet. The books are in
// ledger, what goes out is in notice, what goes wrong is in fault.
//
//	merchants   POST /v1/payments, GET /v1/payments/{attempt_id}, POST …/cancel, …/refund, …/voucher   api.go
//	payers      /pay/{token}, the hosted card page                                                       card.go
//	clerks      /till, /till/list, /till/log, /till/controls: pages that work without script             screen.go
//	scripts     /till/look, pay, revoke, confirm, payments, notices, and /faults, /clock: JSON            counter.go
//	both        /till/report: the 確報 file of a day                                                       report.go
//
// The forms of the clerks' pages post to the scripts' endpoints: one handler serves both and answers a form with a
// redirect, JSON with JSON.
//
// Only the merchant API is authenticated. Everything else is open to whoever reaches the listener, which is why it is
// loopback only; posts from foreign pages in the same browser are refused.
package company

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
	"github.com/kakitome/kakitome/tools/till/notice"
)

// Merchant is one customer of the company.
type Merchant struct {
	ID     string // in the requests
	Name   string // for the payer's eyes
	Secret string // signs requests and notices
}

// Options of a Company.
type Options struct {
	Directory    string // of the books
	PublicURL    string // where payers reach the card page, without last slash
	CompanyCode  string // 請求書発行企業コード, 6 digits
	Merchants    []Merchant
	ConfirmAfter time.Duration    // 確報 follows 速報 by itself after this; 0: by hand
	ShowFor      time.Duration    // how long a barcode may be on a payer's screen; 0: until it expires
	RetryMin     time.Duration    // of notices; 0: 1 s
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: slog.Default
}

// Company is safe for concurrent use.
type Company struct {
	opts      Options
	merchants map[string]Merchant
	books     *ledger.Ledger
	faults    *fault.Set
	sender    *notice.Sender
	handler   http.Handler
}

// confirmInterval is how often ConfirmAfter is looked at.
const confirmInterval = 100 * time.Millisecond

// Open opens the books. The caller runs Run, serves Handler, and calls Close after both have ended.
func Open(opts Options) (*Company, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	books, err := ledger.Open(opts.Directory, ledger.Options{
		CompanyCode: opts.CompanyCode, CardPages: opts.PublicURL + "/pay/", ShowFor: opts.ShowFor, Now: opts.Now, Log: opts.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("open books: %w", err)
	}
	c := &Company{opts: opts, merchants: map[string]Merchant{}, books: books, faults: &fault.Set{}}
	for _, m := range opts.Merchants {
		c.merchants[m.ID] = m
	}
	c.sender = notice.New(books, c.faults, notice.Options{
		Secret:   func(merchant string) string { return c.merchants[merchant].Secret },
		RetryMin: opts.RetryMin,
		Log:      opts.Log,
	})
	c.handler = c.routes()
	return c, nil
}

// Handler serves everything. Its requests' contexts should end when the server is to stop: slow replies end with them.
func (c *Company) Handler() http.Handler { return c.handler }

// Run sends notices and confirms what is old enough, until ctx ends.
func (c *Company) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.sender.Run(ctx) })
	if c.opts.ConfirmAfter > 0 {
		wg.Go(func() { c.confirm(ctx) })
	}
}

func (c *Company) confirm(ctx context.Context) {
	tick := time.NewTicker(confirmInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := c.books.ConfirmOlder(c.opts.ConfirmAfter)
		if err != nil && !failing {
			c.opts.Log.Error("takings not confirmed", "err", err)
		}
		failing = err != nil
	}
}

// Close releases the books.
func (c *Company) Close() error { return c.books.Close() }

func (c *Company) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payments", c.merchant(c.create))
	mux.HandleFunc("GET /v1/payments/{attempt}", c.merchant(c.get))
	mux.HandleFunc("POST /v1/payments/{attempt}/cancel", c.merchant(c.cancel))
	mux.HandleFunc("POST /v1/payments/{attempt}/refund", c.merchant(c.refund))
	mux.HandleFunc("POST /v1/payments/{attempt}/voucher", c.merchant(c.voucher))

	mux.HandleFunc("GET /pay/{token}", c.cardPage)
	mux.HandleFunc("POST /pay/{token}", c.payCard)

	mux.Handle("GET /{$}", http.RedirectHandler("/till", http.StatusFound))
	mux.HandleFunc("GET /till", c.registerPage)
	mux.HandleFunc("GET /till/list", c.listPage)
	mux.HandleFunc("GET /till/log", c.logPage)
	mux.HandleFunc("GET /till/controls", c.controlsPage)
	mux.HandleFunc("GET /style.css", style)

	mux.HandleFunc("POST /till/look", c.look)
	mux.HandleFunc("POST /till/pay", c.pay)
	mux.HandleFunc("POST /till/revoke", c.revoke)
	mux.HandleFunc("POST /till/confirm", c.confirmNow)
	mux.HandleFunc("GET /till/payments", c.payments)
	mux.HandleFunc("GET /till/notices", c.notices)
	mux.HandleFunc("GET /till/report", c.report)
	mux.HandleFunc("GET /faults", c.listFaults)
	mux.HandleFunc("POST /faults", c.setFault)
	mux.HandleFunc("GET /clock", c.clock)
	mux.HandleFunc("POST /clock", c.setClock)

	return http.NewCrossOriginProtection().Handler(mux)
}

// waive plays the faults that let money be taken, or taken back, where it should not be. use takes one time of the fault.
func (c *Company) waive(use bool) ledger.Waive {
	faults := map[string]fault.Name{
		ledger.CodeCanceled:  fault.PayAfterCancel,
		ledger.CodeExpired:   fault.PayAfterExpiry,
		ledger.CodePaid:      fault.PayTwice,
		ledger.CodeConfirmed: fault.RevokeConfirmed,
	}
	return func(code string) bool {
		if !use {
			return c.faults.Armed(faults[code])
		}
		_, ok := c.faults.Take(faults[code])
		return ok
	}
}

// refusal is the ledger's refusal within err; anything else is the company's own trouble: logged, and told as such.
func (c *Company) refusal(err error) (int, *ledger.Error) {
	var e *ledger.Error
	if !errors.As(err, &e) {
		c.opts.Log.Error("request failed", "err", err)
		return http.StatusInternalServerError, &ledger.Error{Code: "internal", Detail: "the books cannot be written"}
	}
	switch e.Code {
	case ledger.CodeInvalid:
		return http.StatusBadRequest, e
	case ledger.CodeNotFound:
		return http.StatusNotFound, e
	case ledger.CodeNoCard, ledger.CodeDuplicate, ledger.CodeAlreadyPaid, ledger.CodeRegistered, ledger.CodeNotOpen, ledger.CodeConfirmed, ledger.CodeNotCaptured:
		return http.StatusConflict, e
	case ledger.CodeTryLater:
		return http.StatusTooManyRequests, e
	}
	return http.StatusUnprocessableEntity, e
}
