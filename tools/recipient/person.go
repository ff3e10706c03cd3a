// Package recipient is the person behind a link, for tests and rehearsals: a browser that does what pages offer, a phone
// that reads what the simulated carriers delivered, and money that is paid at the till of the pretended payment company.
// Nothing in it knows anything of the engine but what a stranger sees.
package recipient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/kakitome/kakitome/smpp/smsc"
)

// Person receives, looks and pays. Not safe for concurrent use.
type Person struct {
	Number string // as people write it, 090…
	SMSC   string // base URL of the simulated carriers' ledger
	Till   string // base URL of the till
	*Browser
}

// every is the pause between two looks at something that is awaited.
const every = 100 * time.Millisecond

// Receive waits for an SMS to the person's number that came after a time and contains a text, and returns it.
func (p *Person) Receive(ctx context.Context, contains string, after time.Time) (sms smsc.Message, err error) {
	dest := "81" + strings.TrimPrefix(strings.ReplaceAll(p.Number, "-", ""), "0")
	err = await(ctx, func() (bool, error) {
		all, err := Ledger(ctx, p.SMSC, after)
		for _, m := range all {
			if m.Dest == dest && strings.Contains(m.Text, contains) {
				sms = m
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return sms, fmt.Errorf("no SMS with %q came: %w", contains, err)
	}
	return sms, nil
}

// Ledger reads what the simulated carriers received after a time, oldest first.
func Ledger(ctx context.Context, base string, after time.Time) ([]smsc.Message, error) {
	address := base + "/ledger"
	if !after.IsZero() {
		address += "?since=" + url.QueryEscape(after.Format(time.RFC3339Nano))
	}
	body, err := fetch(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("read the carriers' ledger: %w", err)
	}
	var all []smsc.Message
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m smsc.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("read the carriers' ledger: %w", err)
		}
		all = append(all, m)
	}
	return all, lines.Err()
}

var (
	linkPattern = regexp.MustCompile(`https?://[!-~]+`)
	codePattern = regexp.MustCompile(`「([0-9]{4,8})」`)
	barcode     = regexp.MustCompile(`\(91\)[0-9][0-9 -]*[0-9]`)
	digit       = regexp.MustCompile(`[0-9]`)
)

// Link finds the link in an SMS; "" when there is none.
func Link(text string) string { return linkPattern.FindString(text) }

// Identify answers the questions on the page and then, when a code is asked for, the code that comes by SMS.
func (p *Person) Identify(ctx context.Context, answers url.Values) error {
	began := time.Now()
	if err := p.Submit(ctx, "identify", answers); err != nil {
		return err
	}
	if _, err := p.Form("code"); err != nil {
		if _, again := p.Form("identify"); again == nil {
			return fmt.Errorf("the answers were not accepted: %s", clip(p.Shown.Text))
		}
		return nil
	}
	sms, err := p.Receive(ctx, "認証番号", began)
	if err != nil {
		return err
	}
	code := codePattern.FindStringSubmatch(sms.Text)
	if code == nil {
		return errors.New("the SMS with the code has none in 「」")
	}
	return p.Submit(ctx, "code", url.Values{"code": {code[1]}})
}

// Barcode chooses to pay by barcode at a convenience store and returns the 44 digits that the page then shows.
func (p *Person) Barcode(ctx context.Context) (string, error) {
	if err := p.Submit(ctx, "checkout", url.Values{"method": {"konbini_barcode"}}); err != nil {
		return "", err
	}
	if err := p.Submit(ctx, "pay", nil); err != nil {
		return "", err
	}
	return p.ShownBarcode()
}

// ShownBarcode reads the 44 digits off the page.
func (p *Person) ShownBarcode() (string, error) {
	digits := strings.Join(digit.FindAllString(barcode.FindString(p.Shown.Text), -1), "")
	if len(digits) != 44 {
		return "", fmt.Errorf("the page shows no barcode of 44 digits (%d): %s", len(digits), clip(p.Shown.Text))
	}
	return digits, nil
}

// Payment is a payment as the till shows it.
type Payment struct {
	PaymentID     string `json:"payment_id"`
	ReceiptNumber string `json:"receipt_number"`
	State         string `json:"state"`
	ClaimNumber   string `json:"claim_number"`
	Yen           int64  `json:"yen"`
	PaidYen       int64  `json:"paid_yen"`
}

// Pay pays a barcode at the till.
func (p *Person) Pay(ctx context.Context, digits string) (Payment, error) {
	return p.PayScan(ctx, map[string]string{"barcode": digits})
}

// PayScan pays at the till with what its API takes: number, institution, confirmation, payment_id …
func (p *Person) PayScan(ctx context.Context, scan map[string]string) (Payment, error) {
	var out struct{ Payment Payment }
	err := p.till(ctx, "/till/pay", scan, &out)
	return out.Payment, err
}

// Bills asks the till what is open under the payer's own number.
func (p *Person) Bills(ctx context.Context, number string) ([]Payment, error) {
	var out struct{ Payments []Payment }
	err := p.till(ctx, "/till/look", map[string]string{"number": number}, &out)
	return out.Payments, err
}

// AtAgent goes to the payment company's page and ends there: approved, declined or abandoned.
func (p *Person) AtAgent(ctx context.Context, outcome string) error {
	if err := p.Submit(ctx, "redirect", nil); err != nil {
		return err
	}
	if len(p.Shown.Links) != 1 || p.Shown.Header.Get("Refresh") != "0; url="+p.Shown.Links[0] {
		return fmt.Errorf("the page does not lead to the payment company: %s", clip(p.Shown.Text))
	}
	if err := p.Get(ctx, p.Shown.Links[0]); err != nil {
		return err
	}
	if !strings.HasPrefix(p.Shown.URL.String(), p.Till+"/pay/") || len(p.Shown.Forms) != 1 {
		return fmt.Errorf("this is not the payment company's page: %s", clip(p.Shown.Text))
	}
	return p.Post(ctx, p.Shown.Forms[0].Action, url.Values{"outcome": {outcome}})
}

// Confirm lets the payment company send the 確報 of a payment.
func (p *Person) Confirm(ctx context.Context, paymentID string) error {
	return p.till(ctx, "/till/confirm", map[string]string{"payment_id": paymentID}, new(any))
}

func (p *Person) till(ctx context.Context, path string, in, out any) error {
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := fetch(ctx, http.MethodPost, p.Till+path, data)
	if err != nil {
		return fmt.Errorf("till: %w", err)
	}
	return json.Unmarshal(body, out)
}

// AwaitText loads the page again until it shows a text.
func (p *Person) AwaitText(ctx context.Context, address, text string) error {
	err := await(ctx, func() (bool, error) {
		err := p.Get(ctx, address)
		return err == nil && strings.Contains(p.Shown.Text, text), err
	})
	if err != nil {
		return fmt.Errorf("the page does not show %q: %w: %s", text, err, clip(p.Shown.Text))
	}
	return nil
}

// await calls fn until it is done, fails, or ctx ends.
func await(ctx context.Context, fn func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if done, err := fn(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

var client = &http.Client{Timeout: 30 * time.Second}

// fetch sends a request, JSON where there is a body, and returns the body of a 200.
func fetch(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, clip(string(data)))
	}
	return data, err
}
