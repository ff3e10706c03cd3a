package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

var browsers = map[string]struct {
	userAgent string
	sandboxed bool
}{
	"Chrome on Android":  {"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36", true},
	"Edge":               {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0", true},
	"Safari":             {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", false},
	"Chrome on iPhone":   {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/156.0.0.0 Mobile/15E148 Safari/604.1", false},
	"Firefox on Android": {"Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0", true},
	"Firefox":            {"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", true},
	"Firefox on iPhone":  {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/153.0 Mobile/15E148 Safari/605.1.15", false},
	"Firefox on iPad":    {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/153.0 Safari/605.1.15", false},
	"WebKitGTK":          {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/60.5 Safari/605.1.15", false},
}

// A file runs nothing, leads nowhere and is framed by nobody; it is sandboxed where the browser still shows it.
func TestFilesDoNothingInABrowser(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	uploaded, err := w.docs.Put(t.Context(), "water", "検針票.pdf", smallPDF("検針票"))
	w.must(err)
	m := w.send(draft{page: message.Page{NoticePDF: true, Documents: []message.Attachment{{ID: uploaded}}}})
	for name, of := range browsers {
		t.Run(name, func(t *testing.T) {
			b := w.newBrowser()
			b.header.Set("User-Agent", of.userAgent)
			b.get(w.path(m))
			b.submit("open", url.Values{})
			for _, file := range []string{"notice.pdf", "document-1.pdf"} {
				got := b.get(w.path(m) + "/documents/" + file)
				require.Equal(t, http.StatusOK, got.status)
				require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
				require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
				require.Contains(t, got.header.Get("Content-Disposition"), "inline; ")
				policy := got.header.Get("Content-Security-Policy")
				require.True(t, strings.HasSuffix(policy, "script-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"), policy)
				require.Equal(t, of.sandboxed, strings.HasPrefix(policy, "sandbox allow-downloads allow-popups; "), policy)
			}
		})
	}
	require.Contains(t, filePolicy("", "https:"), "frame-ancestors https:", "a sheet stands in the sender's own page")
}
