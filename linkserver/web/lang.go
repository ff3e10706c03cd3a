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
	if hasCookies(ctx) {
		if l := string(ctx.Request.Header.Cookie(name)); l == "ja" || l == "en" {
			return l
		}
	}
	return preferred(string(ctx.Request.Header.Peek("Accept-Language")))
}

// preferred reads Accept-Language. RFC 9110 §12.5.4
func preferred(header string) string {
	if header == "" {
		return "ja"
	}
	var ja, en float64
	for range 20 { // more is nobody's list
		part, rest, more := strings.Cut(header, ",")
		tag, params, _ := strings.Cut(part, ";")
		lang, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		if q := weight(strings.TrimSpace(params)); strings.EqualFold(lang, "ja") {
			ja = max(ja, q)
		} else if strings.EqualFold(lang, "en") {
			en = max(en, q)
		}
		if !more {
			break
		}
		header = rest
	}
	if en > ja {
		return "en"
	}
	return "ja"
}

// weight is that of a language; 0: it is unreadable. RFC 9110 §12.4.2
func weight(params string) float64 {
	v, ok := strings.CutPrefix(params, "q=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(v, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
