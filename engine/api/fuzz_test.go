package api

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/kakitome/kakitome/engine/message"
)

func FuzzSplitLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 10)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaa\nb"), 3)
	f.Add(bytes.Repeat([]byte("x"), 70_000), 40_000)
	f.Add([]byte("\r\n\r\n"), 0)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		want := bytes.Split(data, []byte("\n"))
		next := 0
		for line, err := range splitLines(iotest.OneByteReader(bytes.NewReader(data)), limit) {
			if line.n <= next || line.n > len(want) {
				t.Fatalf("line %d after %d of %d", line.n, next, len(want))
			}
			next = line.n
			text := bytes.TrimSuffix(want[line.n-1], []byte("\r"))
			switch {
			case errors.Is(err, errLongLine):
				if len(text) <= limit {
					t.Fatalf("line %d of %d bytes is called too long", line.n, len(text))
				}
			case err != nil:
				t.Fatal(err)
			case !bytes.Equal(line.text, text) && !bytes.Equal(line.text, want[line.n-1]):
				t.Fatalf("line %d: %q is not %q", line.n, line.text, text)
			}
		}
		if end := len(want); next < end && len(want[end-1]) > 0 {
			t.Fatalf("the last line is missing: %d of %d", next, end)
		}
	})
}

func FuzzDecodeDraft(f *testing.F) {
	f.Add([]byte(bill))
	f.Add([]byte(`{"send_at":"x","link":{"expires_at":5}}`))
	f.Add([]byte(`{"to":1}{}`))
	f.Add([]byte("{\"\\ud800\":1}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d message.Draft
		code, ps := decode(data, &d)
		if (code == "") != (len(ps) == 0) {
			t.Fatalf("%q: %q with %v", data, code, ps)
		}
		for _, p := range ps {
			if p.Field == "" || len(p.Field) > 300 {
				t.Fatalf("%q: %v", data, p)
			}
		}
		if code == "" {
			d.Check()
		}
	})
}
