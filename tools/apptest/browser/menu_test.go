package browser

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/look"
)

// TestMenuOfAClaimInABrowser: what only a browser decides is where on the page behind the menu it arrives. The menu is the tenant's for
// this test alone. It is gone in both languages, with scripts and without.
func TestMenuOfAClaimInABrowser(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	apply := func(ctx context.Context) {
		_, err := w.Command(ctx, "tenant", "apply", "-config", w.File("kakitome.toml"), w.File("suido.toml"))
		require.NoError(t, err)
	}
	before, err := os.ReadFile(w.File("suido.toml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.File("suido.toml"), bytes.Replace(before, []byte("[policy]\n"), []byte("[policy]\nclaim_menu = true\n"), 1), 0o600))
	t.Cleanup(func() {
		require.NoError(t, os.WriteFile(w.File("suido.toml"), before, 0o600))
		apply(context.Background())
	})
	apply(t.Context())

	for i, r := range []reader{{"ja", false}, {"en", true}} { // each goes on in the other language
		t.Run(r.name(), func(t *testing.T) {
			t.Parallel()
			d := &message.Draft{To: apptest.Number(110 + i), Class: "notice", Send: new(bool), Reference: "M-" + r.lang, Page: &message.Page{Title: "水道のお知らせ", Lead: "いつも水道をご利用いただき、ありがとうございます。", Addressee: "水道 太郎", NoticePDF: true}}
			ask(d)
			claim(d, "bank_transfer", "card").Promises = true
			sent, _, err := w.sender.Send(t.Context(), d)
			require.NoError(t, err)
			p := newPhone(t, "menu-"+r.name(), r.scripted, w.LinksURL())
			p.sparing = true
			p.open(sent.URL+"?lang="+r.lang, "landing")
			p.submit("open", "questions")
			p.fill("birth_date", "19800101")
			p.submit("identify", "menu")
			require.Contains(t, p.text(), r.says("お支払い金額の確認・お支払い方法など", "The amount, and how to pay"))
			p.tap(`form:has([value="day_after"]) button`, "promised")
			require.Contains(t, p.text(), r.says("までにお支払いいただけるとのお申し出を承りました", "You told us that you will pay by"))
			p.document(`a[href$="/documents/notice.pdf"]`, "notice")
			p.tap(`form[action$="/content#methods"] button`, "methods")
			require.Equal(t, sent.URL+"#methods", p.Place())
			require.True(t, look.Value[bool](p.Window, `scrollY > 0 && document.querySelector("#methods").getBoundingClientRect().top < innerHeight / 2`), "where the methods are")
			p.submit("menu", "back")
			r = reader{r.says("en", "ja"), r.scripted}
			p.tap(fmt.Sprintf(`nav a[href$="?lang=%s"]`, r.lang), "other-language")
			see := r.says("お支払い金額を確認", "See the amount")
			require.Contains(t, p.text(), see)
			p.submit("content", "content")
			require.Contains(t, p.text(), r.says("7,440円", "¥7,440"))
			p.submit("menu", "back-again")
			p.tap(`form:has([value="bank_transfer"]) button`, "checkout")
			p.tap("p a.button", "back-from-checkout")
			require.Contains(t, p.text(), see)
		})
	}
}
