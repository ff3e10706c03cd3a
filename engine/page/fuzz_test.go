package page

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzCheckedPageFillsWhole: whatever passes the check gives all its placeholders away when it is filled, and a
// style that is known changes no verdict.
func FuzzCheckedPageFillsWhole(f *testing.F) {
	f.Add([]byte(around(`<form method="post" action="__LINK__/open">` + token + `</form>`)))
	f.Add([]byte(around(`<a href="__LINK__/documents/a">x</a>__FORM__`)))
	f.Add([]byte("<!doctype html>__LINK____FORM____UNTIL__"))
	f.Add([]byte(around(`<p>__UNTIL__</p><p title="__UNTIL__">__UNT&#73;L__</p>`)))
	f.Add([]byte(strings.Replace(around("<svg></svg>"), "<style>", "<title><style>", 1)))
	if _, err := check([]byte(around(""))); err != nil { // its style is known from here on
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) <= MaxHTML {
			agree(t, string(doc))
		}
		style, err := check(doc)
		if err != nil {
			return
		}
		h := split(doc, style)
		if got := h.Append(nil, linkMark, formMark, untilMark); !bytes.Equal(got, doc) {
			t.Fatalf("split and joined: %q became %q", doc, got)
		}
		filled := h.Append(nil, "/a/x", "tok", "")
		if bytes.Contains(filled, []byte(formMark)) || bytes.Contains(filled, []byte(linkMark)) || bytes.Contains(filled, []byte(untilMark)) {
			t.Fatalf("%q keeps a placeholder", filled)
		}
	})
}
