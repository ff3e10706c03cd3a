package uploads

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

func TestSeedsAreSetByAPIAsDocumented(t *testing.T) {
	r := openRoom(t)
	const list, seed = "/v1/seeds", "/v1/seeds/{carrier}"
	json := map[string]string{"Content-Type": "application/json"}
	put := func(status int, carrier, body string) answer {
		t.Helper()
		return r.ask(status, call{method: "put", path: seed, id: carrier, body: body, header: json})
	}
	var none Seeds
	r.ask(200, call{method: "get", path: list}).Into(t, &none)
	require.Empty(t, none.Seeds)
	r.ask(404, call{method: "get", path: seed, id: "docomo"})
	number := `{"number":"090-0001-9999"}`
	r.Doc.Valid("SeedNumber", []byte(number))
	var s Seed
	put(200, "docomo", number).Into(t, &s)
	require.Equal(t, Seed{"docomo", "090-****-9999"}, s)
	put(200, "docomo", number) // the same again
	put(200, "au", `{"number":"090-0002-9999"}`)
	var two Seeds
	r.ask(200, call{method: "get", path: list}).Into(t, &two)
	require.Equal(t, Seeds{[]Seed{{"docomo", "090-****-9999"}, {"au", "090-****-9999"}}}, two)
	r.ask(200, call{method: "get", path: seed, id: "au"})
	for body, code := range map[string]string{`{}`: "required", `{"number":"090-0002-9999"}`: "mismatch", `{"number":"0312345678"}`: "landline"} {
		a := put(422, "docomo", body)
		require.Equal(t, "number", a.field(t).Field)
		require.Equal(t, code, a.field(t).Code)
		require.NotContains(t, string(a.Body), "0002-9999")
	}
	put(400, "docomo", "{")
	put(413, "docomo", `{"number":"`+strings.Repeat("0", maxJSON)+`"}`)
	r.ask(415, call{method: "put", path: seed, id: "docomo", body: number, header: map[string]string{"Content-Type": "text/plain"}})
	for _, method := range []string{"get", "put", "delete"} {
		r.ask(400, call{method: method, path: seed, id: "docomo", query: "?x=1", body: map[string]string{"put": number}[method], header: json})
		r.ask(404, call{method: method, path: seed, id: "nobody"})
		require.Equal(t, "DELETE, GET, HEAD, PUT", r.ask(405, call{method: method, path: seed, id: "docomo", as: "POST"}).Header.Get("Allow"))
	}
	r.ask(400, call{method: "get", path: list, query: "?x=1"})
	r.ask(405, call{method: "get", path: list, as: "POST"})

	r.ask(200, call{method: "get", path: list, tenant: "gasu"}).Into(t, &none)
	require.Empty(t, none.Seeds)
	r.ask(204, call{method: "delete", path: seed, id: "docomo", tenant: "gasu"})
	r.ask(200, call{method: "get", path: seed, id: "docomo"})
	r.ask(204, call{method: "delete", path: seed, id: "docomo"})
	r.ask(204, call{method: "delete", path: seed, id: "docomo"})
	r.ask(404, call{method: "get", path: seed, id: "docomo"})
	audited, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	actions := map[string]int{}
	for _, e := range audited {
		require.Regexp(t, "^key:", e.By)
		actions[e.Action+" "+e.Target+e.Detail]++
	}
	require.Equal(t, map[string]int{"seed.set docomo": 2, "seed.set au": 1, "seed.remove docomo": 2}, actions)

	each := func(status int, header map[string]string) {
		for _, method := range []string{"get", "put", "delete"} {
			r.ask(status, call{method: method, path: seed, id: "au", body: map[string]string{"put": `{"number":"090-0002-9999"}`}[method], header: header})
		}
		r.ask(status, call{method: "get", path: list, header: header})
	}
	each(http.StatusUnauthorized, map[string]string{"Authorization": "Bearer kk_x_y", "Content-Type": "application/json"})
	each(http.StatusForbidden, map[string]string{"X-Forwarded-For": "198.51.100.1", "Content-Type": "application/json"})
	r.stop()
	r.ask(503, call{method: "put", path: seed, id: "au", body: `{"number":"090-0002-9999"}`, header: json})
	r.ask(503, call{method: "delete", path: seed, id: "au"})
	r.ask(503, call{method: "get", path: seed, id: "au"})
	r.ask(503, call{method: "get", path: list})
	require.Empty(t, r.Doc.Unasked(func(path string) bool { return path == SeedsPath || path == seed }, "429", "507"))
}
