package web

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// remembers makes the tenant show so many earlier notices.
func (w *world) remembers(n int) {
	t := *w.water()
	t.Policy.PastNotices = n
	w.must(w.tenants.Apply(w.ctx(), t))
}

func TestEarlierNoticesOfTheSameCustomer(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	page := func(title string) message.Page { return message.Page{Title: title} }
	one := questions[:1]
	shown := w.send(draft{items: one, reference: "C-1", page: page("9月分のお知らせ")})
	w.pass(time.Hour)
	read := w.send(draft{items: questions, reference: "C-1", page: message.Page{Title: "10月分の検針", Reading: &message.Reading{ReadOn: "2026-10-25", Values: []message.ReadingValue{{Usage: "44"}}}}})
	hidden := map[string]*sent{
		"another customer":    w.send(draft{items: questions, reference: "C-2", page: page("別のお客様")}),
		"another number":      w.send(draft{items: questions, reference: "C-1", number: "+818099990000", page: page("別の電話番号")}),
		"no reference":        w.send(draft{items: questions, page: page("会員情報なし")}),
		"a reminder":          w.send(draft{items: questions, reference: "C-1", class: message.Collection, page: page("督促")}),
		"wants a code":        w.send(draft{items: questions, code: true, reference: "C-1", page: page("認証番号つき")}),
		"asks something else": w.send(draft{items: []message.IdentityItem{{Field: "birth_date", Label: "別の質問", Value: "19980101"}}, reference: "C-1", page: page("別の質問")}),
	}
	revoked := w.send(draft{items: questions, reference: "C-1", page: page("無効")})
	w.commit(store.Tx{{Ref: revoked.ref, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Revoked), At: w.now(), Data: message.Encode(message.Act{By: "x"})}}}})
	hidden["revoked"] = revoked
	disowned := w.send(draft{items: questions, reference: "C-1", page: page("お心当たりなし")})
	w.commit(store.Tx{{Ref: disowned.ref, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Disowned), At: w.now(), Data: message.Encode(message.Disowning{})}}}})
	hidden["said to be for somebody else"] = disowned
	w.pass(time.Second)
	m := w.send(draft{items: questions, reference: "C-1", page: page("11月分のお知らせ")})
	w.pass(time.Second)
	later := w.send(draft{items: questions, reference: "C-1", page: page("12月分のお知らせ")})

	in := func(m *sent) *browser {
		b := w.opened(m)
		b.submit("identify", rightAnswers())
		b.get(w.path(m))
		return b
	}
	require.NotContains(t, in(m).shown.body, "past-", "the tenant does not want it")
	w.remembers(12)
	b := in(m)
	require.Contains(t, b.shown.body, "これまでのお知らせ")
	require.Less(t, strings.Index(b.shown.body, "10月分の検針"), strings.Index(b.shown.body, "9月分のお知らせ"), "the latest first")
	require.NotContains(t, b.shown.body, "12月分", "what came later is not earlier")
	for why, h := range hidden {
		require.NotContains(t, b.shown.body, h.ref.ID.String(), why)
		b.get(w.path(m) + "/documents/past-" + h.ref.ID.String() + ".pdf")
		require.False(t, strings.HasPrefix(b.shown.body, "%PDF"), why)
	}
	at := func(m, old *sent) string { return w.path(m) + "/documents/past-" + old.ref.ID.String() + ".pdf" }
	require.Contains(t, b.get(at(m, shown)).body, "NOTICE")
	require.Contains(t, b.get(at(m, read)).body, "METER_READING")
	require.False(t, strings.HasPrefix(b.get(at(m, later)).body, "%PDF"))

	stranger := w.opened(m)
	require.False(t, strings.HasPrefix(stranger.get(at(m, shown)).body, "%PDF"), "nobody sees it before being identified")
	open := w.send(draft{reference: "C-1", page: page("認証なし")})
	require.NotContains(t, w.opened(open).shown.body, "past-", "a page that asks nothing has no past")

	w.remembers(1)
	b = in(m)
	require.Contains(t, b.shown.body, read.ref.ID.String())
	require.NotContains(t, b.shown.body, shown.ref.ID.String(), "bounded")
}

func TestInvoiceAndReadingBehindThePage(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, claim: bill(w, "INV-9"), page: message.Page{
		Title: "水道料金", Invoice: &message.Invoice{Number: "S-1", Date: "2026-11-30", Lines: []message.InvoiceLine{{Line: message.Line{Name: "水道", Quantity: 1, Unit: 7440, Amount: 7440}}}},
		Reading: &message.Reading{ReadOn: "2026-11-24", Values: []message.ReadingValue{{Usage: "44"}}},
	}})
	b := w.opened(m)
	require.False(t, strings.HasPrefix(b.get(w.path(m)+"/documents/invoice.pdf").body, "%PDF"), "identity first")
	b.get(w.path(m))
	b.submit("identify", rightAnswers())
	b.get(w.path(m))
	b.says("請求書", "検針のお知らせ（検針票）")
	require.Contains(t, b.get(w.path(m)+"/documents/invoice.pdf").body, "INVOICE")
	require.Contains(t, b.get(w.path(m)+"/documents/reading.pdf").body, "METER_READING")

	yen := int64(9000)
	_, err := w.payments.Patch(t.Context(), w.water(), "INV-9", payment.Patch{Amount: &yen}, "key:x")
	require.NoError(t, err)
	b.get(w.path(m))
	require.NotContains(t, b.shown.body, "invoice.pdf", "the claim asks for another amount by now")
	require.False(t, strings.HasPrefix(b.get(w.path(m)+"/documents/invoice.pdf").body, "%PDF"))

	plain := w.send(draft{page: message.Page{Title: "x"}})
	b = w.opened(plain)
	for _, name := range []string{"invoice.pdf", "reading.pdf"} {
		require.False(t, strings.HasPrefix(b.get(w.path(plain)+"/documents/"+name).body, "%PDF"))
	}
}

func TestLogoIsServedFromOurOwnOrigin(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	logo := &tenant.Logo{PNG: []byte("\x89PNG"), Name: "0123456789abcdef01234567.png", Width: 4, Height: 2}
	m := w.send(draft{})
	b := w.newBrowser()
	require.NotContains(t, b.get(w.path(m)).body, "<img")
	w.must(w.tenants.SetBrand(t.Context(), "water", func(b tenant.Brand) (tenant.Brand, error) { b.Logo = logo; return b, nil }))
	require.Contains(t, b.get(w.path(m)).body, `<img src="/logos/`+logo.Name+`" width="4" height="2" alt="">`)
	require.Contains(t, b.shown.header.Get("Content-Security-Policy"), "img-src 'self' data:")
	got := b.get("/logos/" + logo.Name)
	require.Equal(t, "image/png", got.header.Get("Content-Type"))
	require.Contains(t, got.header.Get("Cache-Control"), "immutable")
	require.Equal(t, string(logo.PNG), got.body)
	require.Equal(t, 404, b.get("/logos/ffffffffffffffffffffffff.png").status)
}

// The notice before the questions may say as of which day it speaks: the day before the message went out.
func TestNoticeSaysYesterday(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	tn := *w.water()
	tn.PrePage.Notice = "さて、{yesterday}現在でご入金の確認が取れておりません。"
	w.must(w.tenants.Apply(t.Context(), tn))
	m := w.send(draft{items: questions, expires: 100 * time.Hour})
	want := message.Yesterday(w.now())
	w.pass(72 * time.Hour)
	b := w.newBrowser()
	b.get(w.path(m))
	b.says("さて、" + want + "現在で")
	require.Equal(t, 1, w.version(m), "a GET changes nothing")
}
