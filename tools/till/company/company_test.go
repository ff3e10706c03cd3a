package company

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/tools/till/ledger"
	"github.com/kakitome/kakitome/tools/till/slip"
)

const secret = "secret-of-the-merchant"

type rig struct {
	t *testing.T
	*httptest.Server
}

func newRig(t *testing.T, confirmAfter time.Duration) rig {
	c, err := Open(Options{
		Directory: t.TempDir(), PublicURL: "http://till.example.jp", CompanyCode: "908081", ConfirmAfter: confirmAfter,
		Merchants: []Merchant{{ID: "m", Name: "〇〇県水道局", Secret: secret}}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	s := httptest.NewServer(c.Handler())
	t.Cleanup(func() {
		cancel()
		s.Close()
		wg.Wait()
		require.NoError(t, c.Close())
	})
	return rig{t, s}
}

func (r rig) do(req *http.Request) (int, string, http.Header) {
	r.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, string(b), resp.Header
}

// api sends a signed request of the merchant; spoil may change it after it was signed.
func (r rig) api(method, path, body string, spoil func(*http.Request)) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.URL+path, strings.NewReader(body))
	require.NoError(r.t, err)
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set(MerchantHeader, "m")
	req.Header.Set(TimestampHeader, stamp)
	req.Header.Set(SignatureHeader, SignRequest(secret, method, path, stamp, []byte(body)))
	if spoil != nil {
		spoil(req)
	}
	status, out, _ := r.do(req)
	return status, out
}

func (r rig) get(path string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest("GET", r.URL+path, nil)
	require.NoError(r.t, err)
	status, out, _ := r.do(req)
	return status, out
}

func (r rig) json(path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest("POST", r.URL+path, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/json")
	status, out, _ := r.do(req)
	return status, out
}

// form posts as a page does; it gives the way on.
func (r rig) form(path string, values url.Values) string {
	r.t.Helper()
	req, err := http.NewRequest("POST", r.URL+path, strings.NewReader(values.Encode()))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, _, header := r.do(req)
	require.Equal(r.t, http.StatusSeeOther, status)
	return header.Get("Location")
}

func request(attempt string, m ledger.Method, due time.Time) string {
	b, err := json.Marshal(ledger.Request{AttemptID: attempt, Method: m, Yen: 7440, TaxYen: -1, Due: due, Store: "konbini_a",
		Description: "水道料金<b>", ClaimNumber: "20190621012403167", ReturnURL: "https://example.jp/r?x=1", WebhookURL: "http://127.0.0.1:1/w"})
	if err != nil {
		panic(err)
	}
	return string(b)
}

var soon = time.Now().Add(240 * time.Hour).Truncate(time.Second)

func (r rig) create(attempt string, m ledger.Method) ledger.View {
	r.t.Helper()
	status, out := r.api("POST", "/v1/payments", request(attempt, m, soon), nil)
	require.Equal(r.t, 201, status, out)
	var got struct{ Payment ledger.View }
	require.NoError(r.t, json.Unmarshal([]byte(out), &got))
	return got.Payment
}

func TestRequestNeedsItsSignature(t *testing.T) {
	r := newRig(t, 0)
	body := request("a1", ledger.Card, soon)
	for name, spoil := range map[string]func(*http.Request){
		"none":  func(q *http.Request) { q.Header.Del(SignatureHeader) },
		"other": func(q *http.Request) { q.Header.Set(SignatureHeader, strings.Repeat("0", 64)) },
		"other body": func(q *http.Request) {
			q.Body = io.NopCloser(bytes.NewReader(bytes.Replace([]byte(body), []byte("7440"), []byte("1440"), 1)))
		},
		"other path":  func(q *http.Request) { q.URL.RawQuery = "x=1" },
		"other time":  func(q *http.Request) { q.Header.Set(TimestampHeader, "1") },
		"no merchant": func(q *http.Request) { q.Header.Del(MerchantHeader) },
		"unknown, signed with no secret": func(q *http.Request) {
			q.Header.Set(MerchantHeader, "x")
			q.Header.Set(SignatureHeader, SignRequest("", "POST", "/v1/payments", q.Header.Get(TimestampHeader), []byte(body)))
		},
		"old": func(q *http.Request) {
			stamp := strconv.FormatInt(time.Now().Add(-6*time.Minute).Unix(), 10)
			q.Header.Set(TimestampHeader, stamp)
			q.Header.Set(SignatureHeader, SignRequest(secret, "POST", "/v1/payments", stamp, []byte(body)))
		},
	} {
		status, out := r.api("POST", "/v1/payments", body, spoil)
		require.Equal(t, 401, status, "%s: %s", name, out)
	}
	_, out := r.get("/till/payments")
	require.JSONEq(t, `{"payments":[]}`, out)
}

func TestBadRequestsNameTheField(t *testing.T) {
	r := newRig(t, 0)
	for body, want := range map[string]string{
		"{":                      "body: ",
		`{"attempt_id":"a1"} {}`: "more than one JSON value",
		`{"colour":"blue"}`:      `unknown field \"colour\"`,
		`{"attempt_id":"a 1"}`:   `"field":"attempt_id"`,
		`{"attempt_id":"a1"}`:    `"field":"method"`,
		strings.Replace(request("a1", ledger.Card, soon), "https://example.jp", "javascript://x", 1): `"field":"return_url"`,
		strings.Replace(request("a1", ledger.Card, soon), "7440", "10000000", 1):                     `"field":"yen"`,
		strings.Replace(request("a1", ledger.KonbiniBarcode, soon), "7440", "300001", 1):             `"field":"yen"`,
		request("a1", ledger.Card, time.Now().Add(-time.Second)):                                     `"field":"due"`,
		request("a1", ledger.KonbiniBarcode, time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC)):            `"field":"due"`,
	} {
		status, out := r.api("POST", "/v1/payments", body, nil)
		require.Equal(t, 400, status, body)
		require.Contains(t, out, want, body)
	}
	status, _ := r.api("POST", "/v1/payments", strings.Repeat("x", maxBody+1), nil)
	require.Equal(t, 413, status)
	status, out := r.api("GET", "/v1/payments/never", "", nil)
	require.Equal(t, 404, status)
	require.Contains(t, out, `"payment_not_found"`)
}

func TestTillRefusesASpoiledSlip(t *testing.T) {
	r := newRig(t, 0)
	p := r.create("a1", ledger.KonbiniBarcode)
	good, err := slip.Parse(p.Voucher.Barcode)
	require.NoError(t, err)
	spoiled := func(change func(*slip.Slip)) string {
		s := good
		change(&s)
		digits, err := s.Digits()
		require.NoError(t, err)
		return digits
	}
	last := p.Voucher.Barcode[43]
	for barcode, want := range map[string]string{
		p.Voucher.Barcode[:43] + string('0'+(last-'0'+1)%10):           "check_digit",
		spoiled(func(s *slip.Slip) { s.Company = "123456" }):           "wrong_company",
		spoiled(func(s *slip.Slip) { s.Yen = 1 }):                      "wrong_amount",
		spoiled(func(s *slip.Slip) { s.Due = s.Due.AddDate(1, 0, 0) }): "wrong_due",
		spoiled(func(s *slip.Slip) { s.Due = time.Time{} }):            "wrong_due",
		spoiled(func(s *slip.Slip) { s.Free = "1" }):                   "unknown_number",
		spoiled(func(s *slip.Slip) { s.Reissue = 1 }):                  "unknown_number",
		spoiled(func(s *slip.Slip) { s.Stamp = true }):                 "unknown_number",
	} {
		status, out := r.json("/till/pay", `{"barcode":"`+barcode+`"}`)
		require.Equal(t, 422, status, out)
		require.Contains(t, out, `"`+want+`"`)
		_, page := r.get("/till?code=" + barcode)
		require.Contains(t, page, refusals[want])
	}
	status, out := r.json("/till/pay", `{"barcode":"`+p.Voucher.Barcode+`","store":"konbini_z"}`)
	require.Equal(t, 400, status, out)
	status, _ = r.json("/till/pay", `{"barcode":"`+p.Voucher.Barcode+`"}`)
	require.Equal(t, 200, status)
}

func TestConfirmationFollowsByItself(t *testing.T) {
	r := newRig(t, 150*time.Millisecond)
	p := r.create("a1", ledger.KonbiniBarcode)
	status, out := r.json("/till/pay", `{"barcode":"`+p.Voucher.Barcode+`"}`)
	require.Equal(t, 200, status)
	require.Contains(t, out, `"state":"provisional"`)
	require.Eventually(t, func() bool {
		_, out := r.get("/till/payments?q=" + p.PaymentID)
		return strings.Contains(out, `"state":"confirmed"`)
	}, 30*time.Second, 20*time.Millisecond)
}

// The way of a clerk without script: each form leads to a page that says what happened.
func TestPagesWorkWithoutScript(t *testing.T) {
	r := newRig(t, 0)
	p := r.create("a1", ledger.KonbiniBarcode)
	_, page := r.get("/till")
	require.Contains(t, page, "レジに出す")
	_, page = r.get("/till?code=" + p.Voucher.Barcode)
	require.Contains(t, page, "7,440")
	require.Contains(t, page, "〇〇県水道局")
	require.Contains(t, page, "水道料金&lt;b&gt;", "the merchant's words are not markup")
	require.NotContains(t, page, "<script")

	scan := url.Values{"barcode": {p.Voucher.Barcode}, "store": {"konbini_c"}}
	way := r.form("/till/pay", scan)
	require.Equal(t, "/till?paid="+p.PaymentID, way)
	_, page = r.get(way)
	require.Contains(t, page, "お支払いを受け付けました")
	require.Contains(t, page, "コンビニC")
	_, page = r.get(r.form("/till/pay", scan))
	require.Contains(t, page, "すでにお支払い済みです。")

	taking := url.Values{"payment_id": {p.PaymentID}, "taking": {"1"}}
	_, page = r.get("/till/list")
	require.Contains(t, page, "速報取消")
	_, page = r.get(r.form("/till/revoke", taking))
	require.Contains(t, page, "速報を取り消しました")
	_, page = r.get(r.form("/till/confirm", taking))
	require.Contains(t, page, refusals[ledger.CodeNotOpen])
	r.form("/till/pay", scan)
	_, page = r.get(r.form("/till/confirm", url.Values{"all": {"true"}}))
	require.Contains(t, page, "s-confirmed")
	_, page = r.get("/till/list?q=nothing")
	require.Contains(t, page, "「nothing」に一致するお支払いはありません。")

	_, page = r.get(r.form("/faults", url.Values{"fault": {"slow_reply"}, "times": {"2"}, "delay": {"5s"}}))
	require.Contains(t, page, "残り2回")
	_, page = r.get(r.form("/faults", url.Values{"clear": {"true"}}))
	require.NotContains(t, page, "残り2回")
	_, page = r.get(r.form("/clock", url.Values{"advance": {"24h0m0s"}}))
	require.Contains(t, page, "1日 進めています")
	_, page = r.get(r.form("/clock", url.Values{"reset": {"true"}}))
	require.NotContains(t, page, "進めています")
	_, page = r.get("/till/log")
	require.Contains(t, page, "速報取消")

	c := r.create("c1", ledger.Card)
	path := strings.TrimPrefix(c.RedirectURL, "http://till.example.jp")
	_, page = r.get(r.form(path, url.Values{"outcome": {"approved"}}))
	require.Contains(t, page, "お支払いが完了しました")
	require.Contains(t, page, `href="https://example.jp/r?x=1"`)
	status, page := r.get("/pay/unknown")
	require.Equal(t, 404, status)
	require.Contains(t, page, "お支払いが見つかりません")
}

func TestForeignPageCannotPay(t *testing.T) {
	r := newRig(t, 0)
	p := r.create("a1", ledger.KonbiniBarcode)
	req, err := http.NewRequest("POST", r.URL+"/till/pay", strings.NewReader("barcode="+p.Voucher.Barcode))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://evil.example.com")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	status, _, _ := r.do(req)
	require.Equal(t, 403, status)
}

func TestScriptsAreToldWhatIsWrong(t *testing.T) {
	r := newRig(t, 0)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/till/pay", `{}`, 400, "either number or barcode"},
		{"/till/pay", `{"number":"1","barcode":"2"}`, 400, "either number or barcode"},
		{"/till/pay", `{"numbre":"1"}`, 400, `"field":"numbre"`},
		{"/till/pay", `{"number":["1"]}`, 400, `"field":"number"`},
		{"/till/pay", `[]`, 400, "body: "},
		{"/till/confirm", `{"payment_id":"x"}`, 404, "payment_not_found"},
		{"/till/revoke", `{"payment_id":"x","taking":"one"}`, 400, `"field":"taking"`},
		{"/faults", `{"fault":"fire","times":1}`, 400, "unknown"},
		{"/faults", `{"fault":"lost_reply","times":"many"}`, 400, `"field":"times"`},
		{"/faults", `{"fault":"slow_reply","times":1,"delay":"soon"}`, 400, `"field":"delay"`},
		{"/clock", `{"advance":"-1h"}`, 400, `"field":"advance"`},
		{"/clock", `{"advance":"100000h"}`, 400, `"field":"advance"`},
		{"/till/confirm", `{"all":true}`, 200, `{"confirmed":0}`},
		{"/clock", `{"advance":"1h30m"}`, 200, `"ahead":"1h30m0s"`},
		{"/faults", `{"fault":"late_notice","times":2,"delay":"2s"}`, 200, `{"fault":"late_notice","times":2,"delay":"2s"}`},
	} {
		status, out := r.json(c.path, c.body)
		require.Equal(t, c.status, status, "%s %s: %s", c.path, c.body, out)
		require.Contains(t, out, c.want)
	}
	status, _ := r.get("/till/payments?limit=0")
	require.Equal(t, 400, status)
}

func TestEndingServerEndsSlowReplies(t *testing.T) {
	r := newRig(t, 0)
	_, out := r.json("/faults", `{"fault":"slow_reply","times":1,"delay":"1h"}`)
	require.Contains(t, out, "slow_reply")
	ctx, cancel := context.WithCancel(context.Background())
	handler := r.Config.Handler
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		req := httptest.NewRequestWithContext(ctx, "GET", "/v1/payments/a1", nil)
		req.Header.Set(MerchantHeader, "m")
		req.Header.Set(TimestampHeader, stamp)
		req.Header.Set(SignatureHeader, SignRequest(secret, "GET", "/v1/payments/a1", stamp, nil))
		handler.ServeHTTP(httptest.NewRecorder(), req)
	}()
	cancel()
	select {
	case why := <-done:
		require.Equal(t, http.ErrAbortHandler, why, fmt.Sprint(why))
	case <-time.After(30 * time.Second):
		require.FailNow(t, "the reply still waits")
	}
}
