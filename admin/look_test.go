package admin

import (
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/tools/look"
)

// Every screen that can be asked for is looked at in a browser, on a desk and on a phone, with data in every state.
func TestEveryScreenIsFitToBeUsed(t *testing.T) {
	h, messages, uploads := openGallery(t)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close) // behind the browser, whose live screens hold a connection
	named := map[string][]string{"/binds/{name}": {"docomo-1"}, "/carriers/{name}/try": {"docomo"}, "/messages/{id}": slices.Sorted(maps.Values(messages))}
	named["/claims/{id}/refund"] = []string{messages["card claim"]}
	named["/messages/{id}"] = slices.DeleteFunc(named["/messages/{id}"], func(id string) bool { return id == messages["card claim"] })
	for _, st := range uploads {
		named["/uploads/{id}"] = append(named["/uploads/{id}"], st.ID.String())
	}
	elsewhere := []string{
		"/signin/code", "/signin/enrol", // between password and second factor
		"/documents/{id}", "/messages/{id}/page", "/messages/{id}/papers/{name}", "/send/preview/{id}", "/send/preview/{id}/{name}", "/brand/preview/{id}", "/brand/preview/{id}/{name}", "/logos/{name}", // the recipient's, which plugins/render/standard/page looks at
	}
	w := look.Open(t, look.Phone, true, server.URL)
	signedIn := ""
	for _, rt := range routes {
		if rt.method != "GET" || slices.Contains(elsewhere, rt.path) {
			continue
		}
		path := strings.TrimSuffix(rt.path, "{$}")
		paths := []string{path}
		if before, after, ok := strings.Cut(path, "{"); ok {
			require.Contains(t, named, path, "name one to look at")
			_, after, _ = strings.Cut(after, "}")
			paths = nil
			for _, name := range named[path] {
				paths = append(paths, before+name+after)
			}
		}
		login := "admin@mizu"
		if rt.roles != nil && !slices.Contains(rt.roles, tenant.RoleAdmin) {
			login = "operator"
		}
		for i, path := range paths {
			to := path
			if login != signedIn && rt.roles != nil {
				to, signedIn = "/as/"+login+"?to="+url.QueryEscape(path), login
			}
			w.Go(server.URL + to)
			assert.Equal(t, path, strings.TrimPrefix(w.Place(), server.URL))
			assert.Empty(t, w.Faults(), "%s on a phone", path)
			if i > 0 { // the first of the route has the same elements
				continue
			}
			w.Resize(look.Desk)
			assert.Empty(t, w.Faults(), "%s on a desk", path)
			assert.Empty(t, w.Violations(), path)
			w.Resize(look.Phone)
		}
	}
	// A long reference in the list takes no room from the words beside it.
	w.Resize(look.Desk)
	w.Go(server.URL + "/as/admin@mizu?to=" + url.QueryEscape("/messages?size=100"))
	assert.Empty(t, w.Faults())
	assert.Empty(t, look.Value[[]string](w, `[...document.querySelectorAll(".rows td:not(.wrap)")].filter(td => {
			const words = document.createRange()
			words.selectNodeContents(td)
			return words.getBoundingClientRect().height > 32
		}).map(td => td.innerText)`), "in two lines")
}
