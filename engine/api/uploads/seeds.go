package uploads

import (
	"context"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
)

// SeedsPath is where SeedsHandler is to be mounted.
//
//	GET    /v1/seeds            → Seeds, in the order of the carriers
//	GET    /v1/seeds/{carrier}  → Seed, 404 where there is none
//	PUT    /v1/seeds/{carrier}  SeedNumber → 200 Seed
//	DELETE /v1/seeds/{carrier}  → 204, also where there was none
//
// A carrier that is not configured is 404. Numbers are sealed and never given out whole; every change is in the audit log
// first, without the number.
const SeedsPath = "/v1/seeds"

// Seed is the tenant's own phone at a carrier, to which a canary goes.
type Seed struct {
	Carrier string `json:"carrier"`
	Number  string `json:"number"` // masked
}

// Seeds are those of the tenant.
type Seeds struct {
	Seeds []Seed `json:"seeds"`
}

// SeedNumber is a body: a mobile number of the carrier, as people write it.
type SeedNumber struct {
	Number string `json:"number"`
}

// SeedsHandler serves SeedsPath and all below it.
func SeedsHandler(c *campaign.Campaigns, log *audit.Log) api.Handler {
	h := &handler{campaigns: c, audit: log}
	return h.serveSeeds
}

func (h *handler) serveSeeds(ctx *fasthttp.RequestCtx, caller *api.Caller) {
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := &request{handler: h, ctx: ctx, caller: caller, work: work}
	way := map[string]func(){"GET": r.listSeeds}
	if name, below := strings.CutPrefix(string(ctx.Path()), SeedsPath+"/"); below {
		way = nil
		if _, known := h.campaigns.Carriers.Carrier(name); known {
			way = map[string]func(){"GET": func() { r.getSeed(name) }, "PUT": func() { r.putSeed(name) }, "DELETE": func() { r.deleteSeed(name) }}
		}
	}
	caller.Do(ctx, way)
}

func (r *request) listSeeds() {
	if !r.parameters() {
		return
	}
	all, err := r.campaigns.Seeds(r.caller.Tenant)
	if err != nil {
		r.refuse(err)
		return
	}
	out := Seeds{Seeds: []Seed{}}
	for _, s := range all {
		out.Seeds = append(out.Seeds, Seed{s.Carrier, s.Masked})
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, out)
}

func (r *request) getSeed(name string) {
	if !r.parameters() {
		return
	}
	all, err := r.campaigns.Seeds(r.caller.Tenant)
	if err != nil {
		r.refuse(err)
		return
	}
	for _, s := range all {
		if s.Carrier == name {
			r.caller.Answer(r.ctx, fasthttp.StatusOK, Seed{s.Carrier, s.Masked})
			return
		}
	}
	r.caller.Refuse(r.ctx, api.NotFound)
}

func (r *request) putSeed(name string) {
	var b SeedNumber
	if !r.parameters() || !r.json(&b) {
		return
	}
	if b.Number == "" {
		r.refuse(message.Problems{{Field: "number", Code: "required"}})
		return
	}
	n, err := r.campaigns.CheckSeed(name, b.Number)
	if err == nil {
		err = r.setSeed("seed.set", name, b.Number)
	}
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, Seed{name, n.Masked()})
}

func (r *request) deleteSeed(name string) {
	if !r.parameters() {
		return
	}
	if err := r.setSeed("seed.remove", name, ""); err != nil {
		r.refuse(err)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// setSeed sets or takes away a seed, on record in the audit log before it is done.
func (r *request) setSeed(action, name, number string) error {
	id := r.caller.Tenant.ID
	if err := r.caller.Record(r.work, r.audit, action, name, ""); err != nil {
		return err
	}
	return r.campaigns.SetSeed(r.work, id, name, number)
}
