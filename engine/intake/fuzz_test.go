package intake

import (
	"strings"
	"testing"
)

func FuzzExpand(f *testing.F) {
	f.Add("お知らせ {url} {name}", "name", "{url}", true)
	f.Add("{{url}}", "url", "x", false)
	f.Add("{\x00url}", "a", "\x00url", true)
	f.Add("\x00url", "a", "b", false)
	f.Fuzz(func(t *testing.T, text, name, value string, strict bool) {
		var tp textPlan
		tp.expand(text, map[string]string{name: value}, strict)
		if want := strings.Count(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "{url}"); tp.urls() > want {
			t.Fatalf("%d links in a text with %d marks", tp.urls(), want)
		}
		if _, err := (UCS2{}).Measure(tp.with("https://s.example.jp/a/x")); err == nil && strings.Contains(tp.with(""), "\r") && !strings.Contains(value, "\r") {
			t.Fatal("a carriage return is left")
		}
	})
}
