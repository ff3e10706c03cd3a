// Package sample makes the campaigns for trying things out: bills of a water utility as a spreadsheet on Windows exports
// them (CP932, CRLF), with simulated numbers that no person can have (engine/carrier) and names that are evidently none.
//
// Due dates are real dates and pass, so whoever shows a sample writes it anew: tools/samplecsv for the committed files,
// the box with the day on which it starts.
package sample

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/text/encoding/japanese"

	"github.com/kakitome/kakitome/engine/message"
)

// Bills is how many rows Suido has.
const Bills = 40

var header = []string{
	"電話番号", "会員情報", "種別", "本文", "認証：お客様番号", "認証：生年月日", "認証：氏名カナ", "SMS認証",
	"タイトル", "文頭", "表:ご使用場所", "表:使用期間", "表:水道使用水量", "表:今回指針", "表:前回指針", "文末",
	"請求番号", "請求金額", "うち税", "税率", "支払期限", "リンク有効期限", "宛名",
}

// given are first names in kana of a family called Suido, which is "water supply".
var given = []string{"タロウ", "ハナコ", "ジロウ", "ウメコ", "サブロウ", "マツコ", "シロウ", "タケコ"}

// Suido writes Bills bills that are due 30 days after the day. All rows are good.
func Suido(w io.Writer, day time.Time) error {
	return write(w, day, func(i int, row []string) {})
}

// SuidoFaulty writes the bills of other claims; some rows have the faults that files from spreadsheets have. Where Suido was
// sent, the good rows of it can be released.
func SuidoFaulty(w io.Writer, day time.Time) error {
	const phone, text, birth, claim, amount, due = 0, 3, 5, 16, 17, 20
	return write(w, day, func(i int, row []string) {
		row[claim] += "-2"
		switch i {
		case 2, 3:
			row[phone] = row[phone][1:] // a leading zero that was dropped: restored, with a warning
		case 5:
			row[phone] = "9.00001E+09"
		case 8:
			row[phone] = "050-0000-0000"
		case 11:
			row[phone] = ""
		case 14:
			row[amount] = "七千円"
		case 17:
			row[due] = "2026/2/30"
		case 20:
			row[birth] = "昭和65年1月1日"
		case 23:
			row[text] += "なお、お支払いがお済みの場合は行き違いですのでご容赦くださいますようお願い申し上げます。ご不明な点は窓口までお問い合わせください。"
		}
	})
}

func write(w io.Writer, day time.Time, change func(i int, row []string)) error {
	day = day.In(message.Tokyo)
	due := day.AddDate(0, 0, 30)
	from, to := day.AddDate(0, -2, 0), day.AddDate(0, -1, 0)
	encoder := japanese.ShiftJIS.NewEncoder().Writer(w)
	out := csv.NewWriter(encoder)
	out.UseCRLF = true
	if err := out.Write(header); err != nil {
		return err
	}
	blocks := []string{"0900001", "0900002", "0900003", "0900004"} // one of each simulated carrier
	for i := range Bills {
		used := 44 + i%7*3
		before := 638 + i*11
		sum := 7440 + (used-44)*165
		name := "スイドウ　" + given[i%len(given)]
		row := []string{
			fmt.Sprintf("%s%04d", blocks[i%len(blocks)], i+1),
			fmt.Sprintf("%012d", 123456789000+i), "請求", "〇〇県水道局です。水道料金のお知らせです。{url}",
			fmt.Sprintf("00-0-%06d", i+1), fmt.Sprintf("19%02d/%d/%d", 50+i, i%12+1, i%28+1), name, "無",
			"水道料金等のお知らせ", "いつもご利用ありがとうございます。\n下記のとおりご請求いたします。",
			fmt.Sprintf("〇〇町%d番地", i+1), fmt.Sprintf("%d年%d～%d月分", from.Year(), from.Month(), to.Month()),
			fmt.Sprintf("%dm3", used), strconv.Itoa(before + used), strconv.Itoa(before),
			"お支払い期限までにお手続きをお願いいたします。",
			fmt.Sprintf("SUIDO-%s-%04d", day.Format("200601"), i+1), commas(sum), strconv.Itoa(sum * 10 / 110), "10", due.Format("2006/1/2"), due.AddDate(0, 0, 10).Format("2006/1/2"), name,
		}
		change(i, row)
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func commas(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", commas(n/1000), n%1000)
}
