package web

import (
	"context"
	"errors"
	"net/url"
	"path"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/linkserver/journey"
)

// sheet answers for an address of a payment sheet: "{code}/{name}". It needs no session, changes nothing and sets no cookie,
// and its answer may be shown within the sender's own page. Whatever cannot be shown looks like a link that is not there.
func (s *Server) sheet(ctx *fasthttp.RequestCtx, c client, rest string) {
	came := clock.Now()
	work, cancel := context.WithTimeout(context.Background(), s.o.Config.timeout())
	defer cancel()
	lang, over := s.lang(ctx, c), s.misses.over(c.addr, s.o.Now())
	code, name, _ := strings.Cut(rest, "/")
	body, filename, err := s.o.Sheets.Open(work, code, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.gone(ctx, c, lang, came, over)
		return
	case err != nil:
		s.failed(ctx, &journey.Visit{Lang: lang}, "sheet", err)
		return
	}
	kind := "image/png"
	if path.Ext(name) == ".pdf" {
		kind = "application/pdf"
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", filePolicy(string(ctx.UserAgent()), "https:"))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Disposition", "inline; filename*=UTF-8''"+url.PathEscape(filename))
	ctx.SetContentType(kind)
	ctx.Response.SetBodyRaw(body)
}
