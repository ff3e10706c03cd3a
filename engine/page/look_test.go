package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/look"
)

// The host's own pages are for people too: every view is looked at in a browser on a phone, in 320 pixels and with twice the size of text.
func TestEveryPlainViewIsFitToBeUsed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, lang, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".")
		v := proto.View_value[name]
		if v == 0 { // the icon, which browsers ask for
			w.WriteHeader(http.StatusNoContent)
			return
		}
		m := sample(proto.View(v))
		m.Lang, m.MayDisown, m.No, m.About = lang, true, "20261122000000041", "/s/water"
		if m.Voucher != nil {
			m.Voucher.Account = &proto.BankAccount{Bank: "〇〇銀行", Branch: "振込専用支店", Kind: "普通", Number: "0000001", Holder: "〇〇ケンスイドウキヨク"}
		}
		h, err := plain(m)
		assert.NoError(t, err)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(h.Append(nil, "/a/SQND01gr", "tok-en_1", ""))
	}))
	t.Cleanup(server.Close)
	w := look.Open(t, look.Phone, true, server.URL)
	for v, name := range proto.View_name {
		if v == 0 {
			continue
		}
		for _, lang := range []string{"ja", "en"} {
			w.Go(server.URL + "/" + name + "." + lang)
			assert.Empty(t, append(w.Faults(), w.Cramped()...), "%s %s", name, lang)
			if lang == "ja" { // the other has the same elements
				assert.Empty(t, w.Violations(), name)
			}
		}
	}
}
