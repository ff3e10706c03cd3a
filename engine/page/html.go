package page

import (
	"bytes"
	"strings"

	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kakitome/kakitome/plugins/proto"
)

// HTML is a checked page, split where the bytes of one request go. It never changes and is shared by all requests.
type HTML struct {
	pieces [][]byte
	fills  []fill // fills[i] goes behind pieces[i]; one fewer than the pieces
	size   int
	Style  string // source expression of the one style, "sha256-…"; empty: none
	// Plain says that the host's own template drew it, because no renderer did.
	Plain bool
}

type fill byte

const (
	fillLink fill = iota
	fillForm
	fillUntil
)

// marks are the placeholders, by what fills them.
var marks = [...][]byte{fillLink: []byte(linkMark), fillForm: []byte(formMark), fillUntil: []byte(untilMark)}

func split(doc []byte, style string) *HTML {
	h := &HTML{Style: style, size: len(doc)}
	for {
		at, next := -1, fill(0)
		for f, mark := range marks {
			if i := bytes.Index(doc, mark); i >= 0 && (at < 0 || i < at) {
				at, next = i, fill(f)
			}
		}
		if at < 0 {
			h.pieces = append(h.pieces, doc)
			return h
		}
		h.pieces, h.fills = append(h.pieces, doc[:at]), append(h.fills, next)
		doc = doc[at+len(marks[next]):]
	}
}

// breaker parts the words of the placeholders by a word joiner, which nobody sees. It acts on their beginning alone: an
// occurrence of it never overlaps another, so that what was broken cannot make a whole one again.
var breaker = strings.NewReplacer("__LINK", "__LI\u2060NK", "__FORM", "__FO\u2060RM", "__UNTIL", "__UN\u2060TIL")

// marked reports whether a marshaled page holds what breaker breaks.
func marked(model []byte) bool {
	for _, word := range []string{"__LINK", "__FORM", "__UNTIL"} {
		if bytes.Contains(model, []byte(word)) {
			return true
		}
	}
	return false
}

// inert is the page without the host's placeholders in any of its texts: senders, payers and modules write them, and a
// placeholder would be filled wherever it stands, or have the page refused.
func inert(m *proto.Page) *proto.Page {
	m = pb.CloneOf(m)
	_ = protorange.Range(m.ProtoReflect(), func(v protopath.Values) error { // the function gives no error
		s, ok := v.Index(-1).Value.Interface().(string)
		if !ok {
			return nil
		}
		broken := protoreflect.ValueOfString(breaker.Replace(s))
		switch parent, step := v.Index(-2).Value, v.Index(-1).Step; step.Kind() {
		case protopath.FieldAccessStep:
			parent.Message().Set(step.FieldDescriptor(), broken)
		case protopath.ListIndexStep:
			parent.List().Set(step.ListIndex(), broken)
		}
		return nil
	})
	return m
}

// Append appends the page with the link's path ("/a/SQND01gr…"), the form token and when the link ends (Moment) filled in. None
// holds a character that means anything in HTML.
func (h *HTML) Append(dst []byte, link, form, until string) []byte {
	for i, piece := range h.pieces {
		dst = append(dst, piece...)
		if i == len(h.fills) {
			break
		}
		switch h.fills[i] {
		case fillLink:
			dst = append(dst, link...)
		case fillForm:
			dst = append(dst, form...)
		case fillUntil:
			dst = append(dst, until...)
		}
	}
	return dst
}

// Len is about how many bytes Append appends.
func (h *HTML) Len() int { return h.size }
