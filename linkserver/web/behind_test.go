package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// stands expects the words on the page, in this order.
func (b *browser) stands(words ...string) {
	b.t.Helper()
	rest := b.shown.body
	for _, w := range words {
		at := strings.Index(rest, w)
		require.GreaterOrEqual(b.t, at, 0, "%q in its place", w)
		rest = rest[at+len(w):]
	}
}

// notice is a message with everything that a page can hold beside its payment.
func notice(t *testing.T, w *world, claim string) *sent {
	t.Helper()
	uploaded, err := w.docs.Put(t.Context(), "water", "検針票.pdf", smallPDF("検針票"))
	w.must(err)
	w.remembers(3)
	w.send(draft{items: questions, reference: "C-1", page: message.Page{Title: "先月のお知らせ"}})
	w.pass(time.Second)
	return w.send(draft{items: questions, reference: "C-1", claim: bill(w, claim), page: message.Page{
		Title: "水道料金のお知らせ", Lead: "いつもご利用いただき、ありがとうございます。", Rows: []message.Row{{Item: "水道使用水量", Value: "44m3"}},
		Closing: "行き違いの節はご容赦ください。", Survey: survey, Documents: []message.Attachment{{ID: uploaded}},
	}})
}

// What the sender wrote stays on the page while its bill is being paid: below what it is paid with.
func TestNoticeStaysBelowThePayment(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(map[bool]string{false: "standard", true: "plain"}[plain], func(t *testing.T) {
			w := newWorld(t, DefaultConfig())
			w.modules.plain.Store(plain)
			// in goes to the page of a bill and presses the button of a method.
			in := func(m *sent, method string) *browser {
				t.Helper()
				b := w.opened(m)
				b.submit("identify", rightAnswers())
				b.submit("checkout", url.Values{"method": {method}})
				require.NotContains(t, b.shown.body, "44m3", "what is confirmed stands alone")
				b.submit("pay", url.Values{"method": {method}, "store": {"cvs1"}})
				return b
			}
			// below expects the notice behind what stands on top.
			below := func(b *browser, top, survey string) {
				t.Helper()
				b.stands(top, "ありがとうございます", "44m3", survey)
				b.stands(top, "ありがとうございます", "行き違い")
				b.stands(top, "documents/document-1.pdf")
				b.stands(top, "先月のお知らせ")
			}
			bill := notice(t, w, "A-1")
			b := in(bill, "konbini_number")
			below(b, "9988776655", "/answer\"")
			b.stands("9988776655", "documents/sheet.pdf", "ありがとうございます")
			require.True(t, b.waits(), "a survey that nobody answers holds up no news")

			b.submit("answer", url.Values{"q2": {"週末"}})
			require.Equal(t, http.StatusUnprocessableEntity, b.shown.status)
			b.stands("応募：選択してください。", "9988776655", ">週末</textarea>")
			require.NotContains(t, b.shown.body, "<script", "what was typed does not go away by itself")
			b.submit("answer", url.Values{"q0": {"応募する"}})
			b.says("回答を受け付けました")
			b.get(w.path(bill))
			below(b, "9988776655", "回答済み")

			w.modules.pay(w, proto.PaymentState_PROVISIONAL)
			w.pass(2 * time.Minute)
			b.submit("state", nil)
			below(b, "お支払いを受け付けました", "回答済み")

			b = in(notice(t, w, "A-2"), "card")
			below(b, "/redirect\"", "/answer\"")
			require.False(t, b.waits())

			w.modules.mu.Lock()
			w.modules.lost = true
			w.modules.mu.Unlock()
			b = in(notice(t, w, "A-3"), "card")
			below(b, "決済会社からの回答を待っています", "/answer\"")
			require.True(t, b.waits())
		})
	}
}

// A press of an old page's method is no error of the survey that stands on the present one.
func TestMethodOfAnOldPageIsNoFaultOfTheSurvey(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	b := w.opened(notice(t, w, "A-1"))
	b.submit("identify", rightAnswers())
	action, token := b.form("checkout")
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	b.post(action, url.Values{"form": {token}, "method": {"nothing"}})
	b.says("9988776655")
	require.NotContains(t, b.shown.body, `role="alert"`)
}

// Whoever calls the contact can name the message; who has not been identified sees no number.
func TestMessagesNumberStandsAtTheFoot(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true, claim: bill(w, "A-1"), page: message.Page{Survey: survey}})
	no := "No." + m.head.No
	b := w.newBrowser()
	hidden := func() { t.Helper(); require.NotContains(t, b.shown.body, m.head.No) }
	b.get(w.path(m))
	b.stands("SMS受領・URL確認", "認証画面・お問い合わせ先、注意事項の確認", "認証番号入力 → メニュー")
	hidden()
	b.submit("open", nil)
	b.says("ステップ 2／3：認証画面")
	hidden()
	b.submit("identify", rightAnswers())
	b.says("ステップ 3／3：認証番号入力")
	hidden()
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.stands("ステップ 3／3：メニュー", "</main>", no)
	b.submit("answer", url.Values{"q0": {"応募する"}})
	b.stands("</main>", no)
	b.get(w.path(m))
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.stands("</main>", no)
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	b.stands("9988776655", "</main>", no)
	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	b.stands("お支払情報（確定）", "</main>", no)

	w.modules.plain.Store(true)
	b = w.opened(w.send(draft{}))
	b.says("No.2")
	w.modules.plain.Store(false)
	b = w.opened(w.send(draft{page: message.Page{Title: "認証のないお知らせ"}}))
	b.says("ステップ 3／3：メニュー")
}
