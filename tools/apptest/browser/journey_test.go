package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/look"
	"github.com/kakitome/kakitome/tools/recipient"
)

func bill(number, claim string) *message.Draft {
	tax := int64(676)
	return &message.Draft{To: number, Class: "notice", Text: "〇〇県水道局からお支払いに関するお知らせです。{url}", Reference: "123456789012",
		Identity: &message.Identity{Code: true, Items: []message.IdentityItem{
			{Field: "birth_date", Value: "1980-01-01"}, {Field: "kana_name", Value: "スイドウ タロウ"}}},
		Page: &message.Page{Title: "水道料金のお知らせ", Lead: "いつも水道をご利用いただき、ありがとうございます。今回のご使用量とご請求額をお知らせします。",
			Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "◆8年9～10月分◆"},
				{Item: "水道使用水量", Value: "44m3"}, {Item: "今回指針", Value: "682"}, {Item: "前回指針", Value: "638"}},
			Closing: "なお、行き違いでご入金いただきました場合には、ご容赦ください。", NoticePDF: true},
		Claim: &message.Claim{Number: claim, Amount: 7440, Tax: &tax, TaxRate: 10, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly), Payer: "スイドウ タロウ"}}
}

// TestWaitingPageChangesUnderTheEyes: with JavaScript the page of a number looks again after three minutes, here shortened, and
// becomes that of the payment; whoever is on a button stays on it.
func TestWaitingPageChangesUnderTheEyes(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	p := w.phone(t, bill(apptest.Number(30), "2026-wait-1"), "wait", true)
	link := p.identify(reader{"ja", true})
	p.hurry(600)
	p.choose("method", "konbini_barcode")
	p.submit("checkout", "checkout")
	p.submit("pay", "voucher")
	digits := look.Value[string](p.Window, `document.querySelector(".barcode p").textContent.replace(/\D/g, "")`)
	look.Value[bool](p.Window, `(document.querySelector('form[action$="/state"] button').focus(), window.stays = true)`)
	other := recipient.Person{Till: w.TillURL(), Browser: recipient.NewBrowser()}
	paid, err := other.Pay(t.Context(), digits)
	require.NoError(t, err)
	p.await(`document.querySelector("h1").innerText.includes("お支払情報（受付）")`)
	require.True(t, look.Value[bool](p.Window, `window.stays === true`), "the page was not loaded anew")
	require.True(t, look.Value[bool](p.Window, `document.activeElement.closest("form")?.getAttribute("action").endsWith("/state")`), "the focus is where it was")
	require.Equal(t, "お支払情報（受付）", look.Value[string](p.Window, `document.querySelector("body > [role=status]").textContent`), "and it is said")
	p.look("accepted-by-itself")
	require.NoError(t, other.Confirm(t.Context(), paid.PaymentID))
	p.await(`document.querySelector("h1").innerText.includes("お支払情報（確定）")`)
	require.Equal(t, link, strings.TrimSuffix(p.Place(), "/"))
	p.look("confirmed-by-itself")
}

// TestAnswersAreNotExchangedUnderTheHand: a survey stands on the page of a number, and does not hold up the news of the payment;
// but what somebody is choosing stays until it was sent.
func TestAnswersAreNotExchangedUnderTheHand(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	d := bill(apptest.Number(31), "2026-wait-2")
	d.Page.Survey = &message.Survey{Items: []message.SurveyItem{{Title: "検針票の受け取り", Type: "radio", Choices: []string{"郵送", "電子"}, Required: true}}}
	p := w.phone(t, d, "wait-survey", true)
	link := p.identify(reader{"ja", true})
	p.hurry(600)
	p.choose("method", "konbini_barcode")
	p.submit("checkout", "checkout")
	p.submit("pay", "voucher")
	digits := look.Value[string](p.Window, `document.querySelector(".barcode p").textContent.replace(/\D/g, "")`)
	p.choose("q0", "電子")
	look.Value[bool](p.Window, `(document.activeElement.blur(), true)`)
	other := recipient.Person{Till: w.TillURL(), Browser: recipient.NewBrowser()}
	_, err := other.Pay(t.Context(), digits)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		c, err := w.sender.Claim(t.Context(), "2026-wait-2")
		return err == nil && c.Status == "accepted"
	}, look.StepLimit, 100*time.Millisecond)
	p.await(fmt.Sprintf("Date.now() > %.0f", look.Value[float64](p.Window, "Date.now()")+4*180_000)) // some looks of the page
	require.Contains(t, p.text(), "バーコード発行は完了しております", "nothing is exchanged under the hand")
	require.True(t, look.Value[bool](p.Window, `document.querySelector("[name=q0][value=電子]").checked`))
	p.submit("answer", "answered")
	require.Contains(t, p.text(), "回答を受け付けました")
	p.openUntil(link, "お支払情報（受付）", "accepted")
	require.Contains(t, p.text(), "回答済み")
}

// The main way, by a barcode and by a card, is gone in both languages and with scripts and without.
func TestAClaimIsPaidInABrowser(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	for i, ways := range []struct{ barcode, card reader }{{reader{"ja", true}, reader{"en", true}}, {reader{"en", false}, reader{"ja", false}}} {
		t.Run(ways.barcode.name(), func(t *testing.T) {
			t.Parallel()
			t.Run("barcode", func(t *testing.T) {
				w.barcode(t, apptest.Number(10+i), fmt.Sprintf("2026-barcode-%d", i), ways.barcode)
			})
			t.Run("card", func(t *testing.T) { w.card(t, apptest.Number(20+i), fmt.Sprintf("2026-card-%d", i), ways.card) })
		})
	}
}

// phone is a browser of somebody who got the message, on the page of his phone.
func (w *world) phone(t *testing.T, d *message.Draft, name string, scripted bool) *phone {
	t.Helper()
	number := d.To
	_, _, err := w.sender.Send(t.Context(), d)
	require.NoError(t, err)
	p := newPhone(t, name, scripted, w.LinksURL(), w.TillURL(), w.handsets)
	p.open(w.handsets, "phones")
	row := fmt.Sprintf(`[...document.querySelectorAll(".phones a")].findIndex(a => a.querySelector(".number").textContent.replaceAll("-", "") === %q)`, number)
	p.await(row + " >= 0")
	p.tap(fmt.Sprintf(".phones li:nth-child(%d) a", look.Value[int](p.Window, row)+1), "phone")
	return p
}

// identify goes from the phone to the page behind the link, in the language of its reader from the first page on.
func (p *phone) identify(r reader) (link string) {
	p.t.Helper()
	handset := p.Place()
	p.await(`document.querySelector(".sms a") !== null`)
	link = look.Value[string](p.Window, `document.querySelector(".sms a").href`)
	p.tap(".sms a", "landing")
	require.Contains(p.t, p.text(), "このSMSは〇〇県水道局から発信しております。")
	if r.lang != "ja" {
		p.tap(fmt.Sprintf(`a[href$="?lang=%s"]`, r.lang), "landing-"+r.lang)
		require.Contains(p.t, p.text(), "This SMS was sent by")
	}
	p.submit("open", "identify")
	p.fill("birth_date", "19800102", "kana_name", "スイドウタロウ")
	p.submit("identify", "mismatch")
	require.Contains(p.t, p.text(), r.says("入力した内容が登録と異なるときは、SMSは送信されません。", "No SMS is sent when what you entered is not what we have on file."), "as after a match")
	p.await(fmt.Sprintf("Date.now() > %.0f", look.Value[float64](p.Window, "Date.now()")+6000)) // sooner it would be a double click
	p.submit("again", "identify-again")
	p.fill("birth_date", "昭和55年1月1日", "kana_name", "すいどう　たろう")
	p.submit("identify", "code")
	require.Contains(p.t, p.text(), r.says("認証番号を送信しました", "a code was sent"))
	p.open(handset, "code-sms")
	p.await(`document.querySelector("strong.code") !== null`)
	code := look.Value[string](p.Window, `[...document.querySelectorAll("strong.code")].at(-1).textContent`)
	p.open(link, "code-again")
	p.fill("code", code)
	p.submit("code", "information")
	require.Contains(p.t, p.text(), "水道料金のお知らせ")
	require.Contains(p.t, p.text(), r.says("7,440円", "¥7,440"))
	return link
}

func (w *world) barcode(t *testing.T, number, claim string, r reader) {
	p := w.phone(t, bill(number, claim), "barcode-"+r.name(), r.scripted)
	link := p.identify(r)
	p.document(`a[href$="/documents/notice.pdf"]`, "notice")
	p.choose("method", "konbini_barcode")
	p.submit("checkout", "checkout")
	p.submit("pay", "voucher")
	require.Contains(t, p.text(), r.says("バーコード発行は完了しておりますが、お支払いが完了していません。", "The barcode is issued, but the payment is not made yet."))
	digits := look.Value[string](p.Window, `document.querySelector(".barcode p").textContent.replace(/\D/g, "")`)
	require.Len(t, digits, 44)
	require.Equal(t, digits, p.scan(".barcode"), "what a till reads from the screen")

	p.open(w.TillURL()+"/till", "till")
	p.fill("code", digits)
	p.tap("form button", "till-bill")
	require.Contains(t, p.text(), "7,440")
	p.choose("store", "konbini_b")
	p.tap(`form[action="/till/pay"] button`, "till-paid")
	require.Contains(t, p.text(), "お支払いを受け付けました")

	p.openUntil(link, r.says("お支払情報（受付）", "Payment received"), "state")
	require.Zero(t, look.Value[int](p.Window, `document.querySelectorAll('a[href$="receipt.pdf"]').length`), "no receipt before 確報")

	p.open(w.TillURL()+"/till/list?q="+claim, "till-list")
	p.tap(`form[action="/till/confirm"]:has([name=payment_id]) button`, "till-confirmed")
	p.openUntil(link, confirmed(r), "confirmed")
	p.confirmed(r, claim)
	p.otherwise(r, link)
}

// confirmed is what the page says once the money has come.
func confirmed(r reader) string { return r.says("お支払情報（確定）", "Payment confirmed") }

// confirmed sees the claim confirmed and takes its receipt.
func (p *phone) confirmed(r reader, claim string) {
	p.t.Helper()
	require.Contains(p.t, p.text(), confirmed(r))
	require.Contains(p.t, p.text(), claim)
	p.document(`a[href$="/documents/receipt.pdf"]`, "receipt")
}

// otherwise looks at the page in the other language, and goes back.
func (p *phone) otherwise(r reader, link string) {
	p.t.Helper()
	other := reader{r.says("en", "ja"), r.scripted}
	p.tap(fmt.Sprintf(`a[href$="?lang=%s"]`, other.lang), other.lang)
	require.Contains(p.t, p.text(), confirmed(other))
	p.open(link, other.lang+"-kept")
	require.Contains(p.t, p.text(), confirmed(other), "the language is kept")
	p.tap(fmt.Sprintf(`a[href$="?lang=%s"]`, r.lang), r.lang)
	require.Contains(p.t, p.text(), confirmed(r))
}

func (w *world) card(t *testing.T, number, claim string, r reader) {
	p := w.phone(t, bill(number, claim), "card-"+r.name(), r.scripted)
	link := p.identify(r)
	p.choose("method", "card")
	p.submit("checkout", "checkout")
	p.submit("pay", "redirect")
	require.Contains(t, p.text(), r.says("決済会社のページで行います", "You pay on the payment company's page."))
	p.leave("redirect", w.TillURL()+"/pay/")
	p.look("agent")
	p.tap(`button[value="approved"]`, "agent-done")
	require.Contains(t, p.text(), "お支払いが完了しました")
	p.tap(`a[href*="/return"]`, "returned")
	require.Contains(t, p.text(), r.says("決済会社のページから戻りました。", "You came back from the payment company's page."))
	p.submit("state", "result")
	p.await(fmt.Sprintf(`document.body.innerText.includes(%q)`, confirmed(r)))
	require.True(t, strings.HasPrefix(p.Place(), link))
	p.confirmed(r, claim)

	require.NoError(t, w.sender.Do(t.Context(), http.MethodPatch, "/v1/claims/"+claim, []byte(`{"action":"refund","key":"1"}`), http.StatusOK, nil))
	p.openUntil(link, r.says("ご返金済み", "Refunded"), "refunded")
	require.Zero(t, p.count(`[name="method"]`), "it is not paid again")
	p.document(`a[href$="/documents/receipt.pdf"]`, "receipt-after-refund")
}
