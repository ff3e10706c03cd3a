package web

import (
	"archive/zip"
	"bytes"
	"context"
	"image"
	_ "image/png"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
)

func barcodeDigits() string {
	digits := "91" + "912345" + "0000000000000000012345" + "300101" + "0" + "007440"
	return digits + string(gs1128.CheckDigit(digits))
}

// fetch gets what an address names.
func (w *world) fetch(address string) shown {
	w.t.Helper()
	u, err := url.Parse(address)
	w.must(err)
	return w.newBrowser().get(u.Path)
}

func TestSheetByAddress(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.modules.voucher = &proto.Voucher{Barcode: barcodeDigits()}
	m := w.send(draft{claim: bill(w, "INV-1")})

	_, ps, err := w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{})
	require.NoError(t, err)
	require.Equal(t, "method", ps[0].Field, "no number was issued: one has to be named")
	_, ps, err = w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{Method: "card"})
	require.NoError(t, err)
	require.Equal(t, "unknown", ps[0].Code, "a card has no sheet")
	_, ps, err = w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{Method: "konbini_number", Store: "cvs9"})
	require.NoError(t, err)
	require.Equal(t, "store", ps[0].Field)
	_, ps, err = w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{Expires: w.now().AddDate(1, 0, 0)})
	require.NoError(t, err)
	require.Equal(t, "expires_at", ps[0].Field)
	_, _, err = w.sheets.Make(t.Context(), w.water(), "INV-2", sheet.Order{})
	require.ErrorIs(t, err, store.ErrNotFound)

	a, ps, err := w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{Method: "konbini_number", Store: "cvs1"})
	require.NoError(t, err)
	require.Empty(t, ps)
	again, ps, err := w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{})
	require.NoError(t, err)
	require.Empty(t, ps)
	require.Equal(t, a, again, "a reprint needs no new registration")
	require.Len(t, w.modules.payments, 1)
	require.True(t, strings.HasPrefix(a.PDF, "https://s.example.jp/sheets/"), a.PDF)

	res := w.fetch(a.PDF)
	require.Equal(t, 200, res.status)
	require.Equal(t, "application/pdf", res.header.Get("Content-Type"))
	require.Equal(t, "cross-origin", res.header.Get("Cross-Origin-Resource-Policy"), "the sender's own page may show it")
	require.Contains(t, res.header.Get("Content-Security-Policy"), "frame-ancestors https:")
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.Empty(t, res.header.Values("Set-Cookie"))
	require.True(t, strings.HasPrefix(res.body, "%PDF-"))
	for _, at := range []string{a.PNG, a.Barcode} {
		res = w.fetch(at)
		require.Equal(t, 200, res.status, at)
		require.Equal(t, "image/png", res.header.Get("Content-Type"))
		img, _, err := image.Decode(strings.NewReader(res.body))
		require.NoError(t, err)
		require.Equal(t, barcodeDigits(), gs1128test.Scan(t, img, true))
	}
	require.Zero(t, w.count(m, message.Opened)+w.count(m, message.Viewed), "nobody opened the link")

	w.modules.pay(w, proto.PaymentState_PROVISIONAL)
	_, err = w.payments.Refresh(t.Context(), tenant.Only("water"), m.head.Claim)
	require.NoError(t, err)
	w.refused(a.PDF)
	_, ps, err = w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{})
	require.NoError(t, err)
	require.Equal(t, "conflict", ps[0].Code)
}

// refused: an address leads to what an unknown link leads to, to the byte.
func (w *world) refused(address string) {
	w.t.Helper()
	want, res := w.fetch("https://s.example.jp/a/xxxxxxxxxx"), w.fetch(address)
	require.Equal(w.t, 404, res.status, address)
	require.Equal(w.t, want.status, res.status)
	require.Equal(w.t, want.body, res.body)
	for _, h := range []string{"Content-Type", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "Cache-Control", "Content-Disposition"} {
		require.Equal(w.t, want.header.Get(h), res.header.Get(h), h)
	}
}

func TestSheetAddressesAreRefusedAlike(t *testing.T) {
	config := DefaultConfig()
	config.MissBudget = 10_000
	w := newWorld(t, config)
	w.modules.voucher = &proto.Voucher{PaymentNumber: "9988776655"}
	w.must(w.tenants.Apply(t.Context(), tenant.Tenant{ID: "gasu", Name: "〇〇ガス", Brand: tenant.Brand{Phone: "000-000-0001"}}))
	w.send(draft{claim: bill(w, "INV-1")})
	w.send(draft{claim: bill(w, "INV-2")})
	make := func(number string, o sheet.Order) sheet.Address {
		t.Helper()
		o.Method, o.Store = "konbini_number", "cvs1"
		a, ps, err := w.sheets.Make(t.Context(), w.water(), number, o)
		require.NoError(t, err)
		require.Empty(t, ps)
		return a
	}
	a := make("INV-1", sheet.Order{})
	res := w.fetch(a.PDF)
	require.Equal(t, 200, res.status)
	require.Empty(t, a.Barcode, "it is paid by number")

	code := strings.Split(a.PDF, "/")[4]
	at := func(code, name string) string { return "https://s.example.jp/sheets/" + code + "/" + name }
	for i := range code { // each character, changed
		other := byte('A')
		if code[i] == other {
			other = 'B'
		}
		_, _, err := w.sheets.Open(t.Context(), code[:i]+string(other)+code[i+1:], sheet.PDF)
		require.ErrorIs(t, err, store.ErrNotFound, "character %d", i)
	}
	for _, address := range []string{at(code[:len(code)-1], sheet.PDF), at(code+"A", sheet.PDF), at("", sheet.PDF), at(code, ""), at(code, "receipt.pdf"), at(code, "barcode.png"),
		at(strings.Repeat("A", 5000), sheet.PDF), "https://s.example.jp/sheets/" + code} {
		w.refused(address)
	}

	_, _, err := w.sheets.Make(t.Context(), w.tenants.Now().Tenants["gasu"], "INV-1", sheet.Order{})
	require.ErrorIs(t, err, store.ErrNotFound, "another tenant's claim")
	require.ErrorIs(t, w.sheets.Revoke(t.Context(), w.tenants.Now().Tenants["gasu"], "INV-1", "key:x"), store.ErrNotFound)

	two := make("INV-2", sheet.Order{})
	require.NoError(t, w.sheets.Revoke(t.Context(), w.water(), "INV-1", "key:erp"))
	w.refused(a.PDF)
	res = w.fetch(two.PDF)
	require.Equal(t, 200, res.status, "another claim's are not revoked")
	a = make("INV-1", sheet.Order{Expires: w.now().Add(time.Hour)})
	res = w.fetch(a.PNG)
	require.Equal(t, 200, res.status, "a new one works")
	w.pass(time.Hour)
	w.refused(a.PNG)

	claim, err := w.payments.ByNumber(t.Context(), tenant.Only("water"), "INV-2")
	require.NoError(t, err)
	require.Equal(t, ulid.ULID{}, claim.Current().Message, "no message's link was used")
}

// The newest message of the claim that has one says it on the sheet, by address and behind the page.
func TestSheetSaysWhatTheSenderWrote(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.modules.voucher = &proto.Voucher{Barcode: barcodeDigits()}
	page := func(said string) draft {
		return draft{page: message.Page{Title: "水道料金", SheetMessage: said}, claim: bill(w, "INV-1")}
	}
	w.send(page("秋の新商品"))
	said := func() string {
		a, ps, err := w.sheets.Make(t.Context(), w.water(), "INV-1", sheet.Order{Method: "konbini_number", Store: "cvs1"})
		require.NoError(t, err)
		require.Empty(t, ps)
		return w.fetch(a.PDF).body
	}
	require.Contains(t, said(), "秋の新商品")
	w.send(page(""))
	require.Contains(t, said(), "秋の新商品")
	w.send(page("冬のクーポン"))
	require.Contains(t, said(), "冬のクーポン")
	require.NotContains(t, said(), "秋の新商品")
}

// A payer's own number is printed for whichever of his claims, with words of its own, and is the one that his page gives.
func TestSheetOfAPayersOwnNumber(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("payer_number", "card")
	w.modules.voucher = &proto.Voucher{PaymentNumber: "7123456789012"}
	first, second := w.send(draft{claim: bill(w, "A-1"), reference: "C-1"}), w.send(draft{claim: bill(w, "A-2"), reference: "C-1"})
	other := w.send(draft{claim: bill(w, "B-1"), reference: "C-2"})
	c, err := w.payments.Claim(t.Context(), tenant.Only("water"), first.head.Claim)
	require.NoError(t, err)
	offers := w.sheets.Offers(w.water(), &c)
	require.Len(t, offers, 1)
	require.Equal(t, "payer_number", offers[0].Code)
	for _, number := range []string{"A-1", "A-2", "B-1"} {
		a, ps, err := w.sheets.Make(t.Context(), w.water(), number, sheet.Order{Method: "payer_number"})
		require.NoError(t, err)
		require.Empty(t, ps)
		require.Empty(t, a.Barcode)
		require.Contains(t, w.fetch(a.PDF).body, "お客様専用の番号です")
	}
	w.modules.mu.Lock()
	keys := append([]string{}, w.modules.payers...)
	w.modules.mu.Unlock()
	require.Len(t, keys, 3)
	require.Equal(t, keys[0], keys[1], "one payer has one number")
	require.NotEqual(t, keys[0], keys[2])
	for _, m := range []*sent{first, second, other} {
		require.Equal(t, payment.AwaitingMoney, w.claim(m).Phase)
	}
}

// The sheets of many claims in one file: in the order that was asked for, each drawn once, with the reason where there is none.
func TestSheetsInOneFile(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.modules.voucher = &proto.Voucher{Barcode: barcodeDigits()}
	var claims []ulid.ULID
	for _, number := range []string{"A-1", "A-2", "A-3"} {
		claims = append(claims, w.send(draft{claim: bill(w, number)}).head.Claim)
	}
	card := w.send(draft{claim: bill(w, "A-4")})
	w.opened(card).choose("card")
	claims = append(claims, card.head.Claim)
	bundle := func(o sheet.Order) map[string]string {
		t.Helper()
		var b bytes.Buffer
		_, err := w.sheets.Bundle(t.Context(), w.water(), claims, 0, o, &b)
		require.NoError(t, err)
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		require.NoError(t, err)
		files := map[string]string{}
		for _, f := range z.File {
			r, err := f.Open()
			require.NoError(t, err)
			body, err := io.ReadAll(r)
			require.NoError(t, err)
			files[f.Name] = string(body)
		}
		return files
	}
	none := bundle(sheet.Order{})
	require.Len(t, none, 1)
	require.Contains(t, none[sheet.Faults], "1,A-1,required,")
	files := bundle(sheet.Order{Method: "konbini_number", Store: "cvs1"})
	require.Len(t, files, 4)
	for _, name := range []string{"00001_A-1.pdf", "00002_A-2.pdf", "00003_A-3.pdf"} {
		require.True(t, strings.HasPrefix(files[name], "%PDF-"), name)
	}
	require.Contains(t, files[sheet.Faults], "4,A-4,conflict,")
	require.NotContains(t, files[sheet.Faults], "A-1")
	issued := len(w.modules.payments)
	require.Len(t, bundle(sheet.Order{}), 4, "what was issued is printed again")
	require.Len(t, w.modules.payments, issued)
	found, missing, err := w.sheets.OfNumbers(t.Context(), w.water(), []string{"A-2", "none", "A-1"})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{claims[1], claims[0]}, found)
	require.Equal(t, []int{1}, missing)
	_, err = w.sheets.Bundle(t.Context(), &tenant.Tenant{ID: "other"}, claims, 0, sheet.Order{}, io.Discard)
	require.ErrorIs(t, err, store.ErrNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.sheets.Bundle(ctx, w.water(), claims, 0, sheet.Order{}, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
}

// A payer of many has registered an account that the claim is debited from: it has no sheet, and the others have theirs.
func TestSheetsBesideAClaimThatIsDebited(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("account", "konbini_number")
	w.modules.voucher = &proto.Voucher{Barcode: barcodeDigits()}
	debit := bill(w, "A-1")
	debit.Debit = true
	m, other := w.send(draft{claim: debit}), w.send(draft{claim: bill(w, "A-2")})
	b := w.opened(m)
	b.choose("account")
	w.modules.mu.Lock()
	for _, p := range w.modules.payments {
		p.State = proto.PaymentState_REGISTERED
	}
	w.modules.mu.Unlock()
	b.submit("state", nil)
	require.Equal(t, payment.IsRegistered, w.claim(m).Phase)
	order := sheet.Order{Method: "konbini_number", Store: "cvs1"}
	_, ps, err := w.sheets.Make(t.Context(), w.water(), "A-1", order)
	require.NoError(t, err)
	require.Equal(t, message.Problems{{Field: "claim", Code: "conflict", Detail: "the claim is debited from an account"}}, ps)
	done, err := w.sheets.Bundle(t.Context(), w.water(), []ulid.ULID{m.head.Claim, other.head.Claim}, 0, order, io.Discard)
	require.NoError(t, err)
	require.Equal(t, sheet.Bundled{Sheets: 1, Faults: 1}, done)
	require.Equal(t, payment.AwaitingMoney, w.claim(other).Phase)
}
