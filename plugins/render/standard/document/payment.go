package document

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// The symbol on paper. 標準料金代理収納 allows a bar field of 60 mm with its quiet zones, that is 0.194 mm a module, and 10 mm of height at least; a
// printer of 300 dots an inch has 0.085 mm a dot.
const (
	module    = 0.19 // mm
	barHeight = 16.0 // mm
)

// paymentSheet is a sheet that is paid with at a store: whom, how much, until when, and the barcode or the number. It prints
// on plain paper in black and white. The part that the clerk scans stands apart from what the payer keeps to read. on may be
// nil for a PDF.
func paymentSheet(d *proto.Document, on paper) (*sheet, *proto.Error) {
	switch {
	case d.Claim == nil || d.Voucher.GetBarcode() == "" && d.Voucher.GetPaymentNumber() == "":
		return nil, invalid("voucher", "a payment sheet needs the claim, and a number or barcode")
	case d.Created == nil:
		return nil, invalid("created", "a document needs its date")
	case d.Issuer.GetName() == "":
		return nil, invalid("issuer.name", "a document needs its issuer")
	}
	lang := wording.Of(d.Lang)
	c, v := d.Claim, d.Voucher
	title := lang.Say("お支払いシート", "Payment sheet")
	if on == nil {
		on = newPDF(title+" "+c.Number, d.Issuer.Name, string(lang), d.Created.AsTime())
	}
	s := &sheet{fit: usual, pdf: on, y: margin}

	s.size(20)
	s.bold(func() { s.centred(s.y, title) })
	s.y += s.line() + 2
	s.aside(append([]string{lang.Date(d.Created)}, issuer(lang, d.Issuer)...))
	s.space(2)
	if d.PayerName != "" {
		s.size(15)
		for _, l := range s.wrap(addressed(lang, d.PayerName), width*0.75) {
			s.write(margin, s.y, l)
			s.y += s.line()
		}
		s.space(3)
	}
	if d.Lead != "" {
		s.paragraph(body, wording.Spelled(d.Lead))
		s.space(3)
	}
	s.amount(lang, c)

	until := v.Expires
	if until == nil {
		until = c.Due
	}
	var facts [][]string
	facts = add(facts, lang.Say("内容", "For"), d.Title)
	facts = add(facts, lang.Say("お支払い期限", "Pay by"), lang.Until(until))
	facts = add(facts, lang.Say("請求番号", "Claim no."), c.Number)
	s.facts(append(facts, rows(d.Rows)...))

	if err := s.voucher(lang, v, c, until); err != nil {
		return nil, invalid("voucher.barcode", err.Error())
	}
	s.lines(lang, c)
	s.said(lang, wording.Spelled(d.Closing))
	return s, nil
}

// said draws the sender's message to this payer in a frame of its own: on this page where it fits, else on pages of its own.
func (s *sheet) said(lang wording.Lang, text string) {
	if text == "" {
		return
	}
	const inset = 3.0 // mm
	label := lang.Say("お知らせ", "From us")
	s.space(4)
	s.size(small)
	lines := s.wrap(text, width-2*inset)
	height := float64(len(lines)+1)*s.line() + 2*inset
	if height > bottom-margin {
		s.tableOf(small, []column{{width: width}}, []string{label}, [][]string{{text}})
		return
	}
	s.need(height)
	s.pdf.Rect(margin, s.y, width, height, "D")
	s.y += inset
	s.bold(func() { s.write(margin+inset, s.y, label) })
	for _, l := range lines {
		s.y += s.line()
		s.write(margin+inset, s.y, l)
	}
	s.y += s.line() + inset
}

// voucher draws the framed part that is used at the store.
func (s *sheet) voucher(lang wording.Lang, v *proto.Voucher, c *proto.Claim, until *timestamppb.Timestamp) error {
	const inset, columns = 6.0, 60.0 // mm
	height := 62.0
	if v.Barcode != "" {
		height = 49
	}
	s.space(2)
	s.need(height + 4)
	top := s.y
	s.pdf.Rect(margin, top, width, height, "D")
	s.y = top + 4
	s.size(body)
	if v.Barcode != "" {
		bars, err := gs1128.Encode(v.Barcode)
		if err != nil {
			return err
		}
		s.bold(func() {
			s.write(margin+inset, s.y, lang.Say("コンビニエンスストアお支払い用バーコード", "Barcode for the store"))
		})
		s.y += s.line() + 3
		left := margin + inset + gs1128.Quiet*module
		s.symbol(left, bars)
		x := margin + width - inset - columns
		s.size(small)
		s.write(x, s.y, lang.Say("お支払い金額", "To pay"))
		s.size(16)
		s.bold(func() { s.write(x, s.y+5, lang.Yen(c.Yen)) })
		s.size(small)
		s.write(x, s.y+14, lang.Say("お支払い期限", "Pay by"))
		s.write(x, s.y+19, lang.Until(until))
		s.y += barHeight + 1.5
		first, second := gs1128.Human(v.Barcode)
		s.size(small)
		s.write(left, s.y, first)
		s.write(left, s.y+s.line(), second)
		s.y += 2*s.line() + 2
		s.write(margin+inset, s.y, lang.Say("このシートをレジでご提示ください。折り目や汚れがあると読み取れないことがあります。",
			"Show this sheet at the till. A fold or a stain may keep it from being read."))
	} else {
		number := func(label, value string) {
			if value == "" {
				return
			}
			s.size(body)
			s.write(margin+inset, s.y+2, label)
			s.size(20)
			s.bold(func() { s.write(margin+inset+40, s.y, value) })
			s.y += s.line() + 1
		}
		s.bold(func() {
			s.write(margin+inset, s.y, lang.Say("コンビニエンスストアお支払い用番号", "Number for the store"))
		})
		s.y += s.line() + 3
		number(lang.Say("お支払い番号", "Payment no."), v.PaymentNumber)
		number(lang.Say("確認番号", "Confirmation no."), v.ConfirmationNumber)
		number(lang.Say("お支払い金額", "To pay"), lang.Yen(c.Yen))
		s.size(small)
		s.write(margin+inset, s.y+2, lang.Say("店内の端末に番号を入力するか、レジで番号をお伝えください。", "Enter the number at the store's terminal or tell it at the till."))
	}
	s.y = top + height
	s.size(small)
	s.space(2)
	if len(v.Stores) > 0 {
		names := ""
		for i, st := range v.Stores {
			if i > 0 {
				names += lang.Say("、", ", ")
			}
			names += lang.Say(st.LabelJa, st.LabelEn)
		}
		s.paragraph(small, lang.Say("お支払いいただける店舗：%s", "Where to pay: %s", names))
	}
	s.paragraph(small, lang.Say("※お支払い後にレジでお渡しする控えを保管してください。二重にお支払いにならないようご注意ください。",
		"Keep the slip that the till gives you. Please do not pay twice."))
	return nil
}
