package web

import (
	"cmp"
	"context"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/journey"
)

// publicPath is where a tenant's public page is, before its id. A token of the letter s is never taken for an id: it has capital
// letters, or no tenant is called so.
const publicPath = "/s/"

// publicLife is how long, in seconds, a public page may be kept by browsers and proxies.
const publicLife = "3600"

// public answers with a tenant's public page, if the path is that of one, or "/" on a host that is a tenant's own. Nothing is kept
// of the visitor: the page is the same for everybody.
func (s *Server) public(ctx *fasthttp.RequestCtx, path string) bool {
	id, ok := strings.CutPrefix(path, publicPath)
	if path == "/" {
		id = string(s.o.Journey.PublicAt(string(ctx.Host())))
		ok = id != ""
	}
	if !ok || strings.Contains(id, "/") || s.o.Journey.Foreign(string(ctx.Host()), tenant.ID(id)) {
		return false
	}
	lang := string(ctx.QueryArgs().Peek("lang"))
	if lang != "ja" && lang != "en" {
		lang = preferred(string(ctx.Request.Header.Peek("Accept-Language")))
	}
	screen := s.o.Journey.Public(tenant.ID(id), lang)
	if screen == nil {
		return false
	}
	html := s.draw(ctx, screen, fasthttp.StatusOK, publicPath+string(screen.Tenant), "")
	h := &ctx.Response.Header
	if !html.Plain { // which is there only until a renderer is
		h.Set("Cache-Control", "public, max-age="+publicLife)
	}
	h.Set("Vary", "Accept-Language")
	h.Del("X-Robots-Tag") // whoever looks for the sender shall find it
	return true
}

// draw answers with a screen, and gives its page. link fills the page's own addresses, form its forms.
func (s *Server) draw(ctx *fasthttp.RequestCtx, screen *journey.Screen, status int, link, form string) *page.HTML {
	model := screen.Model
	if model == nil {
		model = page.NewModel(screen.Page)
	}
	html := s.o.Pages.Draw(context.Background(), screen.Tenant, model)
	body := ctx.Response.SwapBody(nil) // memory of an earlier answer
	policy := append(body[:0], "default-src 'none'; style-src '"...)
	policy = append(policy, cmp.Or(html.Style, "none")...)
	policy = append(policy, "'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"...)
	if screen.Reload > 0 {
		policy = append(policy, "; script-src '"+waitHash+"'; connect-src 'self'"...)
	}
	ctx.Response.Header.SetBytesV("Content-Security-Policy", policy)
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetStatusCode(status)
	body = html.Append(policy[:0], link, form, screen.Until)
	if screen.Reload > 0 {
		body = withWait(body, screen.Reload)
	}
	ctx.Response.SwapBody(body)
	return html
}
