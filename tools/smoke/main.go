// Smoke goes the whole way of one message of the sample campaign in a running box: from the SMS on the phone over the link,
// the identity check, the convenience store and its till to the receipt. It does what a recipient does and knows only what
// the sender's CSV file says of them.
//
//	smoke -dir box [-base 8800]
//
// It prints each step with its time and ends with 0, or with 1 and what went wrong.
package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/japanese"

	"github.com/kakitome/kakitome/smpp/smsc"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/recipient"
)

func main() {
	dir := flag.String("dir", "box", "directory of the box")
	base := flag.Int("base", 8800, "first port of the box")
	limit := flag.Duration("limit", 2*time.Minute, "longest time that everything may take")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if err := run(ctx, *dir, *base); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

// Ports of the box, counted from its base: tools/box.
const (
	portLinks = 0
	portAPI   = 1
	portTill  = 5
	portSMSC  = 6
)

// questions are the columns with identity answers and the fields in which a recipient types them.
var questions = map[string]string{
	"認証：生年月日": "birth_date", "認証：氏名カナ": "kana_name", "認証：お客様番号": "customer_number",
	"認証：電話番号": "phone", "認証：郵便番号": "postcode", "認証：暗証番号": "passcode",
}

func run(ctx context.Context, dir string, base int) error {
	at := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", base+port) }
	began := time.Now()
	step := func(format string, args ...any) {
		fmt.Printf("%6.2f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	rows, err := readCampaign(filepath.Join(dir, "suido.csv"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(dir, "secrets", "api.key"))
	if err != nil {
		return err
	}
	sms, row, err := firstDelivered(ctx, at(portSMSC), at(portLinks), rows)
	if err != nil {
		return err
	}
	number := row["電話番号"]
	step("SMS arrived by %s: %s", sms.Carrier, sms.Text)

	p := &recipient.Person{Number: number, SMSC: at(portSMSC), Till: at(portTill), Browser: recipient.NewBrowser()}
	link := recipient.Link(sms.Text)
	if err := p.Get(ctx, link); err != nil {
		return err
	}
	if err := p.Submit(ctx, "open", nil); err != nil {
		return err
	}
	step("link opened")
	form, err := p.Form("identify")
	if err != nil {
		return err
	}
	answers := url.Values{}
	for column, field := range questions {
		if slices.ContainsFunc(form.Fields, func(f recipient.Field) bool { return f.Name == field }) {
			answers.Set(field, row[column])
		}
	}
	if err := p.Identify(ctx, answers); err != nil {
		return err
	}
	if !strings.Contains(p.Shown.Text, row["タイトル"]) {
		return fmt.Errorf("the page does not show %q: %s", row["タイトル"], p.Shown.Text)
	}
	step("identified, page shown: %s", row["タイトル"])
	if slices.ContainsFunc(p.Shown.Links, func(l string) bool { return strings.HasSuffix(l, "/notice.pdf") }) {
		if err := download(ctx, p, "notice.pdf", step); err != nil {
			return err
		}
	}
	digits, err := p.Barcode(ctx)
	if err != nil {
		return err
	}
	step("barcode issued: %s", digits)
	paid, err := p.Pay(ctx, digits)
	if err != nil {
		return err
	}
	step("paid %d yen at the till", paid.PaidYen)
	if err := p.AwaitText(ctx, link, "お支払情報（受付）"); err != nil {
		return err
	}
	step("page shows 受付 (速報)")
	if err := p.AwaitText(ctx, link, "お支払情報（確定）"); err != nil {
		return err
	}
	step("page shows 確定 (確報)")
	if err := download(ctx, p, "receipt.pdf", step); err != nil {
		return err
	}
	claim, err := apptest.NewSender(at(portAPI), strings.TrimSpace(string(key))).Claim(ctx, row["請求番号"])
	if err != nil {
		return err
	}
	if claim.Status != "paid" || claim.Confirmed != claim.Amount || claim.Receipt == "" {
		return fmt.Errorf("claim %s is %s: %d of %d yen confirmed, receipt %q", claim.Number, claim.Status, claim.Confirmed, claim.Amount, claim.Receipt)
	}
	step("claim %s is paid, receipt no. %s", claim.Number, claim.Receipt)
	return nil
}

func download(ctx context.Context, p *recipient.Person, name string, step func(string, ...any)) error {
	data, err := p.Download(ctx, name)
	if err == nil && !bytes.HasPrefix(data, []byte("%PDF")) {
		err = fmt.Errorf("%s is no PDF", name)
	}
	if err == nil {
		step("%s downloaded, %d bytes", name, len(data))
	}
	return err
}

// readCampaign reads the CSV file (CP932, docs/csv.md) into rows by column.
func readCampaign(path string) ([]map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := japanese.ShiftJIS.NewDecoder().Bytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(records) < 2 {
		return nil, fmt.Errorf("%s has no rows", path)
	}
	var rows []map[string]string
	for _, r := range records[1:] {
		row := map[string]string{}
		for i, column := range records[0] {
			row[column] = r[i]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// firstDelivered waits for an SMS with a link that reached a recipient of the campaign who is to pay.
func firstDelivered(ctx context.Context, ledger, links string, rows []map[string]string) (smsc.Message, map[string]string, error) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, err := recipient.Ledger(ctx, ledger, time.Time{})
		if err != nil {
			return smsc.Message{}, nil, err
		}
		for _, m := range all {
			if m.State != "DELIVRD" || !strings.HasPrefix(recipient.Link(m.Text), links) {
				continue
			}
			for _, row := range rows {
				if row["電話番号"] == "0"+strings.TrimPrefix(m.Dest, "81") && row["請求番号"] != "" {
					return m, row, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return smsc.Message{}, nil, errors.New("no SMS of the sample campaign was delivered")
		case <-ticker.C:
		}
	}
}
