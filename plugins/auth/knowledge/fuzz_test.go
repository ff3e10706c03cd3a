package main

import (
	"testing"

	"github.com/kakitome/kakitome/plugins/proto"
)

func FuzzCanonicalIsStable(f *testing.F) {
	for _, seed := range []string{"平成10年1月1日", "4-10-01-01", "千九百九十八年一月一日", "R元.5.1", "00123-ab", "ｱ-゛1", "+81(0)90-1234-5678", "〒100-0001", " ¨ａ", "1998/1/1 0:00", "\u0345", "ǰ"} {
		for i := range fields {
			f.Add(i, seed)
		}
	}
	for _, s := range readSpellings(f) {
		for i := range fields {
			if fields[i].Name == s.field {
				f.Add(i, s.typed)
			}
		}
	}
	f.Fuzz(func(t *testing.T, field int, value string) {
		name := fields[uint(field)%uint(len(fields))].Name
		once := canonical(&proto.CanonicalItem{Field: name, Value: value}, now)
		if once.Error != nil {
			return
		}
		twice := canonical(&proto.CanonicalItem{Field: name, Value: once.Form}, now)
		if twice.Form != once.Form && twice.Error.GetMessage() == "" || twice.Error != nil && len(once.Form) < maxTyped {
			t.Fatalf("%s %q: %v, then %v", name, value, once, twice)
		}
	})
}
