package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kakitome/kakitome/tools/look"
)

// Every state of every view is looked at in a browser on a phone, in 320 pixels and with twice the size of text.
func TestEveryViewIsFitToBeUsed(t *testing.T) {
	pages := everyView()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, lang, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".")
		p := pages[name]
		if p == nil { // the icon, which browsers ask for
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(render(t, p, lang))
	}))
	t.Cleanup(server.Close)
	w := look.Open(t, look.Phone, true, server.URL)
	for name := range pages {
		for _, lang := range []string{"ja", "en"} {
			w.Go(server.URL + "/" + name + "." + lang)
			assert.Empty(t, append(w.Faults(), w.Cramped()...), "%s %s", name, lang)
			if lang == "ja" { // the other has the same elements
				assert.Empty(t, w.Violations(), name)
			}
		}
	}
}
