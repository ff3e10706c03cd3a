package certificates

import (
	"context"
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
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// part plays the rooms that these tests do not need, and a renderer.
type part struct {
	edge.Rooms
	proto.RenderClient
}

func (p part) Render(string) proto.RenderClient { return p }

func (part) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest, _ ...grpc.CallOption) (*proto.RenderDocumentResponse, error) {
	return &proto.RenderDocumentResponse{Pdf: fmt.Appendf(nil, "%%PDF %s %s %v", in.Document.Lang, in.Document.Issuer.Name, in.Document.Certificate.Provisional)}, nil
}

func TestCertificatesByAPI(t *testing.T) {
	doc, keys := openapitest.Read(t, api.OpenAPI), map[tenant.ID]string{}
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
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
	docs, log := document.New(s, nil), audit.New(s)
	take, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s, Tenants: tenants, Carriers: carriers, Identity: part{}, Claims: part{}, Documents: docs, Links: part{},
		Commits: certificate.Committer{Config: certificate.DefaultConfig()}})
	require.NoError(t, err)
	c, err := certificate.New(certificate.Options{Config: certificate.DefaultConfig(), Dir: dir, Store: s, Directory: tenants.Now, Renders: part{}})
	require.NoError(t, err)
	server, err := api.New(api.Options{Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: take, Store: s, Claims: part{}, Documents: docs,
		Extra: map[string]api.Handler{Path: Handler(c, log)}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	send := func(class string) string {
		res, err := take.Accept(t.Context(), intake.Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp",
			Drafts: []message.Draft{{Key: class, To: "090-0001-0001", Class: class, Text: "債権譲渡のお知らせ {url}", Page: &message.Page{Title: "債権譲渡通知"}}}})
		require.NoError(t, err)
		require.NoError(t, res[0].Err)
		require.Empty(t, res[0].Problems)
		return res[0].ID.String()
	}
	legal, notice := send("legal_notice"), send("notice")
	ask := func(id tenant.ID, status int, method, at, from string) (http.Header, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+Path+"/"+at, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+keys[id])
		req.Header.Set("X-Forwarded-For", from)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, status, res.StatusCode, "%s: %s", at, body)
		doc.Answered(Path+"/{id}", "get", fmt.Sprint(status), res.Header, body)
		return res.Header, string(body)
	}
	const from = "192.0.2.10"
	header, body := ask("mizu", 200, "GET", legal, from)
	require.Equal(t, "1", header.Get("Kakitome-Open"))
	require.Contains(t, header.Get("Content-Disposition"), legal+".json")
	cert, err := proof.Parse([]byte(body))
	require.NoError(t, err)
	report := proof.Verify(cert, proof.Options{})
	require.Nil(t, report.Fault)
	require.Equal(t, 1, report.Open, "暫定")
	require.Equal(t, "〇〇局", cert.Tenant.Name)
	require.NotContains(t, body, "債権譲渡")
	require.NotContains(t, body, "00010001")

	_, body = ask("mizu", 200, "GET", legal+"?content=true", from)
	cert, err = proof.Parse([]byte(body))
	require.NoError(t, err)
	require.Equal(t, []string{"text", "page"}, proof.Verify(cert, proof.Options{}).Contents)
	require.Contains(t, cert.Content[0].Plain, "債権譲渡のお知らせ {url}", "the link is left out")
	_, body = ask("mizu", 200, "GET", legal+"?format=pdf", from)
	require.Equal(t, "%PDF ja 〇〇局 true", body)

	ask("gasu", 404, "GET", legal, from)
	ask("mizu", 404, "GET", notice, from)
	ask("mizu", 404, "GET", "x", from)
	ask("mizu", 404, "GET", ulid.Make().String(), from)
	for _, query := range []string{"?format=xml", "?content=maybe", "?x=1"} {
		ask("mizu", 400, "GET", legal+query, from)
	}
	ask("mizu", 405, "DELETE", legal, from)
	ask("mizu", 403, "GET", legal, "198.51.100.1")
	keys["none"] = "kk_x_y"
	ask("none", 401, "GET", legal, from)
	require.Empty(t, doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "503"))

	entries, err := log.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	var made []string
	for _, e := range entries {
		if e.Action == certificate.Action && e.Target == legal {
			made = append(made, e.Detail)
		}
	}
	require.Equal(t, []string{"pdf", "file, with content", "file"}, made)
}
