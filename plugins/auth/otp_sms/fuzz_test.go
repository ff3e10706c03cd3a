package main

import (
	"strings"
	"testing"

	"github.com/kakitome/kakitome/plugins/proto"
)

func FuzzTextFits(f *testing.F) {
	f.Add("123456", "〇〇県水道局", "pay.example.jp", "１２３ ４５６")
	f.Add("1234", "\xff𠮷\u2029a", "", "1\u200b234")
	f.Fuzz(func(t *testing.T, code, name, host, typed string) {
		if len(code) >= minDigits && len(code) <= maxDigits && hostname.MatchString(host) {
			name = oneLine(name)
			if s := text(code, 60, name, host, 1, "ja"); parts(s) > 1 || strings.Count(s, "\n") > 1+strings.Count(code, "\n") {
				t.Fatalf("%q", s)
			}
		}
		once := canonical(&proto.CanonicalItem{Field: field, Value: typed}).Form
		if once != "" && canonical(&proto.CanonicalItem{Field: field, Value: once}).Form != once {
			t.Fatalf("%q became %q, which is not stable", typed, once)
		}
	})
}
