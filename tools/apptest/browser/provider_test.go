package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/plugins/auth/oidc/oidctest"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/look"
)

// TestAProviderIdentifiesInABrowser: what only a browser decides about the way to an OpenID Provider of another site and back - whether
// the form may lead there, and whether the cookies come along when that site leads back.
func TestAProviderIdentifiesInABrowser(t *testing.T) {
	look.Chromium(t)
	w := sharedWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	provider := oidctest.NewAt(t, "127.0.0.2", key, w.LinksURL()+journey.ReturnPath)
	require.NoError(t, os.WriteFile(w.File("oidc.json"), provider.Config(), 0o600))
	require.NoError(t, w.Append("kakitome.toml", fmt.Sprintf("[[identity]]\nmodule = %q\ntenant = %q\nconfig_file = %q\n", apptest.OIDCModule, apptest.Tenant, w.File("oidc.json"))))
	_, err = w.Command(t.Context(), "reload", "-config", w.File("kakitome.toml"))
	require.NoError(t, err)
	for i, r := range []reader{{"ja", true}, {"en", false}} { // one after the other: the provider is made for a few at a time
		t.Run(r.name(), func(t *testing.T) {
			number := apptest.Number(100 + i)
			sent, _, err := w.sender.Send(t.Context(), &message.Draft{To: number, Class: "notice", Send: new(bool), Reference: "P-" + r.lang, Page: &message.Page{Title: "水道のお知らせ"},
				Identity: &message.Identity{Items: []message.IdentityItem{{Field: "oidc", Level: "name_birthdate", Value: "Test User;1998-01-01"}}}})
			require.NoError(t, err)
			p := newPhone(t, "provider-"+r.name(), r.scripted, w.LinksURL(), provider.Issuer)
			p.sparing = true
			p.open(sent.URL+"?lang="+r.lang, "landing")
			p.submit("open", "elsewhere")
			p.provide(provider, oidctest.Another)
			p.submit("identified", "mismatch")
			require.Contains(t, p.text(), r.says("ご登録の内容と一致しませんでした", "not what we have on file"))
			p.provide(provider, oidctest.Person)
			p.submit("identified", "page")
			require.Contains(t, p.text(), "水道のお知らせ")
			require.Equal(t, sent.URL, strings.TrimSuffix(p.Place(), "/"))
		})
	}
}

// provide goes to the provider, says there who it is, and comes back.
func (p *phone) provide(provider *oidctest.Provider, user string) {
	p.t.Helper()
	p.leave("identify", provider.Issuer+"/")
	p.fill("username", user, "password", oidctest.Password)
	p.touch("button")
	p.look("returned")
	require.Contains(p.t, p.Place(), journey.ReturnPath+"?")
}
