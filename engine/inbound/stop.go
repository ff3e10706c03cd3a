package inbound

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/tenant"
)

// stopWords are understood for every tenant; Policy.StopWords adds to them.
var stopWords = []string{"stop", "停止", "配信停止", "解除", "ストップ"}

// isStop reports whether a text is a stop word and nothing else. A sentence that has one in it is not: it may say the
// opposite, and a person will read it.
func isStop(p *tenant.Policy, text string) bool {
	text = plainWord(text)
	if text == "" {
		return false
	}
	for _, words := range [][]string{stopWords, p.StopWords} {
		for _, w := range words {
			if plainWord(w) == text {
				return true
			}
		}
	}
	return false
}

// plainWord drops differences of width, case, spaces and punctuation: "ＳＴＯＰ！", "ｽﾄｯﾌﾟ", "配信 停止。".
func plainWord(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'ー': // a letter of kana, not a dash
		case unicode.IsSpace(r), unicode.IsPunct(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(s))
}
