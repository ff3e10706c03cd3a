package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/oklog/ulid/v2"
)

// homeMost is how many of today's messages are counted by status; beyond it the counts say that they are of the newest.
const homeMost = 5_000

type bar struct {
	Code string
	N    int
	Pct  int
}

type hour struct {
	Label           string
	Sent, Viewed    int
	X, SentH, ViewH int
}

type homePage struct {
	At        time.Time
	Total     int
	More      bool // more were accepted today than were counted
	Delivered int
	Opened    int
	Done      int // paid or answered
	Failed    int
	Bars      []bar
	Hours     []hour
	Alerts    []payment.State
	Codes     identity.Budget // one-time codes of today
	Uploads   []*campaign.State
	Carriers  []carrierUp
	Binds     []bind.Status
	Labels    map[string]string // of the operator's carriers
	Modules   []host.Status
	Tenants   int
}

// carrierUp is what a tenant sees of the binds: whether each carrier can be reached.
type carrierUp struct {
	Label     string
	Up, Binds int
}

func (s *Server) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := homePage{At: v.now, Binds: s.Binds()}
	if v.Tenant == nil {
		p.Modules, p.Tenants, p.Labels = s.Modules(), len(v.snap.Tenants), map[string]string{}
		for _, b := range p.Binds {
			p.Labels[b.Carrier] = s.carrierLabel(b.Carrier, v.Lang)
		}
		v.watch = interest{tenant: tenant.OperatorID}
		return s.show(w, r, v, "operator", &p)
	}
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Message: true, store.Claim: true, store.Campaign: true}}
	if err := s.today(r.Context(), v, &p); err != nil {
		return err
	}
	var err error
	if v.Is(tenant.RoleAdmin) {
		if p.Alerts, err = s.Payments.Alerts(r.Context(), v.scope, 5); err != nil {
			return err
		}
	}
	if p.Codes, err = s.Identity.Budget(r.Context(), v.Tenant); err != nil {
		return err
	}
	if p.Uploads, err = s.Campaigns.List(r.Context(), v.scope, ulid.ULID{}, 5); err != nil {
		return err
	}
	for _, c := range s.Carriers.Carriers() {
		up := carrierUp{Label: c.Label(v.Lang)}
		for _, b := range p.Binds {
			if b.Carrier == c.Name {
				up.Binds++
				if b.State == bind.Bound {
					up.Up++
				}
			}
		}
		if up.Binds > 0 {
			p.Carriers = append(p.Carriers, up)
		}
	}
	return s.show(w, r, v, "home", &p)
}

// today counts the messages that were accepted today by their status now.
func (s *Server) today(ctx context.Context, v *visit, p *homePage) error {
	midnight := message.Midnight(v.now)
	q := store.Query{Kind: store.Message, From: midnight, Limit: scanBatch}
	counts := map[string]int{}
	var sent, viewed [24]int
	looked := 0
	for looked < homeMost {
		refs, err := s.Store.Search(ctx, v.scope, q)
		if err != nil {
			return err
		}
		rows, err := s.rows(ctx, v, refs, nil)
		if err != nil {
			return err
		}
		looked += len(refs)
		for _, x := range rows {
			counts[x.Status]++
			if !x.SentAt.IsZero() {
				p.Delivered++
				if x.SentAt.After(midnight) {
					sent[x.SentAt.In(message.Tokyo).Hour()]++
				}
			}
			if !x.OpenedAt.IsZero() {
				p.Opened++
			}
			if x.ViewedAt.After(midnight) {
				viewed[x.ViewedAt.In(message.Tokyo).Hour()]++
			}
			switch x.Status {
			case statusPaid, statusAnswered:
				p.Done++
			case string(message.NotDelivered), string(message.Rejected), string(message.Unknown), string(message.Expired):
				p.Failed++
			}
		}
		if len(refs) < scanBatch {
			break
		}
		q.Before = refs[len(refs)-1].ID
	}
	total, err := s.Store.Count(ctx, v.scope, store.Query{Kind: store.Message, From: midnight}, countMost+1)
	if err != nil {
		return err
	}
	p.Total, p.More = total, total > looked
	most := 1
	for _, n := range counts {
		most = max(most, n)
	}
	for _, code := range statusCodes {
		if n := counts[code]; n > 0 {
			p.Bars = append(p.Bars, bar{code, n, max(n*100/most, 1)})
		}
	}
	high := 1
	for h := range 24 {
		high = max(high, sent[h], viewed[h])
	}
	for h := range 24 {
		x := hour{Label: time.Date(0, 1, 1, h, 0, 0, 0, time.UTC).Format("15"), Sent: sent[h], Viewed: viewed[h], X: h * 30}
		x.SentH, x.ViewH = sent[h]*164/high, viewed[h]*164/high
		if x.Sent > 0 {
			x.SentH = max(x.SentH, 2)
		}
		if x.Viewed > 0 {
			x.ViewH = max(x.ViewH, 2)
		}
		p.Hours = append(p.Hours, x)
	}
	return nil
}
