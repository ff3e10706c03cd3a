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

// The host's own pages are for people too: every view is looked at in a browser on a phone, in 320 pixels and with twice the size of text.
func TestEveryPlainViewIsFitToBeUsed(t *testing.T) {
	refused := "REFUSED" // INFO after a press that each item of the survey was wrong at
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, lang, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".")
		v := proto.View_value[name]
		if name == refused {
			v = int32(proto.View_INFO)
		}
		if v == 0 { // the icon, which browsers ask for
			w.WriteHeader(http.StatusNoContent)
			return
		}
		m := sample(proto.View(v))
		m.Lang, m.MayDisown, m.No, m.About = lang, true, "20261122000000041", "/s/water"
		if m.Voucher != nil {
			m.Voucher.Account = &proto.BankAccount{Bank: "〇〇銀行", Branch: "振込専用支店", Kind: "普通", Number: "0000001", Holder: "〇〇ケンスイドウキヨク"}
		}
		if name == refused {
			m.Incomplete = true
			SetAnswers(m, Answers{1: {"時給"}, 2: {strings.Repeat("週末", 110)}}, false)
			SetFaults(m, Faults{0: {Kind: proto.SurveyFault_MISSING}, 1: {Kind: proto.SurveyFault_UNKNOWN}, 2: {Kind: proto.SurveyFault_TOO_LONG, Given: 220, Limit: 200}})
		}
		h, err := plain(m)
		assert.NoError(t, err)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(h.Append(nil, "/a/SQND01gr", "tok-en_1", ""))
	}))
	t.Cleanup(server.Close)
	w := look.Open(t, look.Phone, true, server.URL)
	names := append(slices.Collect(maps.Values(proto.View_name)), refused)
	for _, name := range names {
		if name == proto.View_VIEW_UNSPECIFIED.String() {
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
