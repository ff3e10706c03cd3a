package certificates

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// printer plays the renderer.
type printer struct{ proto.RenderClient }

func (p printer) Render(string) proto.RenderClient { return p }

func (printer) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest, _ ...grpc.CallOption) (*proto.RenderDocumentResponse, error) {
	return &proto.RenderDocumentResponse{Pdf: fmt.Appendf(nil, "%%PDF %s %s %v %s", in.Document.Lang, in.Document.Issuer.Name, in.Document.Certificate.Provisional, in.Document.Logo)}, nil
}

func TestCertificatesByAPI(t *testing.T) {
	site := edge.Open(t, func(o *intake.Options) { o.Commits = certificate.Committer{Config: certificate.DefaultConfig()} })
	site.Tenants.Now().Tenants["mizu"].Brand.Logo = &tenant.Logo{Name: "a", PNG: []byte("a logo")}
	c, err := certificate.New(certificate.Options{Config: certificate.DefaultConfig(), Dir: site.Dir, Store: site.Store, Directory: site.Tenants.Now, Renders: printer{}})
	require.NoError(t, err)
	site.Serve(map[string]api.Handler{Path: Handler(c, site.Audit)})
	send := func(class string) string {
		res, err := site.Intake.Accept(t.Context(), intake.Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp",
			Drafts: []message.Draft{{Key: class, To: "090-0001-0001", Class: class, Text: "債権譲渡のお知らせ {url}", Page: &message.Page{Title: "債権譲渡通知"}}}})
		require.NoError(t, err)
		require.NoError(t, res[0].Err)
		require.Empty(t, res[0].Problems)
		return res[0].ID.String()
	}
	legal, notice := send("legal_notice"), send("notice")
	ask := func(id tenant.ID, status int, method, at, from string) (http.Header, string) {
		t.Helper()
		a := site.Ask(status, edge.Call{Method: method, Path: Path + "/{id}", At: Path + "/" + at, Tenant: id, Header: map[string]string{"X-Forwarded-For": from}})
		return a.Header, string(a.Body)
	}
	const from = edge.Client
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
	require.Equal(t, "%PDF ja 〇〇局 true a logo", body)

	ask("gasu", 404, "GET", legal, from)
	ask("mizu", 404, "GET", notice, from)
	ask("mizu", 404, "GET", "x", from)
	ask("mizu", 404, "GET", ulid.Make().String(), from)
	for _, query := range []string{"?format=xml", "?content=maybe", "?x=1"} {
		ask("mizu", 400, "GET", legal+query, from)
	}
	ask("mizu", 405, "DELETE", legal, from)
	ask("mizu", 403, "GET", legal, "198.51.100.1")
	site.Keys["none"] = "kk_x_y"
	ask("none", 401, "GET", legal, from)
	require.Empty(t, site.Doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "429", "503", "507"))

	entries, err := site.Audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	var made []string
	for _, e := range entries {
		if e.Action == certificate.Action && e.Target == legal {
			made = append(made, e.Detail)
		}
	}
	require.Equal(t, []string{"pdf", "file, with content", "file"}, made)
}
