package web

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// menus makes the tenant put a menu before a claim.
func (w *world) menus(on bool) {
	w.t.Helper()
	t := *w.water()
	t.Policy.ClaimMenu = on
	w.must(w.tenants.Apply(w.ctx(), t))
}

const menuHeading = "お支払い金額の確認・お支払い方法など"

// TestMenuComesBeforeAClaim: FEATURES D12, E12 and E20.
func TestMenuComesBeforeAClaim(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.menus(true)
	w.offer("konbini_number", "transfer", "card")
	uploaded, err := w.docs.Put(t.Context(), "water", "検針票.pdf", smallPDF("検針票"))
	w.must(err)
	m := w.send(draft{items: questions, code: true, class: message.Collection, claim: bill(w, "M-1"), page: message.Page{
		Title: "水道料金のお知らせ", Lead: "内容をご確認ください。", Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}},
		Closing: "以上、よろしくお願いいたします。", Addressee: "山田 太郎", Survey: survey, Documents: []message.Attachment{{ID: uploaded}},
	}})
	b := w.opened(m)
	require.NotContains(t, b.shown.body, menuHeading)
	b.submit("identify", rightAnswers())
	b.submit("code", url.Values{"code": {w.out.code()}})
	menu := func() {
		t.Helper()
		b.says("ステップ 3／3：メニュー", "すでにお支払い済み・明日/明後日までにお支払い", menuHeading, "お支払い金額を確認", "お支払い方法を選ぶ", "お振込み口座を表示", "アンケートに回答",
			"/documents/document-1.pdf", "お支払いのご相談", `href="tel:0000000000"`, "山田 太郎 様")
		for _, behind := range []string{"内容をご確認ください。", "00-0-000000", "よろしくお願いいたします", "7,440円", "/answer", "/menu"} {
			require.NotContains(t, b.shown.body, behind)
		}
	}
	menu()
	require.Equal(t, 1, w.count(m, message.Viewed))
	b.get(w.path(m) + "?lang=en")
	b.says("Step 3 of 3: menu", "I will pay by the day after tomorrow", "See the amount", "To talk about the payment")
	b.get(w.path(m) + "?lang=ja")

	b.submit("promise", url.Values{"promise": {"day_after"}})
	menu()
	by := w.now().In(message.Tokyo).AddDate(0, 0, 2)
	require.Equal(t, message.Promise{Word: message.PromisePay, By: by.Format(time.DateOnly)}, *w.state(m).Promise)
	b.says(by.Format("2006年1月2日")+"（", "までにお支払いいただけるとのお申し出を承りました", `role="status"`)
	b.get(w.path(m))
	b.says("までにお支払いいただけるとのお申し出を承りました", "もう一度お選びください")
	b.submit("promise", url.Values{"promise": {"paid"}})
	b.says("お支払い済みとのお申し出を承りました")
	require.Equal(t, 2, w.count(m, message.Promised))

	was := w.version(m)
	content := func() {
		t.Helper()
		require.Equal(t, w.path(m), b.shown.path)
		b.says("内容をご確認ください。", "00-0-000000", "7,440円", `id="methods"`, `id="survey"`, "メニューへ戻る")
		require.NotContains(t, b.shown.body, menuHeading)
	}
	b.submit("content", nil)
	content()
	b.get(w.path(m))
	content()
	b.get(w.path(m) + "?lang=en")
	b.says("Back to the menu")
	b.get(w.path(m) + "?lang=ja")
	content()
	b.submit("menu", nil)
	menu()
	require.Equal(t, was, w.version(m), "to turn the page is no event")

	b.submit("checkout", url.Values{"method": {"transfer"}})
	b.says("銀行振込", "メニューへ戻る")
	b.get(w.path(m))
	menu()
	b.submit("checkout", url.Values{"method": {"gone"}})
	b.says("お支払い方法が選択されていません", `id="methods"`, `aria-invalid="true"`)
	b.get(w.path(m))
	content()
	b.submit("answer", nil)
	require.Equal(t, http.StatusUnprocessableEntity, b.shown.status)
	b.submit("answer", url.Values{"q0": {"応募する"}})
	b.says("回答を受け付けました", "ご案内のページへ戻る")
	b.get(w.path(m))
	content()
	b.submit("menu", nil)
	require.NotContains(t, b.shown.body, "アンケート", "it is answered once")

	another := w.opened(m) // whoever returns is at the menu
	another.submit("identify", rightAnswers())
	w.pass(time.Hour / 4)
	another.submit("resend", nil)
	another.submit("code", url.Values{"code": {w.out.code()}})
	another.says(menuHeading)
}

// A survey that was begun before the menu was gone back to elsewhere is told what is missing where it stands.
func TestAnswerOfAnOlderTabIsNotLostBehindTheMenu(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.menus(true)
	m := w.send(draft{claim: bill(w, "M-2"), page: message.Page{Survey: survey}})
	b := w.opened(m)
	b.submit("content", nil)
	tab := *b
	b.submit("menu", nil)
	require.NotContains(t, b.shown.body, "/promise", "nobody asked for promises")
	tab.submit("answer", url.Values{"q2": {"週末"}})
	tab.says(">週末</textarea>", "応募：選択してください。")
}

// TestMenuIsOfAClaimThatIsToBePaid: the same address shows the page of each state of the claim (C04).
func TestMenuIsOfAClaimThatIsToBePaid(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	bare := w.send(draft{claim: bill(w, "M-3"), promises: true})
	b := w.opened(bare)
	b.says("7,440円", "/promise")
	require.NotContains(t, b.shown.body, menuHeading, "the tenant does not want it")
	require.NotContains(t, b.shown.body, "/menu")
	w.menus(true)
	b.get(w.path(bare))
	b.says(menuHeading)

	none := w.opened(w.send(draft{page: message.Page{Survey: survey}}))
	none.says("/answer")
	require.NotContains(t, none.shown.body, "/menu", "there is nothing to pay")

	m := w.send(draft{claim: bill(w, "M-4"), promises: true, expires: 60 * 24 * time.Hour, until: 90 * 24 * time.Hour})
	b = w.opened(m)
	b.says(menuHeading)
	shows := func(words ...string) {
		t.Helper()
		b.says(words...)
		for _, not := range []string{menuHeading, "/menu", "/content"} {
			require.NotContains(t, b.shown.body, not)
		}
	}
	b.submit("content", nil)
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	shows("9988776655")
	_, token := b.form("state")
	b.post(w.path(m)+"/menu", url.Values{"form": {token}})
	shows("9988776655")
	w.pass(3 * time.Second)
	b.submit("cancel", nil)
	b.says(menuHeading)
	b.submit("content", nil)
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	w.modules.pay(w, proto.PaymentState_PROVISIONAL)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	shows("お支払情報（受付）")
	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	shows("お支払情報（確定）", "receipt.pdf")

	late := w.send(draft{claim: bill(w, "M-5"), promises: true, expires: 60 * 24 * time.Hour, until: 90 * 24 * time.Hour})
	b = w.opened(late)
	b.says(menuHeading)
	w.pass(21 * 24 * time.Hour)
	b = w.opened(late)
	shows("お支払い状況", "/promise")
}

// The host's own page has the menu too, where no renderer draws it.
func TestMenuWithoutARenderer(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.menus(true)
	w.modules.plain.Store(true)
	m := w.send(draft{claim: bill(w, "M-6"), promises: true})
	b := w.opened(m)
	b.submit("promise", url.Values{"promise": {"tomorrow"}})
	require.Equal(t, 1, w.count(m, message.Promised))
	b.says("お支払いのお申し出を承りました", w.now().In(message.Tokyo).AddDate(0, 0, 1).Format(time.DateOnly))
	b.submit("content", nil)
	b.says("7,440円", "/checkout", "/promise")
	b.submit("menu", nil)
	require.NotContains(t, b.shown.body, "7,440円")
}
