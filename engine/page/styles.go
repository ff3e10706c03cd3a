package page

import (
	"bytes"
	"strings"
	"sync"
)

// passed are the styles that a check let through. A renderer's pages have one style, or one of each colour, and it is most of a
// page: what is known of it need not be found out again.
var passed styles

// styles keeps the source expressions of styles by their text. What they say follows from the text alone. Safe for concurrent use.
type styles struct {
	mu     sync.RWMutex // guards what follows
	byText map[string]string
}

// Bounds of what is kept, 8 MB. A full one begins anew.
const (
	keptStyles = 256
	keptStyle  = 32 << 10
)

func (s *styles) get(text []byte) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byText[string(text)]
}

// keep keeps the style of a page that passed; text is what cutStyle cut out of it. One with a placeholder or a < in it is none that
// may be cut out: what is counted in a page would be another number without it.
func (s *styles) keep(text []byte, c *checker) {
	if len(text) == 0 || len(text) > keptStyle || string(text) != c.text || strings.Contains(c.text, "<") || strings.Contains(c.text, "__") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byText == nil || len(s.byText) >= keptStyles {
		s.byText = map[string]string{}
	}
	s.byText[c.text] = c.style
}

// cutStyle parts a page that has <style> once into the style's text and the page without it; nil: it is none of those.
//
// A page whose style is known passes if and only if the rest does, in which the element is empty. Up to it both are the same; if it is
// an element of the head there, which check sees in the tree, it is one in the whole page, and from its start tag on nothing but its
// end tag ends its text. The text holds no <, and thus none, and goes nowhere but into the element. Nothing that is searched for in
// the page lies across a place where it was cut: no placeholder holds a < or >, and no tag a >.
func cutStyle(doc []byte) (text, rest []byte) {
	before, after, found := bytes.Cut(doc, []byte("<style>"))
	text, end, ends := bytes.Cut(after, []byte("</style>"))
	if !found || !ends || count(before, "<style")+count(after, "<style") > 0 {
		return nil, nil
	}
	at := len(doc) - len(end) - len("</style>")
	return text, append(bytes.Clone(doc[:len(before)+len("<style>")]), doc[at:]...)
}
