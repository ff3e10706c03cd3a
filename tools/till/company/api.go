package company

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
)

const (
	maxBody   = 256 << 10       // of a request
	tolerance = 5 * time.Minute // between the merchant's clock and ours
)

// Headers of a merchant's request.
const (
	MerchantHeader  = "X-Sandbox-Merchant"
	TimestampHeader = "X-Sandbox-Timestamp" // unix seconds
	SignatureHeader = "X-Sandbox-Signature" // see SignRequest
)

// SignRequest is the hex HMAC-SHA256 of method, path with query as sent, timestamp and body, each but the last with a
// line feed behind it.
func SignRequest(secret, method, path, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s\n%s\n%s\n", method, path, timestamp)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// call is an authenticated request of a merchant.
type call struct {
	*http.Request
	merchant string
	body     []byte
}

// merchant authenticates, plays the faults of the API, and answers with what handle returns: a payment or a refusal.
func (c *Company) merchant(handle func(call) (status int, v ledger.View, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			var long *http.MaxBytesError
			if errors.As(err, &long) {
				answerError(w, http.StatusRequestEntityTooLarge, &ledger.Error{Code: "body_too_long", Detail: fmt.Sprintf("want at most %d bytes", maxBody)})
			}
			return // or the merchant is gone
		}
		if err := c.authenticate(r, body); err != nil {
			answerError(w, http.StatusUnauthorized, err)
			return
		}
		if _, ok := c.faults.Take(fault.ServerError); ok {
			answerError(w, http.StatusInternalServerError, &ledger.Error{Code: "internal", Detail: "fault " + string(fault.ServerError)})
			return
		}
		status, v, err := handle(call{r, r.Header.Get(MerchantHeader), body})
		if f, ok := c.faults.Take(fault.SlowReply); ok {
			select {
			case <-time.After(f.Delay):
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		}
		if err != nil {
			status, refusal := c.refusal(err)
			answerError(w, status, refusal)
			return
		}
		answer(w, status, map[string]any{"payment": v})
	}
}

func (c *Company) authenticate(r *http.Request, body []byte) *ledger.Error {
	m, known := c.merchants[r.Header.Get(MerchantHeader)]
	stamp := r.Header.Get(TimestampHeader)
	want := SignRequest(m.Secret, r.Method, r.URL.RequestURI(), stamp, body)
	if !hmac.Equal([]byte(want), []byte(r.Header.Get(SignatureHeader))) || !known {
		return &ledger.Error{Code: "bad_signature", Detail: "merchant unknown or signature wrong"}
	}
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(unix, 0)); err != nil || age.Abs() > tolerance {
		return &ledger.Error{Code: "bad_timestamp", Detail: "timestamp is more than 5 minutes off", Field: TimestampHeader}
	}
	return nil
}

func (c *Company) create(r call) (int, ledger.View, error) {
	req := ledger.Request{TaxYen: -1}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		return 0, ledger.View{}, &ledger.Error{Code: ledger.CodeInvalid, Detail: "body: " + err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		return 0, ledger.View{}, &ledger.Error{Code: ledger.CodeInvalid, Detail: "body: more than one JSON value"}
	}
	v, created, err := c.books.Create(r.merchant, req, func() bool {
		_, declined := c.faults.Take(fault.DeclineCharge)
		return declined
	})
	if err != nil {
		return 0, ledger.View{}, err
	}
	if _, ok := c.faults.Take(fault.LostReply); ok {
		panic(http.ErrAbortHandler) // closes the connection without a word
	}
	if created {
		return http.StatusCreated, v, nil
	}
	return http.StatusOK, v, nil
}

func (c *Company) get(r call) (int, ledger.View, error) {
	v, err := c.books.Get(r.merchant, r.PathValue("attempt"))
	return http.StatusOK, v, err
}

func (c *Company) cancel(r call) (int, ledger.View, error) {
	v, err := c.books.Cancel(r.merchant, r.PathValue("attempt"))
	return http.StatusOK, v, err
}

// voucher gives another barcode of the same payment, to be shown from now on.
func (c *Company) voucher(r call) (int, ledger.View, error) {
	if _, ok := c.faults.Take(fault.NoVoucher); ok {
		return 0, ledger.View{}, &ledger.Error{Code: ledger.CodeTryLater, Detail: "fault " + string(fault.NoVoucher)}
	}
	v, err := c.books.Show(r.merchant, r.PathValue("attempt"))
	return http.StatusOK, v, err
}

// refund: {"key", "yen"} → the payment, with what was given back. The key is the refund's own: the same one is one refund.
func (c *Company) refund(r call) (int, ledger.View, error) {
	var req struct {
		Key string `json:"key"`
		Yen int64  `json:"yen"`
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		return 0, ledger.View{}, &ledger.Error{Code: ledger.CodeInvalid, Detail: "body: " + err.Error()}
	}
	v, err := c.books.Refund(r.merchant, r.PathValue("attempt"), req.Key, req.Yen)
	if err != nil {
		return 0, ledger.View{}, err
	}
	if _, ok := c.faults.Take(fault.LostReply); ok {
		panic(http.ErrAbortHandler) // closes the connection without a word
	}
	return http.StatusOK, v, nil
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: answer cannot be encoded: %v", err))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // an error means that the other end is gone
}

func answerError(w http.ResponseWriter, status int, e *ledger.Error) {
	answer(w, status, map[string]*ledger.Error{"error": e})
}
