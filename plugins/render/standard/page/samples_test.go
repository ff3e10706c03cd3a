package page

import (
	"fmt"
	"strings"
	"time"

	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// at is a moment in Japan.
func at(year, month, day, hour, minute, second int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(year, time.Month(month), day, hour-9, minute, second, 0, time.UTC))
}

func water() *proto.Brand {
	return &proto.Brand{Name: "〇〇県水道局", Color: "#0b63a5", Phone: "000-000-0000", PhoneLink: "0000000000", Hours: "平日 9:00～18:00、土曜日 9:00～17:00", Note: "通話料はお客様のご負担となります。"}
}

func claim() *proto.Claim {
	return &proto.Claim{Number: "20190621012403167", Yen: 7440, TaxYen: 551, Due: at(2026, 12, 31, 23, 59, 59), Lines: []*proto.LineItem{
		{Name: "水道使用料（2～3月分）", Quantity: 1, UnitYen: 4440, Yen: 4440},
		{Name: "下水道使用料", Quantity: 2, UnitYen: 1500, Yen: 3000},
	}}
}

var (
	shops = []*proto.Store{
		{Code: "A", LabelJa: "コンビニA", LabelEn: "Konbini A"}, {Code: "B", LabelJa: "コンビニB", LabelEn: "Konbini B"},
		{Code: "C", LabelJa: "コンビニC", LabelEn: "Konbini C"}, {Code: "D", LabelJa: "コンビニD", LabelEn: "Konbini D"},
	}
	number  = &proto.MethodChoice{Code: "konbini_number", Label: "コンビニ（番号）", Stores: shops}
	barcode = &proto.MethodChoice{Code: "konbini_barcode", Label: "コンビニ（バーコード）"}
	card    = &proto.MethodChoice{Code: "card", Label: "クレジットカード", Redirect: true}
)

var (
	payer       = &proto.MethodChoice{Code: "payer_number", Label: "コンビニ（お客様専用番号）", Kind: proto.MethodKind_PAYER_NUMBER}
	payEasy     = &proto.MethodChoice{Code: "pay_easy", Label: "ペイジー（ATM・ネットバンキング）", Kind: proto.MethodKind_PAY_EASY}
	transfer    = &proto.MethodChoice{Code: "bank_transfer", Label: "銀行振込", Kind: proto.MethodKind_BANK_TRANSFER}
	recurring   = &proto.MethodChoice{Code: "card_recurring", Label: "クレジットカード（登録して支払う）", Kind: proto.MethodKind_CARD_RECURRING, Redirect: true}
	wallet      = &proto.MethodChoice{Code: "wallet", Label: "ウォレット", Kind: proto.MethodKind_WALLET, Redirect: true}
	account     = &proto.MethodChoice{Code: "account_registration", Label: "口座振替のお申し込み", Kind: proto.MethodKind_ACCOUNT_REGISTRATION, Redirect: true}
	bankAccount = &proto.BankAccount{Bank: "〇〇銀行", Branch: "本店営業部", Kind: "普通", Number: "1234567", Holder: "カ）スイドウ", Reference: "7654321"}
)

func allMethods() []*proto.MethodChoice {
	return []*proto.MethodChoice{barcode, number, payer, card, recurring, payEasy, transfer, wallet, account}
}

// debited is the claim that is debited from the account.
func debited() *proto.Claim {
	c := claim()
	c.Debited = true
	return c
}

// part is the claim when so much has come in.
func part(received int64) *proto.Claim {
	c := claim()
	c.ReceivedYen, c.PaidAt = received, at(2026, 11, 22, 10, 19, 3)
	return c
}

func rows() []*proto.Row {
	return []*proto.Row{
		{Item: "お名前", Value: "山田 太郎 様"}, {Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご請求月", Value: "◆31年2～3月分◆"},
		{Item: "水道使用水量", Value: "44m3"}, {Item: "今回指針", Value: "682"}, {Item: "前回指針", Value: "638"},
		{Item: "お問い合わせ", Value: "000-000-0000"}, {Item: "詳しいご案内", Value: "こちら https://www.example.jp/water?m=3 をご覧ください"},
	}
}

func survey() *proto.Survey {
	return &proto.Survey{Lead: "今後のご案内のため、ご意見をお聞かせください。", Items: []*proto.SurveyItem{
		{Name: "q1", Title: "お支払いのご予定", Type: proto.SurveyItem_RADIO, Choices: []string{"すでに支払った", "明後日までに支払う", "相談したい"}, Required: true},
		{Name: "q2", Title: "ご希望の連絡方法", Type: proto.SurveyItem_CHECK, Choices: []string{"SMS", "電話", "郵便"}},
		{Name: "q3", Title: "ご意見・ご要望", Type: proto.SurveyItem_TEXT},
	}}
}

func answered() *proto.Survey {
	s := survey()
	s.Answered = true
	s.Items[0].Answer = []string{"明後日までに支払う"}
	s.Items[1].Answer = []string{"SMS", "電話"}
	return s
}

// refused is the survey after a press that each of its items was wrong at.
func refused() *proto.Survey {
	s := survey()
	s.Items[0].Fault = &proto.SurveyFault{Kind: proto.SurveyFault_MISSING}
	s.Items[1].Answer, s.Items[1].Fault = []string{"SMS"}, &proto.SurveyFault{Kind: proto.SurveyFault_UNKNOWN}
	s.Items[2].Answer, s.Items[2].Fault = []string{strings.Repeat("訪問の時間帯を平日の夕方にしてほしいです。", 11)[:213*3]}, &proto.SurveyFault{Kind: proto.SurveyFault_TOO_LONG, Given: 213, Limit: 200}
	return s
}

// unanswered is the survey after a press with nothing chosen, where nothing has to be.
func unanswered() *proto.Survey {
	s := survey()
	s.Items[0].Required, s.Empty = false, true
	return s
}

func questions() []*proto.FormField {
	return []*proto.FormField{
		{Name: "kana_name", Label: "お名前（カナ）", Hint: "例）ヤマダ タロウ", InputMode: "text", Autocomplete: "off", MaxLength: 40},
		{Name: "birth_date", Label: "生年月日（西暦8桁）", Hint: "例）19980101", InputMode: "numeric", Autocomplete: "bday", MaxLength: 16},
		{Name: "customer_number", Label: "お客様の番号", InputMode: "numeric", MaxLength: 20},
	}
}

// splitName asks the name as family name and given name.
func elsewhere() []*proto.FormField {
	return []*proto.FormField{{Name: "oidc", Label: "デジタル認証アプリ", Hint: "マイナンバーカードをご用意ください。", Elsewhere: true}}
}

func splitName(fields []*proto.FormField) []*proto.FormField {
	fields[0].Parts = []*proto.FormField{
		{Name: "kana_name.1", Label: "姓", Hint: "例）ヤマダ", InputMode: "text", Autocomplete: "off", MaxLength: 30},
		{Name: "kana_name.2", Label: "名", Hint: "例）タロウ", InputMode: "text", Autocomplete: "off", MaxLength: 30},
	}
	return fields
}

func unreadable(fields []*proto.FormField) []*proto.FormField {
	fields[0].Unreadable, fields[0].Form = true, "カタカナでご入力ください（例：ヤマダ ハナコ）。漢字や英字だけでは確認できません。"
	return fields
}

// everyView holds at least one sample of each view and of each state of it.
func everyView() map[string]*proto.Page {
	paid := claim()
	paid.PaidAt, paid.PaidAtStore, paid.ReceiptNumber = at(2026, 11, 22, 10, 19, 3), "コンビニA 〇〇駅前店", "18111527393834"
	lead := "毎度ご利用いただきましてありがとうございます。\n水道料金のお知らせです。内容をご確認のうえ、お支払いをお願いいたします。"
	closing := "行き違いでご入金いただきました場合には、ご容赦ください。ご相談は 000-000-0000 まで。"
	notice := "さて、昨日現在でお客様のご利用代金についてご入金の確認が取れておりません。つきましては、「認証画面へ」ボタンを押して本人認証のうえ、お支払いに関する手続きをお願いいたします。"
	voucher := &proto.Voucher{Barcode: "91908081030210019970070917530026123100074406", Expires: at(2026, 12, 31, 23, 59, 59)}
	digits := &proto.Voucher{PaymentNumber: "12345678901", ConfirmationNumber: "1234", Stores: shops, Expires: at(2026, 12, 31, 23, 59, 59)}
	expires := at(2027, 1, 31, 18, 0, 0)
	docs := []*proto.DocumentLink{{Name: "kenshin-2026-11.pdf", Title: "検針票（2026年11月分）", Bytes: 123456}, {Name: "riyou", Title: "ご利用の手引き"}}
	pages := map[string]*proto.Page{
		"01-landing":             {View: proto.View_LANDING, LinkExpires: expires, Identify: true},
		"01-landing-stranger":    {View: proto.View_LANDING, LinkExpires: expires, Identify: true, MayDisown: true, About: "/s/water"},
		"01-landing-open":        {View: proto.View_LANDING, LinkExpires: expires},
		"01-landing-lead":        {View: proto.View_LANDING, Identify: true, Title: "お支払いのお願い", Lead: notice, LinkExpires: expires, Preview: true},
		"02-identify":            {View: proto.View_IDENTIFY, Fields: questions(), MayDisown: true, About: "/s/water"},
		"02-identify-split":      {View: proto.View_IDENTIFY, Fields: splitName(questions())},
		"02-identify-split-bad":  {View: proto.View_IDENTIFY, Fields: splitName(unreadable(questions())), Unreadable: true},
		"02-identify-mismatch":   {View: proto.View_IDENTIFY, Fields: questions(), Mismatch: true},
		"02-identify-incomplete": {View: proto.View_IDENTIFY, Fields: questions(), Incomplete: true},
		"02-identify-unreadable": {View: proto.View_IDENTIFY, Fields: unreadable(questions()), Unreadable: true},
		"02-identify-elsewhere":  {View: proto.View_IDENTIFY, Fields: elsewhere(), RedirectHost: "auth.example.jp"},
		"02-elsewhere-mismatch":  {View: proto.View_IDENTIFY, Fields: elsewhere(), RedirectHost: "auth.example.jp", Mismatch: true},
		"02-elsewhere-not-done":  {View: proto.View_IDENTIFY, Fields: elsewhere(), RedirectHost: "auth.example.jp", Incomplete: true},
		"02-identify-returned":   {View: proto.View_RETURNED, Identify: true},
		"03-code-unreadable":     {View: proto.View_CODE, PhoneMasked: "080-****-9008", Digits: 4, ValidMinutes: 5, Unreadable: true},
		"03-code":                {View: proto.View_CODE, PhoneMasked: "080-****-9008", Digits: 6, ValidMinutes: 5},
		"03-code-again":          {View: proto.View_CODE, CanAskAgain: true, Digits: 6, ValidMinutes: 5},
		"03-code-again-resent":   {View: proto.View_CODE, CanAskAgain: true, Digits: 6, ValidMinutes: 5, Resent: true},
		"03-code-mismatch":       {View: proto.View_CODE, PhoneMasked: "080-****-9008", Digits: 6, ValidMinutes: 5, Mismatch: true},
		"03-code-incomplete":     {View: proto.View_CODE, PhoneMasked: "080-****-9008", Digits: 4, ValidMinutes: 5, Incomplete: true},
		"03-code-resent":         {View: proto.View_CODE, PhoneMasked: "080-****-9008", Digits: 4, ValidMinutes: 5, Resent: true},
		"04-info-claim":          {View: proto.View_INFO, Title: "水道料金のお知らせ", Lead: lead, Rows: rows(), Closing: closing, Claim: claim(), Methods: []*proto.MethodChoice{barcode, number, card}, Documents: docs, LinkExpires: expires},
		"04-info-promise":        {View: proto.View_INFO, Title: "お支払いのお願い", Lead: lead, Claim: claim(), Methods: []*proto.MethodChoice{barcode}, Promise: &proto.Promise{}},
		"04-info-promised":       {View: proto.View_INFO, Title: "お支払いのお願い", Claim: claim(), Promise: &proto.Promise{Word: "will_pay", By: at(2026, 12, 1, 0, 0, 0), KeptInMind: true}},
		"04-info-said-paid":      {View: proto.View_INFO, Title: "お支払いのお願い", Claim: claim(), Promise: &proto.Promise{Word: "already_paid", By: at(2026, 12, 1, 0, 0, 0)}},
		"04-info-one-method":     {View: proto.View_INFO, Title: "水道料金のお知らせ", Claim: claim(), Methods: []*proto.MethodChoice{barcode}},
		"04-info-survey":         {View: proto.View_INFO, Title: "お仕事のご案内", Lead: lead, Rows: rows()[:3], Closing: closing, Survey: survey(), LinkExpires: expires},
		"04-info-refused":        {View: proto.View_INFO, Title: "お仕事のご案内", Survey: refused(), Incomplete: true},
		"04-info-empty":          {View: proto.View_INFO, Title: "お仕事のご案内", Survey: unanswered(), Incomplete: true},
		"04-info-unchosen":       {View: proto.View_INFO, Title: "水道料金のお知らせ", Claim: claim(), Methods: []*proto.MethodChoice{barcode, number, card}, Survey: survey(), Incomplete: true, Unchosen: true},
		"04-info-answered":       {View: proto.View_INFO, Title: "お仕事のご案内", Lead: lead, Survey: answered()},
		"05-checkout-number":     {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{number}},
		"05-checkout-barcode":    {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{barcode}},
		"05-checkout-card":       {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{card}},
		"06-voucher-barcode":     {View: proto.View_VOUCHER, Claim: claim(), Voucher: voucher, CanChangeMethod: true},
		"06-voucher-number":      {View: proto.View_VOUCHER, Claim: claim(), Voucher: digits, CanChangeMethod: true},
		"06-voucher-screen":      {View: proto.View_VOUCHER, Claim: claim(), Methods: []*proto.MethodChoice{{Code: "konbini_barcode", Label: "コンビニ（バーコード）", Kind: proto.MethodKind_KONBINI_BARCODE}}, Voucher: screenOnly(voucher)},
		"06-voucher-hidden":      {View: proto.View_VOUCHER, Claim: claim(), Methods: []*proto.MethodChoice{{Code: "konbini_barcode", Label: "コンビニ（バーコード）", Kind: proto.MethodKind_KONBINI_BARCODE}}, Voucher: screenOnly(&proto.Voucher{})},
		"06-voucher-expired":     {View: proto.View_VOUCHER, Claim: claim(), Voucher: voucher, ExpiredPayment: true},
		"07-redirect":            {View: proto.View_REDIRECT, Claim: claim(), RedirectHost: "pay.example.com", CanChangeMethod: true},
		"08-returned":            {View: proto.View_RETURNED, Claim: claim()},
		"09-waiting":             {View: proto.View_WAITING, Claim: claim()},
		"10-accepted":            {View: proto.View_ACCEPTED, Claim: paid, Rows: rows()[:3]},
		"11-confirmed":           {View: proto.View_CONFIRMED_VIEW, Claim: paid, Methods: []*proto.MethodChoice{{Code: "x", Label: "コンビニ支払"}}, ReceiptDocument: "receipt-199999999999.pdf", Documents: docs},
		"12-locked":              {View: proto.View_LOCKED, MayDisown: true, About: "/s/water"},
		"12-locked-for-good":     {View: proto.View_LOCKED, StaysLocked: true},
		"13-expired":             {View: proto.View_EXPIRED_VIEW, LinkExpires: expires, MayDisown: true, About: "/s/water"},
		"14-gone":                {View: proto.View_GONE},
		"15-fault":               {View: proto.View_FAULT},
		"15-fault-message":       {View: proto.View_FAULT, Message: "お支払い番号を発行できませんでした。しばらくしてから、もう一度お試しください。"},
		"16-answered":            {View: proto.View_ANSWERED, Survey: answered()},
		"17-stranger":            {View: proto.View_STRANGER, About: "/s/water"},
		"17-stranger-too-soon":   {View: proto.View_STRANGER, Message: "まだ停止していません。内容をお読みのうえ、もう一度ボタンを押してください。停止できないときは、お問い合わせ先までご連絡ください。"},
		"18-stopped":             {View: proto.View_STOPPED, About: "/s/water"},
		"19-about": {View: proto.View_ABOUT, Title: "〇〇県水道局のSMSの見分け方", Lead: "SMSが届いて、〇〇県水道局からのものか迷われたときは、次の内容とお比べください。",
			Rows:    []*proto.Row{{Item: "正式名称", Value: "〇〇県水道局"}, {Item: "公式サイト", Value: "https://www.example.jp/"}, {Item: "送信元の番号（NTTドコモ）", Value: "0312345678"}, {Item: "URLのドメイン", Value: "sms.example.jp"}},
			Closing: "SMSやURLの先のページで、次のものをおたずねすることはありません。\n・マイナンバー\n・アプリのインストール"},

		"21-menu": {View: proto.View_MENU, Entries: []*proto.Entry{{Name: "01M80PYPYK9JPV5YF8YH5F691F", Title: "水道料金のお知らせ", Sent: at(2026, 11, 22, 10, 19, 3)},
			{Name: "01M80PYPYK9JPV5YF8YH5F691G", Title: strings.Repeat("長い題名のお知らせ", 5) + "です。", Sent: at(2026, 10, 22, 9, 0, 0)}, {Name: "01M80PYPYK9JPV5YF8YH5F691H", Sent: at(2026, 9, 1, 9, 0, 0)}}, About: "/s/water"},
		"21-menu-one":   {View: proto.View_MENU, Entries: []*proto.Entry{{Name: "01M80PYPYK9JPV5YF8YH5F691F", Title: "水道料金のお知らせ", Sent: at(2026, 11, 22, 10, 19, 3)}}},
		"21-menu-empty": {View: proto.View_MENU},

		"22-claim-menu":          {View: proto.View_CLAIM_MENU, Title: "水道料金のお知らせ", Addressee: "山田 太郎", Period: "2026年9～10月分", Claim: claim(), Methods: []*proto.MethodChoice{barcode, number, card, transfer}, Promise: &proto.Promise{}, Documents: docs, Survey: survey(), LinkExpires: expires},
		"22-claim-menu-promised": {View: proto.View_CLAIM_MENU, Title: "お支払いのお願い", Claim: claim(), Methods: []*proto.MethodChoice{transfer}, Promise: &proto.Promise{Word: "will_pay", By: at(2026, 12, 1, 0, 0, 0), KeptInMind: true}, LinkExpires: expires},
		"22-claim-menu-card":     {View: proto.View_CLAIM_MENU, Title: "お支払いのお願い", Claim: claim(), Methods: []*proto.MethodChoice{card}, Promise: &proto.Promise{Word: "already_paid", By: at(2026, 12, 1, 0, 0, 0)}, Survey: answered(), MayDisown: true, About: "/s/water"},
		"22-claim-menu-long": {View: proto.View_CLAIM_MENU, Title: strings.Repeat("長い題名のお知らせ", 5) + "です。", Addressee: strings.Repeat("長いお名前の株式会社", 5), Claim: claim(), Methods: allMethods(), Promise: &proto.Promise{},
			Documents: []*proto.DocumentLink{{Name: "a", Title: strings.Repeat("LongDocumentName", 5) + "長い書類の名称.pdf", Bytes: 4 << 20}}, MayDisown: true},
		"22-info-behind-menu": {View: proto.View_INFO, Title: "水道料金のお知らせ", Lead: lead, Rows: rows(), Closing: closing, Claim: claim(), Methods: []*proto.MethodChoice{barcode, card}, ClaimMenu: true, LinkExpires: expires},

		"04-info-all-methods":     {View: proto.View_INFO, Title: "水道料金のお知らせ", Claim: claim(), Methods: allMethods()},
		"05-checkout-once":        {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{{Code: "konbini_barcode", Label: "コンビニ（バーコード）", Kind: proto.MethodKind_KONBINI_BARCODE}}},
		"06-voucher-once":         {View: proto.View_VOUCHER, Claim: claim(), Voucher: digits, Methods: []*proto.MethodChoice{{Code: "konbini_number", Label: "コンビニ（番号）", Kind: proto.MethodKind_KONBINI_NUMBER}}},
		"05-checkout-account":     {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{account}},
		"05-checkout-recurring":   {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{recurring}},
		"05-checkout-pay-easy":    {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{payEasy}},
		"05-checkout-transfer":    {View: proto.View_CHECKOUT, Claim: claim(), Methods: []*proto.MethodChoice{transfer}},
		"06-voucher-pay-easy":     {View: proto.View_VOUCHER, Claim: claim(), Methods: []*proto.MethodChoice{payEasy}, Mail: &proto.MailOffer{}, Voucher: &proto.Voucher{Institution: "99081", PaymentNumber: "6123456789012345", ConfirmationNumber: "123456"}},
		"06-voucher-payer":        {View: proto.View_VOUCHER, Claim: claim(), Methods: []*proto.MethodChoice{payer}, Voucher: &proto.Voucher{PaymentNumber: "7123456789012", Stores: shops}, Mail: &proto.MailOffer{Known: "t***@e***.jp"}},
		"06-voucher-part":         {View: proto.View_VOUCHER, Claim: part(3000), Methods: []*proto.MethodChoice{transfer}, Voucher: &proto.Voucher{Account: bankAccount}, Mail: &proto.MailOffer{Sent: "t***@e***.jp", Failed: true}},
		"06-voucher-mail-sent":    {View: proto.View_VOUCHER, Claim: claim(), Methods: []*proto.MethodChoice{number}, Voucher: digits, Mail: &proto.MailOffer{Sent: "t***@e***.jp", SentNow: true}},
		"06-voucher-mail-wrong":   {View: proto.View_VOUCHER, Claim: claim(), Voucher: digits, Mail: &proto.MailOffer{Wrong: true}},
		"06-voucher-mail-used-up": {View: proto.View_VOUCHER, Claim: claim(), Voucher: digits, Mail: &proto.MailOffer{Sent: "t***@e***.jp", UsedUp: true}},
		"07-redirect-account":     {View: proto.View_REDIRECT, Claim: claim(), Methods: []*proto.MethodChoice{account}, RedirectHost: "pay.example.com", CanChangeMethod: true},
		"07-redirect-wallet":      {View: proto.View_REDIRECT, Claim: claim(), Methods: []*proto.MethodChoice{wallet}, RedirectHost: "pay.example.com", CanChangeMethod: true},
		"11-confirmed-too-much":   {View: proto.View_CONFIRMED_VIEW, Claim: part(8440), ReceiptDocument: "receipt.pdf"},
		"20-registered":           {View: proto.View_REGISTERED_VIEW, Claim: claim(), Methods: []*proto.MethodChoice{barcode, card}, Rows: rows()[:3]},
		"20-registered-debited":   {View: proto.View_REGISTERED_VIEW, Claim: debited(), Rows: rows()[:3]},
		"20-registered-over":      {View: proto.View_REGISTERED_VIEW, Claim: claim(), Rows: rows()[:3]},
	}
	for name, p := range map[string]*proto.Page{
		"06-voucher-notice": {View: proto.View_VOUCHER, Voucher: digits, CanChangeMethod: true, Mail: &proto.MailOffer{}}, "06-voucher-unanswered": {View: proto.View_VOUCHER, Voucher: voucher, Incomplete: true},
		"07-redirect-notice": {View: proto.View_REDIRECT, RedirectHost: "pay.example.com", CanChangeMethod: true}, "09-waiting-notice": {View: proto.View_WAITING}, "10-accepted-notice": {View: proto.View_ACCEPTED},
	} {
		p.Title, p.Lead, p.Rows, p.Closing, p.Survey = "水道料金のお知らせ", lead, rows(), closing, survey()
		if p.Incomplete {
			p.Survey = refused()
		}
		p.Claim, p.Documents, p.Past = claim(), docs, []*proto.DocumentLink{{Name: "past-1.pdf", Title: "2026/10/21 水道料金のお知らせ"}}
		pages[name] = p
	}
	for name, p := range pages {
		if p.View != proto.View_GONE {
			p.Brand = water()
		}
		if p.View == proto.View_INFO || p.View == proto.View_VOUCHER || p.View == proto.View_CLAIM_MENU {
			p.No, p.Identify = "20190621012403167", true
		}
		pages[name] = p
	}
	pages["20-longest"] = longest()
	pages["21-light-brand"] = &proto.Page{View: proto.View_INFO, Title: "会費のお知らせ", Brand: &proto.Brand{Name: "ＡＢＣ株式会社", Color: "#ffe14d", Phone: "00-0000-0000"}, Claim: claim(), Methods: []*proto.MethodChoice{barcode, card}}
	pages["22-white-brand"] = &proto.Page{View: proto.View_LANDING, Brand: &proto.Brand{Name: "ＡＢＣ株式会社", Color: "#ffffff", Phone: "00-0000-0000"}}
	pages["23-dark-brand"] = &proto.Page{View: proto.View_IDENTIFY, Fields: questions(), Brand: &proto.Brand{Name: "〇〇派遣株式会社", Color: "#101010", Phone: "00-0000-0000"}}
	pages["24-no-brand"] = &proto.Page{View: proto.View_LANDING}
	return pages
}

// longest fills every limit of the page: 50 + 800 + 30 × (50 + 256) + 200 + 600 characters, 20 questions, 40 choices.
func longest() *proto.Page {
	full := func(s string, n int) string { return string([]rune(strings.Repeat(s, n))[:n]) }
	p := &proto.Page{View: proto.View_INFO, Title: full("長い題名のお知らせ", 50), Lead: full("文頭の文章です。", 800), Closing: full("文末の文章です。", 600), Brand: water(), Claim: claim(), Methods: []*proto.MethodChoice{barcode, number, card}}
	p.Brand.Name = full("〇〇県広域水道企業団お客様サービスセンター", 50)
	for i := range 30 {
		p.Rows = append(p.Rows, &proto.Row{Item: full(fmt.Sprintf("%d番目の項目", i+1), 50), Value: full("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 128) + full("値", 128)})
	}
	p.Survey = &proto.Survey{Lead: full("説明文です。", 200)}
	for i := range 20 {
		item := &proto.SurveyItem{Name: fmt.Sprintf("s%d", i), Title: full("長い設問です", 50), Type: proto.SurveyItem_TEXT}
		if i < 4 {
			item.Type = proto.SurveyItem_CHECK
			for j := range 10 {
				item.Choices = append(item.Choices, full(fmt.Sprintf("%d番目の選択枝Abcdefghijklmnop", j+1), 50))
			}
		}
		p.Survey.Items = append(p.Survey.Items, item)
	}
	for i := range 10 {
		p.Claim.Lines = append(p.Claim.Lines, &proto.LineItem{Name: full("とても長い品名", 50), Quantity: int64(i), UnitYen: 123456, Yen: 299999999})
	}
	return p
}

// screenOnly is the voucher with an end of its time on a screen.
func screenOnly(v *proto.Voucher) *proto.Voucher {
	v = pb.CloneOf(v)
	v.ShownUntil = at(2026, 11, 22, 12, 34, 0)
	return v
}
