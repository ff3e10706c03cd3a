package page

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

const defaultColor = "#1a4f8b"

// LogoPath is below what logos lie on the host of links and on the console's.
const LogoPath = "/logos/"

// View is a view of the tenant without content: what may be seen before anybody was identified. lang is "ja" or "en".
// t may be nil for GONE, which says nothing of anybody.
func View(t *tenant.Tenant, view proto.View, lang string) *proto.Page {
	p := &proto.Page{View: view, Lang: lang}
	if t == nil || view == proto.View_GONE {
		p.Brand = &proto.Brand{Color: defaultColor}
		return p
	}
	p.Brand = &proto.Brand{
		Name: valid(t.Name), Color: t.Brand.Color,
		Phone: valid(t.Brand.Phone), PhoneLink: dial(t.Brand.Phone), Hours: valid(t.Brand.HoursIn(lang)), Note: valid(t.Brand.NoteIn(lang)),
	}
	if l := t.Brand.Logo; l != nil {
		p.Brand.Logo, p.Brand.LogoWidth, p.Brand.LogoHeight = LogoPath+l.Name, uint32(l.Width), uint32(l.Height)
	}
	if lang == "en" && t.NameEN != "" {
		p.Brand.Name = valid(t.NameEN)
	}
	if p.Brand.Color == "" {
		p.Brand.Color = defaultColor
	}
	p.About = t.PublicPath()
	return p
}

// SetNotice puts what the tenant says on the page before the questions. t may be nil. {yesterday} in it stands for the day before
// sent, when the message went out; zero: now.
func SetNotice(p *proto.Page, t *tenant.Tenant, sent time.Time) {
	if t == nil {
		return
	}
	notice := t.PrePage.Notice
	if p.Lang == "en" && t.PrePage.NoticeEN != "" {
		notice = t.PrePage.NoticeEN
	}
	if strings.Contains(notice, yesterday) {
		if sent.IsZero() {
			sent = clock.Now()
		}
		notice = strings.ReplaceAll(notice, yesterday, message.Yesterday(sent))
	}
	p.Lead = valid(notice)
}

// NoticeHasDay reports whether SetNotice needs to know when the message went out.
func NoticeHasDay(t *tenant.Tenant) bool {
	return t != nil && (strings.Contains(t.PrePage.Notice, yesterday) || strings.Contains(t.PrePage.NoticeEN, yesterday))
}

const yesterday = "{yesterday}"

// SetContent puts what the sender wrote into the page. The survey is not answered yet.
func SetContent(p *proto.Page, c *message.Content) {
	p.Title, p.Lead, p.Closing = valid(c.Page.Title), valid(c.Page.Lead), valid(c.Page.Closing)
	p.Rows = rows(c.Page.Rows)
	p.Addressee, p.Period = valid(c.Page.Addressee), valid(c.Page.Period)
	if contact := c.Page.Contact; contact != nil {
		if contact.Name != "" {
			p.Brand.Name = valid(contact.Name)
		}
		if contact.Phone != "" {
			p.Brand.Phone, p.Brand.PhoneLink = valid(contact.Phone), dial(contact.Phone)
		}
		if contact.Hours != "" {
			p.Brand.Hours = valid(contact.Hours)
		}
	}
	if c.Page.Survey != nil {
		p.Survey = survey(c.Page.Survey)
	}
}

func rows(in []message.Row) []*proto.Row {
	out := make([]*proto.Row, len(in))
	for i, r := range in {
		out[i] = &proto.Row{Item: valid(r.Item), Value: valid(r.Value)}
	}
	return out
}

// ItemName is the form control of the i-th item of a survey.
func ItemName(i int) string { return fmt.Sprintf("q%d", i) }

func survey(s *message.Survey) *proto.Survey {
	out := &proto.Survey{Lead: valid(s.Lead), Items: make([]*proto.SurveyItem, len(s.Items))}
	for i, it := range s.Items {
		item := &proto.SurveyItem{Name: ItemName(i), Title: valid(it.Title), Required: it.Required}
		switch it.Type {
		case "radio":
			item.Type = proto.SurveyItem_RADIO
		case "check":
			item.Type = proto.SurveyItem_CHECK
		default:
			item.Type = proto.SurveyItem_TEXT
		}
		for _, choice := range it.Choices {
			item.Choices = append(item.Choices, valid(choice))
		}
		out.Items[i] = item
	}
	return out
}

// Answers is what was answered to a survey: by the index of the item, the choices or the text.
type Answers map[int][]string

// SetAnswers shows what was answered; answered: it is final.
func SetAnswers(p *proto.Page, a Answers, answered bool) {
	if p.Survey == nil {
		return
	}
	p.Survey.Answered = answered
	for i, item := range p.Survey.Items {
		for _, v := range a[i] {
			item.Answer = append(item.Answer, valid(v))
		}
	}
}

// Faults are what is wrong with answers that were refused, by the index of the item.
type Faults map[int]*proto.SurveyFault

// SetFaults says why nothing of the survey was taken. No faults: nothing was answered.
func SetFaults(p *proto.Page, f Faults) {
	if p.Survey == nil {
		return
	}
	p.Survey.Empty = len(f) == 0
	for i, item := range p.Survey.Items {
		item.Fault = f[i]
	}
}

// ClaimOf is a claim as a message asks for it, before anything was paid.
func ClaimOf(c *message.Claim) *proto.Claim {
	out := &proto.Claim{Number: c.Number, Yen: c.Amount, TaxYen: c.TaxYen()}
	if due, err := c.DueTime(); err == nil {
		out.Due = timestamppb.New(due)
	}
	out.Lines, out.Taxes = payment.LineItems(c.Lines), payment.RateTotals(c.Lines, c.TaxRate, c.Amount, out.TaxYen)
	return out
}

// Notice is the page's own content as a PDF. created is the time of the content: the same content gives the same bytes.
func Notice(t *tenant.Tenant, c *message.Content, claim *proto.Claim, lang string, created time.Time) *proto.Document {
	return &proto.Document{
		Kind: proto.DocumentKind_NOTICE, Lang: lang, Issuer: Issuer(t), Logo: t.Brand.LogoPNG(),
		Title: valid(c.Page.Title), Lead: valid(c.Page.Lead), Rows: rows(c.Page.Rows), Closing: valid(c.Page.Closing),
		Claim: claim, Created: timestamppb.New(created), PayerName: valid(c.Page.Addressee), Period: valid(c.Page.Period),
	}
}

// SheetWords are what a payment sheet says beside the claim; each may be empty.
type SheetWords struct {
	Title string
	Payer string           // name
	Said  string           // the sender's message to this payer
	Kind  proto.MethodKind // PAYER_NUMBER: the sheet says that the number is the payer's own
}

// PaymentSheet is a claim's number or barcode on a sheet to print. created is when it was issued: the same claim and voucher
// give the same bytes.
func PaymentSheet(t *tenant.Tenant, words SheetWords, claim *proto.Claim, v *proto.Voucher, lang string, created time.Time) *proto.Document {
	d := &proto.Document{
		Kind: proto.DocumentKind_PAYMENT_SHEET, Lang: lang, Issuer: Issuer(t), Logo: t.Brand.LogoPNG(), Title: valid(words.Title), PayerName: valid(words.Payer), Closing: valid(words.Said),
		Claim: claim, Voucher: v, Created: timestamppb.New(created),
	}
	if words.Kind == proto.MethodKind_PAYER_NUMBER {
		d.Lead = "お支払い番号は、お客様専用の番号です。次回からのお支払いにもそのままお使いいただけます。ほかのご請求があるときは、店舗でお支払いになるご請求をお選びください。"
		if lang == "en" {
			d.Lead = "The payment number is your own: it serves for later bills too. Where there are other bills, choose at the store which one you pay."
		}
	}
	return d
}

// Barcode is a voucher's symbol alone.
func Barcode(t *tenant.Tenant, v *proto.Voucher, created time.Time) *proto.Document {
	return &proto.Document{Kind: proto.DocumentKind_BARCODE, Issuer: Issuer(t), Voucher: v, Created: timestamppb.New(created)}
}

// Issuer is who signs the tenant's documents.
func Issuer(t *tenant.Tenant) *proto.Issuer {
	i := &proto.Issuer{Name: t.Issuer.Name, Address: t.Issuer.Address, Phone: t.Issuer.Phone, RegistrationNumber: t.Issuer.Registered()}
	if i.Name == "" {
		i.Name = t.Name
	}
	if i.Phone == "" {
		i.Phone = t.Brand.Phone
	}
	return i
}

// valid is text that the contract can carry.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// dial gives the characters to dial of a phone number as it is shown.
func dial(phone string) string {
	return strings.Map(func(r rune) rune {
		if (r >= '0' && r <= '9') || r == '+' {
			return r
		}
		return -1
	}, phone)
}
