package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func ask(t *testing.T, items ...*proto.CanonicalItem) []*proto.CanonicalForm {
	out, err := knowledge{}.Canonical(t.Context(), &proto.CanonicalRequest{Call: &proto.Call{Now: timestamppb.New(now)}, Items: items})
	require.NoError(t, err)
	require.Len(t, out.Forms, len(items))
	return out.Forms
}

// same asks for every spelling in one batch and expects one form, which is stable.
func same(t *testing.T, field, want string, as ...string) {
	t.Helper()
	as = append(as, want)
	var items []*proto.CanonicalItem
	for _, v := range as {
		items = append(items, &proto.CanonicalItem{Field: field, Value: v})
	}
	for i, form := range ask(t, items...) {
		require.Nil(t, form.Error, "%s: %q", field, as[i])
		require.Equal(t, want, form.Form, "%s: %q", field, as[i])
	}
}

// refused expects an error of class INVALID that names the field and repeats nothing of the value.
func refused(t *testing.T, field, message string, values ...string) {
	t.Helper()
	for _, v := range values {
		form := ask(t, &proto.CanonicalItem{Field: field, Value: v})[0]
		require.NotNil(t, form.Error, "%s: %q became %q", field, v, form.Form)
		require.Empty(t, form.Form)
		require.Equal(t, proto.ErrorClass_INVALID, form.Error.Class)
		require.Equal(t, field, form.Error.Field)
		require.Contains(t, form.Error.Message, message, "%s: %q", field, v)
		if len(v) > 4 {
			require.NotContains(t, form.Error.String(), v)
		}
	}
}

func TestDateOfBirthInEveryUsualSpelling(t *testing.T) {
	same(t, "birth_date", "19980101",
		"1998/1/1", "1998/01/01", "1998-01-01", "1998.1.1", "1998年1月1日", "1998年01月01日", "１９９８０１０１", "１９９８／１／１", "１９９８年１月１日",
		"一九九八年一月一日", "千九百九十八年一月一日", "西暦1998年1月1日", "1998 1 1", " 19980101 ", "1998年1月1日生", "1998年1月1日生まれ", "1998−01−01", "1998ー01ー01",
		"1998/1/1 0:00", "1998-01-01 00:00:00", "1998-01-01T00:00:00Z", "1998-01-01 00:00:00.000",
		"平成10年1月1日", "平成１０年１月１日", "平成十年一月一日", "平成一〇年一月一日", "H10.1.1", "h10.1.1", "Ｈ１０．１．１", "H10/01/01", "H10-1-1", "H100101", "平10.1.1", "㍻10年1月1日", "平成 10 年 1 月 1 日", "H.10.1.1", "平成100101", "平成10.1.1",
		"4100101", "４１００１０１", "4-100101", "4-10-01-01", "4 10 1 1", "壱九九八年壱月壱日")
	same(t, "birth_date", "19781123", "S53.11.23", "昭和53年11月23日", "昭和五十三年十一月二十三日", "昭和五三年一一月二三日", "昭53/11/23", "S531123", "3531123", "㍼53.11.23", "s53年11月23日", "昭和五拾三年拾一月弐拾参日")
	same(t, "birth_date", "20190501", "令和元年五月一日", "令和元年5月1日", "R元.5.1", "R1.5.1", "R010501", "Ｒ０１０５０１", "5010501", "令和1年5月1日", "㋿元年5月1日", "令元/5/1")
	same(t, "birth_date", "20000229", "平成12年2月29日", "二〇〇〇年二月二十九日", "二○○○年二月二九日", "二千年二月二十九日", "H12.2.29")
	same(t, "birth_date", "19260101", "大正15年1月1日", "T15.1.1", "2150101", "㍽15.1.1", "大15/1/1")
	same(t, "birth_date", "18990703", "明治32年7月3日", "M32.7.3", "明治三十二年七月三日", "1320703", "㍾32年7月3日")
	// The last and the first days.
	same(t, "birth_date", "19890107", "昭和64年1月7日", "S640107")
	same(t, "birth_date", "19890108", "平成元年1月8日", "H010108")
	same(t, "birth_date", "20190430", "平成31年4月30日")
	same(t, "birth_date", "19261225", "昭和元年12月25日")
	same(t, "birth_date", "19261224", "大正15年12月24日")
	same(t, "birth_date", "19120730", "大正元年7月30日")
	same(t, "birth_date", "18680125", "明治元年1月25日")
}

func TestImpossibleDateIsRefused(t *testing.T) {
	refused(t, "birth_date", "no such day", "1998/2/29", "20010229", "1998/13/1", "1998/0/1", "1998/1/0", "1998/4/31", "平成10年2月30日", "H101301", "4101301")
	refused(t, "birth_date", "outside of the era", "昭和64年1月8日", "平成元年1月7日", "平成31年5月1日", "令和元年4月30日", "S65.1.1", "明治45年7月30日", "大正15年12月25日", "3640108", "明治元年1月24日")
	refused(t, "birth_date", "before 1868", "1753/01/01", "00010101", "2026/11/24", "令和9年1月1日", "9999-12-31")
	refused(t, "birth_date", "the year", "98/1/1", "980101", "0980101", "6100101", "平成0年1月1日", "H000101", "9-10-1-1", "平成1998年1月1日", "19980/1/1")
	refused(t, "birth_date", "not a date", "", "   ", "1998", "1998/1", "1998年1月", "H10", "H1011", "19980101010", "1/1/1998/5/5", "一月一日", "1998/001/1", "生年月日", "Jan 1, 1998", "元年1月1日", "1998/1/1 10:30", "百百年一月一日", "12十年1月1日", "令和元元年1月1日", "\x00\xff")
	refused(t, "birth_date", "longer than", strings.Repeat("1", 200))
}

func TestCustomerNumber(t *testing.T) {
	same(t, "customer_number", "00123AB", "00123-ab", "００１２３－ＡＢ", " 00123 AB ", "00123‐ab", "00123ーAB", "0 0 1 2 3 a b", "00123−ＡＢ", "00-123-AB", "00123—AB", "００１２３　ａｂ")
	same(t, "customer_number", "0000001", "0000001", "０００－０００１", "000 0001")
	same(t, "customer_number", "第12/34号", "第 12/34 号", "第１２／３４号")
	same(t, "customer_number", "ア123", "ｱ-123", "ア１２３")
	refused(t, "customer_number", "empty", "", " ", "---", "　ー　")
	refused(t, "customer_number", "no place", "12\x0034", "12😀", "é12", "か゛12")
	refused(t, "customer_number", "longer", strings.Repeat("1", 257))
}

func TestPhone(t *testing.T) {
	same(t, "phone", "+819012345678", "09012345678", "090-1234-5678", "０９０－１２３４－５６７８", "090 1234 5678", "(090)1234-5678", "090（1234）5678", "+81 90-1234-5678", "+81-090-1234-5678", "+81(0)90-1234-5678", "819012345678", "8109012345678", "00819012345678", "010819012345678", "＋８１９０１２３４５６７８", "090.1234.5678", "090ー1234ー5678", "090−1234−5678")
	same(t, "phone", "+818012345678", "080-1234-5678")
	same(t, "phone", "+817012345678", "070-1234-5678")
	same(t, "phone", "+817002345678", "070-0234-5678", "+817002345678")
	same(t, "phone", "+819002345678", "090-0234-5678", "+81 (0)90-0234-5678")
	same(t, "phone", "+816012345678", "060-1234-5678", "+816012345678")
	refused(t, "phone", "not a Japanese mobile number", "0312345678", "03-1234-5678", "05012345678", "02012345678", "08002345678", "06002345678", "0901234567", "090123456789", "+12025550123", "9012345678", "090-1234-567a", "+82 10-1234-5678", "８１")
	refused(t, "phone", "empty", "", " - ")
}

func TestPostcode(t *testing.T) {
	same(t, "postcode", "1000001", "100-0001", "〒100-0001", "１００－０００１", "〒 １００ ０００１", "100ー0001", "100−0001", "〒1000001")
	refused(t, "postcode", "seven digits", "100000", "10000011", "100-000a", "〒", "一〇〇〇〇〇一")
}

func TestPasscode(t *testing.T) {
	same(t, "passcode", "aB-12", "aB-12", " ａＢ－１２ ", "aB－12　", "ａB-12\n")
	same(t, "passcode", "ab 12", "ab 12", "ab　12")
	refused(t, "passcode", "empty", "", "　")
	refused(t, "passcode", "no place", "a\x00b")
	refused(t, "passcode", "longer", strings.Repeat("a", 257))
	require.NotEqual(t, ask(t, &proto.CanonicalItem{Field: "passcode", Value: "abc"})[0].Form, ask(t, &proto.CanonicalItem{Field: "passcode", Value: "ABC"})[0].Form)
}

func TestKanaLevelIsTheTenantsChoice(t *testing.T) {
	same(t, "kana_name", "ハツトリアヅマ", "はっとり あづま", "ﾊｯﾄﾘ ｱﾂﾞﾏ")
	for level, want := range map[string]string{"": "ハツトリアヅマ", "L1": "ハットリアヅマ", "L2": "ハツトリアヅマ", "L3": "ハツトリアズマ"} {
		require.Equal(t, want, ask(t, &proto.CanonicalItem{Field: "kana_name", Level: level, Value: "はっとり あづま"})[0].Form)
	}
	require.Equal(t, "unknown_level", ask(t, &proto.CanonicalItem{Field: "kana_name", Level: "L4", Value: "ア"})[0].Error.GetCode())
	require.Equal(t, "unknown_level", ask(t, &proto.CanonicalItem{Field: "phone", Level: "L1", Value: "09012345678"})[0].Error.GetCode())
	require.Equal(t, "unknown_level", ask(t, &proto.CanonicalItem{Field: "kana_name", Level: oneDash, Value: "ア"})[0].Error.GetCode())
	require.Equal(t, "unknown_level", ask(t, &proto.CanonicalItem{Field: "free", Level: "L1", Value: "ア"})[0].Error.GetCode())
	refused(t, "kana_name", "neither kana", "山田花子")
}

func TestOneBadItemDoesNotSpoilTheBatch(t *testing.T) {
	forms := ask(t,
		&proto.CanonicalItem{Field: "postcode", Value: "100-0001"},
		&proto.CanonicalItem{Field: "shoe_size", Value: "26"},
		&proto.CanonicalItem{Field: "postcode", Value: "x"},
		&proto.CanonicalItem{Field: "postcode", Value: "1000002"})
	require.Equal(t, "1000001", forms[0].Form)
	require.Equal(t, "unknown_field", forms[1].Error.Code)
	require.Equal(t, "not_readable", forms[2].Error.Code)
	require.Equal(t, "1000002", forms[3].Form)
}

func TestBatchIsBoundedAndEndsWithItsContext(t *testing.T) {
	_, err := knowledge{}.Canonical(t.Context(), &proto.CanonicalRequest{Items: make([]*proto.CanonicalItem, maxItems+1)})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = knowledge{}.Canonical(ctx, &proto.CanonicalRequest{Items: make([]*proto.CanonicalItem, 1)})
	require.Equal(t, codes.Canceled, status.Code(err))
}

func TestEveryFieldThatIsDescribedIsKnown(t *testing.T) {
	for _, f := range fields {
		e := ask(t, &proto.CanonicalItem{Field: f.Name, Value: ""})[0].Error
		require.Equal(t, "not_readable", e.GetCode(), f.Name)
		require.NotEmpty(t, f.LabelJa)
		require.NotEmpty(t, f.LabelEn)
		require.NotEmpty(t, f.FormJa)
		require.NotEmpty(t, f.FormEn)
		require.Equal(t, f.Name == "free", f.OneIn == 0, f.Name)
		for _, level := range f.Levels {
			e := ask(t, &proto.CanonicalItem{Field: f.Name, Level: level, Value: ""})[0].Error
			require.Equal(t, "not_readable", e.GetCode(), "%s at level %s", f.Name, level)
		}
	}
	out, err := knowledge{}.Challenge(t.Context(), &proto.ChallengeRequest{Field: "phone"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_SUPPORTED, out.Error.Class)
}
