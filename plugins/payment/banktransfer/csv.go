package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/unicode/norm"
)

// csvColumns are the columns of a CSV file, in any order; the last two may be missing. 取引日 is 2026-11-22 or 2026/11/22 or 20261122;
// 金額 has digits, with or without commas. Other columns are passed over, and so is a line without 入金額: money that went out.
var csvColumns = []string{"取引日", "金融機関コード", "支店番号", "口座番号", "入金額", "明細番号", "振込依頼人名"}

const neededColumns = 5

func readCSV(body []byte) *statement {
	s := &statement{kind: "csv"}
	if !utf8.Valid(body) {
		decoded, err := japanese.ShiftJIS.NewDecoder().Bytes(body)
		if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
			s.refused = "neither UTF-8 nor Shift_JIS, and no 全銀 file"
			return s
		}
		body = decoded
	}
	r := csv.NewReader(bytes.NewReader(body))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		s.refused = "line 1: " + csvFault(err)
		return s
	}
	at := map[string]int{}
	for i, name := range header {
		at[strings.TrimSpace(norm.NFKC.String(name))] = i
	}
	for _, name := range csvColumns[:neededColumns] {
		if _, ok := at[name]; !ok {
			s.refused = fmt.Sprintf("line 1: no column %s; want %s, and 明細番号 and 振込依頼人名 where there are", name, strings.Join(csvColumns[:neededColumns], ", "))
			return s
		}
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			s.refused = csvFault(err)
			return s
		}
		line, _ := r.FieldPos(0)
		if len(s.deposits) == maxDeposits {
			s.refused = fmt.Sprintf("line %d: more than %d lines", line, maxDeposits)
			return s
		}
		cell := func(name string) string {
			if i, ok := at[name]; ok && i < len(cells) {
				return strings.TrimSpace(norm.NFKC.String(cells[i]))
			}
			return ""
		}
		s.line(line, cell)
	}
}

// line reads one line of a CSV file.
func (s *statement) line(line int, cell func(string) string) {
	amount := strings.ReplaceAll(strings.TrimSuffix(cell("入金額"), "円"), ",", "")
	if strings.Trim(amount, "0") == "" {
		return
	}
	yen, err := strconv.ParseInt(amount, 10, 64)
	day, dayErr := csvDay(cell("取引日"))
	branch, n := leading(cell("支店番号"), 3), leading(cell("口座番号"), 7)
	bank := leading(cell("金融機関コード"), 4)
	switch {
	case err != nil || yen < 1 || yen > 999_999_999_999:
		s.fault(line, "入金額: want yen, 1 to 999999999999")
	case dayErr != nil:
		s.fault(line, "取引日: want a day as 2026-11-22")
	case !bankCode.MatchString(bank):
		s.fault(line, "金融機関コード: want 4 digits")
	case !branchCode.MatchString(branch):
		s.fault(line, "支店番号: want 3 digits")
	case !number.MatchString(n):
		s.fault(line, "口座番号: want 7 digits")
	case len(cell("明細番号")) > 40:
		s.fault(line, "明細番号: has %d bytes; want at most 40", len(cell("明細番号")))
	default:
		s.deposits = append(s.deposits, deposit{line: line, account: bank + "-" + branch + "-1-" + n, day: day, inquiry: cell("明細番号"), yen: yen, payer: cell("振込依頼人名")})
	}
}

// leading gives back the zeros that a spreadsheet took.
func leading(digits string, size int) string {
	if digits != "" && len(digits) < size && strings.Trim(digits, "0123456789") == "" {
		return strings.Repeat("0", size-len(digits)) + digits
	}
	return digits
}

func csvDay(text string) (time.Time, error) {
	for _, form := range []string{time.DateOnly, "2006/1/2", "20060102"} {
		if t, err := time.ParseInLocation(form, text, jst); err == nil && t.Year() >= 2000 && t.Year() < 2100 {
			return t, nil
		}
	}
	return time.Time{}, errors.New("no day")
}

// csvFault says where a file is no CSV, without a part of it.
func csvFault(err error) string {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return fmt.Sprintf("line %d: %v", bad.Line, bad.Err)
	}
	if errors.Is(err, io.EOF) {
		return "the file is empty"
	}
	return "the file cannot be read"
}
