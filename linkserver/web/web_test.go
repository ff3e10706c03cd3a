package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/plugins/proto"
)

var survey = &message.Survey{Items: []message.SurveyItem{
	{Title: "応募", Type: "radio", Choices: []string{"応募する", "辞退する"}, Required: true},
	{Title: "理由", Type: "check", Choices: []string{"時給", "業務内容", "その他"}},
	{Title: "ご希望", Type: "text"},
}}

func bill(w *world, number string) *message.Claim {
	return &message.Claim{Number: number, Amount: 7440, Due: w.now().AddDate(0, 0, 20).Format("2006-01-02"),
		Lines: []message.Line{{Name: "水道料金", Quantity: 1, Unit: 7440, Amount: 7440}}, Payer: "山田 太郎"}
}

func TestWholeJourney(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	uploaded, err := w.docs.Put(t.Context(), "water", "検針票.pdf", smallPDF("検針票"))
	w.must(err)
	m := w.send(draft{items: questions, code: true, claim: bill(w, "A-1"), page: message.Page{
		Title: "水道料金のお知らせ", Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}},
		Survey: survey, NoticePDF: true, Documents: []message.Attachment{{ID: uploaded}},
	}})
	b := w.newBrowser()

	b.get(w.path(m))
	require.Equal(t, 200, b.shown.status)
	require.Contains(t, b.shown.body, "〇〇県水道局")
	require.NotContains(t, b.shown.body, "水道料金のお知らせ", "nothing of the content before identification")
	require.Equal(t, 1, w.version(m))

	b.submit("open", nil)
	require.Contains(t, b.shown.body, "生年月日")
	require.NotContains(t, b.shown.body, "水道料金")
	require.False(t, w.state(m).OpenedAt.IsZero())

	b.submit("identify", url.Values{"birth_date": {"19980101"}, "customer_number": {"C-000000"}})
	require.Contains(t, b.shown.body, "認証番号の入力", "as after a match")
	require.Empty(t, w.out.sent)
	b.submit("again", nil)
	b.submit("identify", url.Values{"birth_date": {"19980101"}})
	require.Contains(t, b.shown.body, "入力されていない項目があります")
	require.Equal(t, 1, w.count(m, message.Tried))

	w.pass(10 * time.Second) // a mistake is put right without waiting for the time of a resend
	b.submit("identify", rightAnswers())
	require.NotContains(t, b.shown.body, "9008", "whoever is here may have known nothing")
	require.Len(t, w.out.sent, 1)
	require.Equal(t, ownNumber, w.out.sent[0].To)
	b.submit("resend", nil) // too soon: the same screen, nothing sent
	require.Len(t, w.out.sent, 1)
	w.pass(time.Minute)
	b.submit("resend", nil)
	require.Len(t, w.out.sent, 2)
	require.Contains(t, b.shown.body, "再送信を受け付けました")
	b.submit("code", url.Values{"code": {"000000"}})
	require.Contains(t, b.shown.body, "認証番号が違う")
	require.Zero(t, w.count(m, message.Viewed))

	b.submit("code", url.Values{"code": {w.out.code()}})
	require.Contains(t, b.shown.body, "水道料金のお知らせ")
	require.Contains(t, b.shown.body, "7,440円")
	require.False(t, w.state(m).IdentifiedAt.IsZero())
	b.get(w.path(m))
	b.get(w.path(m))
	require.Equal(t, 1, w.count(m, message.Viewed), "once a session")

	for name, kind := range map[string]string{"notice.pdf": "NOTICE", "document-1.pdf": "検針票"} {
		got := b.get(w.path(m) + "/documents/" + name)
		require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
		require.Contains(t, got.body, kind)
	}
	require.NotContains(t, b.get(w.path(m)+"/documents/sheet.pdf").body, "PAYMENT_SHEET", "nothing was issued")
	b.get(w.path(m))
	require.NotContains(t, b.shown.body, "receipt.pdf")

	b.submit("answer", url.Values{"q1": {"時給"}, "q2": {"週末"}})
	require.Equal(t, http.StatusUnprocessableEntity, b.shown.status)
	b.says(`<a href="#s0">応募：選択してください。</a>`, `id="s0-fault"`, `aria-invalid="true"`)
	require.Contains(t, b.shown.body, ">週末</textarea>", "what was entered is not lost")
	require.Regexp(t, `value="時給" checked`, b.shown.body)
	b.submit("answer", url.Values{"q0": {"応募する"}, "q1": {"時給", "その他"}, "q2": {"週末を希望"}})
	require.Contains(t, b.shown.body, "回答を受け付けました")
	require.Contains(t, b.shown.body, "週末を希望")
	require.False(t, w.state(m).AnsweredAt.IsZero())
	b.get(w.path(m))
	require.Contains(t, b.shown.body, "回答済み")

	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	require.Contains(t, b.shown.body, "〇〇マート")
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	require.Contains(t, b.shown.body, "9988776655")
	b.get(w.path(m))
	require.Contains(t, b.shown.body, "9988776655", "it stays until it is paid")
	require.Contains(t, b.shown.body, "documents/sheet.pdf")
	sheet := b.get(w.path(m) + "/documents/sheet.pdf")
	require.Contains(t, sheet.body, "PAYMENT_SHEET")
	require.Contains(t, sheet.header.Get("Content-Disposition"), "sheet-A-1.pdf")
	b.get(w.path(m))

	w.modules.pay(w, proto.PaymentState_PROVISIONAL)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	require.Contains(t, b.shown.body, "お支払情報（受付）")
	require.NotContains(t, b.shown.body, "9988776655")
	require.NotContains(t, b.shown.body, "receipt.pdf")
	require.NotContains(t, b.shown.body, "sheet.pdf")
	require.NotContains(t, b.get(w.path(m)+"/documents/sheet.pdf").body, "PAYMENT_SHEET", "nobody pays twice with it")
	b.get(w.path(m))

	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	require.Contains(t, b.shown.body, "お支払情報（確定）")
	require.Contains(t, b.shown.body, "receipt.pdf")
	receipt := b.get(w.path(m) + "/documents/receipt.pdf")
	require.Contains(t, receipt.body, "RECEIPT")
	require.Contains(t, receipt.header.Get("Content-Disposition"), "receipt-000000000001.pdf")

	require.Equal(t, 1, w.count(m, message.Opened))
	require.Equal(t, 1, w.count(m, message.Viewed))
	require.Equal(t, 1, w.count(m, message.Answered))

	// Another browser has to identify itself to see the same.
	other := w.newBrowser()
	other.get(w.path(m) + "/documents/receipt.pdf")
	require.Contains(t, other.shown.body, `/open">`)
}

// A sheet is offered of what a store can take from paper, and of nothing else.
func TestSheetIsOfferedOfWhatCanBePrinted(t *testing.T) {
	for name, v := range map[string]struct {
		voucher   *proto.Voucher
		printable bool
	}{
		"barcode":          {&proto.Voucher{Barcode: "91912345000000000000004520875004013100295004"}, true},
		"Pay-easy":         {&proto.Voucher{Institution: "12345", PaymentNumber: "111", ConfirmationNumber: "222"}, false},
		"account":          {&proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Branch: "本店", Kind: "普通", Number: "1234567", Holder: "スイドウキョク"}}, false},
		"numbers by store": {&proto.Voucher{Stores: []*proto.Store{{Code: "cvs1", LabelJa: "〇〇マート 123", LabelEn: "Mart 123"}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, DefaultConfig())
			w.modules.voucher = v.voucher
			m := w.send(draft{claim: bill(w, "S-1")})
			b := w.opened(m)
			b.submit("checkout", url.Values{"method": {"konbini_number"}})
			b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
			require.True(t, strings.Contains(b.shown.body, "お支払い金額<b>7,440円"), "the voucher is shown")
			require.Equal(t, v.printable, strings.Contains(b.shown.body, "sheet.pdf"))
			require.Equal(t, v.printable, strings.Contains(b.get(w.path(m)+"/documents/sheet.pdf").body, "PAYMENT_SHEET"))
		})
	}
}

func TestCardIsPaidOnTheAgentsPageAndComesBack(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{claim: bill(w, "A-2")})
	b := w.opened(m)
	b.submit("checkout", url.Values{"method": {"card"}})
	b.get(w.path(m))
	require.NotContains(t, b.shown.body, "/pay", "one can go back from the checkout")
	b.submit("checkout", url.Values{"method": {"card"}})
	b.submit("pay", url.Values{"method": {"card"}})
	require.Contains(t, b.shown.body, "pay.example.jp")
	require.Contains(t, b.shown.header.Get("Content-Security-Policy"), "form-action 'self';", "wherever the agent leads on to")

	action, token := b.form("redirect")
	b.post(action, url.Values{"form": {token}})
	require.True(t, strings.HasPrefix(b.leads(), "https://pay.example.jp/p/"))
	b.says("〇〇県水道局", "移動先：<b>pay.example.jp</b>")
	b.header.Set("Accept-Language", "en")
	b.post(action, url.Values{"form": {token}})
	b.says("Destination: <b>pay.example.jp</b>")
	b.header.Set("Accept-Language", "ja")

	var back string
	for _, u := range w.modules.returns {
		back = strings.TrimPrefix(u, w.base)
	}
	before := w.version(m)
	stranger := w.newBrowser()
	stranger.get(back)
	require.Contains(t, stranger.shown.body, "内容を表示する", "another browser begins anew")
	b.get(strings.Split(back, "?")[0] + "?s=forged")
	require.NotContains(t, b.shown.body, "決済会社のページから戻りました")
	b.get(back)
	require.Contains(t, b.shown.body, "決済会社のページから戻りました")
	require.Equal(t, before, w.version(m), "coming back changes nothing")

	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	require.Contains(t, b.shown.body, "お支払情報（確定）")
	b.get(back)
	require.NotContains(t, b.shown.body, "決済会社のページから戻りました", "the way back is good once")
}

func TestMethodCanBeChanged(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{claim: bill(w, "A-3")})
	b := w.opened(m)
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	require.Contains(t, b.shown.body, "9988776655")
	w.pass(3 * time.Second)
	b.submit("cancel", nil)
	require.NotContains(t, b.shown.body, "9988776655")
	b.submit("checkout", url.Values{"method": {"card"}})
	b.submit("pay", url.Values{"method": {"card"}})
	require.Contains(t, b.shown.body, "pay.example.jp")
}

func TestPayNeedsItsCheckout(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{claim: bill(w, "A-4")})
	b := w.opened(m)
	_, token := b.form("checkout")
	b.post(w.path(m)+"/pay", url.Values{"form": {token}, "method": {"card"}})
	b.get(w.path(m))
	b.submit("checkout", url.Values{"method": {"cash"}})
	require.Contains(t, b.shown.body, "お支払い方法が選択されていません")
	require.Empty(t, w.modules.payments)
}

func TestWrongAnswersLockTheLink(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions})
	b := w.opened(m)
	wrong := url.Values{"birth_date": {"20000101"}, "customer_number": {"C-778899"}}
	var pages []string
	for range 4 {
		b.submit("identify", wrong)
		require.Contains(t, b.shown.body, "ご本人の確認ができませんでした")
		_, token := b.form("identify")
		pages = append(pages, strings.ReplaceAll(b.shown.body, token, ""))
		wrong = url.Values{"birth_date": {"19980101"}, "customer_number": {"C-00000" + fmt.Sprint(len(pages))}}
	}
	for _, p := range pages {
		require.Equal(t, pages[0], p, "which item was wrong cannot be seen")
	}
	b.submit("identify", wrong)
	require.Contains(t, b.shown.body, "入力できる回数を超え")
	require.Contains(t, b.shown.body, "000-000-0000")

	fresh := w.opened(m)
	require.Contains(t, fresh.shown.body, "入力できる回数を超え", "another browser is locked too")
	w.pass(identityLock)
	fresh = w.opened(m)
	fresh.submit("identify", rightAnswers())
	require.Contains(t, fresh.shown.body, "水道料金のお知らせ")
}

const identityLock = 31 * time.Minute

func TestAnswerIsTakenOnce(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{class: message.LegalNotice, page: message.Page{Title: "募集", Survey: survey}})
	b := w.opened(m)
	action, token := b.form("answer")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			again := *b
			again.post(action, url.Values{"form": {token}, "q0": {survey.Items[0].Choices[i%2]}})
			if again.shown.status != 200 {
				t.Errorf("status %d", again.shown.status)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, w.count(m, message.Answered))
}

// A refused survey says of each item what is wrong with it, and by how much, where it stands; what was entered is not lost.
func TestRefusedAnswersAreNamed(t *testing.T) {
	for name, plain := range map[string]bool{"drawn by the renderer": false, "drawn by the host": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, DefaultConfig())
			w.modules.plain.Store(plain)
			m := w.send(draft{class: message.LegalNotice, page: message.Page{Title: "募集", Survey: survey}})
			b := w.opened(m)
			long := strings.Repeat("あ", 213)
			b.submit("answer", url.Values{"q0": {"応募する", "辞退する"}, "q1": {"時給", "別の理由"}, "q2": {long}})
			require.Equal(t, http.StatusUnprocessableEntity, b.shown.status)
			b.stands("受け付けていません", `<a href="#s0">応募：`, `<a href="#s1">理由：`, `<a href="#s2">ご希望：`, "<form")
			b.stands("213文字", "200文字", "<form", "213文字", "200文字", long+"</textarea>")
			require.Equal(t, 5, strings.Count(b.shown.body, `aria-invalid="true"`), "one of the radio buttons, each of the boxes, the text")
			require.Regexp(t, `value="時給" checked`, b.shown.body)
			require.Zero(t, w.count(m, message.Answered))

			b.get(w.path(m) + "?lang=en")
			b.submit("answer", url.Values{"q0": {"応募する"}, "q2": {long}})
			b.stands(`<a href="#s2">`, "213 characters", "200", "<form")
			require.Equal(t, 1, strings.Count(b.shown.body, `aria-invalid="true"`))
			require.NotContains(t, b.shown.body, `href="#s0"`, "nothing is wrong with it")

			optional := &message.Survey{Items: []message.SurveyItem{{Title: "ご希望", Type: "text"}}}
			b = w.opened(w.send(draft{class: message.LegalNotice, page: message.Page{Title: "募集", Survey: optional}}))
			b.submit("answer", nil)
			b.says("一つ以上の項目にご回答ください。", `<a href="#survey">`, `id="survey"`)
		})
	}
}

func TestRobotsChangeNothing(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true, claim: bill(w, "A-5"), page: message.Page{Survey: survey}})
	agents := []string{"", "facebookexternalhit/1.1 Facebot Twitterbot/1.0", "Mozilla/5.0 (compatible; Googlebot/2.1)", "curl/8", "Mozilla/5.0 (iPhone)"}
	var wg sync.WaitGroup
	for worker := range 10 {
		wg.Go(func() {
			b := w.newBrowser()
			for i := range 100 {
				b.header.Set("User-Agent", agents[(worker+i)%len(agents)])
				method, path := "GET", w.path(m)
				switch i % 5 {
				case 1:
					method = "HEAD"
				case 2:
					path += "/return?s=x"
				case 3:
					path += "/documents/receipt.pdf"
				}
				req, err := http.NewRequest(method, w.base+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got := b.do(req); got.status != 200 {
					t.Errorf("%s %s: %d", method, path, got.status)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, w.version(m))
	require.Empty(t, w.out.sent)
}

func TestOpeningByAMachineIsDoubtful(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	submitted := func(m *sent) {
		w.commit(store.Tx{{Ref: m.ref, Expect: store.Any, Events: []store.NewEvent{
			{Type: byte(message.Submitting), At: w.now(), Data: message.Encode(message.Submission{Part: 1, Attempt: 1})},
			{Type: byte(message.Submitted), At: w.now(), Data: message.Encode(message.Submission{Part: 1, SMSCID: "1"})},
		}}})
	}
	early := w.send(draft{parts: 1, code: true})
	w.opened(early)
	require.Equal(t, "early", w.state(early).DoubtfulOpening, "before it was sent")
	require.Empty(t, w.out.sent)
	submitted(early)
	w.opened(early)
	require.Equal(t, "early", w.state(early).DoubtfulOpening)
	require.Equal(t, 1, w.count(early, message.Opened), "one doubt is enough")
	w.pass(4 * time.Second)
	w.opened(early)
	require.Empty(t, w.state(early).DoubtfulOpening, "a person's opening takes its place")
	require.Len(t, w.out.sent, 1)

	scanned := w.send(draft{parts: 1})
	submitted(scanned)
	w.pass(4 * time.Second)
	b := w.newBrowser()
	b.header.Set("User-Agent", "SomeScanner/1.0 SafeLinks")
	b.get(w.path(scanned))
	b.submit("open", nil)
	require.Equal(t, "scanner", w.state(scanned).DoubtfulOpening)
}

func TestForgedFormsAreRefused(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	a, b := w.send(draft{items: questions}), w.send(draft{items: questions})
	mine := w.opened(a)
	_, tokenOfA := mine.form("identify")
	theirs := w.opened(b)
	_, tokenOfB := theirs.form("identify")
	versions := []int{w.version(a), w.version(b)}

	for name, try := range map[string]func() shown{
		"no cookie": func() shown {
			return w.newBrowser().post(w.path(a)+"/identify", url.Values{"form": {tokenOfA}, "birth_date": {"19980101"}, "customer_number": {"1"}})
		},
		"no token": func() shown {
			return mine.post(w.path(a)+"/identify", url.Values{"birth_date": {"19980101"}, "customer_number": {"1"}})
		},
		"token of another link": func() shown {
			return mine.post(w.path(a)+"/identify", url.Values{"form": {tokenOfB}, "birth_date": {"19980101"}, "customer_number": {"1"}})
		},
		"token of another session": func() shown {
			return mine.post(w.path(b)+"/identify", url.Values{"form": {tokenOfB}, "birth_date": {"19980101"}, "customer_number": {"1"}})
		},
		"from another site": func() shown {
			mine.header.Set("Sec-Fetch-Site", "cross-site")
			defer mine.header.Del("Sec-Fetch-Site")
			return mine.post(w.path(a)+"/identify", url.Values{"form": {tokenOfA}, "birth_date": {"19980101"}, "customer_number": {"1"}})
		},
		"cookie of another link": func() shown {
			u, _ := url.Parse(w.base)
			swapped := w.newBrowser()
			for _, c := range theirs.client.Jar.Cookies(u) {
				if c.Name == cookieName(b.token, false) {
					swapped.client.Jar.SetCookies(u, []*http.Cookie{{Name: cookieName(a.token, false), Value: c.Value}})
				}
			}
			return swapped.post(w.path(a)+"/identify", url.Values{"form": {tokenOfB}, "birth_date": {"19980101"}, "customer_number": {"1"}})
		},
	} {
		require.Equal(t, http.StatusForbidden, try().status, name)
	}
	require.Equal(t, versions, []int{w.version(a), w.version(b)})
}

func TestSessionEnds(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, expires: 24 * time.Hour, until: 48 * time.Hour})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	for range 20 {
		w.pass(29 * time.Minute)
		b.get(w.path(m))
		if !strings.Contains(b.shown.body, "水道料金のお知らせ") {
			break
		}
	}
	require.Contains(t, b.shown.body, `/open">`, "in any case after eight hours")
	b = w.opened(m)
	b.submit("identify", rightAnswers())
	require.Contains(t, b.shown.body, "水道料金のお知らせ")
	w.pass(journey.SessionIdle)
	b.get(w.path(m))
	require.Contains(t, b.shown.body, `/open">`, "when it was idle")
}

func (w *world) revoke(m *sent) {
	w.commit(store.Tx{{Ref: m.ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Revoked), At: w.now(), Data: message.Encode(message.Act{By: "user:a"})}}}})
}

func TestGoneIsAlwaysTheSame(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	revoked, past, pastClaim := w.send(draft{items: questions}), w.send(draft{expires: time.Minute, until: 2 * time.Minute}), w.send(draft{expires: time.Minute, until: 2 * time.Minute, claim: bill(w, "A-6")})
	held := w.opened(revoked)
	held.submit("identify", rightAnswers())
	w.revoke(revoked)
	w.must(w.links.Renew(t.Context(), revoked.ref)) // without waiting until it is followed
	w.pass(3 * time.Minute)

	seen := map[string]shown{}
	for name, path := range map[string]string{
		"unknown": "/a/zzzzzzzzzz", "revoked": w.path(revoked), "past": w.path(past), "past with a claim": w.path(pastClaim),
		"too short": "/a/zz", "strange": "/a/zzzzzz%00zz", "a step of nothing": "/a/zzzzzzzzzz/documents/x",
	} {
		b := w.newBrowser()
		came := time.Now()
		got := b.get(path)
		require.GreaterOrEqual(t, time.Since(came), goneAfter, name)
		got.header.Del("Date")
		seen[name] = shown{status: got.status, header: got.header, body: got.body}
	}
	for name, got := range seen {
		require.Equal(t, seen["unknown"], got, name)
		require.Equal(t, http.StatusNotFound, got.status)
	}
	require.NotContains(t, seen["unknown"].body, "水道局")
	require.Equal(t, http.StatusNotFound, held.get(w.path(revoked)).status, "whoever was in is out")
	require.Equal(t, http.StatusNotFound, held.get(w.path(revoked)+"/documents/notice.pdf").status)
}

func TestExpiredLinkShowsTheContactAndNothingElse(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, expires: time.Minute, until: time.Hour, page: message.Page{Survey: survey}})
	unpaid := w.send(draft{expires: time.Minute, until: time.Hour, claim: bill(w, "A-7")})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	action, token := b.form("answer")
	w.pass(2 * time.Minute)
	b.post(action, url.Values{"form": {token}, "q0": {"応募する"}})
	require.Equal(t, http.StatusGone, b.shown.status)
	require.Zero(t, w.count(m, message.Answered))
	for _, path := range []string{w.path(m), w.path(unpaid)} {
		got := w.newBrowser().get(path)
		require.Equal(t, http.StatusGone, got.status)
		require.Contains(t, got.body, "000-000-0000")
		require.NotContains(t, got.body, "水道料金")
		require.NotContains(t, got.body, "<form")
	}
}

func TestPaidClaimIsShownAfterTheLinkExpired(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, expires: time.Hour, until: 2 * time.Hour, claim: bill(w, "A-8"), page: message.Page{Title: "秘密の題名", NoticePDF: true}})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(80 * 24 * time.Hour) // past state_until, within 90 days of the last fact

	b = w.newBrowser()
	b.get(w.path(m))
	require.Contains(t, b.shown.body, `/open">`, "behind identity")
	b.submit("open", nil)
	b.submit("identify", rightAnswers())
	require.NotContains(t, b.shown.body, "秘密の題名")
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	require.Contains(t, b.shown.body, "お支払情報（確定）")
	require.Contains(t, b.get(w.path(m)+"/documents/receipt.pdf").body, "RECEIPT")
	require.NotContains(t, b.get(w.path(m)+"/documents/notice.pdf").body, "%PDF")

	w.pass(91 * 24 * time.Hour)
	require.Equal(t, http.StatusNotFound, w.newBrowser().get(w.path(m)).status)
}

// On a slow network the third code may be lost as well: the page says that no other one goes out now, and later one does. It says the
// same where the answers did not match.
func TestPageSaysWhereNoCodeIsSent(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	walk := func(answers url.Values) {
		b := w.opened(w.send(draft{items: questions, code: true, expires: 24 * time.Hour, until: 25 * time.Hour}))
		b.submit("identify", answers)
		step := func(after time.Duration, says string) {
			t.Helper()
			w.pass(after)
			b.submit("resend", nil)
			b.says(says)
		}
		step(time.Second, "再送信していません。2分ほど")
		require.NotContains(t, b.shown.body, "認証番号を送信しました")
		b.get(b.shown.path)
		b.says("認証番号を送信しました")
		step(30*time.Second, "再送信を受け付けました")
		step(time.Minute, "再送信を受け付けました")
		step(4*time.Minute, "送信していません。30分以上")
		b.says("000-000-0000")
		require.NotContains(t, b.shown.body, "認証番号を送信しました")
		w.pass(20 * time.Minute)
		b.get(b.shown.path)
		step(6*time.Minute, "再送信を受け付けました")
	}
	sent := len(w.out.sent)
	walk(rightAnswers())
	require.Len(t, w.out.sent, sent+4)
	w.pass(24 * time.Hour)
	walk(url.Values{"birth_date": {"19980102"}, "customer_number": {"C-778899"}})
	require.Len(t, w.out.sent, sent+4)

	// What a machine opened has no code yet.
	b := w.newBrowser()
	b.header.Set("User-Agent", "scanner")
	m := w.send(draft{code: true})
	b.get(w.path(m))
	b.submit("open", nil)
	b.says("まだ送信していません")
	require.NotContains(t, b.shown.body, "認証番号を送信しました")
}

func TestMissesAreBudgetedAndHitsAreNot(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{})
	w.must(w.links.Put(nil))
	w.newBrowser().get(w.path(m)) // kept from then on
	b := w.newBrowser()
	for i := range 20 {
		require.Equal(t, http.StatusNotFound, b.get(fmt.Sprintf("/a/%010d", i)).status)
	}
	require.Equal(t, http.StatusTooManyRequests, b.get("/a/9999999999").status)
	require.Equal(t, http.StatusTooManyRequests, b.get("/a/zz").status)
	b.says("URLが正しくないか")
	require.Equal(t, "600", b.shown.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, b.get(w.path(m)).status)
	b.submit("open", nil)
	require.Contains(t, b.shown.body, "水道料金のお知らせ")
	require.NotEqual(t, http.StatusTooManyRequests, b.get("/favicon.ico").status)
	w.pass(budgetTime)
	require.Equal(t, http.StatusNotFound, b.get("/a/9999999999").status)
}

func TestBudgetOfANetworkIsShared(t *testing.T) {
	now := time.Now()
	b := &budget{limit: 20, spent: map[netip.Prefix]*window{}}
	for i := range 100 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		require.False(t, b.over(a, now))
		b.miss(a, now)
	}
	require.True(t, b.over(netip.MustParseAddr("192.0.2.200"), now))
	require.False(t, b.over(netip.MustParseAddr("192.0.3.1"), now))
	for range 20 {
		b.miss(netip.MustParseAddr("2001:db8:1:1::1"), now)
	}
	require.True(t, b.over(netip.MustParseAddr("2001:db8:1:1:ffff::9"), now), "a /64 is one address")
	require.False(t, b.over(netip.MustParseAddr("2001:db8:1:2::1"), now))
	for i := range maxBudgets {
		b.miss(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	require.Len(t, b.spent, maxBudgets)
	newcomer := netip.MustParseAddr("203.0.113.1")
	for range 20 {
		require.False(t, b.over(newcomer, now), "a full table is in nobody's way")
		b.miss(newcomer, now)
	}
	require.True(t, b.over(newcomer, now), "and counts who comes new")
	require.Len(t, b.spent, maxBudgets)
}

// Whoever has many addresses can fill the tables of the budgets. That closes neither the shared entry nor a link that is not kept.
func TestFullTablesOfBudgetsCloseNothing(t *testing.T) {
	w := newEntry(t)
	m := w.send(forHanako("お知らせ"))
	for i := range maxBudgets {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		w.server.asks.miss(a, w.now())
		w.server.misses.miss(a, w.now())
	}
	require.Equal(t, http.StatusOK, w.newBrowser().get(w.path(m)).status)
	w.arrived(hanako)
}

// A page that answered a form stays in the history and in tabs that are restored at the address of its step.
func TestAddressOfAStepLeadsToItsLink(t *testing.T) {
	w := newEntry(t)
	m := w.send(draft{page: message.Page{Survey: survey}})
	b := w.opened(m)
	require.Equal(t, http.StatusUnprocessableEntity, b.submit("answer", nil).status)
	require.Equal(t, w.path(m)+"/answer", b.shown.path)
	for _, step := range page.Actions {
		if step == "stranger" { // it has a page
			continue
		}
		require.Equal(t, http.StatusOK, b.get(w.path(m)+"/"+step).status)
		require.Equal(t, w.path(m), b.shown.path)
		b.says("水道料金のお知らせ")
	}
	require.Equal(t, http.StatusNotFound, b.get("/a/0123456789/answer").status, "whatever is stored")
	b.get("/e/water/identify")
	require.Equal(t, "/e/water", b.shown.path)
	require.Equal(t, http.StatusOK, b.shown.status)
}

func TestHeadersOfEveryPage(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{})
	h := w.newBrowser().get(w.path(m)).header
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow, noarchive", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "", "Server": "",
	} {
		require.Equal(t, want, h.Get(name), name)
	}
	csp := h.Get("Content-Security-Policy")
	require.Regexp(t, `^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$`, csp)
	cookie := h.Get("Set-Cookie")
	require.Contains(t, cookie, "HttpOnly")
	require.Contains(t, cookie, "SameSite=Lax")
	require.NotContains(t, cookie, strings.TrimPrefix(m.token, "a/"))
	require.Equal(t, "User-agent: *\nAllow: /s/\nDisallow: /\n", w.newBrowser().get("/robots.txt").body)
	require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().get(w.path(m)+"/nothing").status)
	require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().post(w.path(m), nil).status)
	require.Equal(t, http.StatusNoContent, w.newBrowser().get("/favicon.ico").status)
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	believed := DefaultConfig()
	believed.TrustedProxies = []string{"127.0.0.0/8"}
	for _, trusted := range []bool{true, false} {
		config := DefaultConfig()
		if trusted {
			config = believed
		}
		w := newWorld(t, config)
		m := w.send(draft{})
		b := w.newBrowser()
		b.header.Set("X-Forwarded-Proto", "https")
		b.header.Set("X-Forwarded-For", "198.51.100.7, 203.0.113.9")
		got := b.get(w.path(m))
		require.Equal(t, trusted, strings.HasPrefix(got.header.Get("Set-Cookie"), "__Host-kk-"))
		require.Equal(t, trusted, strings.Contains(got.header.Get("Set-Cookie"), "; secure"), got.header.Get("Set-Cookie"))
		require.Equal(t, trusted, got.header.Get("Strict-Transport-Security") != "")
		for i := range 21 {
			b.get(fmt.Sprintf("/a/%010d", i))
		}
		require.Equal(t, http.StatusTooManyRequests, b.shown.status)
		b.header.Set("X-Forwarded-For", "203.0.113.9, 198.51.100.7") // what the client wrote itself is not believed
		require.Equal(t, map[bool]int{true: 404, false: 429}[trusted], b.get("/a/9999999999").status)
	}
}

func TestCookiesAreOfTheHostOverTLS(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions})
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	serving, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.server.Serve(serving, tls.NewListener(l, &tls.Config{Certificates: certified.TLS.Certificates}))
	}()
	b := newBrowser(t, "https://"+l.Addr().String())
	b.client.Transport = certified.Client().Transport
	b.get(w.path(m))
	require.True(t, strings.HasPrefix(b.shown.header.Get("Set-Cookie"), "__Host-kk-"))
	require.Contains(t, b.shown.header.Get("Set-Cookie"), "secure")
	require.NotEmpty(t, b.shown.header.Get("Strict-Transport-Security"))
	b.submit("open", nil)
	b.submit("identify", rightAnswers())
	require.Contains(t, b.shown.body, "水道料金のお知らせ")
	b.client.CloseIdleConnections()
	end()
	require.NoError(t, <-ended)
}

func TestLanguageIsKept(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{})
	b := w.newBrowser()
	require.Contains(t, b.get(w.path(m)).body, `lang="ja"`)
	require.Contains(t, b.get(w.path(m)+"?lang=en").body, "Water Office")
	require.Contains(t, b.get(w.path(m)).body, "Water Office")
	b = w.newBrowser()
	b.header.Set("Accept-Language", "fr, en-US;q=0.8, ja;q=0.3")
	require.Contains(t, b.get(w.path(m)).body, "Water Office")
}

func TestPreferredLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "ja", "ja": "ja", "en": "en", "en-GB,en;q=0.9,ja;q=0.8": "en", "ja,en-US;q=0.9": "ja", "fr": "ja", "en;q=NaN": "ja", "EN": "en", "en;q=0": "ja",
	} {
		require.Equal(t, want, preferred(header), header)
	}
}

func TestNothingTypedIsEverOnDiskOrInTheLog(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true, page: message.Page{Title: "秘密の題名", Survey: survey}})
	b := w.opened(m)
	b.submit("identify", url.Values{"birth_date": {"19770707"}, "customer_number": {"C-445566"}})
	b.submit("again", nil)
	w.pass(10 * time.Second)
	b.submit("identify", rightAnswers())
	b.submit("code", url.Values{"code": {"192837"}})
	code := w.out.code()
	b.submit("code", url.Values{"code": {code}})
	b.submit("answer", url.Values{"q0": {"応募する"}, "q2": {"九州へ転勤を希望"}})
	require.Contains(t, b.shown.body, "九州へ転勤を希望")
	w.modules.conn.Close() // what fails is logged
	lost := w.newBrowser()
	lost.get(w.path(m))
	lost.submit("open", nil)
	lost.submit("identify", rightAnswers())
	require.Equal(t, http.StatusServiceUnavailable, lost.shown.status)
	require.Contains(t, w.logged(), "link request failed")
	w.must(w.store.Close())

	secrets := []string{"19980101", "19770707", "C-778899", "C-445566", "192837", code, "九州へ転勤", "秘密の題名", ownNumber}
	for _, secret := range append(secrets, strings.TrimPrefix(m.token, "a/")) {
		require.NotContains(t, w.logged(), secret)
	}
	w.must(filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				return fmt.Errorf("%s holds %q", filepath.Base(path), secret)
			}
		}
		return err
	}))
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions})
	// Without its body, and with a header that just fills the buffer of 32 KiB: a server that closes on bytes which it has not
	// read may reset the connection before its answer is read.
	large := "GET " + w.path(m) + " HTTP/1.1\r\nHost: kk.example.jp\r\nX-Large: "
	for request, want := range map[string]string{
		"POST " + w.path(m) + "/open HTTP/1.1\r\nHost: kk.example.jp\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 70000\r\n\r\n": "413",
		large + strings.Repeat("x", 32<<10-len(large)): "431",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.newBrowser().base, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		answer, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, answer, " "+want+" ")
		require.NoError(t, conn.Close())
	}
	require.Equal(t, 1, w.version(m))
}

// A phone that opens a connection to have one at hand, and asks nothing or only half of something, is told nothing when it ends.
func TestAConnectionWithoutARequestEndsWithoutAWord(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	newBrowser(t, w.base).get("/a/x") // the first answer of a process starts fasthttp's clock, which must not be in the bubble
	for _, request := range []string{"", "GET /a/x", "POST /a/x/open HTTP/1.1\r\nHost: kk.example.jp\r\nContent-Length: 7\r\n\r\nc"} {
		synctest.Test(t, func(t *testing.T) {
			client, conn := net.Pipe()
			served := make(chan error, 1)
			go func() { served <- w.server.http.ServeConn(conn) }()
			if request != "" {
				_, err := io.WriteString(client, request)
				require.NoError(t, err)
			}
			answer, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Empty(t, string(answer))
			<-served
		})
	}
}

// ear hears webhooks.
type ear func(payment.WebhookRequest) payment.Reply

func (e ear) Webhook(_ context.Context, r payment.WebhookRequest) payment.Reply { return e(r) }

// hearing serves beside the world's server, with its own webhooks.
func (w *world) hearing(e ear) (base string) {
	o := w.server.o
	o.Webhooks = e
	s, err := New(o)
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	serving, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(serving, l) }()
	w.t.Cleanup(func() { end(); require.NoError(w.t, <-ended) })
	return "http://" + l.Addr().String()
}

func TestWebhookIsGivenAsItCame(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	var got []byte
	base := w.hearing(func(r payment.WebhookRequest) payment.Reply { got = r.Body; return payment.Reply{Status: 200} })
	// A part's header is written as no library would: signed bytes must not be made anew.
	body := "--x\r\ncontent-disposition:form-data;  name=a\r\n\r\n1\r\n--x--\r\n"
	res, err := http.Post(base+"/hooks/h", "multipart/form-data; boundary=x", strings.NewReader(body))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, body, string(got))
}

func TestPanicEndsOneRequestAndNotTheProgram(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	base := w.hearing(func(r payment.WebhookRequest) payment.Reply { panic("08011112222") })
	for range 2 {
		res, err := http.Post(base+"/hooks/h", "text/plain", nil)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	}
	require.Contains(t, w.logged(), "link request panicked")
	require.NotContains(t, w.logged(), "08011112222")
}

func TestMalformedAnswerIsNamedAndNotCounted(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true})
	b := w.opened(m)
	var pages []string
	for _, number := range []string{"C-778899", "C-000000"} { // the other item matches, or not
		b.submit("identify", url.Values{"birth_date": {"平成十年"}, "customer_number": {number}})
		require.Contains(t, b.shown.body, "生年月日の形式をご確認ください")
		require.NotContains(t, b.shown.body, "お客様番号の形式")
		_, token := b.form("identify")
		pages = append(pages, strings.ReplaceAll(b.shown.body, token, ""))
	}
	require.Equal(t, pages[0], pages[1])
	require.Zero(t, w.count(m, message.Tried))
	b.get(w.path(m))
	require.NotContains(t, b.shown.body, "形式をご確認", "said once")
	b.submit("identify", rightAnswers())
	require.Contains(t, b.shown.body, "認証番号")
	require.NotContains(t, b.shown.body, "形式をご確認")
}

// A slow network has people press a button twice: the browser drops the first answer and shows the second.
func TestSecondPressOfTheCodesButtonGetsInToo(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{code: true, page: message.Page{Title: "水道料金のお知らせ"}})
	b, other := w.opened(m), w.opened(m)
	action, token := b.form("code")
	press := func() string {
		req, err := http.NewRequest("POST", w.base+action, strings.NewReader(url.Values{"form": {token}, "code": {w.out.code()}}.Encode()))
		require.NoError(t, err)
		for _, c := range b.client.Jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		next, err := http.NewRequest("GET", w.base+w.path(m), nil)
		require.NoError(t, err)
		for _, c := range res.Cookies() {
			next.AddCookie(c)
		}
		return w.newBrowser().do(next).body
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { assert.Contains(t, press(), "水道料金のお知らせ") })
	}
	wg.Wait()
	tries := w.count(m, message.Tried)
	require.Contains(t, press(), "水道料金のお知らせ")
	require.Equal(t, tries, w.count(m, message.Tried), "it is no try")
	other.submit("code", url.Values{"code": {w.out.code()}})
	require.Contains(t, other.shown.body, "認証番号が違う", "of another browser the code is used up")
	w.pass(time.Minute)
	require.Contains(t, press(), "認証番号が違う", "and later of this one too")
}

func TestFinalLockLeadsToTheContact(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, expires: 24 * time.Hour})
	b := w.opened(m)
	for lock := 1; lock <= 3; lock++ {
		for range identity.MaxTries {
			w.pass(10 * time.Second) // else it is the same press
			b.submit("identify", url.Values{"birth_date": {"20000101"}, "customer_number": {"C-778899"}})
		}
		if lock < 3 {
			require.Contains(t, b.shown.body, "しばらくしてから、もう一度SMSのURLを開いてください")
			w.pass(identityLock)
			b = w.opened(m)
		}
	}
	require.Contains(t, b.shown.body, "下のお問い合わせ先までご連絡ください")
	require.Contains(t, b.shown.body, "000-000-0000")
	require.NotContains(t, b.shown.body, "しばらく")
}

func TestViewsOfALinkForEverybodyAreBounded(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{page: message.Page{Title: "お知らせ"}})
	w.opened(m)
	for range 30 {
		var events []store.NewEvent
		for range 20 {
			events = append(events, store.NewEvent{Type: byte(message.Viewed), At: w.now()})
		}
		w.commit(store.Tx{{Ref: m.ref, Expect: store.Any, Events: events}})
	}
	before := w.version(m)
	require.Contains(t, w.opened(m).shown.body, "お知らせ")
	require.Equal(t, before, w.version(m))
}

func TestAmountThatWasNotShownIsNotPaid(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{claim: bill(w, "A-1")})
	b := w.opened(m)
	b.submit("checkout", url.Values{"method": {"card"}})
	require.Contains(t, b.shown.body, "7,440円")
	amount := int64(9000)
	_, err := w.payments.Patch(t.Context(), w.water(), "A-1", payment.Patch{Amount: &amount}, "key:main")
	require.NoError(t, err)
	b.submit("pay", url.Values{"method": {"card"}})
	require.Empty(t, w.modules.payments)
	require.Contains(t, b.shown.body, "9,000円")
	b.submit("checkout", url.Values{"method": {"card"}})
	b.submit("pay", url.Values{"method": {"card"}})
	require.Len(t, w.modules.payments, 1)
}

func TestHooksGoToPayments(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	require.Equal(t, http.StatusNotFound, w.newBrowser().post("/hooks/00000000000000000000000000000000", url.Values{"a": {"b"}}).status)
}

func TestLinkThatIsGivenMoreTimeOpensAgain(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{expires: time.Minute, until: time.Hour, page: message.Page{Title: "水道料金のお知らせ"}})
	move := func(in time.Duration) {
		end := w.now().Add(in)
		w.commit(store.Tx{{Ref: m.ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.LinkMoved), Data: message.Encode(&message.LinkEnd{Act: message.Act{By: "key:erp"}, Until: end, StateUntil: end.Add(time.Hour)})}}}})
		w.must(w.links.Renew(t.Context(), m.ref))
	}
	w.pass(2 * time.Minute)
	require.Equal(t, http.StatusGone, w.newBrowser().get(w.path(m)).status)
	move(time.Hour)
	require.Contains(t, w.opened(m).shown.body, "水道料金のお知らせ")
	move(-time.Second)
	require.Equal(t, http.StatusGone, w.newBrowser().get(w.path(m)).status)
}
