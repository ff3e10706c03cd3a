package page

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/look"
)

// Every state of every view is looked at in a browser on a phone in both languages, in 320 pixels and with twice the size of text.
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
	english := map[proto.View]bool{}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, lang := range []string{"ja", "en"} {
			w.Go(server.URL + "/" + name + "." + lang)
			assert.Empty(t, append(w.Faults(), w.Cramped()...), "%s %s", name, lang)
			view := pages[name].View
			if lang == "ja" || !english[view] { // axe-core takes most of the time, and other states of a view differ in both languages alike
				assert.Empty(t, w.Violations(), "%s %s", name, lang)
			}
			english[view] = english[view] || lang == "en"
		}
	}
}
