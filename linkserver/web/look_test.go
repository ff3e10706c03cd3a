package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kakitome/kakitome/tools/look"
)

// The page that leads to somebody else's is the only one that a browser in a test of a whole way does not stay on: it is looked at here,
// without the header by which it goes on.
func TestPageThatLeadsAwayIsFitToBeUsed(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	pages := map[string]string{}
	for lang, title := range map[string]string{"ja": "ページを移動しています", "en": "Taking you there"} {
		m := w.send(draft{items: elsewhere})
		b := w.opened(m)
		b.get(w.path(m) + "?lang=" + lang)
		b.submit("identify", nil)
		b.says(title)
		b.leads()
		pages[lang] = b.shown.body
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok { // the icon, which browsers ask for
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	seen := look.Open(t, look.Phone, true, server.URL)
	for lang := range pages {
		seen.Go(server.URL + "/" + lang)
		assert.Empty(t, append(append(seen.Faults(), seen.Violations()...), seen.Cramped()...), lang)
	}
}
