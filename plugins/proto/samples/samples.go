// Package samples has models of pages and documents with everything that any of them may need, of nobody in particular: a renderer that
// fails at one fails at what recipients get. Package conformance asks a module for them, and the engine before a tenant's is chosen.
package samples

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// Page is a page of any view, as of now.
func Page(view proto.View, lang string, now time.Time) *proto.Page {
	due := timestamppb.New(now.AddDate(0, 0, 14))
	stores := []*proto.Store{{Code: "store_a", LabelJa: "コンビニA", LabelEn: "Store A"}}
	return &proto.Page{
		View: view, Lang: lang, Title: "ご請求のお知らせ（見本）", Lead: "表示を確認するための見本です。", Closing: "よろしくお願いいたします。",
		Brand:       &proto.Brand{Name: "〇〇県水道局", Color: "#114488", Phone: "000-000-0000", PhoneLink: "0000000000", Hours: "9:00-17:00"},
		Rows:        []*proto.Row{{Item: "お客様番号", Value: "00123"}},
		Fields:      []*proto.FormField{{Name: "birth_date", Label: "生年月日", Hint: "例）19980101", InputMode: "numeric", Autocomplete: "bday", MaxLength: 20}},
		PhoneMasked: "080-****-9008", Digits: 6, ValidMinutes: 5, LinkExpires: due,
		Survey: &proto.Survey{Lead: "アンケート", Items: []*proto.SurveyItem{{Name: "q1", Title: "ご都合", Type: proto.SurveyItem_RADIO, Choices: []string{"はい", "いいえ"}}}},
		Claim: &proto.Claim{Number: "C-0001", Yen: 4400, TaxYen: 400, Due: due, Lines: []*proto.LineItem{{Name: "水道料金", Quantity: 1, UnitYen: 4400, Yen: 4400}},
			PaidAtStore: "コンビニA", PaidAt: timestamppb.New(now), ReceiptNumber: "R-0001"},
		Methods:      []*proto.MethodChoice{{Code: "konbini_number", Label: "コンビニ払い", Stores: stores}},
		Voucher:      &proto.Voucher{PaymentNumber: "12345678901", ConfirmationNumber: "1234", Stores: stores, Expires: due},
		RedirectHost: "pay.example.com",
		No:           "20261122000012345",
		Message:      "もう一度お試しください。",
		MayDisown:    true, About: "/s/tenant",
		Promise: &proto.Promise{}, ClaimMenu: true,
		Entries: []*proto.Entry{{Name: "01M80PYPYK9JPV5YF8YH5F691F", Title: "ご請求のお知らせ", Sent: timestamppb.New(now)}},
	}
}

// Document is a document of any kind, of now. It says that it is a sample.
func Document(kind proto.DocumentKind, lang string, now time.Time) *proto.Document {
	p, at := Page(proto.View_INFO, lang, now), timestamppb.New(now)
	return &proto.Document{
		Kind: kind, Lang: lang, Title: p.Title, Lead: p.Lead, Rows: p.Rows, Closing: p.Closing, Claim: p.Claim, Created: at,
		Issuer: &proto.Issuer{Name: p.Brand.Name, Address: "〇〇県〇〇市〇〇町1-1", Phone: p.Brand.Phone, RegistrationNumber: "T0000000000000"},
		Receipt: &proto.Receipt{Number: "000000000001", Issued: at, Paid: at, PayerName: "見本 太郎", MethodLabel: "コンビニ払い",
			Store: "コンビニA", AgentReceiptNumber: "26112200000001"},
		Certificate: &proto.Certificate{Parts: []*proto.CertificatePart{{Title: "SMS", Steps: []*proto.CertificateStep{{Number: 1, At: at, What: "SMS受付", Digest: "0123456789abcdef"}}}},
			Proof: p.Rows, Notes: []string{p.Closing}},
		Voucher: &proto.Voucher{Barcode: "91912345000000000000004520875004013100295004", Expires: at}, PayerName: "見本 太郎",
		Invoice: &proto.Invoice{Number: "1", Issued: at, Addressee: "見本 太郎", Yen: 4400, Lines: []*proto.InvoiceLine{{Name: "水道料金", Quantity: 1, UnitYen: 4400, Yen: 4400, Rate: 10}},
			Taxes: []*proto.InvoiceTax{{Rate: 10, Yen: 4400, TaxYen: 400}}},
		MeterReading: &proto.MeterReading{Name: "見本 太郎", Read: at, Yen: 4400, TaxYen: 400, Values: []*proto.MeterValue{{Unit: "m3", Previous: "638", Current: "682", Usage: "44"}},
			Months: []*proto.MeterMonth{{Label: "9月分", Usage: "40"}}},
	}
}
