package intake

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kakitome/kakitome/engine/message"
)

// textPlan is a text cut at its {url} marks, so that a value with "{url}" in it cannot place a link. It is not copied.
type textPlan struct {
	pieces []string
	room   [4]string // of pieces: most texts have one or two
}

const urlMark = "\x00url" // a piece that stands for the link; no other piece holds NUL

func (tp *textPlan) append(pieces ...string) {
	if tp.pieces == nil {
		tp.pieces = tp.room[:0]
	}
	tp.pieces = append(tp.pieces, pieces...)
}

func (tp *textPlan) urls() (n int) {
	for _, p := range tp.pieces {
		if p == urlMark {
			n++
		}
	}
	return n
}

// with is the text with the link in.
func (tp *textPlan) with(url string) string {
	if len(tp.pieces) == 1 && tp.pieces[0] != urlMark {
		return tp.pieces[0]
	}
	size := 0
	for _, p := range tp.pieces {
		size += max(len(p), len(url))
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range tp.pieces {
		if p == urlMark {
			p = url
		}
		b.WriteString(p)
	}
	return b.String()
}

// linksElsewhere reports whether a URL stands in the text beside the link.
func (tp *textPlan) linksElsewhere() bool {
	for _, p := range tp.pieces {
		if strings.Contains(p, ":") { // of "://", which may be cut by a value
			return strings.Contains(tp.with(""), "://")
		}
	}
	return false
}

// unwanted is the first character that no SMS text may have; false: none.
func (tp *textPlan) unwanted() (rune, bool) {
	for _, p := range tp.pieces {
		if p == urlMark {
			continue
		}
		for _, r := range p {
			switch {
			case r >= ' ' && r < 0x7f, r >= 0x3000 && r < 0xff00: // as almost all have
			case unicode.IsControl(r) && r != '\n', r == unicode.ReplacementChar, unicode.Is(unicode.Bidi_Control, r):
				return r, true
			}
		}
	}
	return 0, false
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "\ufffd")

// expand puts values for {names} into tp in one pass and leaves {url} for later. In a template (strict) every {name} must
// have a value; in a text only names that have one are replaced, the rest stays as it is. Line ends become \n.
func (tp *textPlan) expand(text string, vars map[string]string, strict bool) (missing, unused []string) {
	if strings.ContainsAny(text, "\r\x00") {
		text = lineEnds.Replace(text)
	}
	var used map[string]bool
	if len(vars) > 0 {
		used = make(map[string]bool, len(vars))
	}
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if before != "" {
			tp.append(before)
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		value, has := vars[name]
		switch {
		case closed && name == "url":
			tp.append(urlMark)
		case closed && has:
			used[name] = true
			tp.append(strings.ReplaceAll(value, "\x00", "\ufffd"))
		case closed && strict && isName(name):
			if !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		default:
			tp.append("{")
			after = rest
		}
		text = after
	}
	if len(used) == len(vars) {
		return missing, nil
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	return missing, unused
}

func isName(s string) bool {
	if s == "" || utf8.RuneCountInString(s) > 32 {
		return false
	}
	for _, r := range s {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return true
}

// UCS2 measures every text in UTF-16 units: 70 alone, 67 in each of several. A surrogate pair is not cut.
type UCS2 struct{}

// Measure implements Meter.
func (UCS2) Measure(text string) (Length, error) {
	l := Length{Units: message.Units(text), Parts: 1, Alone: 70, Part: 67}
	if !utf8.ValidString(text) {
		return l, errors.New("text is not UTF-8")
	}
	if l.Units <= l.Alone {
		return l, nil
	}
	room := l.Part
	for _, r := range text {
		n := 1
		if r > 0xFFFF {
			n = 2
		}
		if n > room {
			l.Parts, room = l.Parts+1, l.Part
		}
		room -= n
	}
	return l, nil
}
