package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const langLife = 365 * 24 * time.Hour

// lang is ja or en: as asked for (?lang=, kept in a cookie), else the one that the browser likes more, else Japanese.
func (s *Server) lang(ctx *fasthttp.RequestCtx, c client) string {
	name := "kk-lang"
	if c.https {
		name = "__Host-" + name
	}
	if l := string(ctx.QueryArgs().Peek("lang")); l == "ja" || l == "en" {
		s.setCookie(ctx, c, name, l, langLife)
		return l
	}
	if l := string(ctx.Request.Header.Cookie(name)); l == "ja" || l == "en" {
		return l
	}
	return preferred(string(ctx.Request.Header.Peek("Accept-Language")))
}

// preferred reads Accept-Language. RFC 9110 §12.5.4
func preferred(header string) string {
	best := map[string]float64{}
	for i, part := range strings.Split(header, ",") {
		if i == 20 {
			break
		}
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		lang, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		best[lang] = max(best[lang], q)
	}
	if best["en"] > best["ja"] {
		return "en"
	}
	return "ja"
}
