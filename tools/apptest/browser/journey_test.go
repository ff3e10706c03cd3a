package browser

import (
	"fmt"
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
	tax := int64(551)
	return &message.Draft{To: number, Class: "notice", Text: "〇〇県水道局からお支払いに関するお知らせです。{url}", Reference: "123456789012",
		Identity: &message.Identity{Code: true, Items: []message.IdentityItem{
			{Field: "birth_date", Value: "1980-01-01"}, {Field: "kana_name", Value: "スイドウ タロウ"}}},
		Page: &message.Page{Title: "水道料金のお知らせ", Lead: "いつも水道をご利用いただき、ありがとうございます。今回のご使用量とご請求額をお知らせします。",
			Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "◆8年9～10月分◆"},
				{Item: "水道使用水量", Value: "44m3"}, {Item: "今回指針", Value: "682"}, {Item: "前回指針", Value: "638"}},
			Closing: "なお、行き違いでご入金いただきました場合には、ご容赦ください。", NoticePDF: true},
		Claim: &message.Claim{Number: claim, Amount: 7440, Tax: &tax, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly), Payer: "スイドウ タロウ"}}
}

// TestWaitingPageChangesUnderTheEyes: with JavaScript the page of a number looks again after three minutes, here shortened, and
// becomes that of the payment; whoever is on a button stays on it.
func TestWaitingPageChangesUnderTheEyes(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	p := w.phone(t, bill(apptest.Number(30), "2026-wait-1"), "wait", true)
	link := p.identify()
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
	link := p.identify()
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

func TestAClaimIsPaidInABrowser(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	for i, scripted := range []bool{true, false} {
		name := map[bool]string{true: "js", false: "nojs"}[scripted]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("barcode", func(t *testing.T) { w.barcode(t, apptest.Number(10+i), "2026-"+name+"-1", name+"-barcode", scripted) })
			t.Run("card", func(t *testing.T) { w.card(t, apptest.Number(20+i), "2026-"+name+"-2", name+"-card", scripted) })
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

// identify goes from the phone to the page behind the link.
func (p *phone) identify() (link string) {
	p.t.Helper()
	handset := p.Place()
	p.await(`document.querySelector(".sms a") !== null`)
	link = look.Value[string](p.Window, `document.querySelector(".sms a").href`)
	p.tap(".sms a", "landing")
	require.Contains(p.t, p.text(), "このSMSは〇〇県水道局から発信しております。")
	p.submit("open", "identify")
	p.fill("birth_date", "19800102", "kana_name", "スイドウタロウ")
	p.submit("identify", "mismatch")
	require.Contains(p.t, p.text(), "入力した内容が登録と異なるときは、SMSは送信されません。", "as after a match")
	p.await(fmt.Sprintf("Date.now() > %.0f", look.Value[float64](p.Window, "Date.now()")+6000)) // sooner it would be a double click
	p.submit("again", "identify-again")
	p.fill("birth_date", "昭和55年1月1日", "kana_name", "すいどう　たろう")
	p.submit("identify", "code")
	require.Contains(p.t, p.text(), "認証番号を送信しました")
	p.open(handset, "code-sms")
	p.await(`document.querySelector("strong.code") !== null`)
	code := look.Value[string](p.Window, `[...document.querySelectorAll("strong.code")].at(-1).textContent`)
	p.open(link, "code-again")
	p.fill("code", code)
	p.submit("code", "information")
	require.Contains(p.t, p.text(), "水道料金のお知らせ")
	require.Contains(p.t, p.text(), "7,440円")
	return link
}

func (w *world) barcode(t *testing.T, number, claim, name string, scripted bool) {
	p := w.phone(t, bill(number, claim), name, scripted)
	link := p.identify()
	p.document(`a[href$="/documents/notice.pdf"]`, "notice")
	p.choose("method", "konbini_barcode")
	p.submit("checkout", "checkout")
	p.submit("pay", "voucher")
	require.Contains(t, p.text(), "バーコード発行は完了しておりますが、お支払いが完了していません。")
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

	p.openUntil(link, "お支払情報（受付）", "state")
	require.Zero(t, look.Value[int](p.Window, `document.querySelectorAll('a[href$="receipt.pdf"]').length`), "no receipt before 確報")

	p.open(w.TillURL()+"/till/list?q="+claim, "till-list")
	p.tap(`form[action="/till/confirm"]:has([name=payment_id]) button`, "till-confirmed")
	p.openUntil(link, "お支払情報（確定）", "confirmed")
	p.confirmed(claim)
	p.english(link)
}

// confirmed sees the claim confirmed and takes its receipt.
func (p *phone) confirmed(claim string) {
	p.t.Helper()
	require.Contains(p.t, p.text(), "お支払情報（確定）")
	require.Contains(p.t, p.text(), claim)
	p.document(`a[href$="/documents/receipt.pdf"]`, "receipt")
}

// english looks at the page in the other language, and goes back.
func (p *phone) english(link string) {
	p.t.Helper()
	p.tap(`a[href$="?lang=en"]`, "english")
	require.Contains(p.t, p.text(), "Payment confirmed")
	p.open(link, "english-kept")
	require.Contains(p.t, p.text(), "Payment confirmed", "the language is kept")
	p.tap(`a[href$="?lang=ja"]`, "japanese")
	require.Contains(p.t, p.text(), "お支払情報（確定）")
}

func (w *world) card(t *testing.T, number, claim, name string, scripted bool) {
	p := w.phone(t, bill(number, claim), name, scripted)
	link := p.identify()
	p.choose("method", "card")
	p.submit("checkout", "checkout")
	p.submit("pay", "redirect")
	require.Contains(t, p.text(), "決済会社のページで行います")
	p.leave("redirect", w.TillURL()+"/pay/")
	p.look("agent")
	p.tap(`button[value="approved"]`, "agent-done")
	require.Contains(t, p.text(), "お支払いが完了しました")
	p.tap(`a[href*="/return"]`, "returned")
	require.Contains(t, p.text(), "決済会社のページから戻りました。")
	p.submit("state", "result")
	p.await(`document.body.innerText.includes("お支払情報（確定）")`)
	require.True(t, strings.HasPrefix(p.Place(), link))
	p.confirmed(claim)
}
