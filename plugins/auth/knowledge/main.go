// Knowledge is the identity module for what a person knows: date of birth, name in kana, customer number, phone,
// postcode, passcode, and what the sender's own label asks for. It keeps nothing and compares nothing: it gives canonical forms, which the host hashes under the
// tenant's key when a message is registered and again when somebody answers. Both sides must therefore stay the same
// from one version to the next: a change of a form locks out everybody who was registered before.
//
// Nothing that was typed appears in an error or a log.
package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/auth/knowledge/kana"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

func main() { sdk.Serve(module()) }

func module() sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name:           "knowledge",
			Vendor:         "Kakitome",
			Version:        "0.1.0",
			Kind:           proto.Kind_AUTH,
			MaxConcurrency: 64,
			AuthFields:     fields,
		},
		Auth: knowledge{},
	}
}

// fields are what can be asked. one_in is meant for somebody who knows how such answers are spread: guess.go says where each is
// from.
var fields = []*proto.AuthField{
	{Name: "birth_date", LabelJa: "生年月日", LabelEn: "Date of birth", HintJa: "例）19980101", HintEn: "e.g. 19980101", InputMode: "numeric", Autocomplete: "bday", MaxLength: 30, OneIn: 15_000,
		FormJa: "西暦8桁の数字（例：19980101）か、和暦（例：平成10年1月1日）でご入力ください。", FormEn: "Please enter eight digits: year, month, day (19980101)."},
	{Name: "kana_name", LabelJa: "お名前（カナ）", LabelEn: "Name in katakana", HintJa: "例）ヤマダ ハナコ", HintEn: "e.g. ヤマダ ハナコ", InputMode: "text", Autocomplete: "off", MaxLength: 60, Levels: []string{"L2", "L1", "L3"}, OneIn: 2_000,
		FormJa: "カタカナでご入力ください（例：ヤマダ ハナコ）。漢字や英字だけでは確認できません。", FormEn: "Please enter the name in katakana (ヤマダ ハナコ).",
		Parts: []*proto.AuthPart{
			{LabelJa: "姓", LabelEn: "Family name", HintJa: "例）ヤマダ", HintEn: "e.g. ヤマダ", Autocomplete: "off", MaxLength: 30},
			{LabelJa: "名", LabelEn: "Given name", HintJa: "例）タロウ", HintEn: "e.g. タロウ", Autocomplete: "off", MaxLength: 30},
		}},
	{Name: "customer_number", LabelJa: "お客様番号", LabelEn: "Customer number", HintJa: "お手元の書面に記載の番号をご入力ください", HintEn: "As printed on your letter or bill", InputMode: "text", Autocomplete: "off", MaxLength: 40, OneIn: 1_000,
		FormJa: "書面に記載のとおりにご入力ください。", FormEn: "Please enter it as printed."},
	{Name: "phone", LabelJa: "携帯電話番号", LabelEn: "Mobile phone number", HintJa: "例）09012345678", HintEn: "e.g. 09012345678", InputMode: "tel", Autocomplete: "tel", MaxLength: 20, OneIn: 1_000,
		FormJa: "060・070・080・090から始まる11桁の数字でご入力ください。", FormEn: "Please enter eleven digits that begin with 060, 070, 080 or 090."},
	{Name: "postcode", LabelJa: "郵便番号", LabelEn: "Postcode", HintJa: "例）1000001", HintEn: "e.g. 1000001", InputMode: "numeric", Autocomplete: "postal-code", MaxLength: 10, OneIn: 20,
		FormJa: "7桁の数字でご入力ください。", FormEn: "Please enter seven digits."},
	{Name: "passcode", LabelJa: "暗証番号", LabelEn: "Passcode", HintJa: "事前にお知らせした暗証番号をご入力ください", HintEn: "As given to you beforehand", InputMode: "text", Autocomplete: "off", MaxLength: 40, Levels: []string{oneDash}, OneIn: 1_000,
		FormJa: "お知らせしたとおりにご入力ください。", FormEn: "Please enter it as it was given to you."},
	{Name: "free", LabelJa: "確認のための質問", LabelEn: "A question to confirm", OwnLabel: true, InputMode: "text", Autocomplete: "off", MaxLength: 64, Levels: []string{oneDash},
		FormJa: "使用できない文字が含まれています。", FormEn: "There is a character that cannot be used."},
}

var kanaLevels = map[string]kana.Level{"": kana.Small, "L1": kana.Width, "L2": kana.Small, "L3": kana.Reading}

// oneDash is the level of passcodes and words at which all dashes are one. Those without a level were registered before there was it,
// and keep their form.
const oneDash = "D1"

// maxItems is the largest batch of the contract.
const maxItems = 10_000

type knowledge struct {
	proto.UnimplementedAuthServer
}

// Canonical gives one form per item, in order; an item that cannot be read has an error of class INVALID in its place.
func (knowledge) Canonical(ctx context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	if len(in.Items) > maxItems {
		return nil, status.Errorf(codes.InvalidArgument, "%d items: at most %d are taken at once", len(in.Items), maxItems)
	}
	var now time.Time
	if t := in.GetCall().GetNow(); t != nil {
		now = t.AsTime()
	}
	forms := make([]*proto.CanonicalForm, len(in.Items))
	for i, item := range in.Items {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		forms[i] = canonical(item, now)
	}
	return &proto.CanonicalResponse{Forms: forms}, nil
}

func (knowledge) Challenge(_ context.Context, in *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	return &proto.ChallengeResponse{Error: &proto.Error{
		Class: proto.ErrorClass_NOT_SUPPORTED, Code: "no_challenge", Message: "what a person knows is registered, not sent", Field: in.Field,
	}}, nil
}

func canonical(item *proto.CanonicalItem, now time.Time) *proto.CanonicalForm {
	refuse := func(code, message string) *proto.CanonicalForm {
		return &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: code, Message: message, Field: item.Field}}
	}
	level, known := kanaLevels[item.Level]
	switch item.Field {
	case "kana_name":
	case "passcode", "free":
		known = item.Level == "" || item.Level == oneDash
	default:
		known = item.Level == ""
	}
	if !known {
		return refuse("unknown_level", "this field has no such level")
	}
	var form string
	var err error
	switch item.Field {
	case "birth_date":
		form, err = canonicalDate(item.Value, now)
	case "kana_name":
		form, err = kana.Canonical(item.Value, level)
	case "customer_number":
		form, err = canonicalCustomerNumber(item.Value)
	case "phone":
		form, err = canonicalPhone(item.Value)
	case "postcode":
		form, err = canonicalPostcode(item.Value)
	case "passcode":
		form, err = canonicalPasscode(item.Value)
	case "free":
		form, err = canonicalFree(item.Value)
	default:
		return refuse("unknown_field", "there is no such field")
	}
	if err != nil {
		return refuse("not_readable", err.Error())
	}
	if item.Level == oneDash {
		form = plainDashes(form)
	}
	return &proto.CanonicalForm{Form: form, OneIn: oneIn(item.Field, form)}
}
