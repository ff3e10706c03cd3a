package intake

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Entries makes what people are found by at a tenant's shared entry page (tenant.Entry). engine/identity implements it.
type Entries interface {
	// EntryKeys gives a digest a person, in order; empty: something of it cannot be read.
	EntryKeys(ctx context.Context, t *tenant.Tenant, people []identity.Person) ([]string, error)
}

// entryPerson is whom the message is found by at the shared entry; false: it is not found there.
func (in *Intake) entryPerson(t *tenant.Tenant, p *plan) (identity.Person, bool) {
	d := p.draft
	if !t.Entry.On || in.Entries == nil || d.Identity == nil || !d.WantsLink() || p.number.IsZero() || p.resend != nil {
		return identity.Person{}, false
	}
	who, ok := identity.FindableBy(t, d.Identity.Items)
	if who.Phone != "" { // one phone is asked there, and it is the one that the code goes to
		n, err := carrier.ParseNumber(who.Phone)
		ok = ok && err == nil && n == p.number
	}
	who.Phone = p.number.E164()
	return who, ok
}

// pathGoesOn matches what may follow an address so that it is another one.
var pathGoesOn = regexp.MustCompile(`^[A-Za-z0-9_/%-]`)

// entryIn finds the address of the tenant's shared entry page in a text, and gives the text without it.
func (in *Intake) entryIn(t *tenant.Tenant, text string) (rest string, found bool) {
	address := t.EntryAddress(in.Config.LinkHost)
	if address == "" {
		return text, false
	}
	before, after, found := strings.Cut(text, address)
	if !found || pathGoesOn.MatchString(after) {
		return text, false
	}
	return strings.TrimSuffix(strings.TrimSuffix(before, "https://"), "http://") + after, true
}

// checkEntry looks at the address of the shared entry page in the text: there it may stand in place of the link. It warns where the
// recipient would look for the message in vain.
func (in *Intake) checkEntry(t *tenant.Tenant, p *plan, field string) (instead bool) {
	if !t.Entry.On || p.url == "" {
		return false
	}
	if _, found := in.entryIn(t, p.text.with("")); !found {
		return false
	}
	if _, ok := in.entryPerson(t, p); ok {
		return true
	}
	p.warn(notAtEntry(field))
	return false
}

func notAtEntry(field string) message.Problem {
	return message.Problem{Field: field, Code: "mismatch", Detail: "its recipient does not find it at the shared entry page"}
}

// onlyEntry reports whether the text has no other URL beside the link than that of the shared entry page.
func (in *Intake) onlyEntry(t *tenant.Tenant, p *plan) bool {
	rest, _ := in.entryIn(t, p.text.with(""))
	return !strings.Contains(rest, "://")
}

// findable makes what the recipients of the plans are found by, in one call.
func (in *Intake) findable(ctx context.Context, t *tenant.Tenant, plans []*plan) {
	var found []*plan
	var people []identity.Person
	for _, p := range plans {
		if !p.open() {
			continue
		}
		if who, ok := in.entryPerson(t, p); ok {
			found, people = append(found, p), append(people, who)
		}
	}
	if len(found) == 0 {
		return
	}
	keys, err := in.Entries.EntryKeys(ctx, t, people)
	if err == nil && len(keys) != len(found) {
		err = errors.New("BUG: another number of people")
	}
	if err != nil {
		fail(found, fmt.Errorf("what people are found by at the shared entry: %w", err))
		return
	}
	for i, p := range found {
		if p.entry = keys[i]; p.entry == "" && p.onlyAtEntry != "" { // the identity module reads no phones, or not this one
			p.bad(notAtEntry(p.onlyAtEntry))
		}
	}
}
