package journey

import (
	"context"
	"time"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
)

const (
	// warmEvery is how often the landing pages are looked at: a tenant's change shows its first visitor a page that is there.
	warmEvery = time.Minute
	// warmTenants have their landing pages drawn before anybody asks, and fewer where these take half of the cache: more would push out
	// the pages of who is identified, and then each other.
	warmTenants = 1000
)

// KeepWarm draws the landing pages of the tenants before somebody opens a link, so that whoever does sees what their renderer draws and
// no other page in its stead. It returns when ctx ends.
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
	ids, room := j.Directory().IDs(), j.Pages.CacheBytes()/2
	keep := func(s *Screen) {
		model := s.Model
		if model == nil {
			model = page.NewModel(s.Page)
		}
		room -= j.Pages.Keep(s.Tenant, model)
	}
	for _, id := range ids[:min(len(ids), warmTenants)] {
		for _, lang := range []string{"ja", "en"} {
			if id == tenant.OperatorID || room <= 0 || ctx.Err() != nil {
				continue
			}
			for _, l := range []link.Link{{Identity: true, Code: true}, {Identity: true}, {}} {
				l.Tenant = id
				keep(j.landing(&Visit{Link: l, Standing: Open, Session: &Session{}, Lang: lang}, nil))
			}
			if t := j.entryOf(id); t != nil {
				keep(j.entryLanding(t, lang))
			}
		}
	}
}
