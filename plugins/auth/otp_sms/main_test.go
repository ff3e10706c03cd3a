package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kakitome/kakitome/plugins/proto"
)

func challenge(t *testing.T, digits uint32, valid time.Duration, name, host string) *proto.ChallengeResponse {
	out, err := otp{}.Challenge(t.Context(), &proto.ChallengeRequest{Field: "code", Digits: digits, ValidFor: durationpb.New(valid), SenderName: name, LinkHost: host})
	require.NoError(t, err)
	return out
}

func TestTextOfACode(t *testing.T) {
	require.Equal(t, "123456 is your code for 5 minutes. Do not share it. Example Water", text("123456", 5, "Example Water", "", 1, "en"))
	require.Equal(t, "123456 is your verification code for 5 minutes. Do not share it. Example Water\n@xx.jp #123456", text("123456", 5, "Example Water", "xx.jp", 2, "en"))
	require.Equal(t, "12345678 is your code (60 min). "+strings.Repeat("W", 37)+"…", text("12345678", 60, strings.Repeat("W", 60), "", 1, "en"))
	for _, c := range []struct{ code, name, host, want string }{
		{"123456", "〇〇県水道局", "", "「123456」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。〇〇県水道局"},
		{"1234", "株式会社〇〇", "", "「1234」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。株式会社〇〇"},
		{"1234", "〇〇局", "sms.example.jp", "「1234」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。〇〇局"},
		{"1234", "〇〇県水道局", "xx.jp", "「1234」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。〇〇県水道局\n@xx.jp #1234"},
		{"1234", "〇〇県〇〇市上下水道局お客様センター〇〇営業所", "xx.jp", "「1234」お客様の認証番号です。5分間有効です。他の方に教えないでください。〇〇県〇〇市上下水道局お客様センター〇〇営業所"},
		{"123456", strings.Repeat("〇", 34), "", "「123456」認証番号です（5分間有効）。他の方に教えないでください。" + strings.Repeat("〇", 34)},
		{"123456", strings.Repeat("〇", 40), "", "「123456」認証番号（5分間有効）" + strings.Repeat("〇", 40)},
		{"123456", strings.Repeat("〇", 60), "", "「123456」認証番号（5分間有効）" + strings.Repeat("〇", 50) + "…"},
		{"123456", strings.Repeat("𠮷", 60), "", "「123456」認証番号（5分間有効）" + strings.Repeat("𠮷", 25) + "…"},
	} {
		require.Equal(t, c.want, text(c.code, 5, c.name, c.host, 1, "ja"))
	}
}

func TestTextNeverNeedsASecondSegment(t *testing.T) {
	for digits := uint32(4); digits <= 8; digits++ {
		for n := 1; n < 120; n++ {
			for _, r := range []string{"〇", "𠮷", "a", "😀〇"} {
				for _, host := range []string{"", "xx.jp", "pay.example.jp", strings.Repeat("a", 63) + ".example.jp"} {
					out := challenge(t, digits, 60*time.Minute, strings.Repeat(r, n), host)
					require.Nil(t, out.Error)
					require.LessOrEqual(t, len(utf16.Encode([]rune(out.Text))), 70, out.Text)
					require.True(t, strings.HasPrefix(out.Text, "「"+out.Answer+"」"), out.Text)
					require.Len(t, out.Answer, int(digits))
					if _, last, ok := strings.Cut(out.Text, "\n"); ok {
						require.Equal(t, "@"+host+" #"+out.Answer, last)
					}
				}
			}
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

func TestSecondSegmentTakesTheBoundLine(t *testing.T) {
	name := "〇〇県〇〇市上下水道局お客様センター"
	one := text("123456", 5, name, "pay.example.jp", 1, "ja")
	require.NotContains(t, one, "@")
	two := text("123456", 5, name, "pay.example.jp", 2, "ja")
	require.Equal(t, "「123456」お客様の認証番号です。認証番号は5分間有効です。他の方と共有することはお控えください。"+name+"\n@pay.example.jp #123456", two)
	require.LessOrEqual(t, units(text("12345678", 60, strings.Repeat("𠮷", 60), strings.Repeat("a", 63)+".example.jp", 2, "ja")), twoUnits)
}
