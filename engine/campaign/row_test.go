package campaign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// one converts a single row.
func one(t testing.TB, header, cells []string) *row {
	t.Helper()
	cols, faults := readHeader(header, 1, nil)
	require.Empty(t, faults)
	return newConverter(cols, message.Draft{}).convert(1, 2, cells)
}

func TestPageAsksAndOffersWhatTheFileSays(t *testing.T) {
	r := one(t, []string{"電話番号", "請求番号", "支払予定の確認", "メールアドレス", "電話番号登録日"}, []string{"09000010001", "A-1", "有", "taro@example.jp", "2024/5/5"})
	require.Empty(t, r.faults)
	require.True(t, r.draft.Claim.Promises)
	require.Equal(t, message.Recipient{Email: "taro@example.jp", RegisteredOn: "2024-05-05"}, *r.draft.Recipient)
	require.Nil(t, one(t, []string{"phone", "promises"}, []string{"09000010001", "1"}).draft.Claim, "without a claim there is nothing to promise")
	require.False(t, one(t, []string{"phone", "claim_number", "promises", "email"}, []string{"09000010001", "A-1", "無", ""}).draft.Claim.Promises)
}

func TestHeadersFoldWidthCaseAndSpaces(t *testing.T) {
	header := []string{"ＰＨＯＮＥ", " 会員 情報 ", "SMS 認証", "Link_Expires_At", "項目１", "値1", "認証：生年月日", "identity:phone", "品名1", "単価1", "表：今回 指針"}
	cols, faults := readHeader(header, 1, nil)
	require.Empty(t, faults)
	require.Len(t, cols.field, 4)
	require.Equal(t, "今回 指針", cols.all[10].name)
	_, faults = readHeader([]string{"電話番号", "phone", "値1", "表:", "電 話 番 号"}, 1, nil)
	var codes []string
	for _, f := range faults {
		codes = append(codes, f.Column+" "+f.Code)
	}
	require.ElementsMatch(t, []string{"phone mismatch", "値1 mismatch", "表: unknown", "電 話 番 号 mismatch"}, codes)
}

func TestLeadingZeroIsRestoredAndSaid(t *testing.T) {
	for given, want := range map[string]string{
		"9000010001": "09000010001", "8012345678": "08012345678", "7012345678": "07012345678", "6012345678": "06012345678", "９０１２３４５６７８": "09012345678",
	} {
		r := one(t, []string{"phone", "identity:phone"}, []string{given, given})
		require.Equal(t, want, r.draft.To)
		require.Equal(t, want, r.draft.Identity.Items[0].Value)
		require.True(t, r.restored)
		require.Len(t, r.warnings, 2)
	}
	for _, given := range []string{"09012345678", "0312345678", "312345678", "+819012345678", "5012345678", "8001234567", "901234567"} {
		r := one(t, []string{"phone"}, []string{given})
		require.Equal(t, given, r.draft.To)
		require.False(t, r.restored)
	}
}

func TestScientificNotationIsRefused(t *testing.T) {
	header := []string{"phone", "reference", "claim_number", "customer_number", "key", "amount"}
	for _, v := range []string{"9.01235E+09", "9e+09", "９．０１Ｅ＋０９", "1.23457E+11"} {
		r := one(t, header, []string{v, v, v, v, v, v})
		require.Len(t, r.faults, 6)
		for _, f := range r.faults {
			require.Equal(t, "scientific", f.Code)
		}
	}
	require.Empty(t, one(t, header[:2], []string{"09000010001", "1E5"}).faults, "a reference may look so")
}

func TestDatesAsPeopleWriteThem(t *testing.T) {
	for _, v := range []string{"2026/12/31", "2026-12-31", "2026.12.31", "2026年12月31日", "20261231", "令和8年12月31日", "R8.12.31", "r8/12/31", "令和 8年 12月 31日", "２０２６／１２／３１", "2026/12/31 0:00"} {
		r := one(t, []string{"phone", "due"}, []string{"09000010001", v})
		require.Empty(t, r.faults, v)
		require.Equal(t, "2026-12-31", r.draft.Claim.Due, v)
	}
	require.Equal(t, "2019-05-01", one(t, []string{"phone", "due"}, []string{"", "令和元年5月1日"}).draft.Claim.Due)
	for _, v := range []string{"2026/2/30", "26/12/31", "12/31", "46387", "明日", "2026/12/31 10:00", "2026-12-31x", "20261301"} {
		require.Len(t, one(t, []string{"phone", "due"}, []string{"", v}).faults, 1, v)
	}
}

func TestTheDayOfANumberIsReadAsPeopleWriteIt(t *testing.T) {
	for _, column := range []string{"電話番号登録日", "番号登録日", "registered_on"} {
		for _, v := range []string{"2024/5/5", "2024-05-05", "令和6年5月5日", "R6.5.5", "20240505"} {
			r := one(t, []string{"phone", column}, []string{"09000010001", v})
			require.Empty(t, r.faults, v)
			require.Equal(t, "2024-05-05", r.draft.Recipient.RegisteredOn, v)
		}
	}
	require.Nil(t, one(t, []string{"phone", "電話番号登録日"}, []string{"09000010001", ""}).draft.Recipient)
	r := one(t, []string{"phone", "電話番号登録日"}, []string{"09000010001", "2024/2/30"})
	require.Equal(t, "電話番号登録日", r.faults[0].Column)
	require.NotContains(t, r.faults[0].Value, "2024/2/30")
}

func TestTimesAreInTokyo(t *testing.T) {
	at := func(v string) string {
		r := one(t, []string{"phone", "send_at"}, []string{"", v})
		if len(r.faults) > 0 {
			return "fault"
		}
		return r.draft.SendAt.In(message.Tokyo).Format(time.DateTime)
	}
	require.Equal(t, "2026-12-31 10:05:00", at("2026/12/31 10:05"))
	require.Equal(t, "2026-12-31 09:05:07", at("2026-12-31T9:05:07"))
	require.Equal(t, "2026-12-31 10:30:00", at("令和8年12月31日 10時30分"))
	require.Equal(t, "2026-12-31 00:00:00", at("2026/12/31"))
	require.Equal(t, "2026-12-31 19:00:00", at("2026-12-31T10:00:00Z"))
	require.Equal(t, "fault", at("2026/12/31 25:00"))
	require.Equal(t, "fault", at("10:00"))
	r := one(t, []string{"phone", "リンク有効期限"}, []string{"", "2026/12/31"})
	require.Equal(t, "2026-12-31 23:59:59", r.draft.Link.ExpiresAt.In(message.Tokyo).Format(time.DateTime))
}

func TestAmountsAsPeopleWriteThem(t *testing.T) {
	for _, v := range []string{"7440", "7,440", "￥7,440", "¥7440", "7,440円", "７，４４０", " 7440 ", `\7,440`} {
		r := one(t, []string{"phone", "amount"}, []string{"", v})
		require.Empty(t, r.faults, v)
		require.EqualValues(t, 7440, r.draft.Claim.Amount, v)
	}
	for _, v := range []string{"7440.5", "7,44", "七千", "7.44E+03", "99999999999999999999", "１２,3"} {
		require.Len(t, one(t, []string{"phone", "amount"}, []string{"", v}).faults, 1, v)
	}
}

func TestClaimLinesAndMethods(t *testing.T) {
	r := one(t, []string{"phone", "claim_number", "amount", "品名1", "数量1", "単価1", "品名2", "単価2", "支払方法"},
		[]string{"", "R1", "11000", "空室管理費", "1", "10,000", "消費税", "1000", "konbini_number、card"})
	require.Empty(t, r.faults)
	require.Equal(t, []message.Line{{Name: "空室管理費", Quantity: 1, Unit: 10000, Amount: 10000}, {Name: "消費税", Quantity: 1, Unit: 1000, Amount: 1000}}, r.draft.Claim.Lines)
	require.Equal(t, []string{"konbini_number", "card"}, r.draft.Claim.Methods)
	found := r.found(message.Problems{{Field: "claim.lines[1].amount", Code: "mismatch"}, {Field: "claim.methods[1]", Code: "unknown"}, {Field: "claim.due", Code: "pattern"}})
	require.Equal(t, "単価2", found[0].Column)
	require.Equal(t, "1****", found[0].Value)
	require.Equal(t, "支払方法", found[1].Column)
	require.Equal(t, "支払期限", found[2].Column, "a column that the file does not have is named as it would be")
}

func TestRowsDoNotShareWhatTheyChange(t *testing.T) {
	cols, faults := readHeader([]string{"phone", "表:a", "{x}", "customer_number", "amount"}, 1, nil)
	require.Empty(t, faults)
	c := newConverter(cols, message.Draft{
		Vars: map[string]string{"x": "default"}, Page: &message.Page{Title: "t", Rows: make([]message.Row, 0, 8)},
		Identity: &message.Identity{Code: true}, Claim: &message.Claim{Due: "2026-12-31"},
	})
	first := c.convert(1, 2, []string{"1", "one", "1", "c1", "1"})
	second := c.convert(2, 3, []string{"2", "two", "2", "c2", "2"})
	third := c.convert(3, 4, []string{"3"})
	require.Equal(t, "one", first.draft.Page.Rows[0].Value)
	require.Equal(t, "1", first.draft.Vars["x"])
	require.Equal(t, "c1", first.draft.Identity.Items[0].Value)
	require.True(t, second.draft.Identity.Code)
	require.EqualValues(t, 1, first.draft.Claim.Amount)
	require.Equal(t, "2026-12-31", second.draft.Claim.Due)
	require.Equal(t, "default", third.draft.Vars["x"])
	require.Empty(t, third.draft.Page.Rows)
	require.Empty(t, third.draft.Identity.Items)
}
