package web

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
)

// entryPath is where a tenant's shared entry page is, before its id. Tokens have another letter (engine/intake).
const entryPath = "/e/"

// entry answers for a tenant's shared entry page and its steps, if the path is of one.
func (s *Server) entry(ctx *fasthttp.RequestCtx, c client, path string) bool {
	rest, ok := strings.CutPrefix(path, entryPath)
	name, step, isStep := strings.Cut(rest, "/")
	id := tenant.ID(name)
	if !ok || !s.o.Journey.HasEntry(id) || s.o.Journey.Foreign(string(ctx.Host()), id) {
		return false
	}
	get := ctx.IsGet() || ctx.IsHead()
	switch {
	case isStep && get && slices.Contains(page.Actions, step): // see route
		ctx.Response.Header.Set("Location", entryPath+name)
		s.bare(ctx, fasthttp.StatusSeeOther)
		return true
	case isStep != ctx.IsPost(), !isStep && !get:
		return false
	}
	if ctx.IsHead() {
		ctx.SetContentType("text/html; charset=utf-8")
		return true
	}
	work, cancel := context.WithTimeout(context.Background(), s.o.Config.timeout())
	defer cancel()
	at := link.Link{Token: journey.EntryToken(id), Tenant: id}
	session, known := s.session(ctx, c, at)
	if !known {
		session = journey.NewSession(at.Token, s.o.Now())
	}
	v := &journey.Visit{Link: at, Standing: journey.Open, Session: session, Lang: s.lang(ctx, c), Agent: string(ctx.UserAgent())}
	own, _ := ranges(c.addr)
	v.Source = own.String()
	if isStep {
		s.entryStep(ctx, work, c, v, known, step)
		return true
	}
	screen, err := s.o.Journey.ShowEntry(work, v)
	if err != nil {
		s.failed(ctx, v, "entry", err)
		return true
	}
	s.keep(ctx, c, session)
	s.show(ctx, v, screen, 0)
	return true
}

// entryStep does one POST.
func (s *Server) entryStep(ctx *fasthttp.RequestCtx, work context.Context, c client, v *journey.Visit, known bool, step string) {
	if !s.own(ctx, v, known) || step == "identify" && !s.mayAsk(ctx, c, v) {
		return
	}
	came := clock.Now()
	j, args := s.o.Journey, ctx.PostArgs()
	one := func(key string) string { return string(args.Peek(key)) }
	var err error
	var picked *journey.Session
	switch step {
	case "open":
		j.EntryOpen(v)
	case "identify":
		err = j.EntryIdentify(work, v, one)
	case "code":
		err = j.EntryCode(work, v, one("code"))
	case "resend":
		err = j.EntryResend(work, v)
	case "again":
		j.EntryAgain(v)
	case "pick":
		picked, err = j.EntryPick(work, v, one("message"))
	default:
		s.bare(ctx, fasthttp.StatusNotFound)
		return
	}
	if step == "identify" || step == "code" || step == "resend" {
		time.Sleep(alikeAfter - time.Since(came))
	}
	if err != nil {
		s.failed(ctx, v, step, err)
		return
	}
	s.keep(ctx, c, v.Session)
	if picked != nil {
		s.keep(ctx, c, picked)
		v = &journey.Visit{Link: link.Link{Token: picked.Token}}
	}
	s.back(ctx, v)
}

// mayAsk counts a form of questions against the budget of its address, whoever is asked for; false: it was answered that there were too
// many. That is said openly, for it tells nothing of anybody.
func (s *Server) mayAsk(ctx *fasthttp.RequestCtx, c client, v *journey.Visit) bool {
	if !s.asks.over(c.addr, s.o.Now()) {
		s.asks.miss(c.addr, s.o.Now())
		return true
	}
	s.metrics.entryLimited.Inc()
	message := "ただいま混み合っているため、受け付けできません。10分ほどしてから、もう一度お試しください。"
	if v.Lang == "en" {
		message = "We are too busy just now. Please try again in about ten minutes."
	}
	ctx.Response.Header.Set("Retry-After", "600")
	s.show(ctx, v, s.o.Journey.Fault(v, message), fasthttp.StatusTooManyRequests)
	return false
}
