package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/url"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/plugins/proto"
)

// A form may lead to the link alone (form-action 'self'): browsers of the Chromium family hold each redirect behind a form's
// submission against that too, and where an agent or provider leads on to (3-D Secure, wallets, a sign-in), nobody knows beforehand. So a
// button that leads to somebody else's page is answered with a page of the host's own, which goes on by itself and has a link.

//go:embed leave.html
var leavePage string

var leaveTemplate = template.Must(template.New("leave").Parse(leavePage))

// leavePolicy allows the page its style, by its hash.
var leavePolicy = func() string {
	_, style, _ := bytes.Cut([]byte(leavePage), []byte("<style>"))
	style, _, _ = bytes.Cut(style, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
}()

// leave leads to somebody else's page, whose address was checked.
func (s *Server) leave(ctx *fasthttp.RequestCtx, v *journey.Visit, address string) {
	to, err := url.Parse(address)
	if err != nil {
		s.failed(ctx, v, "leave", err)
		return
	}
	words := struct{ Lang, Sender, Title, To, Host, URL, Press string }{
		Lang: "ja", Title: "ページを移動しています", To: "移動先：", Press: "画面が変わらないときはこちら",
		Sender: page.View(s.o.Journey.Directory().Tenants[v.Link.Tenant], proto.View_REDIRECT, v.Lang).Brand.GetName(), Host: to.Host, URL: address,
	}
	if v.Lang == "en" {
		words.Lang, words.Title, words.To, words.Press = "en", "Taking you there", "Destination: ", "If nothing happens, go on here"
	}
	var body bytes.Buffer
	if err := leaveTemplate.Execute(&body, words); err != nil {
		s.failed(ctx, v, "leave", err)
		return
	}
	ctx.Response.Header.Set("Content-Security-Policy", leavePolicy)
	ctx.Response.Header.Set("Refresh", "0; url="+to.String())
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBody(body.Bytes())
}
