package apptest

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/recipient"
)

// cashier is one tenant that takes every method of the payment company, and somebody who pays.
type cashier struct {
	*Country
	t      *testing.T
	ctx    context.Context
	sender *Sender
}

// notice sends a bill whose link opens without questions, and opens it.
func (c *cashier) notice(claim, reference string, methods ...string) (*recipient.Person, string) {
	c.t.Helper()
	d := &message.Draft{To: Number(1), Class: "notice", Send: new(bool), Reference: reference, Page: &message.Page{Title: "水道料金のお知らせ"},
		Claim: &message.Claim{Number: claim, Amount: 7440, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly), Methods: methods}}
	a, _, err := c.sender.Send(c.ctx, d)
	require.NoError(c.t, err)
	p := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Till: c.TillURL(), Browser: recipient.NewBrowser()}
	require.NoError(c.t, p.Get(c.ctx, a.URL))
	require.NoError(c.t, p.Submit(c.ctx, "open", nil))
	return p, a.ID
}

func (c *cashier) choose(p *recipient.Person, method string) {
	c.t.Helper()
	require.NoError(c.t, p.Submit(c.ctx, "checkout", url.Values{"method": {method}}))
	require.NoError(c.t, p.Submit(c.ctx, "pay", nil))
}

func (c *cashier) status(claim string) string {
	c.t.Helper()
	cl, err := c.sender.Claim(c.ctx, claim)
	require.NoError(c.t, err)
	return cl.Status
}

// number reads what stands behind a word on the page.
func (c *cashier) number(p *recipient.Person, word string) string {
	c.t.Helper()
	found := regexp.MustCompile(regexp.QuoteMeta(word) + ` ([0-9]+)`).FindStringSubmatch(p.Shown.Text)
	require.NotNil(c.t, found, "%s: %s", word, p.Shown.Text)
	return found[1]
}

// TestEachMethodGoesItsWay pays in every way that the payment company has besides barcode and card, over HTTP.
func TestEachMethodGoesItsWay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	box, err := NewMailbox()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, box.Close()) })
	c := &cashier{t: t, ctx: ctx, Country: newCountry(t, Options{Mail: box.Addr,
		Methods: []string{"konbini_number", "payer_number", "pay_easy", "card_recurring", "wallet", "account_registration"}})}
	require.NoError(t, c.StartTill(ctx))
	require.NoError(t, c.StartEngine(ctx))
	c.sender, err = c.Join(ctx)
	require.NoError(t, err)

	t.Run("pay-easy, and its numbers by mail", func(t *testing.T) {
		p, id := c.notice("P-1", "")
		c.choose(p, "pay_easy")
		scan := map[string]string{"institution": c.number(p, "収納機関番号"), "number": c.number(p, "お客様番号（納付番号）"), "confirmation": c.number(p, "確認番号")}
		link := strings.TrimSuffix(p.Shown.URL.String(), "/")
		require.NoError(t, p.Submit(ctx, "mail", url.Values{"address": {"taro@example.jp"}}))
		require.Contains(t, p.Shown.Text, "t***@e***.jp")
		await(t, ctx, func() bool { return box.Of("taro@example.jp") != "" })
		var events []string
		await(t, ctx, func() bool {
			m, err := c.sender.Message(ctx, id)
			require.NoError(t, err)
			events = nil
			for _, e := range m.Timeline {
				events = append(events, e.Event)
			}
			return strings.Contains(strings.Join(events, " "), "mailed mail_sent")
		})
		require.NotContains(t, c.Engine.Log(), "taro")
		paid, err := p.PayScan(ctx, scan)
		require.NoError(t, err)
		require.NoError(t, p.AwaitText(ctx, link, "お支払情報（受付）"))
		require.NoError(t, p.Confirm(ctx, paid.PaymentID))
		require.NoError(t, p.AwaitText(ctx, link, "お支払情報（確定）"))
		require.Contains(t, p.Shown.Text, "金融機関・ATM")
		pdf(t, p, "receipt.pdf")
	})
	for _, method := range []string{"card_recurring", "wallet"} {
		t.Run(method, func(t *testing.T) {
			claim := "C-" + strings.ReplaceAll(method, "_", "-")
			p, _ := c.notice(claim, "")
			link := p.Shown.URL.String()
			c.choose(p, method)
			require.NoError(t, p.AtAgent(ctx, "declined"))
			require.NoError(t, p.AwaitText(ctx, link, "お支払い方法をお選びください"))
			c.choose(p, method)
			require.NoError(t, p.AtAgent(ctx, "approved"))
			require.NoError(t, p.AwaitText(ctx, link, "お支払情報（確定）"))
			require.Equal(t, "paid", c.status(claim))
		})
	}
	t.Run("a registered card is charged by the sender's order", func(t *testing.T) {
		p, _ := c.notice("K-1", "900", "card_recurring")
		link := p.Shown.URL.String()
		c.choose(p, "card_recurring")
		require.NoError(t, p.AtAgent(ctx, "approved"))
		require.NoError(t, p.AwaitText(ctx, link, "お支払情報（確定）"))
		c.notice("K-2", "900")
		c.notice("K-3", "901")
		charge := func(claim string, status int) {
			_, _, err := c.sender.send(ctx, http.MethodPatch, "/v1/claims/"+claim, "application/json", []byte(`{"action":"charge","card":"K-1","key":"march"}`), status)
			require.NoError(t, err)
		}
		charge("K-2", http.StatusOK)
		require.Equal(t, "paid", c.status("K-2"))
		charge("K-2", http.StatusOK) // again it is the same
		charge("K-3", http.StatusConflict)
		require.Equal(t, "unpaid", c.status("K-3"), "it is somebody else's card")
	})
	t.Run("registration of an account", func(t *testing.T) {
		p, _ := c.notice("R-1", "")
		link := p.Shown.URL.String()
		c.choose(p, "account_registration")
		require.NoError(t, p.AtAgent(ctx, "approved"))
		require.NoError(t, p.AwaitText(ctx, link, "口座振替の登録を受け付けました"))
		cl, err := c.sender.Claim(ctx, "R-1")
		require.NoError(t, err)
		require.Equal(t, "unpaid", cl.Status, "this bill is still to be paid")
		require.NotNil(t, cl.RegisteredAt)
		require.Equal(t, [3]any{int64(0), int64(0), ""}, [3]any{cl.Provisional, cl.Confirmed, cl.Receipt}, "no money moved")
		c.choose(p, "wallet")
		require.NoError(t, p.AtAgent(ctx, "approved"))
		require.NoError(t, p.AwaitText(ctx, link, "お支払情報（確定）"))
		require.Equal(t, "paid", c.status("R-1"))
	})
	t.Run("a payer's number", func(t *testing.T) {
		c.notice("N-1", "777", "payer_number")
		c.notice("N-3", "778", "payer_number")
		p, _ := c.notice("N-2", "777", "payer_number")
		c.choose(p, "payer_number")
		number := c.number(p, "お客様専用のお支払い番号")
		require.Len(t, number, 13)
		bills, err := p.Bills(ctx, number)
		require.NoError(t, err)
		var claims []string
		for _, b := range bills {
			claims = append(claims, b.ClaimNumber)
		}
		require.ElementsMatch(t, []string{"N-1", "N-2"}, claims, "the payer's open bills, and nobody else's")
		for _, b := range bills {
			if b.ClaimNumber == "N-1" {
				_, err = p.PayScan(ctx, map[string]string{"number": number, "payment_id": b.PaymentID})
				require.NoError(t, err)
			}
		}
		await(t, ctx, func() bool { return c.status("N-1") == "accepted" })
		require.Equal(t, "awaiting", c.status("N-2"), "the money is that bill's")
		require.Equal(t, "unpaid", c.status("N-3"))
	})
	t.Run("beyond a limit it is not offered", func(t *testing.T) {
		d := &message.Draft{To: Number(1), Class: "notice", Send: new(bool), Page: &message.Page{Title: "工事費のお知らせ"},
			Claim: &message.Claim{Number: "L-1", Amount: 600_000, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly)}}
		a, _, err := c.sender.Send(ctx, d)
		require.NoError(t, err)
		p := &recipient.Person{Browser: recipient.NewBrowser()}
		require.NoError(t, p.Get(ctx, a.URL))
		require.NoError(t, p.Submit(ctx, "open", nil))
		f, err := p.Form("checkout")
		require.NoError(t, err)
		for _, field := range f.Fields {
			if field.Name == "method" {
				require.ElementsMatch(t, []string{"pay_easy", "card_recurring", "account_registration"}, field.Choices)
			}
		}
	})
}
