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
)

func split(doc []byte, style string) *HTML {
	h := &HTML{Style: style, size: len(doc)}
	for {
		link, form := bytes.Index(doc, []byte(linkMark)), bytes.Index(doc, []byte(formMark))
		switch {
		case link < 0 && form < 0:
			h.pieces = append(h.pieces, doc)
			return h
		case form < 0 || (link >= 0 && link < form):
			h.pieces, h.fills = append(h.pieces, doc[:link]), append(h.fills, fillLink)
			doc = doc[link+len(linkMark):]
		default:
			h.pieces, h.fills = append(h.pieces, doc[:form]), append(h.fills, fillForm)
			doc = doc[form+len(formMark):]
		}
	}
}

// breaker parts the words of the placeholders by a word joiner, which nobody sees. It acts on their beginning alone: an
// occurrence of it never overlaps another, so that what was broken cannot make a whole one again.
var breaker = strings.NewReplacer("__LINK", "__LI\u2060NK", "__FORM", "__FO\u2060RM")

// marked reports whether a marshaled page holds what breaker breaks.
func marked(model []byte) bool {
	return bytes.Contains(model, []byte("__LINK")) || bytes.Contains(model, []byte("__FORM"))
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

// Append appends the page with the link's path ("/a/SQND01gr…") and the form token filled in. Both hold only
// characters that mean nothing in HTML: A-Z, a-z, 0-9, "/", "-" and "_".
func (h *HTML) Append(dst []byte, link, form string) []byte {
	for i, piece := range h.pieces {
		dst = append(dst, piece...)
		if i < len(h.fills) {
			if h.fills[i] == fillLink {
				dst = append(dst, link...)
			} else {
				dst = append(dst, form...)
			}
		}
	}
	return dst
}

// Len is about how many bytes Append appends.
func (h *HTML) Len() int { return h.size }
