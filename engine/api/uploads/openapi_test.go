package uploads

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/tenant"
)

// bills is a file with two good rows, of which one lost its zero, and a faulty one.
const bills = "電話番号,会員情報,タイトル\r\n09000010001,C-1,お知らせ\r\n9000010002,C-2,お知らせ\r\n0312345678,C-3,お知らせ\r\n"

// TestDocumentSaysWhatTheUploadHandlersDo asks for every path, method and status of uploads in openapi.json; ask checks
// each answer's body against its schema.
func TestDocumentSaysWhatTheUploadHandlersDo(t *testing.T) {
	r := openRoom(t)
	text := map[string]string{"Content-Type": "text/plain"}
	long := `{"sha256":"` + strings.Repeat("0", maxJSON) + `"}`
	nobody := ulid.Make().String()

	begin := fmt.Sprintf(`{"name":"請求.csv","size":%d,"sha256":"%x","settings":{"encoding":"utf-8","defaults":{"template":"bill"}}}`, len(bills), sha256.Sum256([]byte(bills)))
	r.Doc.Valid("UploadBegin", []byte(begin))
	post := func(status int, path, id, body string, header map[string]string) answer {
		t.Helper()
		return r.ask(status, call{method: "post", path: path, id: id, body: body, header: header})
	}
	a := post(201, all, "", begin, nil)
	first := a.upload(t).ID.String()
	require.Equal(t, Path+"/"+first, a.Header.Get("Location"))
	again := post(200, all, "", begin, nil).upload(t)
	require.Equal(t, first, again.ID.String())
	require.True(t, again.Resumed)
	post(400, all, "", `{`, nil)
	post(413, all, "", long, nil)
	post(415, all, "", begin, text)
	require.Equal(t, "name", post(422, all, "", "", nil).field(t).Field)
	bare := r.begin("mizu")

	r.ask(200, call{method: "get", path: one, id: first})
	r.ask(400, call{method: "get", path: one, id: first, query: "?x=1"})
	r.ask(404, call{method: "get", path: one, id: nobody})
	a = r.ask(405, call{method: "get", path: one, id: first, as: "POST", body: "{}"})
	require.Equal(t, "DELETE, GET, HEAD, PUT", a.Header.Get("Allow"))

	var list List
	r.ask(200, call{method: "get", path: all, query: "?limit=1"}).Into(t, &list)
	require.Equal(t, bare, list.Uploads[0].ID.String())
	query := "?limit=1&before=" + list.Next.String()
	list = List{}
	r.ask(200, call{method: "get", path: all, query: query}).Into(t, &list)
	require.Equal(t, first, list.Uploads[0].ID.String())
	r.ask(400, call{method: "get", path: all, query: "?limit=101"})
	a = r.ask(405, call{method: "get", path: all, as: "PUT", body: "x"})
	require.Equal(t, "GET, HEAD, POST", a.Header.Get("Allow"))

	put := func(status int, id, query, body string, header map[string]string) answer {
		t.Helper()
		return r.ask(status, call{method: "put", path: one, id: id, query: query, body: body, header: header})
	}
	require.EqualValues(t, 10, put(200, first, "", bills[:10], nil).upload(t).Offset)
	a = put(409, first, "?offset=9", bills[9:], nil)
	require.EqualValues(t, 10, a.field(t).Limit)
	require.Equal(t, "10", a.Header.Get("Upload-Offset"))
	put(400, first, "?offset=-1", bills, nil)
	put(404, nobody, "", bills, nil)
	put(413, first, "?offset=10", strings.Repeat("x", maxPart+1), nil)
	put(415, first, "?offset=10", bills, map[string]string{"Content-Encoding": "gzip"})
	put(422, first, "?offset=10", bills, nil)

	require.Equal(t, "offset", post(409, finish, first, "", nil).field(t).Field)
	put(200, first, "?offset=10", bills[10:], nil)
	r.until(first, campaign.Staged)
	put(200, bare, "", bills, nil)
	digest := fmt.Sprintf(`{"sha256":"%x"}`, sha256.Sum256([]byte(bills)))
	r.Doc.Valid("UploadFinish", []byte(digest))
	post(400, finish, bare, "{} x", nil)
	post(404, finish, nobody, "", nil)
	r.ask(405, call{method: "post", path: finish, id: bare, as: "GET"})
	post(413, finish, bare, long, nil)
	post(415, finish, bare, digest, text)
	post(422, finish, bare, `{"sha256":"x"}`, nil)
	post(200, finish, bare, digest, nil)
	post(200, finish, bare, digest, nil) // the same again
	r.until(bare, campaign.Staged)
	require.Equal(t, first, r.ask(200, call{method: "get", path: one, id: bare}).upload(t).Twin.ID.String())

	for name, total := range map[string]int64{"faults": 1, "warnings": 1, "refusals": 0} {
		var page Findings
		r.ask(200, call{method: "get", path: findings, id: first, list: name}).Into(t, &page)
		require.Equal(t, total, page.Total, name)
		require.Len(t, page.Findings, int(total))
	}
	faults := call{method: "get", path: findings, id: first, list: "faults"}
	for status, change := range map[int]func(*call){
		400: func(c *call) { c.query = "?limit=1001" }, 404: func(c *call) { c.id = nobody }, 405: func(c *call) { c.as = "DELETE" },
	} {
		c := faults
		change(&c)
		r.ask(status, c)
	}
	a = r.ask(200, call{method: "get", path: csvPath, id: first, header: map[string]string{"Accept-Language": "en"}})
	require.Equal(t, 3, strings.Count(string(a.Body), "\r\n"))
	require.Contains(t, string(a.Body), "fault,4,3,電話番号,")
	require.NotContains(t, string(a.Body), "0312345678")
	r.ask(400, call{method: "get", path: csvPath, id: first, query: "?all=1"})
	r.ask(404, call{method: "get", path: csvPath, id: nobody})
	r.ask(405, call{method: "get", path: csvPath, id: first, as: "POST"})

	post(400, release, bare, `[`, nil)
	post(404, release, nobody, "", nil)
	r.ask(405, call{method: "post", path: release, id: bare, as: "GET"})
	post(413, release, bare, long, nil)
	post(415, release, bare, "{}", text)
	post(422, release, bare, `{"good_only":1}`, nil)
	require.Equal(t, "good_only", post(409, release, bare, "", nil).field(t).Field)
	require.Equal(t, first, post(409, release, bare, `{"good_only":true}`, nil).field(t).Value)
	decision := `{"good_only":true,"again":true}`
	r.Doc.Valid("UploadRelease", []byte(decision))
	post(202, release, bare, decision, nil)
	r.until(bare, campaign.Done)
	require.EqualValues(t, 2, r.ask(200, call{method: "get", path: one, id: bare}).upload(t).Accepted)
	require.Equal(t, "done", post(409, release, bare, decision, nil).field(t).Value)

	// Rows that are refused only when they are released: the template is gone.
	poorer := edge.Tenant("mizu")
	poorer.Templates = nil
	require.NoError(t, r.Tenants.Apply(t.Context(), poorer))
	post(202, release, first, decision, nil)
	r.until(first, campaign.Done)
	var refusals Findings
	r.ask(200, call{method: "get", path: findings, id: first, list: "refusals", query: "?offset=1&limit=1"}).Into(t, &refusals)
	require.EqualValues(t, 2, refusals.Total)
	require.Len(t, refusals.Findings, 1)

	// What is said of an upload after its release.
	for _, word := range []string{pause, resume, cancel, goOn, retry, without} {
		r.ask(405, call{method: "post", path: word, id: bare, as: "GET"})
		post(404, word, nobody, map[bool]string{true: `{"carrier":"docomo"}`}[word == without], nil)
		r.ask(400, call{method: "post", path: word, id: bare, query: "?x=1"})
	}
	require.Equal(t, "key:erp", post(200, pause, bare, "", nil).upload(t).Paused.By)
	require.Nil(t, post(200, resume, bare, "", nil).upload(t).Paused)
	post(409, goOn, bare, "", nil)
	post(409, retry, bare, "", nil)
	post(409, without, bare, `{"carrier":"docomo"}`, nil)
	for _, word := range []string{cancel, without} {
		post(413, word, bare, long, nil)
		post(415, word, bare, "{}", text)
		post(422, word, bare, `{"reason":1,"carrier":1}`, nil)
	}
	post(422, cancel, bare, `{"reason":"`+strings.Repeat("あ", 201)+`"}`, nil)
	reason := `{"reason":"文面の誤り"}`
	r.Doc.Valid("UploadCancel", []byte(reason))
	require.Equal(t, "文面の誤り", post(200, cancel, bare, reason, nil).upload(t).Canceled.Reason)
	done := r.until(bare, campaign.Canceled)
	require.EqualValues(t, 2, done.Sweep.Ended)
	post(409, pause, bare, "", nil)
	post(409, resume, bare, "", nil)

	require.NoError(t, r.Tenants.Apply(t.Context(), edge.Tenant("mizu"))) // its template is back
	probed := r.staged(strings.Replace(bills, "C-1", "C-9", 1))
	missing := post(409, release, probed, `{"good_only":true,"canary":true}`, nil).field(t)
	require.Equal(t, "canary", missing.Field)
	require.Equal(t, "docomo", missing.Value)
	require.NoError(t, r.campaigns.SetSeed(t.Context(), "mizu", "docomo", "090-0001-9999"))
	post(422, release, probed, `{"good_only":true,"canary":true,"canary_minutes":1441}`, nil)
	decision = `{"good_only":true,"canary":true,"canary_minutes":1}`
	r.Doc.Valid("UploadRelease", []byte(decision))
	post(202, release, probed, decision, nil)
	var seeded []campaign.Probe
	for len(seeded) == 0 {
		seeded = r.ask(200, call{method: "get", path: one, id: probed}).upload(t).Canary.Seeds
	}
	require.NoError(t, r.Intake.Cancel(t.Context(), "mizu", seeded[0].Message, "user:hanako"), "nobody runs dispatch here: the seed cannot arrive")
	r.until(probed, campaign.Stopped)
	require.Equal(t, "carrier", post(422, without, probed, `{"carrier":"au"}`, nil).field(t).Field)
	r.Doc.Valid("UploadWithout", []byte(`{"carrier":"docomo"}`))
	post(200, without, probed, `{"carrier":"docomo"}`, nil)
	r.until(probed, campaign.Done)
	second := r.staged(strings.Replace(bills, "C-1", "C-8", 1))
	post(202, release, second, decision, nil)
	require.NotEmpty(t, post(200, cancel, second, "", nil).upload(t).Canceled.By)
	third := r.staged(strings.Replace(bills, "C-1", "C-7", 1))
	post(202, release, third, decision, nil)
	for seeded = nil; len(seeded) == 0; {
		seeded = r.ask(200, call{method: "get", path: one, id: third}).upload(t).Canary.Seeds
	}
	require.NoError(t, r.Intake.Cancel(t.Context(), "mizu", seeded[0].Message, "user:hanako"))
	r.until(third, campaign.Stopped)
	require.NoError(t, r.campaigns.SetSeed(t.Context(), "mizu", "docomo", ""))
	require.Equal(t, "docomo", post(409, retry, third, "", nil).field(t).Value)
	require.NoError(t, r.campaigns.SetSeed(t.Context(), "mizu", "docomo", "090-0001-9999"))
	retried := post(200, retry, third, "", nil).upload(t)
	require.Equal(t, campaign.Probing, retried.Phase)
	require.Equal(t, "key:erp", retried.Canary.Retries[0].By)
	post(409, retry, third, "", nil)
	for first := seeded[0].Message; seeded[0].Message == first || seeded[0].Message.IsZero(); {
		seeded = r.ask(200, call{method: "get", path: one, id: third}).upload(t).Canary.Seeds
	}
	require.NoError(t, r.Intake.Cancel(t.Context(), "mizu", seeded[0].Message, "user:hanako"))
	r.until(third, campaign.Stopped)
	require.Equal(t, "key:erp", post(200, goOn, third, "", nil).upload(t).Canary.WentOn.By)
	audited, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(audited, func(e audit.Entry) bool { return e.Action == "upload.drop_carrier" && e.Detail == "docomo" }))

	drop := func(status int, id, query string) {
		t.Helper()
		r.ask(status, call{method: "delete", path: one, id: id, query: query})
	}
	drop(409, first, "")
	dropped := r.begin("mizu")
	drop(400, dropped, "?x=1")
	drop(404, nobody, "")
	drop(200, dropped, "")
	drop(200, dropped, "")
	post(409, finish, dropped, "", nil)
	post(409, cancel, dropped, "", nil)

	failed := r.begin("mizu")
	put(200, failed, "", "これは見出しではありません", nil)
	post(200, finish, failed, "", nil)
	r.until(failed, campaign.Failed)
	r.ask(200, call{method: "get", path: findings, id: failed, list: "faults"})
	r.ask(200, call{method: "get", path: all, query: "?limit=100"})

	each := func(status int, c call) {
		for path, methods := range r.Doc.Paths {
			for method := range methods {
				if ours(path) {
					c.method, c.path, c.id, c.list = method, path, first, "faults"
					c.body = ""
					if path == all && method == "post" {
						c.body = begin
					}
					r.ask(status, c)
				}
			}
		}
	}
	each(http.StatusUnauthorized, call{header: map[string]string{"Authorization": "Bearer kk_x_y"}})
	each(http.StatusForbidden, call{header: map[string]string{"X-Forwarded-For": "198.51.100.1"}})
	r.stop()
	each(http.StatusServiceUnavailable, call{})

	// A store that is busy or full cannot be provoked without harming it; the codes are checked in engine/api.
	// A canary is refused its 21st retry; engine/campaign tests that, here it would take a while.
	require.Equal(t, []string{retry + " post 422"}, r.Doc.Unasked(ours, "429", "507"))
}

func ours(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

func TestDocumentedSettingsAreTaken(t *testing.T) {
	r := openRoom(t)
	full := `{"name":"a.csv","size":-1,"sha256":"","settings":{"encoding":"cp932","defaults":{"class":"billing","text":"{url}","vars":{"a":"b"},"sender":"default","send":true,` +
		`"send_at":"2030-01-01T00:00:00Z","window":{"from":"09:00","to":"18:00"},"valid_until":"2030-01-02T00:00:00Z","link":{"expires_at":"2030-02-01T00:00:00Z"},"identity":{"code":true},` +
		`"page":{"lead":"l","contact":{"name":"n"},"survey":{"items":[{"title":"q","type":"text"}]}},"claim":{"due":"2030-01-01","methods":["konbini"],"payer":"山田"}}}}`
	r.Doc.Valid("UploadBegin", []byte(full))
	u := r.ask(201, call{method: "post", path: all, body: full}).upload(t)
	require.EqualValues(t, "billing", u.Class)
	require.EqualValues(t, -1, u.Size)
}
