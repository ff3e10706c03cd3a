package journey

import (
	"cmp"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Public is the page by which anybody tells a tenant's messages from others'; nil: there is none.
func (j *Journey) Public(id tenant.ID, lang string) *Screen {
	t := j.Directory().Tenants[id]
	if t == nil || id == tenant.OperatorID || t.PublicPath() == "" {
		return nil
	}
	label := func(carrier string) string {
		if j.CarrierLabel == nil {
			return carrier
		}
		return j.CarrierLabel(carrier, lang)
	}
	return &Screen{Tenant: id, Page: page.About(t, lang, label, cmp.Or(t.LinkHost, j.LinkHost))}
}

// PublicAt is the tenant whose own links alone have the host; empty: there is none.
func (j *Journey) PublicAt(host string) (found tenant.ID) {
	for id, t := range j.Directory().Tenants {
		if t.LinkHost == "" || t.LinkHost != host {
			continue
		}
		if found != "" {
			return ""
		}
		found = id
	}
	return found
}

// Foreign reports whether a host is other tenants' own: nothing of this one is shown there, for it would be taken for
// theirs. Hosts that are nobody's are open, so that links live on when a tenant's host is changed.
func (j *Journey) Foreign(host string, id tenant.ID) bool {
	return j.Directory().Foreign(host, id) && tenant.HostName(host) != tenant.HostName(j.LinkHost)
}
