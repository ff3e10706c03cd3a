package tenant

import "cmp"

// Entry is the shared entry page /e/<id> of the link server: one address for all of the tenant's recipients, who are found by name,
// birth date and phone and then have a one-time code. Messages are found there that were accepted while it was on, and ask for name
// and birth date and nothing else but the phone; a text that has the page's address in it needs no {url} then.
type Entry struct {
	On bool `json:"on,omitempty" toml:"on,omitempty"`
}

// EntryPath is the path of the shared entry page; empty: there is none.
func (t *Tenant) EntryPath() string {
	if !t.Entry.On {
		return ""
	}
	return "/e/" + string(t.ID)
}

// EntryAddress is where the shared entry page is, without its scheme; empty: there is none. host is that of links of tenants without
// one of their own.
func (t *Tenant) EntryAddress(host string) string {
	if !t.Entry.On {
		return ""
	}
	return cmp.Or(t.LinkHost, host) + t.EntryPath()
}
