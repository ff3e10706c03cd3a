package carrier

import (
	"errors"
	"fmt"
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
		err := v.loadPorted(strings.NewReader(s), "ported.csv", 1000)
		if err == nil {
			for block := range portedBlocks {
				for _, row := range v.ported.rows[v.ported.start[block]:v.ported.start[block+1]] {
					n := portedNumber(uint32(block)<<16 | row>>8)
					if c, ok := v.ported.find(n); !ok || c != uint8(row) {
						t.Fatalf("%s is not found again", n)
					}
				}
			}
		} else if digits := longDigits.FindString(strings.ReplaceAll(err.Error(), "max_ported = 1000", "")); digits != "" {
			t.Fatalf("the error shows a number: %s", err)
		}
	})
}

var longDigits = regexp.MustCompile(`[0-9]{7,}`)

// FuzzMobile: the fast reader of lines and the rules of the numbering plan say the same.
func FuzzMobile(f *testing.F) {
	for _, s := range []string{"0901", "09012345678", "0600", "0800", "0601", "0501", "090", "090123456789", "０９０１", "0a01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, digits, ok := mobile([]byte(s))
		want := len(s) >= 4 && len(s) <= 11 && strings.Trim(s, "0123456789") == "" && classify((s + "0000000")[:11]) == ""
		if ok != want {
			t.Fatalf("%q: %v, the numbering plan says %v", s, ok, want)
		}
		if ok && (digits != len(s)-1 || fmt.Sprintf("%0*d", len(s), n) != s) {
			t.Fatalf("%q: %d of %d digits", s, n, digits)
		}
	})
}
