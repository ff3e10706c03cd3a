package followups

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestFollowUpsByAPI(t *testing.T) {
	doc, keys := openapitest.Read(t, api.OpenAPI), map[tenant.ID]string{}
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	tenants, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	for id, address := range map[tenant.ID]string{"mizu": "0312345678", "gasu": "0312345679"} {
		require.NoError(t, tenants.Apply(t.Context(), tenant.Tenant{ID: id, Name: "〇〇局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
			Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": address}}}}))
		keys[id], _, err = tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	docs := document.New(s, nil)
	take, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s, Tenants: tenants, Carriers: carriers, Identity: edge.Rooms{}, Claims: edge.Rooms{}, Documents: docs, Links: edge.Rooms{}})
	require.NoError(t, err)
	ups, err := followup.Open(followup.Options{Dir: filepath.Join(dir, "followup"), Store: s, Directory: tenants.Now, Intake: take})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ups.Close()) })
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 2)
	go func() { ran <- ups.Run(ctx) }()
	h := Handler(ups, audit.New(s))
	server, err := api.New(api.Options{Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: take, Store: s, Claims: edge.Rooms{}, Documents: docs, Extra: map[string]api.Handler{Path: h, ListsPath: h}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { ran <- server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ran)
		require.NoError(t, <-ran)
	})
	ask := func(id tenant.ID, status int, method, path, at, body string, into any) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+at, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+keys[id])
		req.Header.Set("X-Forwarded-For", "192.0.2.10")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if strings.HasPrefix(body, "text:") {
			req.Header.Set("Content-Type", "text/plain")
		}
		if id == "away" {
			req.Header.Set("X-Forwarded-For", "198.51.100.1")
			req.Header.Set("Authorization", "Bearer "+keys["mizu"])
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, status, res.StatusCode, "%s %s: %s", method, at, got)
		described := strings.ToLower(method)
		if _, ok := doc.Paths[path][described]; !ok {
			for described = range doc.Paths[path] {
				doc.Answered(path, described, fmt.Sprint(status), res.Header, got)
			}
		} else {
			doc.Answered(path, described, fmt.Sprint(status), res.Header, got)
		}
		if into != nil {
			require.NoError(t, json.NewDecoder(bytes.NewReader(got)).Decode(into))
		}
		return string(got)
	}
	for i := range 3 {
		res, err := take.Accept(t.Context(), intake.Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp",
			Drafts: []message.Draft{{To: fmt.Sprintf("090-0001-000%d", i), Text: "お知らせ {url}", Reference: fmt.Sprintf("=C-%d", i), Page: &message.Page{Title: "お知らせ"}}}})
		require.NoError(t, err)
		require.Empty(t, res[0].Problems)
		errs, err := s.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: res[0].ID}, Expect: store.Any, Events: []store.NewEvent{
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
		return len(page.Items) == 2
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "090-****-0002", page.Items[0].To)
	next := page.Next
	page = Page{}
	ask("mizu", 200, "GET", list, at+"?limit=2&numbers=true&cursor="+next, "", &page)
	require.Len(t, page.Items, 1)
	require.Equal(t, "09000010000", page.Items[0].To)
	require.Empty(t, page.Next)
	for _, query := range []string{"?limit=0", "?cursor=x", "?numbers=x", "?from=x", "?to=x", "?class=x", "?campaign=x", "?x=1"} {
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
	require.Eventually(t, func() bool {
		ask("mizu", 200, "GET", one, Path+"/"+run.ID, "", &run)
		return run.Status == "done"
	}, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, 3, run.Sent)
	ask("mizu", 422, "POST", Path, Path, `{"list":"x"}`, nil)
	ask("mizu", 422, "POST", Path, Path, `{"list":"unopened","filter":{"from":"x"}}`, nil)
	ask("mizu", 400, "POST", Path, Path, `{`, nil)
	ask("mizu", 413, "POST", Path, Path, `{"list":"`+strings.Repeat("x", maxJSON)+`"}`, nil)
	ask("mizu", 415, "POST", Path, Path, `text:`, nil)
	var runs Runs
	ask("mizu", 200, "GET", Path, Path, "", &runs)
	require.Len(t, runs.Items, 1)
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
	keys["none"] = "kk_x_y"
	for path, methods := range doc.Paths {
		if !strings.HasPrefix(path, Path) && !strings.HasPrefix(path, ListsPath) {
			continue
		}
		for method := range methods {
			ask("none", 401, strings.ToUpper(method), path, strings.NewReplacer("{id}", run.ID, "{list}", "unopened").Replace(path), "", nil)
		}
	}
	require.Empty(t, doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) || strings.HasPrefix(path, ListsPath) }, "503"))
}
