package document_test

import (
	"bytes"
	"testing"

	"github.com/kakitome/kakitome/engine/document"
)

// Whatever the bytes, Check ends, and a file with a script in plain sight never passes.
func FuzzCheck(f *testing.F) {
	f.Add([]byte("%PDF-1.7\n1 0 obj\n<</S/JavaScript>>\nendobj\nstartxref\n0\n%%EOF"))
	f.Add([]byte("%PDF-1.7\n1 0 obj\n<</First 1>>stream\nx\x9c\x00endstream endobj\nstartxref\n0\n%%EOF"))
	f.Add([]byte("%PDF-1.7\n1 0 obj\n<</#4"))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := document.Check(b)
		if err == nil && (bytes.Contains(b, []byte("/JavaScript ")) || bytes.Contains(b, []byte("/Launch/"))) {
			t.Fatal("a script passed")
		}
	})
}

func FuzzFileName(f *testing.F) {
	f.Add("請求書.pdf")
	f.Add("a\x00\"\r\n/..")
	f.Fuzz(func(t *testing.T, name string) {
		got := document.FileName(name)
		if bytes.ContainsAny([]byte(got), "/\\\"\r\n\x00;:") || len([]rune(got)) > 100 || got[0] == '.' || document.FileName(got) != got {
			t.Fatalf("%q", got)
		}
	})
}
