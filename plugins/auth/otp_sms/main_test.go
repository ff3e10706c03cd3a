package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/smpp/coding"
)

func challenge(t *testing.T, digits uint32, valid time.Duration, name, host string) *proto.ChallengeResponse {
	out, err := otp{}.Challenge(t.Context(), &proto.ChallengeRequest{Field: "code", Digits: digits, ValidFor: durationpb.New(valid), SenderName: name, LinkHost: host})
	require.NoError(t, err)
	return out
}

func TestTextOfACode(t *testing.T) {
	const full, mid, short, said, least = "「123456」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。", "「123456」お客様の認証番号です。5分間有効です。他の方に教えないでください。",
		"「123456」認証番号です（5分間有効）。他の方に教えないでください。", "「123456」お客様の認証番号です。5分間有効です。", "「123456」認証番号（5分間有効）"
	for _, c := range []struct{ lang, name, host, want string }{
		{"ja", "〇〇県水道局", "", full + "〇〇県水道局"},
		{"ja", "〇〇局", "xx.jp", full + "〇〇局\n@xx.jp #123456"},
		{"ja", "〇〇県水道局", "xx.jp", mid + "〇〇県水道局\n@xx.jp #123456"},
		{"ja", "〇〇県水道局", "sms.example.jp", short + "〇〇県水道局\n@sms.example.jp #123456"},
		{"ja", "〇〇県水道局お客様センター", "pay.suido.example.jp", said + "〇〇県水道局お客様センター\n@pay.suido.example.jp #123456"},
		{"ja", "〇〇県〇〇市上下水道局お客様センター〇〇営業所", "sms.example.jp", least + "〇〇県〇〇市上下水道局お客様センター〇〇営業所\n@sms.example.jp #123456"},
		{"ja", "〇〇県〇〇市上下水道局お客様センター〇〇営業所", "pay.suido.example.jp", mid + "〇〇県〇〇市上下水道局お客様センター〇〇営業所"}, // none leaves room for the line
		{"ja", "〇〇県水道局", "sms.customers.waterworks.city.example.lg.jp", full + "〇〇県水道局"},
		{"ja", strings.Repeat("〇", 34), "", short + strings.Repeat("〇", 34)},
		{"ja", strings.Repeat("〇", 40), "", said + strings.Repeat("〇", 40)},
		{"ja", strings.Repeat("〇", 50), "", least + strings.Repeat("〇", 50)},
		{"ja", strings.Repeat("〇", 60), "", least + strings.Repeat("〇", 50) + "…"},
		{"ja", strings.Repeat("𠮷", 60), "", least + strings.Repeat("𠮷", 25) + "…"},
		{"en", "Example Water", "", "123456 is your verification code for 5 minutes. Do not share it. Example Water"},
		{"en", "Example Waterworks Bureau", "sms.customers.waterworks.city.example.lg.jp", "123456 is your verification code for 5 minutes. Do not share it. Example Waterworks Bureau\n@sms.customers.waterworks.city.example.lg.jp #123456"},
		{"en", "〇〇県水道局", "s.example.jp", "123456 is your code (5 min). 〇〇県水道局\n@s.example.jp #123456"},
		{"en", "Example Waterworks Bureau, Customer Service of the Northern District", "sms.customers.waterworks.example.jp", "123456 is your code (5 min). Example Waterworks Bureau, Customer Service of the Northern District\n@sms.customers.waterworks.example.jp #123456"},
		{"en", "〇〇県水道局", "sms.customers.waterworks.example.jp", "123456 is your code for 5 minutes. Do not share it. 〇〇県水道局"},
		{"en", strings.Repeat("W", 140), "", "123456 is your code (5 min). " + strings.Repeat("W", 128) + "..."},
	} {
		require.Equal(t, c.want, text("123456", 5, c.name, c.host, 1, c.lang))
	}
	require.Equal(t, full+"〇〇県水道局\n@pay.suido.example.jp #123456", text("123456", 5, "〇〇県水道局", "pay.suido.example.jp", 2, "ja"), "two segments, where they are allowed")
}

// Lengths are those of what is sent, as smpp/coding counts it.
func TestTextFitsWhatIsSent(t *testing.T) {
	sent := func(s string) int {
		l, err := coding.Measure(s, coding.Options{})
		require.NoError(t, err)
		require.Equal(t, l.Parts, parts(s), s)
		return l.Parts
	}
	for digits := uint32(4); digits <= 8; digits += 2 {
		for n := 1; n < 120; n += 2 {
			for _, r := range []string{"〇", "𠮷", "a", "{", "😀〇"} {
				for _, host := range []string{"", "xx.jp", "pay.example.jp", strings.Repeat("a", 63) + ".example.jp"} {
					name := strings.Repeat(r, n)
					out := challenge(t, digits, 60*time.Minute, name, host)
					require.Nil(t, out.Error)
					require.Equal(t, 1, sent(out.Text), out.Text)
					require.True(t, strings.HasPrefix(out.Text, "「"+out.Answer+"」"), out.Text)
					require.Len(t, out.Answer, int(digits))
					if _, last, ok := strings.Cut(out.Text, "\n"); ok {
						require.Equal(t, "@"+host+" #"+out.Answer, last)
					}
					for lang := range fallbacks {
						require.Equal(t, 1, sent(text(out.Answer, 60, name, host, 1, lang)))
						require.LessOrEqual(t, sent(text(out.Answer, 60, name, host, 2, lang)), 2)
					}
				}
			}
		}
	}
	for _, r := range gsmBasic + gsmMore + "`あ…𠮷" {
		for _, n := range []int{70, 71, 80, 81, 134, 160, 161, 305, 306, 307} {
			sent(strings.Repeat(string(r), n))
			sent("x" + strings.Repeat(string(r), n))
		}
	}
}

func TestCodesDiffer(t *testing.T) {
	seen := map[string]bool{}
	first := map[byte]int{}
	for range 2000 {
		code := challenge(t, 8, 5*time.Minute, "〇〇", "").Answer
		seen[code] = true
		first[code[0]]++
	}
	require.Greater(t, len(seen), 1990, "different ones of 100,000,000 in 2,000")
	for d := byte('0'); d <= '9'; d++ {
		require.InDelta(t, 200, first[d], 100, "codes that start with %c", d)
	}
}

func TestSenderNameCannotAddALine(t *testing.T) {
	out := challenge(t, 4, 5*time.Minute, "〇〇\n@evil.example #0000\r\n\u2028", "")
	require.NotContains(t, out.Text, "\n")
	require.NotContains(t, out.Text, "\u2028")
}

func TestChallengeThatCannotBeIsRefused(t *testing.T) {
	for field, out := range map[string]*proto.ChallengeResponse{
		"digits":      challenge(t, 3, 5*time.Minute, "〇〇", ""),
		"valid_for":   challenge(t, 4, 5*time.Second, "〇〇", ""),
		"sender_name": challenge(t, 4, 5*time.Minute, " \n", ""),
		"link_host":   challenge(t, 4, 5*time.Minute, "〇〇", "example.jp #9999"),
	} {
		require.Equal(t, proto.ErrorClass_INVALID, out.Error.GetClass(), field)
		require.Equal(t, field, out.Error.GetField())
		require.Empty(t, out.Answer+out.Text)
	}
	require.NotNil(t, challenge(t, 9, 5*time.Minute, "〇〇", "").Error)
	require.NotNil(t, challenge(t, 4, 2*time.Hour, "〇〇", "").Error)
	out, err := otp{}.Challenge(t.Context(), &proto.ChallengeRequest{Field: "birth_date"})
	require.NoError(t, err)
	require.Equal(t, "unknown_field", out.Error.GetCode())
}

func TestTypedCodeIsFolded(t *testing.T) {
	for typed, want := range map[string]string{
		"123456": "123456", "１２３４５６": "123456", " 123 456 ": "123456", "１２３　４５６": "123456", "0123": "0123", "12\u200b34": "1234", "1234\n": "1234", "12345678": "12345678",
	} {
		require.Equal(t, want, canonical(&proto.CanonicalItem{Field: "code", Value: typed}).Form, typed)
	}
	for _, typed := range []string{"", "   ", "123", "123456789", "12a4", "一二三四", "12-34", "#1234", "\xff\xff\xff\xff", strings.Repeat(" ", 65) + "1234", "٤٤٤٤"} {
		e := canonical(&proto.CanonicalItem{Field: "code", Value: typed}).Error
		require.Equal(t, proto.ErrorClass_INVALID, e.GetClass(), typed)
	}
	require.Equal(t, "unknown_field", canonical(&proto.CanonicalItem{Field: "phone", Value: "1234"}).Error.GetCode())
	require.Equal(t, "unknown_level", canonical(&proto.CanonicalItem{Field: "code", Level: "L1", Value: "1234"}).Error.GetCode())
}
