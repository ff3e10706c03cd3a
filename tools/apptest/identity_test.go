package apptest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/plugins/auth/oidc/oidctest"
)

// visitor is a browser without scripts.
type visitor struct {
	t    *testing.T
	http *http.Client
	base string
	body string
	to   string // where the last page goes on to
}

func (v *visitor) do(method, address string, form url.Values) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	req.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)")
	req.Header.Set("Accept-Language", "ja")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.http.Do(req)
	require.NoError(v.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	v.body, v.to = string(data), strings.TrimPrefix(res.Header.Get("Refresh"), "0; url=")
}

var formOf = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">.*?name="form" value="([^"]+)"`)

// press presses the only button of the page.
func (v *visitor) press() {
	v.t.Helper()
	f := formOf.FindStringSubmatch(v.body)
	require.NotNil(v.t, f, "%s", v.body)
	v.do(http.MethodPost, v.base+f[1], url.Values{"form": {html.UnescapeString(f[2])}})
}

// TestRecipientIsIdentifiedByAProvider goes from a message whose recipient is known by name and birth date to an OpenID
// Provider and back, over a restart of the engine in between; somebody else gets nowhere.
func TestRecipientIsIdentifiedByAProvider(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	provider := oidctest.New(t, key, c.LinksURL()+journey.ReturnPath)
	require.NoError(t, os.WriteFile(c.File("oidc.json"), provider.Config(), 0o600))
	require.NoError(t, c.AddModule(OIDCModule))
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	draft := message.Draft{To: Number(1), Text: "お知らせ {url}", Page: &message.Page{Title: "水道料金のお知らせ"},
		Identity: &message.Identity{Items: []message.IdentityItem{{Field: "oidc", Level: "name_birthdate", Value: "Ｔｅｓｔ　Ｕｓｅｒ;1998-01-01"}}}}
	// The module runs; what it needs for this tenant comes by a reload.
	c.edit(t, "kakitome.toml", func(s string) string {
		return s + fmt.Sprintf("[[identity]]\nmodule = %q\ntenant = %q\nconfig_file = %q\n", OIDCModule, Tenant, c.File("oidc.json"))
	})
	told, err := c.Command(ctx, "reload", "-config", c.File("kakitome.toml"))
	require.NoError(t, err)
	require.NotContains(t, told, "restart")
	require.NotContains(t, c.Engine.Log(), "an identity module cannot be used")
	sent, _, err := sender.Send(ctx, &draft)
	require.NoError(t, err)

	visit := func() *visitor {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		v := &visitor{t: t, base: c.LinksURL(), http: &http.Client{Jar: jar}}
		v.do(http.MethodGet, sent.URL, nil)
		v.press()
		require.Contains(t, v.body, "本人確認サービス")
		v.press()
		require.True(t, strings.HasPrefix(v.to, provider.Issuer), "%s", v.to)
		return v
	}
	v := visit()
	v.do(http.MethodGet, c.LinksURL()+journey.ReturnPath+"?"+provider.Login(v.to, oidctest.Another), nil)
	v.press()
	require.Contains(t, v.body, "ご登録の内容と一致しませんでした")

	v = visit()
	query := provider.Login(v.to, oidctest.Person)
	require.NoError(t, c.Engine.Stop(30*time.Second))
	require.NoError(t, c.StartEngine(ctx))
	v.do(http.MethodGet, c.LinksURL()+journey.ReturnPath+"?"+query, nil)
	require.Contains(t, v.body, "本人確認のページから戻りました")
	v.press()
	require.Contains(t, v.body, "水道料金のお知らせ")
	m, err := sender.Message(ctx, sent.ID)
	require.NoError(t, err)
	var events []string
	for _, e := range m.Timeline {
		events = append(events, e.Event)
	}
	require.Contains(t, events, "identified")
	require.Contains(t, events, "viewed")
	for _, secret := range []string{"1998", "Test User", query} {
		require.NotContains(t, c.Engine.Log(), secret)
	}
}
