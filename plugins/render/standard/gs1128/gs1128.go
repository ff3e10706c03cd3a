// Package gs1128 draws the GS1-128 symbol of 標準料金代理収納: the 44 digits that a konbini till reads from a bill.
//
// The symbol is START C, FNC1, 22 pairs of digits in code set C, the modulo 103 check character and STOP: 288
// modules, with a quiet zone of at least 10 modules on either side. The digits are the agent's and are never made
// here; they are checked (length, AI 91, check digit) because a till would refuse them without saying why.
package gs1128

import (
	"errors"
	"strconv"
)

const (
	Digits  = 44  // digits of the number, AI 91 and check digit included
	Modules = 288 // width of the bars, without the quiet zones
	Quiet   = 10  // modules of white that must stay free on either side
)

var (
	ErrDigits = errors.New("gs1128: want 44 digits that begin with 91")
	ErrCheck  = errors.New("gs1128: check digit does not hold")
)

const (
	fnc1   = 102
	startC = 105
	stop   = 106
)

// patterns are the widths of bars and spaces of each Code 128 character, a bar first. ISO/IEC 15417 table 1.
var patterns = [107]string{
	"212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213",
	"221312", "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132",
	"221231", "213212", "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211",
	"212123", "212321", "232121", "111323", "131123", "131321", "112313", "132113", "132311", "211313",
	"231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121", "313121", "211331",
	"231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
	"314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214",
	"112412", "122114", "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",
	"111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211", "212141",
	"214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311", "113141",
	"114131", "311141", "411131", "211412", "211214", "211232", "2331112",
}

// Bar is one black bar, in modules from the first bar's left edge.
type Bar struct{ X, Width int }

// Encode checks the number and gives its bars from left to right. The last bar ends at Modules.
func Encode(digits string) ([]Bar, error) {
	if err := check(digits); err != nil {
		return nil, err
	}
	codes := make([]int, 0, 3+Digits/2+1)
	codes = append(codes, startC, fnc1)
	for i := 0; i < Digits; i += 2 {
		codes = append(codes, int(digits[i]-'0')*10+int(digits[i+1]-'0'))
	}
	sum := codes[0]
	for i, c := range codes[1:] {
		sum += (i + 1) * c
	}
	codes = append(codes, sum%103, stop)

	var bars []Bar
	x := 0
	for _, c := range codes {
		for i, w := range []byte(patterns[c]) {
			width := int(w - '0')
			if i%2 == 0 {
				bars = append(bars, Bar{X: x, Width: width})
			}
			x += width
		}
	}
	return bars, nil
}

// Path is the bars as the data of one SVG path, one user unit per module, shifted right by the quiet zone.
func Path(bars []Bar, height int) string {
	h := strconv.Itoa(height)
	b := make([]byte, 0, len(bars)*20)
	for _, bar := range bars {
		b = append(b, 'M')
		b = strconv.AppendInt(b, int64(Quiet+bar.X), 10)
		b = append(b, " 0h"...)
		b = strconv.AppendInt(b, int64(bar.Width), 10)
		b = append(append(b, 'v'), h...)
		b = append(b, "h-"...)
		b = strconv.AppendInt(b, int64(bar.Width), 10)
		b = append(b, 'z')
	}
	return string(b)
}

// Human gives the two lines printed below the symbol: AI, company and free digits with the reissue digit; due date,
// stamp flag, amount and check digit. The number must have passed Encode.
func Human(digits string) (first, second string) {
	return "(" + digits[:2] + ")" + digits[2:8] + "-" + digits[8:30],
		digits[30:36] + "-" + digits[36:37] + "-" + digits[37:43] + "-" + digits[43:]
}

// CheckDigit is modulo 10, weight 3 from the right, over the first 43 digits, AI 91 included.
func CheckDigit(digits43 string) byte {
	sum := 0
	for i := range len(digits43) {
		d := int(digits43[len(digits43)-1-i] - '0')
		if i%2 == 0 {
			d *= 3
		}
		sum += d
	}
	return '0' + byte((10-sum%10)%10)
}

func check(digits string) error {
	if len(digits) != Digits || digits[:2] != "91" {
		return ErrDigits
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return ErrDigits
		}
	}
	if digits[Digits-1] != CheckDigit(digits[:Digits-1]) {
		return ErrCheck
	}
	return nil
}
