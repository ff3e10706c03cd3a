package uploads

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/tenant"
)

// each calls fn with every described operation on an upload, with a body that it would take.
func (r *room) each(id string, fn func(call)) {
	for path, methods := range r.Doc.Paths {
		for method := range methods {
			if ours(path) && path != all {
				c := call{method: method, path: path, id: id, list: "faults"}
				switch {
				case method == "put":
					c.body = bills
				case method == "post":
					c.body = "{}"
				}
				fn(c)
			}
		}
	}
}

func TestTenantsAreApart(t *testing.T) {
	r := openRoom(t)
	id := r.staged(bills)
	before := r.ask(200, call{method: "get", path: one, id: id})
	asked := 0
	r.each(id, func(c call) {
		asked++
		c.tenant = "gasu"
		r.ask(404, c)
	})
	require.Equal(t, 13, asked)
	after := r.ask(200, call{method: "get", path: one, id: id})
	require.Equal(t, string(before.Body), string(after.Body))
	entries, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.Len(t, entries, 1, "its own beginning")

	var list List
	r.ask(200, call{method: "get", path: all, tenant: "gasu"}).Into(t, &list)
	require.Empty(t, list.Uploads)
	theirs := r.ask(400, call{method: "get", path: all, tenant: "gasu", query: "?before=" + id}).field(t)
	nobodys := r.ask(400, call{method: "get", path: all, tenant: "gasu", query: "?before=" + ulid.Make().String()}).field(t)
	require.Equal(t, nobodys, theirs)

	// The same file is another upload of the other tenant, and not its twin.
	begin := fmt.Sprintf(`{"name":"a.csv","size":%d,"sha256":"%064d"}`, len(bills), 1)
	mine := r.ask(201, call{method: "post", path: all, body: begin}).upload(t)
	require.NotEqual(t, mine.ID, r.ask(201, call{method: "post", path: all, body: begin, tenant: "gasu"}).upload(t).ID)
	other := r.begin("gasu")
	r.ask(200, call{method: "put", path: one, id: other, body: bills, tenant: "gasu"})
	r.ask(200, call{method: "post", path: finish, id: other, tenant: "gasu"})
	require.Nil(t, r.untilOf("gasu", other, campaign.Staged).Twin)
}

func TestNoRequestPassesTheDoorWithoutKeyAndAddress(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	revoked, key, err := r.Tenants.IssueKey(t.Context(), "mizu", "old")
	require.NoError(t, err)
	require.NoError(t, r.Tenants.RevokeKey(t.Context(), "mizu", key.ID))
	for _, header := range []map[string]string{
		{"Authorization": ""}, {"Authorization": "Bearer " + revoked}, {"Authorization": "Basic " + r.Keys["mizu"]}, {"Authorization": r.Keys["mizu"]},
	} {
		r.each(id, func(c call) {
			c.header = header
			r.ask(401, c)
		})
	}
	for _, address := range []string{"198.51.100.1", "2001:db8::1", "192.0.2.10, 198.51.100.1"} {
		r.each(id, func(c call) {
			c.header = map[string]string{"X-Forwarded-For": address}
			r.ask(403, c)
		})
	}
	closed := edge.Tenant("mizu")
	closed.Allow = nil
	require.NoError(t, r.Tenants.Apply(t.Context(), closed))
	r.each(id, func(c call) { r.ask(403, c) })
	require.NoError(t, r.Tenants.Apply(t.Context(), edge.Tenant("mizu")))
	u := r.ask(200, call{method: "get", path: one, id: id}).upload(t)
	require.Equal(t, campaign.Receiving, u.Phase)
	require.Zero(t, u.Offset)
}

func TestHostilePathsAreNotFound(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	for _, path := range []string{
		"/v1/uploads/", "/v1/uploads/x", "/v1/uploads/finish", "/v1/uploads/" + id[1:], "/v1/uploads/" + id + "0",
		"/v1/uploads/" + strings.Repeat("Z", 26), "/v1/uploads/" + strings.Repeat("A", 9000), "/v1/uploads/" + id + "/", "/v1/uploads/" + id + "/x",
		"/v1/uploads/" + id + "/finish/", "/v1/uploads/" + id + "/finish/x", "/v1/uploads/" + id + "/faults/1", "/v1/uploads/" + id + "/FAULTS", "/v1/uploads/" + id + "%00",
		"/v1/uploads/" + id + "/..%2f" + id + "/x", "/v1/uploads/%E4%BD%8F" + id[3:],
	} {
		for _, method := range []string{"get", "post", "put", "delete"} {
			require.Equal(t, 404, r.do(call{method: method, path: path}).Status, "%s %s", method, path)
		}
	}
	r.each(strings.Repeat("0", 26), func(c call) { r.ask(404, c) })
	require.Equal(t, campaign.Receiving, r.ask(200, call{method: "get", path: one, id: id}).upload(t).Phase)
}

func TestHostileParametersAreRefusedByName(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	for _, c := range []struct{ method, path, query, field string }{
		{"put", one, "?offset=-1", "offset"}, {"put", one, "?offset=9223372036854775808", "offset"}, {"put", one, "?offset=1e3", "offset"},
		{"put", one, "?offset=0x1", "offset"}, {"put", one, "?offset=1%00", "offset"}, {"put", one, "?offset=0&offset=1", "offset"}, {"put", one, "?Offset=1", "Offset"},
		{"get", findings, "?offset=-1", "offset"}, {"get", findings, "?limit=0", "limit"}, {"get", findings, "?limit=1001", "limit"}, {"get", findings, "?number=1", "number"},
		{"get", all, "?limit=-1", "limit"}, {"get", all, "?before=x", "before"}, {"get", all, "?before=" + strings.Repeat("Z", 26), "before"}, {"delete", one, "?force=1", "force"},
	} {
		a := r.ask(400, call{method: c.method, path: c.path, id: id, list: "faults", query: c.query, body: ""})
		require.Equal(t, c.field, a.field(t).Field, c.query)
	}
	// A place far behind the end is no fault of the request, but there is nothing.
	require.Zero(t, r.ask(409, call{method: "put", path: one, id: id, query: "?offset=1125899906842624", body: "x"}).field(t).Limit)
	var page Findings
	r.ask(200, call{method: "get", path: findings, id: id, list: "faults", query: "?offset=1125899906842624"}).Into(t, &page)
	require.Empty(t, page.Findings)
}

func TestHostileBodiesAreRefusedByField(t *testing.T) {
	r := openRoom(t)
	deep := strings.Repeat(`[`, 20_000)
	for _, c := range []struct {
		status      int
		body, field string
	}{
		{400, "null x", "body"}, {400, "{}]", "body"}, {400, "{}{}", "body"}, {400, "[]", "body"}, {400, deep, "body"}, {400, "\xff\xfe", "body"}, {400, `{"name":"` + "\x00", "body"},
		{422, `null`, "name"}, {422, `{"name":7}`, "name"}, {422, `{"file":"a"}`, "file"}, {422, `{"name":"` + strings.Repeat("字", 86) + `"}`, "name"},
		{422, `{"name":"a","size":0}`, "size"}, {422, `{"name":"a","size":-2}`, "size"}, {422, `{"name":"a","size":1073741825}`, "size"}, {422, `{"name":"a","size":1e30}`, "size"},
		{422, `{"name":"a","sha256":"x"}`, "sha256"}, {422, `{"name":"a","settings":{"encoding":"ebcdic"}}`, "settings.encoding"},
		{422, `{"name":"a","settings":{"defaults":{"to":"09000010001"}}}`, "settings.defaults.to"}, {422, `{"name":"a","settings":{"defaults":{"class":"x"}}}`, "settings.defaults.class"},
		{422, `{"name":"a","settings":{"defaults":{"send_at":"tomorrow"}}}`, "settings.defaults.send_at"},
		{422, `{"name":"a","settings":{"defaults":{"send":"yes"}}}`, "settings.defaults.send"},
	} {
		a := r.ask(c.status, call{method: "post", path: all, body: c.body})
		require.Equal(t, c.field, a.field(t).Field, "%.60s", c.body)
		require.NotContains(t, string(a.Body), "09000010001")
	}
	var list List
	r.ask(200, call{method: "get", path: all}).Into(t, &list)
	require.Empty(t, list.Uploads)
	require.Equal(t, "body", r.ask(413, call{method: "post", path: all, body: strings.Repeat(" ", maxJSON+1), chunked: true}).field(t).Field)
}

// raw sends a request as it stands, then ends the sending side, and reads the answer.
func (r *room) raw(head, body string) (*http.Response, error) {
	r.t.Helper()
	conn, err := net.Dial("tcp4", r.Address)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, head+"\r\nHost: s.example.jp\r\nX-Forwarded-For: 192.0.2.10\r\nAuthorization: Bearer "+r.Keys["mizu"]+"\r\n\r\n"+body)
	require.NoError(r.t, err)
	require.NoError(r.t, conn.(*net.TCPConn).CloseWrite())
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

func TestPieceThatBreaksOffLeavesWhatCame(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	res, err := r.raw(fmt.Sprintf("PUT /v1/uploads/%s HTTP/1.1\r\nContent-Length: 3000000", id), strings.Repeat("x", 1_500_000))
	require.NoError(t, err)
	require.Equal(t, 400, res.StatusCode)
	u := r.ask(200, call{method: "get", path: one, id: id}).upload(t)
	require.EqualValues(t, 1_500_000, u.Offset)
	require.Equal(t, fmt.Sprint(u.Offset), res.Header.Get("Upload-Offset"))
	r.ask(200, call{method: "put", path: one, id: id, query: fmt.Sprintf("?offset=%d", u.Offset), body: "y"})
}

func TestPieceThatDoesNotEndIsKeptUpToItsLimit(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	a := r.ask(413, call{method: "put", path: one, id: id, body: strings.Repeat("x", maxPart+1), chunked: true})
	require.Equal(t, "body", a.field(t).Field)
	require.Equal(t, fmt.Sprint(maxPart), a.Header.Get("Upload-Offset"))
	u := r.ask(200, call{method: "put", path: one, id: id, query: fmt.Sprintf("?offset=%d", maxPart), body: strings.Repeat("x", maxPart), chunked: true}).upload(t)
	require.EqualValues(t, 2*maxPart, u.Offset)
}

func TestBodyMayBeAbsent(t *testing.T) {
	r := openRoom(t)
	id := r.begin("mizu")
	r.ask(200, call{method: "put", path: one, id: id, body: bills})
	res, err := r.raw("POST /v1/uploads/"+id+"/finish HTTP/1.1", "") // without a Content-Length, as curl -X POST
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	r.until(id, campaign.Staged)
	r.ask(405, call{method: "get", path: one, id: id, as: "PATCH"})
	head := r.do(call{method: "get", path: one, id: id, as: "HEAD"})
	require.Equal(t, 200, head.Status)
	require.Equal(t, fmt.Sprint(len(bills)), head.Header.Get("Upload-Offset"))
}

func TestReleaseAndDropAreAudited(t *testing.T) {
	r := openRoom(t)
	dropped, released := r.staged(bills), r.staged(bills)
	r.ask(200, call{method: "delete", path: one, id: dropped})
	r.ask(202, call{method: "post", path: release, id: released, body: `{"good_only":true,"again":true}`})
	entries, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	var got []string
	for _, e := range entries[:2] {
		got = append(got, e.Action+" "+e.Target+" "+e.Detail)
		require.True(t, strings.HasPrefix(e.By, "key:"))
	}
	require.Equal(t, []string{"upload.release " + released + " 2 rows", "upload.drop " + dropped + " 2 rows"}, got)
}

func TestExportIsAuditedBeforeItBegins(t *testing.T) {
	r := openRoom(t)
	id := r.staged(bills)
	export := call{method: "get", path: csvPath, id: id}
	head := export
	head.as = "HEAD"
	require.Equal(t, 200, r.do(head).Status) // nothing was given out
	r.ask(200, export)
	entries, err := r.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, "upload.begin", entries[1].Action)
	require.Equal(t, "upload.findings.export", entries[0].Action)
	require.Equal(t, id, entries[0].Target)
	require.Equal(t, "192.0.2.10", entries[0].From)
	require.NotContains(t, entries[0].By, "erp", "the key's id, not its name")
}

func TestExportThatCannotGoOnDoesNotLookWhole(t *testing.T) {
	r := openRoom(t)
	id := r.staged(bills)
	r.recorded = r.stop
	res, err := r.raw("GET /v1/uploads/"+id+"/findings.csv HTTP/1.1", "")
	if err == nil {
		_, err = io.ReadAll(res.Body)
	}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestOneReleaseOfManyWins(t *testing.T) {
	r := openRoom(t)
	id := r.staged(bills)
	statuses := make(chan int, 8)
	for range cap(statuses) {
		go func() {
			statuses <- r.do(call{method: "post", path: release, id: id, body: `{"good_only":true}`}).Status
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	require.Equal(t, map[int]int{202: 1, 409: cap(statuses) - 1}, count)
	r.until(id, campaign.Done)
	require.EqualValues(t, 2, r.ask(200, call{method: "get", path: one, id: strings.ToLower(ulid.MustParse(id).String())}).upload(t).Accepted)
}
