package carrier

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

var e164 = regexp.MustCompile(`^\+81(60[1-9]|80[1-9]|[79]0[0-9])[0-9]{7}$`)

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"08012349008", "+81-080-1234-9008", "０９０－００００－００００", "0120-123-456", "+1", "81", "", "\xff\xfe", "+81+81"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumber(s)
		if err != nil {
			var ne *NumberError
			if !errors.As(err, &ne) || reasonText[ne.Reason] == "" || !n.IsZero() {
				t.Fatalf("%q: %v, %v", s, n, err)
			}
			return
		}
		if !e164.MatchString(n.E164()) || strings.Contains(n.String(), n.National()[3:7]) && n.National()[3:7] != n.Last4() {
			t.Fatalf("%q: %s", s, n.E164())
		}
		for _, again := range []string{n.E164(), n.National(), n.E164()[1:]} {
			if m, err := ParseNumber(again); err != nil || m != n {
				t.Fatalf("%q: %s does not come back: %v", s, again, err)
			}
		}
	})
}

func FuzzReadTable(f *testing.F) {
	f.Add("0900001,docomo\n# x\n07001,au # y\n")
	f.Add("\ufeff0901,nobody")
	f.Add("08001,docomo\n0900,")
	f.Fuzz(func(t *testing.T, s string) {
		v := boxView()
		_ = v.read(strings.NewReader(s), "ranges.csv", v.addRange)
		for key := range v.ranges {
			if key < 1000 {
				t.Fatal(key)
			}
		}
		_ = v.read(strings.NewReader(s), "ported.csv", v.addPorted)
		_ = v.ported.settle()
	})
}
