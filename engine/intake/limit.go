package intake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// LimitError says that a tenant's own limit holds a message back. Nothing is wrong with it: it may come again.
type LimitError struct {
	Sender     string // profile; empty: the limit is of all messages
	PerSec     int    // one of the two is set
	PerDay     int
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	what := "messages"
	if e.Sender != "" {
		what = fmt.Sprintf("messages of sender %q", e.Sender)
	}
	if e.PerDay > 0 {
		return fmt.Sprintf("the limit of %d %s a day is reached", e.PerDay, what)
	}
	return fmt.Sprintf("the limit of %d %s a second is reached", e.PerSec, what)
}

// Problem is the limit as a caller reads it.
func (e *LimitError) Problem() message.Problem {
	if e.PerDay > 0 {
		return message.Problem{Field: "sender", Code: "daily_cap", Value: e.Sender, Limit: int64(e.PerDay), Detail: "no more messages today, in Asia/Tokyo"}
	}
	return message.Problem{Field: "sender", Code: "rate", Value: e.Sender, Limit: int64(e.PerSec), Detail: "too many messages in a second"}
}

// limits counts what the limits of tenants let through.
type limits struct {
	mu   sync.Mutex // guards what follows
	each map[limitKey]*limit
}

type limitKey struct {
	tenant tenant.ID
	sender string
}

// limit is one tenant.Limit. What it let through today is counted in the store when it is first asked, after a start, on a
// new day or after a change of the limit, and goes on from there: what was accepted counts, over restarts.
type limit struct {
	mu     sync.Mutex // guards what follows, also while the store counts
	rule   tenant.Limit
	tokens float64   // messages that may come in now, rule.PerSec at the most
	filled time.Time // to when tokens were
	day    string    // of used
	used   int
}

// taking is what a message took of a limit.
type taking struct {
	of    *limit
	token bool // one of the engine's own may have found none
}

// take counts the message against every limit that it falls under, or against none.
func (ls *limits) take(ctx context.Context, s Store, t *tenant.Tenant, r *Request, p *plan) error {
	for _, rule := range t.Policy.Limits {
		if rule.Sender != "" && rule.Sender != p.profile {
			continue
		}
		l := ls.of(t.ID, rule.Sender)
		token, err := l.take(ctx, s, t.ID, rule, p.now, r.Via == message.ViaEngine)
		if err != nil {
			p.giveBack()
			return err
		}
		p.taken = append(p.taken, taking{l, token})
	}
	return nil
}

// giveBack takes a message that did not get in out of the counts.
func (p *plan) giveBack() {
	if p.res.Accepted() && !p.res.Repeated {
		return
	}
	for _, took := range p.taken {
		l := took.of
		l.mu.Lock()
		l.used = max(0, l.used-1)
		if took.token {
			l.tokens = min(l.tokens+1, float64(l.rule.PerSec))
		}
		l.mu.Unlock()
	}
	p.taken = nil
}

func (ls *limits) of(id tenant.ID, sender string) *limit {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	k := limitKey{id, sender}
	if ls.each == nil {
		ls.each = map[limitKey]*limit{}
	}
	if ls.each[k] == nil {
		ls.each[k] = &limit{}
	}
	return ls.each[k]
}

func (l *limit) take(ctx context.Context, s Store, id tenant.ID, rule tenant.Limit, now time.Time, always bool) (token bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rule != rule {
		if l.rule.PerSec != rule.PerSec {
			l.tokens, l.filled = float64(rule.PerSec), now
		}
		l.rule, l.day = rule, ""
	}
	local := now.In(message.Tokyo)
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, message.Tokyo)
	if day := local.Format(time.DateOnly); rule.PerDay > 0 && l.day != day {
		q := store.Query{Kind: store.Message, From: midnight}
		if rule.Sender != "" {
			q.Terms = []store.Term{{Field: FieldSender, Value: rule.Sender}}
		}
		n, err := s.Count(ctx, tenant.Only(id), q, rule.PerDay)
		if err != nil {
			return false, fmt.Errorf("count the messages of a day: %w", err)
		}
		l.day, l.used = day, n
	}
	if !always && rule.PerDay > 0 && l.used >= rule.PerDay {
		return false, &LimitError{Sender: rule.Sender, PerDay: rule.PerDay, RetryAfter: midnight.Add(24 * time.Hour).Sub(now)}
	}
	if since := now.Sub(l.filled); since > 0 {
		l.tokens, l.filled = min(l.tokens+since.Seconds()*float64(rule.PerSec), float64(rule.PerSec)), now
	}
	if token = l.tokens >= 1; token {
		l.tokens--
	} else if rule.PerSec > 0 && !always {
		return false, &LimitError{Sender: rule.Sender, PerSec: rule.PerSec, RetryAfter: time.Second}
	}
	l.used++
	return token, nil
}
