package tenant

import (
	"cmp"
	"fmt"
	"net/url"
)

// Public is the page /s/<id> of the link server, which anybody can read: how the tenant's messages are told from others'. Beside
// what stands here it shows name, contact, the addresses of all sender profiles and the host of links.
type Public struct {
	Hidden bool   `json:"hidden,omitempty" toml:"hidden,omitempty"` // there is none
	Name   string `json:"name,omitempty" toml:"name,omitempty"`     // official name, at most 80 characters; default the issuer's, else the tenant's
	Site   string `json:"site,omitempty" toml:"site,omitempty"`     // official site, https://…
	// NeverAsks is what messages and pages never ask for, at most 10 of 60 characters; empty: cards, PINs and passwords of banks, My
	// Number, gift cards, apps.
	NeverAsks   []string `json:"never_asks,omitempty" toml:"never_asks,omitempty"`
	NeverAsksEN []string `json:"never_asks_en,omitempty" toml:"never_asks_en,omitempty"`
}

const (
	maxOfficial   = 80
	maxSite       = 200
	maxNeverAsks  = 10
	maxNeverAsked = 60
)

// PublicPath is the path of the tenant's public page; empty: it has none.
func (t *Tenant) PublicPath() string {
	if t.Brand.Public.Hidden {
		return ""
	}
	return "/s/" + string(t.ID)
}

// OfficialName is the name on the public page.
func (t *Tenant) OfficialName() string { return cmp.Or(t.Brand.Public.Name, t.Issuer.Name, t.Name) }

func (t *Tenant) validatePublic(bad func(field, format string, args ...any)) {
	p := &t.Brand.Public
	if n := length(p.Name); n > maxOfficial {
		bad("brand.public.name", "has %d characters, %d are allowed", n, maxOfficial)
	}
	if u, err := url.Parse(p.Site); p.Site != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(p.Site) > maxSite) {
		bad("brand.public.site", "must be an https address of at most %d characters", maxSite)
	}
	for field, asks := range map[string][]string{"never_asks": p.NeverAsks, "never_asks_en": p.NeverAsksEN} {
		if len(asks) > maxNeverAsks {
			bad("brand.public."+field, "has %d entries, %d are allowed", len(asks), maxNeverAsks)
		}
		for i, a := range asks {
			if n := length(a); n == 0 || n > maxNeverAsked {
				bad(fmt.Sprintf("brand.public.%s[%d]", field, i), "has %d characters, 1 to %d are allowed", n, maxNeverAsked)
			}
		}
	}
}
