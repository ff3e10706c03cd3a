package web

import (
	"net"
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkLanding is what a GET of a link costs without network: token, tenant, cookie, page, headers.
func BenchmarkLanding(b *testing.B) {
	w := newWorld(b, DefaultConfig())
	m := w.send(draft{items: questions})
	w.newBrowser().get(w.path(m))
	var ctx fasthttp.RequestCtx
	ctx.Init2(&net.TCPConn{}, nil, true)
	ctx.Request.SetRequestURI(w.path(m))
	ctx.Request.Header.SetUserAgent("Mozilla/5.0 (iPhone)")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		w.server.handle(&ctx)
		if ctx.Response.StatusCode() != 200 {
			b.Fatal(ctx.Response.StatusCode())
		}
	}
}
