package api

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/message"
)

const (
	batchPath     = "/v1/messages:batch"
	documentsPath = "/v1/documents"
)

// endpoint is one path with its methods. The name is a metric label.
type endpoint struct {
	name    string
	path    string // ends in "/" when an id follows
	verb    string // behind the id
	methods map[string]func(s *Server, ctx *fasthttp.RequestCtx, c *Caller, id string)
}

var endpoints []endpoint

func init() {
	type m = map[string]func(*Server, *fasthttp.RequestCtx, *Caller, string)
	endpoints = []endpoint{
		{"messages", "/v1/messages", "", m{"POST": (*Server).postMessage, "GET": (*Server).listMessages}},
		{"batch", batchPath, "", m{"POST": (*Server).postBatch}},
		{"search", "/v1/messages:search", "", m{"POST": (*Server).searchMessages}},
		{"resend", "/v1/messages/", ":resend", m{"POST": (*Server).resendMessage}},
		{"mail", "/v1/messages/", ":mail", m{"POST": (*Server).mailMessage}},
		{"unlock", "/v1/messages/", ":unlock", m{"POST": (*Server).unlockMessage}},
		{"readmit", "/v1/messages/", ":readmit", m{"POST": (*Server).readmitMessage}},
		{"message", "/v1/messages/", "", m{"GET": (*Server).getMessage, "PATCH": (*Server).patchMessage, "DELETE": (*Server).deleteMessage}},
		{"documents", documentsPath, "", m{"POST": (*Server).postDocument, "GET": (*Server).listDocuments}},
		{"document", documentsPath + "/", "", m{"GET": (*Server).getDocument, "DELETE": (*Server).deleteDocument}},
		{"receipt", "/v1/claims/", "/receipt.pdf", m{"GET": (*Server).getReceipt}},
		{"alerts", "/v1/claims:alerts", "", m{"GET": (*Server).listAlerts}},
		{"claim", "/v1/claims/", "", m{"GET": (*Server).getClaim, "PATCH": (*Server).patchClaim}},
	}
}

// route runs the handler of a path and returns its name for the metrics.
func (s *Server) route(ctx *fasthttp.RequestCtx, c *Caller, path string) string {
	method := string(ctx.Method())
	if method == "HEAD" {
		method = "GET"
	}
	for _, e := range endpoints {
		id, below := strings.CutPrefix(path, e.path)
		id, does := strings.CutSuffix(id, e.verb)
		if !below || !does || (id != "") != strings.HasSuffix(e.path, "/") || strings.Contains(id, "/") {
			continue
		}
		if h := e.methods[method]; h != nil {
			h(s, ctx, c, id)
		} else {
			c.RefuseMethod(ctx, maps.Keys(e.methods))
		}
		return e.name
	}
	if h, ok := s.extra(path); ok {
		h(ctx, c)
		return "extra"
	}
	c.Refuse(ctx, NotFound)
	return "unknown"
}

// Do does what a path has for the request's method; GET serves HEAD too. No ways: there is no such path.
func (c *Caller) Do(ctx *fasthttp.RequestCtx, ways map[string]func()) {
	method := string(ctx.Method())
	if method == fasthttp.MethodHead {
		method = fasthttp.MethodGet
	}
	switch do := ways[method]; {
	case len(ways) == 0:
		c.Refuse(ctx, NotFound)
	case do == nil:
		c.RefuseMethod(ctx, maps.Keys(ways))
	default:
		do()
	}
}

// RefuseMethod answers to a method that is not among those of the path.
func (c *Caller) RefuseMethod(ctx *fasthttp.RequestCtx, methods iter.Seq[string]) {
	var allow []string
	for m := range methods {
		allow = append(allow, m)
		if m == "GET" {
			allow = append(allow, "HEAD")
		}
	}
	slices.Sort(allow)
	ctx.Response.Header.Set("Allow", strings.Join(allow, ", "))
	c.Refuse(ctx, MethodNotAllowed)
}

// extra finds the handler of another room.
func (s *Server) extra(path string) (Handler, bool) {
	for prefix, h := range s.Extra {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return h, true
		}
	}
	return nil, false
}

// refuseResult answers a draft that did not get in.
func (c *Caller) refuseProblems(ctx *fasthttp.RequestCtx, ps message.Problems) {
	c.Refuse(ctx, problemsCode(ps), ps...)
}
