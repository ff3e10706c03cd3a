package gs1128

import "testing"

// A number is refused, or its bars fill the symbol from the first to the last module without touching.
func FuzzEncode(f *testing.F) {
	for _, n := range numbers {
		f.Add(n)
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, digits string) {
		bars, err := Encode(digits)
		if err != nil {
			return
		}
		end := -1
		for _, b := range bars {
			if b.X <= end || b.Width < 1 || b.Width > 4 {
				t.Fatalf("bar %+v after %d", b, end)
			}
			end = b.X + b.Width
		}
		if bars[0].X != 0 || end != Modules {
			t.Fatalf("bars from %d to %d", bars[0].X, end)
		}
	})
}
