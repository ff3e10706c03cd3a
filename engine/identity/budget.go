package identity

import (
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// budgets counts the codes of each tenant by the day, in Asia/Tokyo. Like numbers it is lost at a restart: it bounds what
// somebody who lets codes be sent for money (toll pumping) can make a tenant pay, and rings before that.
type budgets struct {
	mu   sync.Mutex // guards what follows
	day  string
	sent map[tenant.ID]int
}

// Budget is how much of its day's one-time codes a tenant has used.
type Budget struct{ Sent, Limit int }

// Low reports whether somebody should look: four fifths are gone.
func (b Budget) Low() bool { return b.Sent >= b.Limit-b.Limit/5 }

// take counts a code, unless the limit is reached. rings: the tenant has come to four fifths of its limit by this one.
func (b *budgets) take(t tenant.ID, limit int, now time.Time) (ok, rings bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	if b.sent[t] >= limit {
		return false, false
	}
	before := Budget{b.sent[t], limit}
	b.sent[t]++
	return true, !before.Low() && Budget{b.sent[t], limit}.Low()
}

func (b *budgets) turn(now time.Time) {
	if day := now.In(message.Tokyo).Format(time.DateOnly); day != b.day {
		b.day, b.sent = day, map[tenant.ID]int{}
	}
}

// takeBudget counts a code for the tenant and says in the log when it comes near its limit.
func (id *Identity) takeBudget(t *tenant.Tenant, now time.Time) bool {
	limit := t.Policy.DailyCodes()
	ok, rings := id.budgets.take(t.ID, limit, now)
	switch {
	case !ok:
		id.metrics.overBudget.Inc()
	case rings:
		id.o.Log.Warn("one-time codes of a tenant come to their day's budget", "tenant", t.ID, "limit", limit)
	}
	return ok
}

// Budget tells how many codes of the tenant went out today.
func (id *Identity) Budget(t *tenant.Tenant) Budget {
	id.budgets.mu.Lock()
	defer id.budgets.mu.Unlock()
	id.budgets.turn(id.o.Now())
	return Budget{Sent: id.budgets.sent[t.ID], Limit: t.Policy.DailyCodes()}
}
