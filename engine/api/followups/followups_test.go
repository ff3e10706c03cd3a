package followups

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestFollowUpsByAPI(t *testing.T) {
	site := edge.Open(t)
	ups, err := followup.Open(followup.Options{Dir: filepath.Join(site.Dir, "followup"), Store: site.Store, Directory: site.Tenants.Now, Intake: site.Intake})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ups.Close()) })
	stop := site.Run(ups.Run)
	t.Cleanup(func() { require.NoError(t, stop()) })
	h := Handler(ups, site.Audit)
	site.Serve(map[string]api.Handler{Path: h, ListsPath: h})
	ask := func(id tenant.ID, status int, method, path, at, body string, into any) string {
		t.Helper()
		c := edge.Call{Method: method, Path: path, At: at, Body: body, Tenant: id}
		if strings.HasPrefix(body, "text:") {
			c.Type = "text/plain"
		}
		if id == "away" {
			c.Tenant, c.Header = "mizu", map[string]string{"X-Forwarded-For": "198.51.100.1"}
		}
		a := site.Ask(status, c)
		if into != nil {
			a.Into(t, into)
		}
		return string(a.Body)
	}
	for i := range 3 {
		res, err := site.Intake.Accept(t.Context(), intake.Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp",
			Drafts: []message.Draft{{To: fmt.Sprintf("090-0001-000%d", i), Text: "お知らせ {url}", Reference: fmt.Sprintf("=C-%d", i), Page: &message.Page{Title: "お知らせ"}}}})
		require.NoError(t, err)
		require.Empty(t, res[0].Problems)
		errs, err := site.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: res[0].ID}, Expect: store.Any, Events: []store.NewEvent{
			{Type: byte(message.Submitted), Data: message.Encode(message.Submission{Part: 1})}, {Type: byte(message.Delivered), Data: message.Encode(message.Report{Part: 1})}}}})
		require.NoError(t, err)
		require.NoError(t, errs[0])
	}
	const one, list, calls = Path + "/{id}", ListsPath + "/{list}", ListsPath + "/{list}/calls.csv"
	at := ListsPath + "/unopened"
	var page Page
	require.Eventually(t, func() bool {
		page = Page{}
		ask("mizu", 200, "GET", list, at+"?limit=2", "", &page)
		return len(page.Items) == 2 && page.Next != "" // all three
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "090-****-0002", page.Items[0].To)
	next := page.Next
	page = Page{}
	ask("mizu", 200, "GET", list, at+"?limit=2&numbers=true&cursor="+next, "", &page)
	require.Len(t, page.Items, 1)
	require.Equal(t, "09000010000", page.Items[0].To)
	require.Empty(t, page.Next)
	for _, query := range []string{"?limit=0", "?cursor=x", "?numbers=x", "?from=x", "?to=x", "?class=x", "?campaign=x", "?x=1", "?max_resent=0", "?max_resent=x", "?max_resent=101", "?not_since=x"} {
		ask("mizu", 400, "GET", list, at+query, "", nil)
	}
	// Times that no message can have, and the end before the beginning, are times: they select all or nothing.
	const before, after = "0001-01-02T00:00:00Z", "9999-12-31T23:59:59Z"
	for query, want := range map[string]int{
		"?from=" + before: 3, "?to=" + after: 3, "?from=" + before + "&to=" + after: 3,
		"?to=" + before: 0, "?from=" + after: 0, "?to=1970-01-01T00:00:00Z": 0, "?from=" + after + "&to=" + before: 0,
	} {
		page = Page{}
		ask("mizu", 200, "GET", list, at+query, "", &page)
		require.Len(t, page.Items, want, query)
	}
	page = Page{}
	ask("gasu", 200, "GET", list, at, "", &page)
	require.Empty(t, page.Items)
	ask("mizu", 404, "GET", list, ListsPath+"/x", "", nil)
	ask("mizu", 405, "POST", list, at, "{}", nil)
	ask("away", 403, "GET", list, at, "", nil)

	file := ask("mizu", 200, "GET", calls, at+"/calls.csv", "", nil)
	require.Equal(t, 4, strings.Count(file, "\r\n"))
	require.Contains(t, file, "09000010001,'=C-1,未開封,未開封,0,0,")
	ask("mizu", 400, "GET", calls, at+"/calls.csv?from=x", "", nil)
	ask("mizu", 404, "GET", calls, ListsPath+"/x/calls.csv", "", nil)
	ask("mizu", 405, "POST", calls, at+"/calls.csv", "{}", nil)
	ask("away", 403, "GET", calls, at+"/calls.csv", "", nil)

	var run, same Run
	ask("mizu", 202, "POST", Path, Path, `{"key":"k","list":"unopened","filter":{"class":"notice"}}`, &run)
	ask("mizu", 202, "POST", Path, Path, `{"key":"k","list":"unopened","filter":{"class":"notice"}}`, &same)
	require.Equal(t, run.ID, same.ID)
	ask("mizu", 409, "POST", Path, Path, `{"key":"k","list":"unpaid","filter":{"class":"notice"}}`, nil)
	require.Eventually(t, func() bool {
		ask("mizu", 200, "GET", one, Path+"/"+run.ID, "", &run)
		return run.Status == "done"
	}, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, 3, run.Sent)
	page = Page{}
	ask("mizu", 200, "GET", list, at+"?max_resent=1&not_since=2020-01-01T00:00:00Z", "", &page)
	require.Empty(t, page.Items)
	ask("mizu", 422, "POST", Path, Path, `{"list":"x"}`, nil)
	ask("mizu", 422, "POST", Path, Path, `{"list":"unopened","due":"2020-01-01"}`, nil)
	ask("mizu", 422, "POST", Path, Path, `{"list":"unopened","filter":{"max_resent":101}}`, nil)
	var dated Run
	ask("mizu", 202, "POST", Path, Path, `{"list":"unpaid","template":"std:reminder","due":"2099-12-31"}`, &dated)
	require.Equal(t, "2099-12-31", dated.Due)
	ask("mizu", 422, "POST", Path, Path, `{"list":"unopened","filter":{"from":"x"}}`, nil)
	ask("mizu", 400, "POST", Path, Path, `{`, nil)
	ask("mizu", 413, "POST", Path, Path, `{"list":"`+strings.Repeat("x", maxJSON)+`"}`, nil)
	ask("mizu", 415, "POST", Path, Path, `text:`, nil)
	var runs Runs
	ask("mizu", 200, "GET", Path, Path, "", &runs)
	require.Len(t, runs.Items, 2)
	ask("mizu", 400, "GET", Path, Path+"?limit=x", "", nil)
	ask("mizu", 405, "PUT", Path, Path, "{}", nil)
	ask("away", 403, "GET", Path, Path, "", nil)
	ask("away", 403, "POST", Path, Path, "{}", nil)
	ask("mizu", 200, "DELETE", one, Path+"/"+run.ID, "", &run)
	require.Equal(t, "done", run.Status, "it was over")
	for _, method := range []string{"GET", "DELETE"} {
		ask("gasu", 404, method, one, Path+"/"+run.ID, "", nil)
		ask("mizu", 404, method, one, Path+"/"+ulid.Make().String(), "", nil)
		ask("mizu", 400, method, one, Path+"/"+run.ID+"?x=1", "", nil)
		ask("away", 403, method, one, Path+"/"+run.ID, "", nil)
	}
	ask("mizu", 404, "GET", one, Path+"/x", "", nil)
	ask("mizu", 405, "PUT", one, Path+"/"+run.ID, "{}", nil)
	site.Keys["none"] = "kk_x_y"
	for path, methods := range site.Doc.Paths {
		if !strings.HasPrefix(path, Path) && !strings.HasPrefix(path, ListsPath) {
			continue
		}
		for method := range methods {
			ask("none", 401, strings.ToUpper(method), path, strings.NewReplacer("{id}", run.ID, "{list}", "unopened").Replace(path), "", nil)
		}
	}
	require.Empty(t, site.Doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) || strings.HasPrefix(path, ListsPath) }, "429", "503", "507"))
}
