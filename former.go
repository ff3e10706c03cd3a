package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
)

// formerAgent is a contract that a tenant's definition no longer has, while something of it is kept.
type formerAgent struct {
	Tenant  tenant.ID `json:"tenant"`
	Agent   string    `json:"agent"`
	Module  string    `json:"module"`
	Open    int       `json:"open"` // attempts of which something is expected
	Removed time.Time `json:"removed"`
	Kept    bool      `json:"kept"` // hook and configuration stay; else nothing is open and its time is over
}

func (f formerAgent) String() string {
	head := fmt.Sprintf("tenant %s: agent %s (%s), no longer in the definition: %d open attempts", f.Tenant, f.Agent, f.Module, f.Open)
	if !f.Kept {
		return head + "; it is forgotten"
	}
	return head + "; its webhooks and configuration stay until they have ended"
}

// former tells of the contracts that t, which follows old, does not have, and names those that can be forgotten.
func (d *operatorDoor) former(ctx context.Context, old, t *tenant.Tenant, out *applied) (over []tenant.Agent, err error) {
	if old == nil {
		return nil, nil
	}
	left := old.Leaves(t, clock.Now())
	if out.Former, err = d.openOf(ctx, t.ID, left); err != nil {
		return nil, err
	}
	for i, f := range out.Former {
		if !f.Kept {
			over = append(over, left[i].Agent)
			out.Diff = append(out.Diff, fmt.Sprintf("- former agent %s (%s): nothing of it is open any more", f.Agent, f.Module))
		}
	}
	return over, nil
}

// openOf says of each contract how many attempts are open.
func (d *operatorDoor) openOf(ctx context.Context, id tenant.ID, all []tenant.FormerAgent) ([]formerAgent, error) {
	if len(all) == 0 {
		return nil, nil
	}
	open, err := d.payments.OpenAttempts(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []formerAgent
	for _, f := range all {
		n := open[payment.Contract{Agent: f.Name, Module: f.Module}]
		out = append(out, formerAgent{id, f.Name, f.Module, n, f.Removed, n > 0 || clock.Now().Sub(f.Removed) < payment.KeepFormer})
	}
	return out, nil
}

// formerAgents answers `kakitome check` of a running engine.
func (d *operatorDoor) formerAgents(w http.ResponseWriter, r *http.Request) {
	all := []formerAgent{}
	snap := d.directory.Now()
	for _, id := range snap.IDs() {
		some, err := d.openOf(r.Context(), id, snap.Tenants[id].Former)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		all = append(all, some...)
	}
	writeJSON(w, all)
}
