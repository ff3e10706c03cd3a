package journey

import (
	"context"
	"time"

	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
)

const (
	// warmEvery is how often the landing pages are looked at: a tenant's change shows its first visitor a page that is there.
	warmEvery = time.Minute
	// warmTenants have their landing pages drawn before anybody asks. More would push other pages out of the cache.
	warmTenants = 1000
)

// KeepWarm draws the landing pages of all tenants before somebody opens a link, so that whoever does never waits for a renderer. It
// returns when ctx ends.
func (j *Journey) KeepWarm(ctx context.Context) error {
	again := time.NewTicker(warmEvery)
	defer again.Stop()
	defer j.Pages.Renewed()
	for {
		j.warm(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

func (j *Journey) warm(ctx context.Context) {
	ids := j.Directory().IDs()
	for _, id := range ids[:min(len(ids), warmTenants)] {
		for _, lang := range []string{"ja", "en"} {
			if id == tenant.OperatorID || ctx.Err() != nil {
				continue
			}
			for _, l := range []link.Link{{Identity: true, Code: true}, {Identity: true}, {}} {
				l.Tenant = id
				j.Pages.Page(ctx, id, j.landing(&Visit{Link: l, Standing: Open, Session: &Session{}, Lang: lang}, nil).Page)
			}
			if t := j.entryOf(id); t != nil {
				j.Pages.Page(ctx, id, j.entryLanding(t, lang).Page)
			}
		}
	}
}
