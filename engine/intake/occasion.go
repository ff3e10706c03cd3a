package intake

import (
	"maps"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// occasion gives a draft that names one of the trade's occasions as its template what it does not say itself: class, title, lead
// and closing. The draft as it came stays what its key stands for: the words of another day are no other message.
func (in *Intake) occasion(t *tenant.Tenant, p *plan) {
	o, ok := message.FindOccasion(p.draft.Template)
	if !ok {
		return
	}
	p.occasionOf = o
	d := *p.draft
	p.draft = &d
	if d.Class == "" {
		d.Class = string(o.Class)
	}
	p.vars = occasionVars(t, &d, p.now)
	if p.resend != nil && !d.WantsLink() { // an SMS alone: what it leads to is there, or is not
		return
	}
	page := message.Page{}
	if d.Page != nil {
		page = *d.Page
	}
	for _, part := range []struct {
		field string
		to    *string
		words string
	}{{"page.title", &page.Title, o.Title}, {"page.lead", &page.Lead, o.Lead}, {"page.closing", &page.Closing, o.Closing}} {
		if *part.to != "" {
			continue
		}
		var words textPlan
		missing, unused := words.expand(part.words, p.vars, true)
		for _, name := range missing {
			p.bad(message.Problem{Field: "vars." + name, Code: "required", Detail: "the template needs it"})
		}
		*part.to = words.with("")
		p.used(unused)
	}
	d.Page = &page
}

// occasionVars are the values that every occasion has, and those of the draft.
func occasionVars(t *tenant.Tenant, d *message.Draft, now time.Time) map[string]string {
	at := now
	if d.SendAt != nil && d.SendAt.After(at) {
		at = *d.SendAt
	}
	vars := map[string]string{"company": t.Name, "phone": t.Brand.Phone, "yesterday": message.Yesterday(at)}
	if cl := d.Claim; cl != nil {
		vars["amount"] = message.Yen(cl.Amount, "ja")
		if due, err := cl.DueTime(); err == nil {
			vars["due"] = due.Format("1月2日")
		}
	}
	maps.Copy(vars, d.Vars)
	return vars
}

// used notes which of the draft's own vars an occasion's page has taken: all but those that are unused.
func (p *plan) used(unused []string) {
	left := map[string]bool{}
	for _, name := range unused {
		left[name] = true
	}
	for name := range p.draft.Vars {
		if !left[name] {
			if p.usedVars == nil {
				p.usedVars = map[string]bool{}
			}
			p.usedVars[name] = true
		}
	}
}

// unusedVars leaves of the names that a text did not use those that the sender gave and no part of the page used.
func (p *plan) unusedVars(names []string) (out []string) {
	for _, name := range names {
		if _, given := p.draft.Vars[name]; given && !p.usedVars[name] {
			out = append(out, name)
		}
	}
	return out
}
