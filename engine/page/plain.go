package page

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"slices"

	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

//go:embed plain.html
var plainText string

// plainPages draw every view without a renderer, one template a language: everything can be done there, and nothing is
// pretty.
var plainPages = map[string]*template.Template{"ja": plainTemplate("ja"), "en": plainTemplate("en")}

var headings = map[proto.View][2]string{
	proto.View_LANDING:        {"お知らせ", "A notice for you"},
	proto.View_IDENTIFY:       {"ご本人の確認", "Confirm that it is you"},
	proto.View_CODE:           {"認証番号の入力", "Enter the code"},
	proto.View_INFO:           {"ご案内", "Notice"},
	proto.View_CHECKOUT:       {"お支払い内容の確認", "Check the payment"},
	proto.View_VOUCHER:        {"お支払い番号のご案内", "Payment number"},
	proto.View_REDIRECT:       {"決済会社のページへの移動", "To the payment page"},
	proto.View_RETURNED:       {"お手続き結果の確認", "See the result"},
	proto.View_WAITING:        {"お支払いの確認中です", "Checking the payment"},
	proto.View_ACCEPTED:       {"お支払情報（受付）", "Payment received"},
	proto.View_CONFIRMED_VIEW: {"お支払情報（確定）", "Payment confirmed"},
	proto.View_LOCKED:         {"入力できる回数を超えました", "Too many tries"},
	proto.View_EXPIRED_VIEW:   {"有効期限が過ぎました", "This page has expired"},
	proto.View_GONE:           {"ページが見つかりません", "Page not found"},
	proto.View_STRANGER:       {"お心当たりのない方へ", "Not for you?"},
	proto.View_STOPPED:        {"送信を停止しました", "The messages are stopped"},
	proto.View_ABOUT:          {"SMSの見分け方", "How to tell our messages"},
	proto.View_ANSWERED:       {"ご回答ありがとうございました", "Thank you for your answer"},
	proto.View_MENU:           {"お知らせの一覧", "Your notices"},
	proto.View_CLAIM_MENU:     {"お支払いのご案内", "Your payment"},

	proto.View_REGISTERED_VIEW: {"口座振替のお申し込み完了", "Registered for direct debit"},
}

// strangerViews have the link for whom the message is not for.
var strangerViews = []proto.View{proto.View_LANDING, proto.View_IDENTIFY, proto.View_CODE, proto.View_INFO, proto.View_CLAIM_MENU, proto.View_LOCKED, proto.View_EXPIRED_VIEW}

// issuedKinds are paid with a number or barcode that is issued for each claim.
var issuedKinds = []proto.MethodKind{proto.MethodKind_KONBINI_NUMBER, proto.MethodKind_KONBINI_BARCODE, proto.MethodKind_PAY_EASY}

func plainTemplate(lang string) *template.Template {
	say := func(ja, en string) string {
		if lang == "en" {
			return en
		}
		return ja
	}
	return template.Must(template.New("plain").Funcs(template.FuncMap{
		"say":      say,
		"view":     func(v proto.View) string { return v.String() },
		"stranger": func(v proto.View) bool { return slices.Contains(strangerViews, v) },
		"segment":  url.PathEscape,
		"store":    func(s *proto.Store) string { return cmp.Or(say(s.LabelJa, s.LabelEn), s.LabelJa, s.Code) },
		"issued":   func(k proto.MethodKind) bool { return slices.Contains(issuedKinds, k) },
		"given":    func(item *proto.SurveyItem, choice string) bool { return slices.Contains(item.Answer, choice) },
		"heading": func(p *proto.Page) string {
			h, ok := headings[p.View]
			switch shown := p.View == proto.View_VOUCHER; {
			case !ok:
				h = [2]string{"画面を表示できません", "The page cannot be shown"}
			case shown && p.Voucher.GetAccount() != nil:
				h = [2]string{"お振込先のご案内", "Where to transfer the money"}
			case shown && p.Voucher.GetInstitution() != "":
				h = [2]string{"ペイジーでのお支払い", "Pay by Pay-easy"}
			}
			return say(h[0], h[1])
		},
		"yen":    func(n int64) string { return message.Yen(n, lang) },
		"day":    func(ts *timestamppb.Timestamp) string { return message.Day(ts.AsTime()) },
		"moment": func(ts *timestamppb.Timestamp) string { return message.Moment(ts.AsTime(), lang) },
	}).Parse(plainText))
}

// plain draws a page by the host's own template. It goes through the same check as a renderer's, and what it says is not
// the host's alone: an error tells that this page cannot be shown.
func plain(m *proto.Page) (*HTML, error) {
	t, ok := plainPages[m.Lang]
	if !ok {
		t = plainPages["ja"]
	}
	if m.Brand == nil {
		m = pb.CloneOf(m) // others may be reading it
		m.Brand = &proto.Brand{}
	}
	var b bytes.Buffer
	if err := t.Execute(&b, m); err != nil {
		return nil, fmt.Errorf("draw a plain page: %w", err)
	}
	style, err := check(b.Bytes())
	if err != nil {
		return nil, err
	}
	h := split(b.Bytes(), style)
	h.Plain = true
	return h, nil
}
