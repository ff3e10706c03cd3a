package apptest

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/recipient"
)

func bill(to, claim string) *message.Draft {
	tax := int64(551)
	return &message.Draft{To: to, Class: "notice", Text: "〇〇県水道局からのお知らせです。{url}", Reference: "123456789012",
		Identity: &message.Identity{Code: true, Items: []message.IdentityItem{
			{Field: "birth_date", Value: "1980-01-01"}, {Field: "kana_name", Value: "スイドウ タロウ"}}},
		Page:  &message.Page{Title: "水道料金のお知らせ", Lead: "いつもご利用ありがとうございます。", Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}}, NoticePDF: true},
		Claim: &message.Claim{Number: claim, Amount: 7440, Tax: &tax, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly), Payer: "スイドウ タロウ"}}
}

// answers as a person types them: another form of the date, half-width kana.
var answers = url.Values{"birth_date": {"昭和55年1月1日"}, "kana_name": {"ｽｲﾄﾞｳﾀﾛｳ"}}

// TestAClaimIsPaidFromTheSMSToTheReceipt goes the whole way of the money over HTTP.
func TestAClaimIsPaidFromTheSMSToTheReceipt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := newCountry(t, Options{ReceiptDelay: 100 * time.Millisecond})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartTill(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	first, _, err := sender.Send(ctx, bill(Number(1), "2026-0001"))
	require.NoError(t, err)
	p := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Till: c.TillURL(), Browser: recipient.NewBrowser()}
	sms, err := p.Receive(ctx, "お知らせです", time.Time{})
	require.NoError(t, err)
	link := recipient.Link(sms.Text)
	require.Equal(t, first.URL, link)
	await(t, ctx, func() bool {
		m, err := sender.Message(ctx, first.ID)
		require.NoError(t, err)
		return m.Status == message.Arrived
	})

	require.NoError(t, p.Get(ctx, link))
	require.Contains(t, p.Shown.Text, "〇〇県水道局")
	require.NotContains(t, p.Shown.Text, "水道料金", "nothing before identification")
	m, err := sender.Message(ctx, first.ID)
	require.NoError(t, err)
	require.Nil(t, m.OpenedAt, "a GET opens nothing")
	require.NoError(t, p.Submit(ctx, "open", nil))
	require.NoError(t, p.Identify(ctx, answers))
	require.Contains(t, p.Shown.Text, "水道料金のお知らせ")
	require.Contains(t, p.Shown.Text, "7,440円")
	pdf(t, p, "notice.pdf")

	digits, err := p.Barcode(ctx)
	require.NoError(t, err)
	paid, err := p.Pay(ctx, digits)
	require.NoError(t, err)
	require.Equal(t, int64(7440), paid.PaidYen)
	require.NoError(t, p.AwaitText(ctx, link, "お支払情報（受付）"))
	require.NotContains(t, strings.Join(p.Shown.Links, " "), "receipt.pdf", "no receipt before 確報")
	claim, err := sender.Claim(ctx, "2026-0001")
	require.NoError(t, err)
	require.Equal(t, [2]int64{7440, 0}, [2]int64{claim.Provisional, claim.Confirmed})

	require.NoError(t, p.Confirm(ctx, paid.PaymentID))
	require.NoError(t, p.AwaitText(ctx, link, "お支払情報（確定）"))
	pdf(t, p, "receipt.pdf")
	claim, err = sender.Claim(ctx, "2026-0001")
	require.NoError(t, err)
	require.Equal(t, [2]int64{0, 7440}, [2]int64{claim.Provisional, claim.Confirmed})
	require.Equal(t, "paid", claim.Status)
	require.Equal(t, "000000000001", claim.Receipt)
	require.Empty(t, claim.Alerts)

	// A reminder of the same claim, to another phone, shows the same state and cannot be paid again.
	second, _, err := sender.Send(ctx, bill(Number(2), "2026-0001"))
	require.NoError(t, err)
	require.Equal(t, "2026-0001", second.Claim)
	other := &recipient.Person{Number: Number(2), SMSC: c.SMSCURL(), Till: c.TillURL(), Browser: recipient.NewBrowser()}
	sms, err = other.Receive(ctx, "お知らせです", time.Time{})
	require.NoError(t, err)
	require.Equal(t, second.URL, recipient.Link(sms.Text))
	afterSubmission(t, ctx, sender, second.ID)
	require.NoError(t, other.Get(ctx, second.URL))
	require.NoError(t, other.Submit(ctx, "open", nil))
	token, err := other.Form("identify")
	require.NoError(t, err)
	require.NoError(t, other.Identify(ctx, answers))
	require.Contains(t, other.Shown.Text, "お支払情報（確定）")
	pdf(t, other, "receipt.pdf")
	_, err = other.Form("checkout")
	require.Error(t, err, "a paid claim offers no payment")
	for _, step := range []string{"checkout", "pay"} { // what a page left open elsewhere would send
		require.NoError(t, other.Post(ctx, second.URL+"/"+step, url.Values{"form": {token.Fields[0].Value}, "method": {"konbini_barcode"}}))
		require.NotContains(t, other.Shown.Text, "(91)")
	}
	_, err = p.Pay(ctx, digits)
	require.ErrorContains(t, err, "422", "the till refuses a number that is paid")
	claim, err = sender.Claim(ctx, "2026-0001")
	require.NoError(t, err)
	require.Equal(t, int64(7440), claim.Confirmed)

	// The state is the record's: it is the same after a restart.
	require.NoError(t, c.Engine.Stop(30*time.Second))
	require.NoError(t, c.StartEngine(ctx))
	require.NoError(t, p.Get(ctx, link))
	require.Contains(t, p.Shown.Text, "お支払情報（確定）", "the session outlives a restart")
	pdf(t, p, "receipt.pdf")
	again, err := sender.Claim(ctx, "2026-0001")
	require.NoError(t, err)
	require.Equal(t, claim, again)
}

// pdf downloads a document that the page offers.
func pdf(t *testing.T, p *recipient.Person, name string) {
	t.Helper()
	data, err := p.Download(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, "%PDF", string(data[:min(4, len(data))]))
	require.Contains(t, string(data[len(data)-16:]), "%%EOF")
}

// afterSubmission waits until an opening no longer counts as that of a scanner: three seconds after the submission.
func afterSubmission(t *testing.T, ctx context.Context, s *Sender, id string) {
	t.Helper()
	await(t, ctx, func() bool {
		m, err := s.Message(ctx, id)
		require.NoError(t, err)
		return m.SubmittedAt != nil && time.Since(*m.SubmittedAt) > 3*time.Second
	})
}

// Whoever answers wrongly sees what everybody sees, the code's screen; but no code comes, and the record says so.
func TestNoCodeComesForWrongAnswers(t *testing.T) {
	t.Parallel()
	c, ctx := newCountry(t, Options{}), t.Context()
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	a, _, err := sender.Send(ctx, bill(Number(1), "2026-0001"))
	require.NoError(t, err)
	p := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Browser: recipient.NewBrowser()}
	require.NoError(t, p.Get(ctx, a.URL))
	require.NoError(t, p.Submit(ctx, "open", nil))
	require.NoError(t, p.Submit(ctx, "identify", url.Values{"birth_date": {"19800102"}, "kana_name": {"スイドウタロウ"}}))
	_, err = p.Form("code")
	require.NoError(t, err)
	require.NoError(t, p.Submit(ctx, "code", url.Values{"code": {"000000"}}))
	require.NotContains(t, p.Shown.Text, "水道料金のお知らせ")
	m, err := sender.Message(ctx, a.ID)
	require.NoError(t, err)
	var events []string
	for _, e := range m.Timeline {
		events = append(events, e.Event)
	}
	require.Contains(t, events, message.CodeHeld.String())
	require.NotContains(t, events, message.CodeSent.String())
	require.NotContains(t, events, message.Identified.String())
}
