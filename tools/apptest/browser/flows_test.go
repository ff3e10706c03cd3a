package browser

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/look"
	"github.com/kakitome/kakitome/tools/recipient"
)

// reader is how somebody goes a way: in a language, with scripts or without.
type reader struct {
	lang     string
	scripted bool
}

func (r reader) name() string {
	return r.lang + map[bool]string{true: "-js", false: "-nojs"}[r.scripted]
}

// says gives the words that the reader's language has.
func (r reader) says(ja, en string) string {
	if r.lang == "en" {
		return en
	}
	return ja
}

// flow is one way besides that of a barcode and a card: a message whose link is opened, and what is done behind it.
type flow struct {
	name  string
	draft func(d *message.Draft)
	walk  func(w *world, p *phone, r reader)
}

var flows = []flow{
	{"survey", func(d *message.Draft) {
		d.Page.Survey = &message.Survey{Lead: "ご都合をお聞かせください。", Items: []message.SurveyItem{
			{Title: "立ち会い", Type: "radio", Choices: []string{"希望する", "希望しない"}, Required: true}, {Title: "ご希望の時間帯", Type: "check", Choices: []string{"午前", "午後"}}, {Title: "ご要望", Type: "text"}}}
	}, func(_ *world, p *phone, r reader) {
		p.submit("open", "survey")
		p.choose("q0", "希望する")
		p.choose("q1", "午前")
		p.choose("q1", "午後")
		look.Value[bool](p.Window, `(document.querySelector("[name=q2]").value = "あ".repeat(213), true)`)
		p.status = 422
		p.submit("answer", "refused")
		require.Contains(p.t, p.text(), r.says("ご要望：213文字あります。200文字以内にしてください。", "ご要望: This has 213 characters. Please write 200 at most."))
		require.Equal(p.t, 1, p.count(`textarea[aria-invalid="true"]`))
		require.Equal(p.t, 3, p.count(`input:checked`), "what was chosen is kept")
		p.status = 0
		look.Value[bool](p.Window, `(document.querySelector("[name=q2]").value = "", true)`)
		p.fill("q2", "玄関先に犬がいます")
		p.submit("answer", "answered")
		require.Contains(p.t, p.text(), r.says("回答を受け付けました", "Your answer was received"))
		p.tap("main p a.button, p a.button", "back")
		require.Contains(p.t, p.text(), "玄関先に犬がいます")
		require.Equal(p.t, 0, p.count(`form[action$="/answer"]`), "it is answered once")
	}},
	{"stranger", func(d *message.Draft) { ask(d) }, func(_ *world, p *phone, r reader) {
		link := p.Place()
		p.tap(`a[href$="/stranger"]`, "stranger")
		p.read()
		p.status = 410
		p.submit("stranger", "stopped")
		require.Contains(p.t, p.text(), r.says("この電話番号への送信を停止しました", "Nothing more is sent to this phone number"))
		p.open(link, "stays-stopped")
		require.Equal(p.t, 0, p.count("form"))
	}},
	{"promise", func(d *message.Draft) { claim(d).Promises = true }, func(_ *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.choose("promise", "day_after")
		p.submit("promise", "promised")
		require.Equal(p.t, 1, p.count(".notice.done"))
		p.choose("promise", "paid")
		p.submit("promise", "changed")
		require.Contains(p.t, p.text(), r.says("お支払い済みとのお申し出を承りました", "You told us that you hav"))
	}},
	{"locked", func(d *message.Draft) { ask(d) }, func(_ *world, p *phone, r reader) {
		p.submit("open", "questions")
		for i := range 5 {
			p.fill("birth_date", fmt.Sprintf("1999121%d", i)) // the same again would be no try
			p.submit("identify", fmt.Sprintf("wrong-%d", i+1))
		}
		require.Contains(p.t, p.text(), r.says("入力できる回数を超えたため", "There were too many wrong tries"))
		require.Equal(p.t, 0, p.count(`form[action$="/identify"]`))
		require.NotZero(p.t, p.count(`a[href^="tel:"]`), "whom to call")
	}},
	{"expired", func(d *message.Draft) { ask(d) }, func(w *world, p *phone, r reader) {
		link := p.Place()
		for past := true; past; { // a machine with other things to do may come too late
			end := fmt.Sprintf(`{"link":{"expires_at":%q}}`, time.Now().Add(2*time.Second).Format(time.RFC3339))
			err := w.sender.Do(p.t.Context(), http.MethodPatch, "/v1/messages/"+p.message, []byte(end), http.StatusOK, nil)
			var refused *apptest.Refused
			if past = errors.As(err, &refused) && strings.Contains(refused.Body, "link.expires_at"); !past {
				require.NoError(p.t, err)
			}
		}
		p.status = 410
		p.openUntil(link, r.says("このページは有効期限を過ぎたため", "The notice can no longer be shown"), "expired")
		require.Equal(p.t, 0, p.count("form"))
		require.NotContains(p.t, p.text(), "水道のお知らせ")
		require.NotZero(p.t, p.count(`a[href^="tel:"]`), "whom to call")
	}},
	{"past", func(d *message.Draft) { ask(d) }, func(w *world, p *phone, r reader) {
		later := &message.Draft{To: p.number, Class: "notice", Send: new(bool), Reference: "F-past-" + r.lang, Page: &message.Page{Title: "今月のお知らせ"}}
		ask(later)
		sent, _, err := w.sender.Send(p.t.Context(), later)
		require.NoError(p.t, err)
		p.open(sent.URL+"?lang="+r.lang, "landing")
		p.submit("open", "questions")
		p.fill("birth_date", "19800101")
		p.submit("identify", "page")
		require.Contains(p.t, p.text(), r.says("これまでのお知らせ", "Earlier notices"))
		require.Equal(p.t, 1, p.count(`a[href*="/documents/past-"]`))
		p.document(`a[href*="/documents/past-"]`, "earlier")
	}},
	{"pay-easy", func(d *message.Draft) { claim(d, "pay_easy", "card") }, func(_ *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.choose("method", "pay_easy")
		p.submit("checkout", "checkout")
		p.submit("pay", "numbers")
		require.Equal(p.t, 3, p.count(".number"), "institution, number, confirmation")
		require.Contains(p.t, p.text(), r.says("収納機関番号", "Institution number"))
		p.read()
		p.submit("cancel", "other-method")
		require.Contains(p.t, p.text(), r.says("お支払い方法をお選びください", "Choose how to pay"))
	}},
	{"payer-number", func(d *message.Draft) { claim(d, "payer_number") }, func(_ *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.submit("checkout", "checkout")
		p.submit("pay", "number")
		require.Contains(p.t, p.text(), r.says("お客様専用のお支払い番号", "Your own pa"))
		p.submit("state", "state")
		require.NotZero(p.t, p.count(".number"))
	}},
	{"konbini-number", func(d *message.Draft) { claim(d, "konbini_number") }, func(w *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.submit("checkout", "checkout")
		p.choose("store", "konbini_c")
		p.submit("pay", "number")
		require.Contains(p.t, p.text(), r.says("お支払い番号", "Payment number"))
		require.NotZero(p.t, p.count(".number"))
		address := "hana-" + r.name() + "@example.jp"
		p.fill("address", address)
		p.submit("mail", "mailed")
		require.Contains(p.t, p.text(), "h***@e***.jp", "masked on the page")
		p.arrived(w.mails, address)
	}},
	{"bank-transfer", func(d *message.Draft) { claim(d, "bank_transfer") }, func(w *world, p *phone, r reader) {
		link := p.Place()
		p.submit("open", "notice")
		p.submit("checkout", "checkout")
		p.submit("pay", "account")
		require.Contains(p.t, p.text(), "〇〇ケンスイドウキヨク")
		require.Contains(p.t, p.text(), "振込専用支店")
		require.Contains(p.t, p.text(), r.says("振込手数料はお客様のご負担となります", "The bank's fee is yours"))
		account := look.Value[string](p.Window, `document.querySelector(".number").innerText`)
		transfer := func(yen int) {
			file := fmt.Sprintf("取引日,金融機関コード,支店番号,口座番号,入金額,明細番号\n%s,9999,101,%s,%d,%s-%d\n", time.Now().In(message.Tokyo).Format(time.DateOnly), account, yen, account, yen)
			require.NoError(p.t, w.sender.Do(p.t.Context(), http.MethodPost, fmt.Sprintf("/v1/agents/bank/reports?name=%s-%d.csv", account, yen), []byte(file), http.StatusOK, nil))
		}
		transfer(3000)
		p.openUntil(link, r.says("ご入金を一部確認しました", "A part of the money has come in"), "part")
		require.Contains(p.t, p.text(), r.says("4,440円", "¥4,440"), "what is still to pay")
		require.Contains(p.t, p.text(), account)
		transfer(4440)
		p.openUntil(link, confirmed(r), "confirmed")
	}},
	{"wallet", func(d *message.Draft) { claim(d, "wallet") }, func(w *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.atAgent(w, "wallet")
		p.await(fmt.Sprintf(`document.body.innerText.includes(%q)`, r.says("お支払情報（確定）", "Payment confirmed")))
		p.document(`a[href$="/documents/receipt.pdf"]`, "receipt")
	}},
	{"card-recurring", func(d *message.Draft) { claim(d, "card_recurring") }, func(w *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.atAgent(w, "card_recurring")
		p.await(fmt.Sprintf(`document.body.innerText.includes(%q)`, r.says("お支払情報（確定）", "Payment confirmed")))
	}},
	{"registration", func(d *message.Draft) { claim(d, "account_registration", "wallet") }, func(w *world, p *phone, r reader) {
		p.submit("open", "notice")
		p.choose("method", "account_registration")
		p.atAgent(w, "account_registration")
		p.await(fmt.Sprintf(`document.body.innerText.includes(%q)`, r.says("口座振替の登録を受け付けました", "Your account is registered for direct debit")))
		require.NotZero(p.t, p.count(`[name="method"]`), "this bill is still to be paid")
	}},
	{"entry", func(d *message.Draft) {
		d.Identity = &message.Identity{Code: true, Items: []message.IdentityItem{{Field: "birth_date", Value: "1980-01-01"}, {Field: "kana_name", Value: "スイドウ タロウ"}}}
	}, func(w *world, p *phone, r reader) {
		since := time.Now()
		p.open(w.LinksURL()+"/e/"+apptest.Tenant+"?lang="+r.lang, "entry")
		p.submit("open", "questions")
		p.fill("kana_name", "スイドウタロウ", "birth_date", "19800101", "phone", p.number)
		p.submit("identify", "code")
		ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
		defer cancel()
		who := &recipient.Person{Number: p.number, SMSC: w.SMSCURL(), Browser: recipient.NewBrowser()}
		sms, err := who.Receive(ctx, r.says("認証番号", "is your"), since.Add(-time.Second))
		require.NoError(p.t, err)
		code := codeOf.FindStringSubmatch(sms.Text)
		require.NotNil(p.t, code, "%s", sms.Text)
		p.fill("code", code[1]+code[2])
		p.submit("code", "list")
		require.Contains(p.t, p.text(), r.says("1件あります", "There is one notice for you"))
		p.submit("pick", "picked")
		require.Contains(p.t, p.text(), "水道のお知らせ")
	}},
}

// codeOf finds the one-time code of an SMS.
var codeOf = regexp.MustCompile(`「([0-9]{4,8})」|^([0-9]{4,8}) is your`)

// ask makes the link ask for a birth date.
func ask(d *message.Draft) {
	d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "1980-01-01"}}}
}

// claim makes the page ask for money.
func claim(d *message.Draft, methods ...string) *message.Claim {
	d.Claim = &message.Claim{Number: d.Reference, Amount: 7440, Due: time.Now().In(message.Tokyo).AddDate(0, 0, 20).Format(time.DateOnly), Methods: methods}
	return d.Claim
}

// atAgent goes from the choice of a method to the payment company's page, agrees there, and comes back.
func (p *phone) atAgent(w *world, method string) {
	p.t.Helper()
	p.submit("checkout", "checkout-"+method)
	p.submit("pay", "redirect")
	p.leave("redirect", w.TillURL()+"/pay/")
	p.look("agent")
	p.tap(`button[value="approved"]`, "agent-done")
	p.tap(`a[href*="/return"]`, "returned")
	p.submit("state", "result")
}

// arrived waits for a mail.
func (p *phone) arrived(box *apptest.Mailbox, address string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), look.StepLimit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for box.Of(address) == "" {
		select {
		case <-ctx.Done():
			require.FailNow(p.t, "no mail came", address)
		case <-ticker.C:
		}
	}
}

// read lets as much time pass as somebody needs who reads the page: what is pressed sooner may be a machine's doing.
func (p *phone) read() {
	p.t.Helper()
	select {
	case <-time.After(3500 * time.Millisecond):
	case <-p.t.Context().Done():
	}
}

// count is how many elements the selector finds.
func (p *phone) count(selector string) int {
	return look.Value[int](p.Window, fmt.Sprintf(`document.querySelectorAll(%q).length`, selector))
}

// TestEveryOtherWayInABrowser goes each flow in both languages, with scripts in one and without in the other; which is which changes
// from flow to flow, so that all four are gone.
func TestEveryOtherWayInABrowser(t *testing.T) {
	w := sharedWorld(t)
	for i, f := range flows {
		for j, r := range []reader{{"ja", i%2 == 0}, {"en", i%2 != 0}} {
			t.Run(f.name+"/"+r.name(), func(t *testing.T) {
				t.Parallel()
				number := apptest.Number(40 + 2*i + j)
				d := &message.Draft{To: number, Class: "notice", Send: new(bool), Reference: fmt.Sprintf("F-%s-%s", f.name, r.lang),
					Page: &message.Page{Title: "水道のお知らせ", Lead: "いつも水道をご利用いただき、ありがとうございます。"}}
				f.draft(d)
				sent, _, err := w.sender.Send(t.Context(), d)
				require.NoError(t, err)
				p := newPhone(t, f.name+"-"+r.name(), r.scripted, w.LinksURL(), w.TillURL())
				p.number, p.message, p.sparing = number, sent.ID, true
				p.open(sent.URL+"?lang="+r.lang, "landing")
				require.Equal(t, r.lang, look.Value[string](p.Window, `document.documentElement.lang`))
				f.walk(w, p, r)
				require.Equal(t, r.lang, look.Value[string](p.Window, `document.documentElement.lang`), "the language is kept")
			})
		}
	}
}
