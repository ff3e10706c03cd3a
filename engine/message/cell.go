package message

import (
	"strings"
	"unicode/utf8"
)

// Cell makes a cell of a file that a spreadsheet takes as text: what begins like a formula gets an apostrophe in front. Some
// programs fold full-width forms to the same.
func Cell(s string) string {
	if r, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", r) {
		return "'" + s
	}
	return s
}
