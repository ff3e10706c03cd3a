package api

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

// OpenAPI is the description of this API (OpenAPI 3.1).
//
//go:embed openapi.json
var OpenAPI []byte

func (s *Server) openapi(ctx *fasthttp.RequestCtx, c *Caller) {
	if !ctx.IsGet() && !ctx.IsHead() {
		ctx.Response.Header.Set("Allow", "GET, HEAD")
		c.Refuse(ctx, MethodNotAllowed)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(OpenAPI)
}
