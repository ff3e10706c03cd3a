package page

import (
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// phone matches a phone number with hyphens or parentheses, of Japan (0…, ０…) or of the world (+81 …).
const phone = `(?:[0０][0-9０-９]{1,3}|[+＋][0-9０-９]{1,3}[-－ ][0-9０-９]{1,4})` + hyphen + `[0-9０-９]{1,4}` + hyphen + `[0-9０-９]{3,4}`

const hyphen = `[-－‐‑–−ー()（）]`

// links finds links with words of their own, addresses of the web and phone numbers.
var links = regexp.MustCompile(wording.Labelled + `|` + wording.Address + `|` + phone)

// callable finds the items of a table whose value is a phone number to call. Other values may be customer numbers.
var callable = regexp.MustCompile(`(?i)電話|連絡|問い?合わ?せ|tel|phone|contact`)

// value is the text of a row with its links.
func value(r *proto.Row) template.HTML { return link(r.Value, callable.MatchString(r.Item)) }

// linked is a text of sentences with its links.
func linked(s string) template.HTML { return link(s, true) }

// link escapes the text and makes links of what links finds in it: to http, https and tel, nothing else.
func link(s string, phones bool) template.HTML {
	var b strings.Builder
	last := 0
	for _, at := range links.FindAllStringSubmatchIndex(s, -1) {
		start, end := at[0], at[1]
		shown, to := s[start:end], ""
		switch {
		case at[2] >= 0:
			shown, to = s[at[2]:at[3]], s[at[4]:at[5]]
			if deceives(shown) {
				continue // the text as it stands shows where it leads
			}
			if rest, ok := strings.CutPrefix(to, "tel:"); ok {
				to = "tel:" + digits(rest)
			}
		case strings.HasPrefix(shown, "http"):
			shown = strings.TrimRight(shown, ".,;:!?")
			end = start + len(shown)
			to = shown
		case phones && !inNumber(s, start, end):
			to = "tel:" + digits(shown)
		default:
			continue // not a phone number, or a part of a longer number
		}
		if _, err := url.Parse(to); err != nil {
			continue // the host would refuse the page for it
		}
		b.WriteString(template.HTMLEscapeString(s[last:start]))
		rel := ""
		if !strings.HasPrefix(to, "tel:") {
			rel = ` rel="noopener noreferrer nofollow"`
		}
		fmt.Fprintf(&b, `<a href="%s"%s>%s</a>`, template.HTMLEscapeString(to), rel, template.HTMLEscapeString(shown))
		last = end
	}
	b.WriteString(template.HTMLEscapeString(s[last:]))
	return template.HTML(b.String())
}

// addressLike finds words that say where a link leads: only an address itself may.
var addressLike = regexp.MustCompile(`(?i)://|www\.|[a-z0-9-]\.[a-z]{2}|[a-z0-9]@[a-z0-9]`)

func deceives(words string) bool { return addressLike.MatchString(words) }

// digits are those of a phone number, with a + where it begins with one, in ASCII.
func digits(number string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		case r == '＋' || r == '+':
			return '+'
		case r >= '0' && r <= '9':
			return r
		}
		return -1
	}, number)
}

// inNumber tells whether digits or hyphens stand around s[start:end].
func inNumber(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	return strings.ContainsRune(numeral, before) || strings.ContainsRune(numeral, after)
}

const numeral = "0123456789０１２３４５６７８９-－+＋"
