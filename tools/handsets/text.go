package main

import (
	"regexp"
	"strings"
)

// piece is a part of a text as a phone shows it.
type piece struct {
	Text string
	Link bool // tap opens it
	Code bool // a one-time code
}

var (
	links = regexp.MustCompile(`https?://[!-~]+`)
	// A code is 4 to 8 digits that stand alone, in a text that speaks of one.
	digits     = regexp.MustCompile(`[0-9]{4,8}`)
	codeSpoken = regexp.MustCompile(`(?i)認証番号|認証コード|確認コード|確認番号|ワンタイム|暗証番号|one-time|otp|verification|passcode|code`)
)

// pieces cuts a text into links, one-time codes and the rest.
func pieces(text string) []piece {
	var out []piece
	codes := codeSpoken.MatchString(links.ReplaceAllString(text, ""))
	plain := func(s string) {
		if codes {
			from := 0
			for _, at := range digits.FindAllStringIndex(s, -1) {
				if standsAlone(s, at[0], at[1]) {
					out = appendText(out, s[from:at[0]])
					out = append(out, piece{Text: s[at[0]:at[1]], Code: true})
					from = at[1]
				}
			}
			s = s[from:]
		}
		out = appendText(out, s)
	}
	from := 0
	for _, at := range links.FindAllStringIndex(text, -1) {
		link := strings.TrimRight(text[at[0]:at[1]], ".,;:!?)]}'\"")
		plain(text[from:at[0]])
		out = append(out, piece{Text: link, Link: true})
		from = at[0] + len(link)
	}
	plain(text[from:])
	return out
}

func appendText(out []piece, s string) []piece {
	if s == "" {
		return out
	}
	return append(out, piece{Text: s})
}

// standsAlone reports whether the digits s[from:to] are no part of a number,
// date or word.
func standsAlone(s string, from, to int) bool {
	part := func(c byte) bool {
		return c == '-' || c == '/' || c == ',' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	return (from == 0 || !part(s[from-1])) && (to == len(s) || !part(s[to])) &&
		!strings.HasPrefix(s[to:], "円") && !strings.HasPrefix(s[to:], "年")
}

// display writes a number or sender as a Japanese phone does.
func display(address string) string {
	n := address
	if rest, ok := strings.CutPrefix(n, "81"); ok && len(rest) >= 9 && len(rest) <= 10 {
		n = "0" + rest
	}
	switch {
	case !onlyDigits(n), strings.HasPrefix(n, "0005"):
		return n
	case len(n) == 11 && n[0] == '0' && n[2] == '0':
		return n[:3] + "-" + n[3:7] + "-" + n[7:]
	case len(n) == 10 && (strings.HasPrefix(n, "03") || strings.HasPrefix(n, "06")):
		return n[:2] + "-" + n[2:6] + "-" + n[6:]
	case len(n) == 10 && (strings.HasPrefix(n, "0120") || strings.HasPrefix(n, "0800") || strings.HasPrefix(n, "0570")):
		return n[:4] + "-" + n[4:7] + "-" + n[7:]
	}
	return n
}

func onlyDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
