// Otp_sms is the identity module for a one-time code by SMS. It mints the code and writes the text; the host sends it
// to the message's own number, keeps the keyed hash, counts tries and lets it expire. Nothing of it is kept here.
//
// The text fits one segment (70 UTF-16 units; 160 of GSM 7 bit, in which English is sent), so that no code arrives in halves, or two where
// the host allows two:
//
//	「1234」お客様の認証番号です。5分間有効です。他の方に教えないでください。〇〇県水道局
//	@pay.example.jp #1234
//
// The last line binds the code to the page's host: a phone fills the code in by itself, and on that host alone
// (https://wicg.github.io/sms-one-time-codes/). That is worth more than words: where a host is given they become as short as the line needs,
// down to the sender's name, the code and how long it is valid. The line is left out only when the shortest leave no room for it. The name
// is cut only when the shortest are too long without it.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

func main() { sdk.Serve(module()) }

func module() sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name:           "otp_sms",
			Vendor:         "Kakitome",
			Version:        "0.1.0",
			Kind:           proto.Kind_AUTH,
			MaxConcurrency: 64,
			AuthFields: []*proto.AuthField{{
				Name: field, LabelJa: "認証番号", LabelEn: "Verification code",
				HintJa: "SMSでお送りした番号をご入力ください", HintEn: "The number that we sent you by SMS",
				InputMode: "numeric", Autocomplete: "one-time-code", MaxLength: 16, Challenge: true,
			}},
		},
		Auth: otp{},
	}
}

const (
	field     = "code"
	minDigits = 4
	maxDigits = 8
	minValid  = time.Minute
	maxValid  = time.Hour
)

type otp struct {
	proto.UnimplementedAuthServer
}

// Challenge mints a code and its text.
func (otp) Challenge(_ context.Context, in *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	refuse := func(code, message, at string) (*proto.ChallengeResponse, error) {
		return &proto.ChallengeResponse{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: code, Message: message, Field: at}}, nil
	}
	if in.Field != field {
		return refuse("unknown_field", "there is no such field", in.Field)
	}
	if in.Digits < minDigits || in.Digits > maxDigits {
		return refuse("digits", fmt.Sprintf("%d digits: 4 to 8 are possible", in.Digits), "digits")
	}
	valid := in.ValidFor.AsDuration()
	if valid < minValid || valid > maxValid {
		return refuse("valid_for", fmt.Sprintf("valid for %v: 1 minute to 1 hour is possible", valid), "valid_for")
	}
	name := oneLine(in.SenderName)
	if name == "" {
		return refuse("sender_name", "the sender's name is missing", "sender_name")
	}
	if in.LinkHost != "" && !hostname.MatchString(in.LinkHost) {
		return refuse("link_host", "not a host name in ASCII letters", "link_host")
	}
	code, err := mint(int(in.Digits))
	if err != nil {
		return nil, fmt.Errorf("mint a code: %w", err)
	}
	return &proto.ChallengeResponse{Answer: code, Text: text(code, int(valid/time.Minute), name, in.LinkHost, in.Segments, in.Lang)}, nil
}

var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// mint gives n random digits, each equally likely.
func mint(n int) (string, error) {
	limit := big.NewInt(1)
	for range n {
		limit.Mul(limit, big.NewInt(10))
	}
	v, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", n, v), nil
}

// fallbacks are the words around code and minutes by language, from the fullest to the shortest. The last leave room for a name.
var fallbacks = map[string][]string{"ja": {
	"「%s」お客様の認証番号です。認証番号は%d分間有効です。他の方と共有することはお控えください。",
	"「%s」お客様の認証番号です。%d分間有効です。他の方に教えないでください。",
	"「%s」認証番号です（%d分間有効）。他の方に教えないでください。",
	"「%s」お客様の認証番号です。%d分間有効です。",
	"「%s」認証番号（%d分間有効）",
}, "en": {
	"%s is your verification code for %d minutes. Do not share it. ",
	"%s is your code for %d minutes. Do not share it. ",
	"%s is your code (%d min). ",
}}

// text is the SMS for code: the fullest words that leave room for the bound line, else the fullest that fit without it.
func text(code string, minutes int, name, host string, segments uint32, lang string) string {
	words, ok := fallbacks[lang]
	if !ok {
		words = fallbacks["ja"]
	}
	if host != "" {
		bound := "\n@" + host + " #" + code
		for _, w := range words {
			if s := fmt.Sprintf(w, code, minutes) + name + bound; parts(s) <= max(1, min(int(segments), 2)) {
				return s
			}
		}
	}
	for _, w := range words {
		if s := fmt.Sprintf(w, code, minutes) + name; parts(s) == 1 {
			return s
		}
	}
	return cut(fmt.Sprintf(words[len(words)-1], code, minutes), name)
}

// cut shortens a name behind words to what fits one segment, with … at its end, which a text of GSM 7 bit has no room for.
func cut(words, name string) string {
	end := "…"
	if gsm(words + name) {
		end = "..."
	}
	short := words + end
	for i, r := range name {
		longer := words + name[:i] + string(r) + end
		if parts(longer) > 1 {
			break
		}
		short = longer
	}
	return short
}

// parts counts the segments that s is sent in: in GSM 7 bit where it has all letters, else in UCS-2. No letter is split between two.
func parts(s string) int {
	alone, each, units := 70, 67, utf16.RuneLen
	if gsm(s) {
		alone, each, units = 160, 153, func(r rune) int { return gsmUnits[r] }
	}
	n, used, all := 1, 0, 0
	for _, r := range s {
		u := units(r)
		if all += u; used+u > each {
			n, used = n+1, 0
		}
		used += u
	}
	if all <= alone {
		return 1
	}
	return n
}

// The letters of GSM 7 bit (3GPP TS 23.038 §6.2.1); those of its extension take two units.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmMore  = "\f^{}\\[~]|€"
)

var gsmUnits = func() map[rune]int {
	units := map[rune]int{}
	for _, r := range gsmBasic {
		units[r] = 1
	}
	for _, r := range gsmMore {
		units[r] = 2
	}
	return units
}()

// gsm reports whether s has no other letters.
func gsm(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return gsmUnits[r] == 0 })
}

// oneLine keeps a name from adding lines of its own: the last line is what a phone reads.
func oneLine(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}), " ")
}

// Canonical folds full-width digits and drops spaces.
func (otp) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	forms := make([]*proto.CanonicalForm, len(in.Items))
	for i, item := range in.Items {
		forms[i] = canonical(item)
	}
	return &proto.CanonicalResponse{Forms: forms}, nil
}

func canonical(item *proto.CanonicalItem) *proto.CanonicalForm {
	refuse := func(code, message string) *proto.CanonicalForm {
		return &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: code, Message: message, Field: item.Field}}
	}
	if item.Field != field {
		return refuse("unknown_field", "there is no such field")
	}
	if item.Level != "" {
		return refuse("unknown_level", "this field has no such level")
	}
	if len(item.Value) > 64 {
		return refuse("not_readable", "longer than 64 bytes")
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(item.Value))
	if len(digits) < minDigits || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return refuse("not_readable", "4 to 8 digits are expected")
	}
	return &proto.CanonicalForm{Form: digits}
}
