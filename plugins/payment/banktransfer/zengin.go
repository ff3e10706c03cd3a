package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// 全銀 入出金取引明細 and 振込入金通知, as banks publish them: records of 200 single-byte characters (JIS X 0201 or its Shift_JIS subset), header,
// data, trailer for each account, one end record. Numbers are right-aligned over zeros, text is left-aligned over spaces, dates are
// YYMMDD. The trailer's sums are checked: a file that was cut off or edited is refused.
const recordLength = 200

const notice = "01" // 種別 of 振込入金通知

// span is a field's place in a record.
type span struct{ at, size int }

func (r record) text(s span) string { return strings.TrimRight(string(r.b[s.at:s.at+s.size]), " ") }

// layout is where the fields of a kind of file are.
type layout struct {
	bank, branch, kind, account                        span // header
	inquiry, day, income, deal, yen, code, payer, undo span // data; size 0: there is none
	count, total                                       span // trailer: of what came in
	undone, undoneTotal                                span // trailer: of what was taken back
}

// fields lays spans out one behind another, from the sizes between them.
func fields(sizes ...int) (spans []span) {
	at := 0
	for _, n := range sizes {
		spans = append(spans, span{at, n})
		at += n
	}
	if at != recordLength {
		panic(fmt.Sprintf("BUG: a record of %d characters", at))
	}
	return spans
}

var layouts = map[string]layout{
	notice: func() layout {
		h := fields(1, 2, 1, 6, 6, 6, 4, 15, 3, 15, 1, 7, 40, 93)  // 区分 種別 コード 作成日 自 至 銀行 名 支店 名 種目 口座 名 ダミー
		d := fields(1, 6, 6, 6, 10, 10, 10, 48, 15, 15, 1, 20, 52) // 区分 照会番号 勘定日 起算日 金額 他店券 依頼人コード 依頼人名 仕向銀行 仕向店 取消区分 EDI ダミー
		t := fields(1, 6, 12, 6, 12, 163)                          // 区分 振込件数 振込金額 取消件数 取消金額 ダミー
		return layout{bank: h[6], branch: h[8], kind: h[10], account: h[11], inquiry: d[1], day: d[2], yen: d[4], code: d[6], payer: d[7], undo: d[10], count: t[1], total: t[2], undone: t[3], undoneTotal: t[4]}
	}(),
	"03": func() layout {
		h := fields(1, 2, 1, 6, 6, 6, 4, 15, 3, 15, 3, 1, 10, 40, 1, 1, 14, 71) // … 支店名 ダミー 種目 口座 名 貸越区分 通帳区分 取引前残高 ダミー
		d := fields(1, 8, 6, 6, 1, 2, 12, 12, 6, 6, 1, 7, 3, 10, 48, 15, 15, 20, 20, 1)
		// 区分 照会番号 勘定日 預入払出日 入払区分 取引区分 金額 他店券 呈示日 返還日 手形区分 手形番号 僚店 依頼人コード 依頼人名 仕向銀行 仕向店 摘要 EDI ダミー
		t := fields(1, 6, 13, 6, 13, 1, 14, 7, 139) // 区分 入金件数 入金額 出金件数 出金額 貸越区分 取引後残高 データ件数 ダミー
		return layout{bank: h[6], branch: h[8], kind: h[11], account: h[12], inquiry: d[1], day: d[2], income: d[4], deal: d[5], yen: d[6], code: d[13], payer: d[14], count: t[1], total: t[2]}
	}(),
}

// deals are 取引区分 of money that is a payer's transfer: 11 振込, 14 振替. Cash, cheques and corrections are not.
var deals = []string{"11", "14"}

const correction = "19" // 訂正

// record is one line of the file.
type record struct {
	line int
	b    []byte
}

// records cuts a file; line ends may stand between records, and an end-of-file mark at the end.
func records(body []byte) ([]record, string) {
	body = bytes.TrimRight(body, "\r\n\x1a")
	var all []record
	for line := 1; len(body) > 0; line++ {
		if len(all) > maxDeposits {
			return nil, fmt.Sprintf("more than %d records", maxDeposits)
		}
		n := bytes.IndexAny(body, "\r\n")
		if n < 0 || n >= recordLength { // without line ends
			n = min(recordLength, len(body))
		}
		if n != recordLength {
			return nil, fmt.Sprintf("line %d: a record of %d characters; want %d", line, n, recordLength)
		}
		all = append(all, record{line, body[:n]})
		body = body[n:]
		if bytes.HasPrefix(body, []byte("\r")) {
			body = body[1:]
		}
		if bytes.HasPrefix(body, []byte("\n")) {
			body = body[1:]
		}
	}
	return all, ""
}

// readZengin reads a file of either kind.
func (c *contract) readZengin(body []byte, now time.Time) *statement {
	s := &statement{kind: string(body[1:3])}
	all, fault := records(body)
	if fault != "" {
		s.refused = fault
		return s
	}
	l := layouts[s.kind]
	var part section
	open, ended := false, false
	for _, r := range all {
		switch kind := r.b[0]; {
		case ended:
			s.fault(r.line, "データ区分: something follows the end record (9)")
			return s
		case kind == '1' && !open:
			part, open = c.begin(s, &l, r), true
			if r.b[3] != '0' {
				s.fault(r.line, "コード区分: %q; want 0 (JIS): ask the bank for a file in JIS", r.b[3])
			}
		case kind == '2' && open:
			part.data(s, &l, r, now)
		case kind == '8' && open:
			part.close(s, &l, r)
			open = false
		case kind == '9' && !open:
			ended = true
		default:
			s.fault(r.line, "データ区分: %q does not follow here; want 1, 2 …, 8 for each account, then 9", kind)
			return s
		}
	}
	if !ended {
		s.refused = fmt.Sprintf("the end record (9) is missing behind %d records: the file was cut off", len(all))
	}
	return s
}

// section is one account of the file.
type section struct {
	c             *contract
	account       string // place of the header's account
	ours          bool   // it is in the pool
	bank          string
	count, undone int
	total, back   int64
	first         int // of its deposits in the statement
}

func (c *contract) begin(s *statement, l *layout, r record) section {
	part := section{c: c, bank: r.text(l.bank), first: len(s.deposits)}
	kind, n := r.text(l.kind), r.text(l.account)
	if !bankCode.MatchString(part.bank) || !branchCode.MatchString(r.text(l.branch)) || len(n) < 7 {
		s.fault(r.line, "銀行コード, 支店コード, 口座番号: want 4, 3 and 7 digits")
		return part
	}
	part.account = part.bank + "-" + r.text(l.branch) + "-" + kind + "-" + n[len(n)-7:]
	_, part.ours = c.of[part.account]
	return part
}

// data reads one transaction.
func (part *section) data(s *statement, l *layout, r record, now time.Time) {
	yen, err := strconv.ParseInt(r.text(l.yen), 10, 64)
	if err != nil || yen < 0 {
		s.fault(r.line, "金額: want digits")
		return
	}
	if l.income.size > 0 && r.text(l.income) != "1" {
		return // paid out
	}
	if l.undo.size > 0 && r.text(l.undo) == "1" {
		part.undone, part.back = part.undone+1, part.back+yen
		part.undo(s, l, r, yen, now)
		return
	}
	part.count, part.total = part.count+1, part.total+yen
	if l.deal.size > 0 {
		switch deal := r.text(l.deal); {
		case deal == correction:
			s.fault(r.line, "取引区分: 19 (訂正): a correction has to be settled by hand; take the line out and correct the trailer, or leave the file")
			return
		case !slices.Contains(deals, deal):
			return
		}
	}
	d, ok := part.deposit(s, l, r, yen, now)
	if ok {
		s.deposits = append(s.deposits, d)
	}
}

func (part *section) deposit(s *statement, l *layout, r record, yen int64, now time.Time) (deposit, bool) {
	day, err := bankDay(r.text(l.day), now)
	switch {
	case err != nil:
		s.fault(r.line, "勘定日: want YYMMDD")
	case yen < 1:
		s.fault(r.line, "金額: 0; want at least 1 yen")
	default:
		d := deposit{line: r.line, account: part.account, day: day, inquiry: r.text(l.inquiry), yen: yen, payer: r.text(l.payer)}
		if code := r.text(l.code); !part.ours && len(code) == 10 { // the account behind the pool: the code says which was paid to
			d.account = part.bank + "-" + code[:3] + "-1-" + code[3:]
		}
		return d, true
	}
	return deposit{}, false
}

// undo takes back a transfer of the same file. One of an earlier file counts already and has to be dealt with by a person.
func (part *section) undo(s *statement, l *layout, r record, yen int64, now time.Time) {
	d, ok := part.deposit(s, l, r, yen, now)
	if !ok {
		return
	}
	for i := len(s.deposits) - 1; i >= part.first; i-- {
		have := s.deposits[i]
		if have.account == d.account && have.yen == d.yen && have.payer == d.payer && have.day.Equal(d.day) {
			s.deposits = slices.Delete(s.deposits, i, i+1)
			return
		}
	}
	s.fault(r.line, "取消区分: takes back a transfer that is not in this file; it has to be settled by hand")
}

// close checks the sums of an account.
func (part *section) close(s *statement, l *layout, r record) {
	check := func(name string, at span, have int64) {
		if at.size == 0 {
			return
		}
		if want, err := strconv.ParseInt(r.text(at), 10, 64); err != nil || want != have {
			s.fault(r.line, "%s: the trailer says %s, its records come to %d", name, r.text(at), have)
		}
	}
	check("件数", l.count, int64(part.count))
	check("金額", l.total, part.total)
	check("取消件数", l.undone, int64(part.undone))
	check("取消金額", l.undoneTotal, part.back)
}

// bankDay reads YYMMDD: the year of 令和, as the form has it, or the last two digits of the western one, as some banks write;
// whichever is nearer to now. They are 18 years apart.
func bankDay(text string, now time.Time) (time.Time, error) {
	if len(text) != 6 {
		return time.Time{}, fmt.Errorf("%d characters", len(text))
	}
	yy, err := strconv.Atoi(text[:2])
	if err != nil {
		return time.Time{}, err
	}
	var best time.Time
	for _, year := range []int{2018 + yy, 2000 + yy} {
		day, err := time.ParseInLocation("20060102", strconv.Itoa(year)+text[2:], jst)
		if err == nil && (best.IsZero() || now.Sub(day).Abs() < now.Sub(best).Abs()) {
			best = day
		}
	}
	if best.IsZero() {
		return best, fmt.Errorf("there is no such day")
	}
	return best, nil
}
