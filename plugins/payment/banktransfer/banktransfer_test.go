package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/japanese"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

const goodConfig = `{"holder":"〇〇ケンスイドウキヨク","quarantine_days":90,"accounts":[
	{"bank":"9999","bank_name":"〇〇銀行","branch":"101","branch_name":"振込専用","from":"0000001","to":"0000020"},
	{"bank":"9999","bank_name":"〇〇銀行","branch":"102","branch_name":"第二振込専用","kind":"当座","from":"7654321"}]}`

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func contractOf(t testing.TB) *contract {
	c, faults := parseConfig([]byte(goodConfig))
	require.Empty(t, faults)
	return c
}

func TestConfigurationSaysEachFaultWithItsFieldAndLimit(t *testing.T) {
	c := contractOf(t)
	require.Len(t, c.places, 21)
	require.Equal(t, "9999-101-1-0000020", c.places[19])
	require.Equal(t, "9999-102-2-7654321", c.places[20])
	for name, c := range map[string]struct{ from, to, field, want string }{
		"no holder":       {`"〇〇ケンスイドウキヨク"`, `""`, "holder", "want 1 to 40"},
		"quarantine":      {`:90`, `:0`, "quarantine_days", "0; want 1 to 1000"},
		"bank":            {`"bank":"9999","bank_name":"〇〇銀行","branch":"101"`, `"bank":"99","bank_name":"〇〇銀行","branch":"101"`, "accounts[0].bank", "4 digits"},
		"branch":          {`"102"`, `"2"`, "accounts[1].branch", "3 digits"},
		"backwards":       {`"to":"0000020"`, `"to":"0000000"`, "accounts[0].from", "not below"},
		"too many":        {`"to":"0000020"`, `"to":"0010001"`, "accounts[0].to", "10001 accounts; want 10000"},
		"kind":            {`"当座"`, `"定期"`, "accounts[1].kind", "普通, 当座"},
		"the same again":  {`"branch":"102","branch_name":"第二振込専用","kind":"当座","from":"7654321"`, `"branch":"101","branch_name":"第二","from":"0000007"`, "accounts[1].from", "***007 of an earlier block"},
		"no such setting": {`"holder"`, `"x":1,"holder"`, "", "schema"},
	} {
		_, faults := parseConfig([]byte(strings.Replace(goodConfig, c.from, c.to, 1)))
		require.Len(t, faults, 1, name)
		require.Equal(t, c.field, faults[0].Field, name)
		require.Contains(t, faults[0].Message, c.want, name)
	}
}

func TestAPaymentShowsItsAccountAndNothingElse(t *testing.T) {
	a := newAgent()
	require.Nil(t, a.configure("suido/bank", []byte(goodConfig)))
	call := &proto.Call{Tenant: "suido", Instance: "suido/bank", Now: timestamppb.New(now)}
	pool, err := a.Pool(t.Context(), &proto.PoolRequest{Call: call, Method: method})
	require.NoError(t, err)
	require.Len(t, pool.Places, 21)
	require.Equal(t, 90*24*time.Hour, pool.Quarantine.AsDuration())
	made, err := a.Create(t.Context(), &proto.CreateRequest{Call: call, AttemptId: "a1", Method: method, Yen: 7440, Place: pool.Places[20]})
	require.NoError(t, err)
	require.Nil(t, made.Error)
	acc := made.Payment.Voucher.Account
	require.Equal(t, []string{"〇〇銀行", "第二振込専用（102）", "当座", "7654321", "〇〇ケンスイドウキヨク"}, []string{acc.Bank, acc.Branch, acc.Kind, acc.Number, acc.Holder})
	require.Equal(t, pool.Places[20], made.Payment.AgentPaymentId, "what reports call it")
	got, err := a.Get(t.Context(), &proto.GetRequest{Call: call, AttemptId: "a1", Place: pool.Places[20]})
	require.NoError(t, err)
	require.Equal(t, made.Payment.String(), got.Payment.String(), "asking tells the same")
	lost, err := a.Create(t.Context(), &proto.CreateRequest{Call: call, AttemptId: "a1", Method: method, Yen: 7440, Place: "9999-101-1-0000021"})
	require.NoError(t, err)
	require.Equal(t, "place", lost.Error.Field)
	gone, err := a.Cancel(t.Context(), &proto.CancelRequest{Call: call, AttemptId: "a1", Place: pool.Places[20]})
	require.NoError(t, err)
	require.Equal(t, proto.PaymentState_CANCELED, gone.Payment.State)
	other, err := a.Create(t.Context(), &proto.CreateRequest{Call: call, AttemptId: "a1", Method: "card", Yen: 1})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_SUPPORTED, other.Error.Class)
}

// put lays values into a record: text to the left over spaces, numbers to the right over zeros.
func put(sizes []int, values ...any) string {
	var b strings.Builder
	for i, size := range sizes {
		v := any("")
		if i < len(values) {
			v = values[i]
		}
		switch v := v.(type) {
		case int:
			fmt.Fprintf(&b, "%0*d", size, v)
		default:
			text, _ := japanese.ShiftJIS.NewEncoder().String(fmt.Sprint(v)) // half-width kana are one byte
			b.WriteString(text + strings.Repeat(" ", size-len(text)))
		}
	}
	return b.String()
}

var (
	head01 = []int{1, 2, 1, 6, 6, 6, 4, 15, 3, 15, 1, 7, 40, 93}
	data01 = []int{1, 6, 6, 6, 10, 10, 10, 48, 15, 15, 1, 20, 52}
	tail01 = []int{1, 6, 12, 6, 12, 163}
	head03 = []int{1, 2, 1, 6, 6, 6, 4, 15, 3, 15, 3, 1, 10, 40, 1, 1, 14, 71}
	data03 = []int{1, 8, 6, 6, 1, 2, 12, 12, 6, 6, 1, 7, 3, 10, 48, 15, 15, 20, 20, 1}
	tail03 = []int{1, 6, 13, 6, 13, 1, 14, 7, 139}
	end    = put([]int{1, 10, 5, 184}, 9, 5, 1)
)

func header01(account int) string {
	return put(head01, 1, "01", 0, "081122", "081122", "081122", "9999", "ﾏﾙﾏﾙ", "101", "ﾌﾘｺﾐｾﾝﾖｳ", 1, account, "ﾏﾙﾏﾙｹﾝ")
}

func transfer01(inquiry, yen int, code, undo string) string {
	return put(data01, 2, inquiry, "081122", "081122", yen, 0, code, "ｶｷﾄﾒ ﾀﾛｳ", "ﾍﾞﾂ", "ﾎﾝﾃﾝ", undo)
}

func sample01() []string {
	return []string{header01(3), transfer01(11, 7440, "0000000000", ""), transfer01(12, 1000, "0000000000", ""), transfer01(12, 1000, "0000000000", "1"),
		put(tail01, 8, 2, 8440, 1, 1000), end}
}

func sample03() []string {
	row := func(inquiry, way, deal, yen int, code string) string {
		return put(data03, 2, inquiry, "081122", "081122", way, deal, yen, 0, "", "", "", "", "", code, "ｶｷﾄﾒ ﾀﾛｳ")
	}
	return []string{put(head03, 1, "03", 0, "081122", "081122", "081122", "9999", "ﾏﾙﾏﾙ", "001", "ﾎﾝﾃﾝ", 0, 1, 1234567, "ﾏﾙﾏﾙｹﾝ"),
		row(1, 1, 11, 5000, "1010000007"), row(2, 2, 11, 900, ""), row(3, 1, 10, 300, ""), row(4, 1, 14, 200, "1010000008"),
		put(tail03, 8, 3, 5500, 1, 900, 1, 4600, 4), end}
}

func read(t testing.TB, lines []string, sep string) *proto.ReportResponse {
	return contractOf(t).read("meisai.txt", []byte(strings.Join(lines, sep)+sep), now)
}

func told(out *proto.ReportResponse) (all []string) {
	for _, r := range out.Rows {
		all = append(all, fmt.Sprintf("%d %s %d %s", r.Line, r.AgentPaymentId, r.Deposit.Yen, r.Deposit.At.AsTime().In(jst).Format(time.DateOnly)))
	}
	return all
}

func TestNoticeOfTransfersIsRead(t *testing.T) {
	want := []string{"2 9999-101-1-0000003 7440 2026-11-22"}
	for _, sep := range []string{"", "\n", "\r\n"} {
		out := read(t, sample01(), sep)
		require.Nil(t, out.Error)
		require.Empty(t, out.Faults)
		require.Equal(t, want, told(out), "what was taken back in the same file is not there")
	}
	first, again := read(t, sample01(), "\n"), read(t, sample01(), "\r\n")
	require.Equal(t, first.Rows[0].Deposit.Id, again.Rows[0].Deposit.Id, "the same transfer in another file")
	require.NotContains(t, first.String(), "ｶｷﾄﾒ")
}

// By its number a transfer is the same in every kind of file, and the same that the first version recorded of any of them.
func TestATransferHasOneIDInEveryKindOfFile(t *testing.T) {
	csv := "取引日,金融機関コード,支店番号,口座番号,入金額,明細番号,振込依頼人名\n2026-11-22,9999,101,7,5000,%s,ｶｷﾄﾒ ﾀﾛｳ\n"
	notice := []string{header01(7), transfer01(1, 5000, "0000000000", ""), put(tail01, 8, 1, 5000, 0, 0), end}
	var all []*proto.Deposit
	for _, body := range []string{strings.Join(notice, ""), strings.Join(sample03(), "\n"), fmt.Sprintf(csv, "1"), fmt.Sprintf(csv, "0001")} {
		out := contractOf(t).read("x", []byte(body), now)
		require.Nil(t, out.Error)
		require.Empty(t, out.Faults)
		all = append(all, out.Rows[0].Deposit)
	}
	first := func(number string) string {
		return digest("9999-101-1-0000007\n2026-11-22\n5000\nno\n" + number)
	}
	for i, d := range all {
		require.Equal(t, all[0].Id, d.Id)
		require.Equal(t, []string{"01", "03", "csv", "csv"}[i], d.Series)
		known := append(d.FormerIds, d.Id)
		for _, form := range []string{"000001", "00000001", "1"} {
			require.Contains(t, known, first(form))
		}
	}
	require.Contains(t, all[3].FormerIds, first("0001"))
}

// Without a number it is the file's own, so that the host neither loses one of two that are alike nor counts one twice.
func TestATransferWithoutANumberIsTheFilesOwn(t *testing.T) {
	notice := func(name string, more ...string) *proto.Deposit {
		lines := append([]string{header01(7), transfer01(0, 5000, "0000000000", "")}, more...)
		out := contractOf(t).read(name, []byte(strings.Join(append(lines, put(tail01, 8, 1+len(more), 5000*(1+len(more)), 0, 0), end), "\n")), now)
		require.Empty(t, out.Faults)
		return out.Rows[0].Deposit
	}
	one, again, other := notice("n1.txt"), notice("n1.txt"), notice("n2.txt")
	require.Equal(t, one.String(), again.String())
	more := notice("n1.txt", transfer01(0, 5000, "0000000000", ""))
	for _, d := range []*proto.Deposit{other, more} {
		require.NotEqual(t, one.Id, d.Id)
		require.NotEqual(t, one.Series, d.Series)
	}
	require.Empty(t, one.FormerIds, "what the first version recorded has no series: it is in doubt")

	twice := contractOf(t).read("n.csv", []byte(sampleCSV+"20261122,振込,9999,101,5,7440,,A-1,カキトメ タロウ\n"), now).Rows
	require.NotEqual(t, twice[0].Deposit.Id, twice[3].Deposit.Id, "one number on two lines")
	require.NotEqual(t, twice[0].Deposit.Series, twice[3].Deposit.Series)

	whole, faults := parseConfig([]byte(strings.Replace(goodConfig, `"accounts"`, `"whole_days":true,"accounts"`, 1)))
	require.Empty(t, faults)
	a, b := whole.read("a.csv", []byte(sampleCSV), now).Rows, whole.read("b.csv", []byte(sampleCSV+"20261123,振込,9999,101,0000006,1000,,,カキトメ ハナコ\n"), now).Rows
	for i := range a {
		require.Equal(t, a[i].String(), b[i].String(), "statements that list days whole")
	}
	require.Equal(t, digest("9999-101-1-0000006\n2026-11-22\n1000\npayer\nカキトメ ハナコ\n2"), a[2].Deposit.Id, "as the first version recorded it")
	n := whole.read("n1.txt", []byte(strings.Join([]string{header01(7), transfer01(0, 5000, "0000000000", ""), put(tail01, 8, 1, 5000, 0, 0), end}, "")), now)
	require.Equal(t, one.String(), n.Rows[0].Deposit.String(), "a notice never does")
}

func TestStatementIsReadByTheAccountThatWasPaidTo(t *testing.T) {
	out := read(t, sample03(), "\r\n")
	require.Nil(t, out.Error)
	require.Empty(t, out.Faults)
	require.Equal(t, []string{"2 9999-101-1-0000007 5000 2026-11-22", "5 9999-101-1-0000008 200 2026-11-22"}, told(out))
}

func TestDamagedFilesAreRefusedWithLineAndField(t *testing.T) {
	for name, c := range map[string]struct {
		change         func([]string) []string
		refused, fault string
	}{
		"cut off":        {func(l []string) []string { return l[:5] }, "the end record (9) is missing behind 5 records", ""},
		"half a record":  {func(l []string) []string { l[2] = l[2][:100]; return l }, "line 3: a record of 100 characters; want 200", ""},
		"a line is gone": {func(l []string) []string { return append(l[:1:1], l[2:]...) }, "", "line 4: 件数: the trailer says 000002, its records come to 1"},
		"an amount":      {func(l []string) []string { l[1] = strings.Replace(l[1], "0000007440", "0000007441", 1); return l }, "", "line 5: 金額: the trailer says 000000008440, its records come to 8441"},
		"no amount":      {func(l []string) []string { l[1] = strings.Replace(l[1], "0000007440", "00000x7440", 1); return l }, "", "line 2: 金額: want digits"},
		"no day":         {func(l []string) []string { l[1] = strings.Replace(l[1], "081122", "081332", 1); return l }, "", "line 2: 勘定日: want YYMMDD"},
		"EBCDIC":         {func(l []string) []string { l[0] = "1011" + l[0][4:]; return l }, "", "line 1: コード区分"},
		"no trailer":     {func(l []string) []string { return append(l[:4:4], l[5]) }, "", "line 5: データ区分"},
		"behind the end": {func(l []string) []string { return append(l, l[1]) }, "", "line 7: データ区分: something follows"},
		"undone elsewhere": {func(l []string) []string {
			l[2] = transfer01(13, 999, "0000000000", "")
			l[4] = put(tail01, 8, 2, 8439, 1, 1000)
			return l
		}, "", "line 4: 取消区分: takes back a transfer that is not in this file"},
	} {
		out := read(t, c.change(sample01()), "\n")
		if c.refused != "" {
			require.Contains(t, out.Error.GetMessage(), c.refused, name)
			continue
		}
		require.Nil(t, out.Error, name)
		require.NotEmpty(t, out.Faults, name)
		require.Contains(t, fmt.Sprintf("line %d: %s", out.Faults[0].Line, out.Faults[0].Message), c.fault, name)
	}
}

const sampleCSV = "取引日,摘要,金融機関コード,支店番号,口座番号,入金額,出金額,明細番号,振込依頼人名\n" +
	"2026/11/22,振込,9999,101,5,\"7,440円\",,A-1,カキトメ タロウ\n" +
	"2026-11-22,振込手数料,9999,101,0000005,,110,A-2,\n" +
	"20261122,振込,9999,101,0000006,1000,,,カキトメ ハナコ\n" +
	"20261122,振込,9999,101,0000006,1000,,,カキトメ ハナコ\n"

func TestCSVIsReadInEitherEncoding(t *testing.T) {
	want := []string{"2 9999-101-1-0000005 7440 2026-11-22", "4 9999-101-1-0000006 1000 2026-11-22", "5 9999-101-1-0000006 1000 2026-11-22"}
	cp932, err := japanese.ShiftJIS.NewEncoder().String(sampleCSV)
	require.NoError(t, err)
	for _, body := range []string{sampleCSV, "\ufeff" + strings.ReplaceAll(sampleCSV, "\n", "\r\n"), cp932} {
		out := contractOf(t).read("meisai.csv", []byte(body), now)
		require.Nil(t, out.Error)
		require.Empty(t, out.Faults)
		require.Equal(t, want, told(out))
		require.NotEqual(t, out.Rows[1].Deposit.Id, out.Rows[2].Deposit.Id, "two that are alike are two")
	}
}

func TestCSVFaultsNameLineAndColumn(t *testing.T) {
	for change, want := range map[[2]string]string{
		{"支店番号", "支店"}:                      "no column 支店番号",
		{"\"7,440円\"", "\"7440"}:            "line ",
		{"\"7,440円\"", "七千"}:                "line 2: 入金額: want yen",
		{"\"7,440円\"", "-5"}:                "line 2: 入金額",
		{"2026/11/22", "22.11.2026"}:        "line 2: 取引日",
		{"9999,101,5", "x,101,5"}:           "line 2: 金融機関コード",
		{"9999,101,5", "9999,1010,5"}:       "line 2: 支店番号: want 3 digits",
		{"9999,101,5", "9999,101,12345678"}: "line 2: 口座番号: want 7 digits",
	} {
		out := contractOf(t).read("meisai.csv", []byte(strings.Replace(sampleCSV, change[0], change[1], 1)), now)
		text := out.Error.GetMessage()
		if len(out.Faults) > 0 {
			text = fmt.Sprintf("line %d: %s", out.Faults[0].Line, out.Faults[0].Message)
		}
		require.Contains(t, text, want, change)
	}
	require.Contains(t, contractOf(t).read("", nil, now).Error.Message, "empty")
	require.Contains(t, contractOf(t).read("", []byte{0x81}, now).Error.Message, "neither UTF-8 nor Shift_JIS")
}

func TestYearsAreOfTheEraOrWestern(t *testing.T) {
	for text, want := range map[string]string{"081122": "2026-11-22", "261122": "2026-11-22", "090101": "2027-01-01", "010501": "2019-05-01"} {
		day, err := bankDay(text, now)
		require.NoError(t, err)
		require.Equal(t, want, day.Format(time.DateOnly), text)
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(strings.Join(sample01(), "\n")))
	f.Add([]byte(strings.Join(sample03(), "")))
	f.Add([]byte(sampleCSV))
	c := contractOf(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		out := c.read("meisai", body, now)
		if out.Error != nil {
			require.NotEmpty(t, out.Error.Message)
			return
		}
		for _, r := range out.Rows {
			require.Positive(t, r.Deposit.Yen)
			require.Len(t, r.Deposit.Id, 32)
			require.NotZero(t, r.Line)
		}
	})
}
