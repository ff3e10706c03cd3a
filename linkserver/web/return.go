package web

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/linkserver/journey"
)

// A browser that was identified at another page comes back to one address, whatever its link. Which link it was says a sealed
// cookie that is named by the state: so the provider does not learn the link, and another browser gets nowhere.

// wayLife is how long somebody may take at the other page.
const wayLife = 15 * time.Minute

// remember puts the way back into the answer.
func (s *Server) remember(ctx *fasthttp.RequestCtx, c client, state, token string) {
	name := cookieName(state, c.https)
	s.setCookie(ctx, c, name, s.seal.write(name, journey.NewSession(token, s.o.Now())), wayLife)
}

// cameBack leads to the link's own address, which its session knows what to do with.
func (s *Server) cameBack(ctx *fasthttp.RequestCtx, c client) {
	args := ctx.QueryArgs()
	name := cookieName(string(args.Peek("state")), c.https)
	way, ok := s.seal.read(name, ctx.Request.Header.Cookie(name))
	if !ok || s.o.Now().Sub(time.Unix(way.Since, 0)) > wayLife {
		s.show(ctx, &journey.Visit{Session: &journey.Session{}}, s.o.Journey.Gone(s.lang(ctx, c)), 0)
		return
	}
	ctx.Response.Header.Set("Location", "/"+way.Token+"/return?"+string(args.QueryString()))
	s.bare(ctx, fasthttp.StatusSeeOther)
}
