package web

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

func TestAnybodyCanReadHowTheMessagesAreToldFromOthers(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	water := *w.water()
	water.Brand.Hours = "平日 9:00～18:00"
	water.Brand.Public = tenant.Public{Name: "〇〇県水道局<script>", Site: "https://www.example.jp/", NeverAsks: []string{"合言葉 __FORM__"}}
	water.Senders = []tenant.SenderProfile{
		{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "softbank": "21234"}},
		{Name: "otp", Addresses: map[string]string{"docomo": "0312345679"}},
	}
	w.must(w.tenants.Apply(t.Context(), water))

	m := w.send(draft{items: questions})
	b := w.newBrowser()
	b.get(w.path(m))
	b.says(`href="/s/water"`)
	public := w.newBrowser()
	got := public.get("/s/water")
	require.Equal(t, http.StatusOK, got.status)
	public.says("〇〇県水道局&lt;script&gt;", "www.example.jp", "0312345678、0312345679", "21234", "docomo", "sms.example.jp", "000-000-0000", "平日 9:00～18:00", "合言葉 ")
	require.NotContains(t, got.body, "<form")
	require.NotContains(t, got.body, "noindex")
	require.Contains(t, got.body, `href="/s/water?lang=en"`)
	require.Equal(t, "public, max-age=3600", got.header.Get("Cache-Control"))
	require.Empty(t, got.header.Get("X-Robots-Tag"))
	require.Empty(t, got.header.Get("Set-Cookie"))
	require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-")
	public.header.Set("Accept-Language", "en")
	require.Contains(t, public.get("/s/water").body, "How to tell messages from")
	require.Contains(t, public.get("/s/water?lang=ja").body, "SMSの見分け方")
	require.Contains(t, public.get("/s/water?lang=en").body, "My Number", "what is asked by nobody, where nothing is said in English")

	require.Equal(t, http.StatusNotFound, public.get("/s/nobody").status)
	require.Equal(t, http.StatusNotFound, public.get("/s/").status)
	require.NotEqual(t, http.StatusOK, public.get("/s/water/x").status)
	require.Equal(t, http.StatusNotFound, public.get("/").status)
	require.NotEqual(t, http.StatusOK, public.post("/s/water", nil).status)

	// The address that stands in the SMS, without the rest.
	water.LinkHost = w.base[len("http://"):]
	w.must(w.tenants.Apply(t.Context(), water))
	require.Equal(t, http.StatusOK, public.get("/").status)
	public.says(`href="/s/water?lang=ja"`, water.LinkHost)

	water.Brand.Public.Hidden = true
	w.must(w.tenants.Apply(t.Context(), water))
	require.Equal(t, http.StatusNotFound, public.get("/s/water").status)
	require.NotContains(t, b.get(w.path(m)).body, "/s/water")
}

// Who is a tenant can send an address below another tenant's name. Nothing of it is there.
func TestNothingOfATenantIsShownOnAnothersHost(t *testing.T) {
	w := newEntry(t)
	w.server.misses.limit = 1000
	m := w.send(draft{items: questions})
	gas := tenant.Tenant{ID: "gas", Name: "〇〇ガス", Brand: tenant.Brand{Phone: "000-000-0001"}, LinkHost: "gas.example.jp"}
	w.must(w.tenants.Apply(t.Context(), gas))
	at := func(host, method, path string) int {
		b := w.newBrowser()
		req, err := http.NewRequest(method, w.base+path, nil)
		w.must(err)
		req.Host = host
		return b.do(req).status
	}
	paths := []string{w.path(m), "/e/water", "/s/water"}
	for _, path := range paths {
		for _, host := range []string{"gas.example.jp", "GAS.example.jp", "gas.example.jp.", "gas.example.jp:8443", "gas.example.jp.:443"} {
			require.Equal(t, http.StatusNotFound, at(host, "GET", path), host+path)
			require.Equal(t, http.StatusNotFound, at(host, "HEAD", path), host+path)
		}
		for _, host := range []string{"sms.example.jp", "former.example.jp", "s.gas.example.jp"} {
			require.Equal(t, http.StatusOK, at(host, "GET", path), host+path)
		}
	}
	require.Equal(t, http.StatusOK, at("gas.example.jp", "GET", "/s/gas"))
	require.Equal(t, http.StatusNotFound, at("gas.example.jp", "POST", "/e/water/identify"))
	require.Equal(t, http.StatusNotFound, at("gas.example.jp", "POST", w.path(m)+"/open"))

	// A host may be that of several tenants, or of all that have none of their own.
	water := *w.water()
	water.LinkHost = "gas.example.jp"
	w.must(w.tenants.Apply(t.Context(), water))
	for _, path := range paths {
		require.Equal(t, http.StatusOK, at("gas.example.jp", "GET", path), path)
	}
	gas.LinkHost = "sms.example.jp:8443" // the engine's own, with a port
	w.must(w.tenants.Apply(t.Context(), gas))
	water.LinkHost = ""
	w.must(w.tenants.Apply(t.Context(), water))
	for _, path := range paths {
		require.Equal(t, http.StatusOK, at("sms.example.jp", "GET", path), path)
		require.Equal(t, http.StatusOK, at("sms.example.jp:443", "GET", path), path)
	}
}
