package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

const (
	countMost = 10_000 // matches are counted up to here, and pages go as far
	scanMost  = 5_000  // messages that one request by status looks at
	scanBatch = 500
)

var pageSizes = []int{10, 20, 50, 100}

// row is one message in the list and in exports.
type row struct {
	ID         ulid.ULID
	No         string
	Via        message.Via
	Class      message.Class
	Phone      string
	Status     string // code
	Reference  string
	Erased     bool
	AcceptedAt time.Time
	SentAt     time.Time // SMS送信日時: delivered per dlr
	OpenedAt   time.Time
	ViewedAt   time.Time
	IDAt       time.Time
	AnsweredAt time.Time
	Access     string
	Outcome    string
	Carrier    string
	Reason     string
	Campaign   ulid.ULID
	Claim      *payment.State   // nil: none
	Promise    *message.Promise // nil: none was given
}

// listPage is what the list shows.
type listPage struct {
	Search     search
	Conditions []condition
	Rows       []row
	Count      int
	More       bool // there are more than Count
	First      int  // number of the first row, from 1
	Last       int
	Page       int
	Pages      int
	Size       int
	Sizes      []int
	At         time.Time
	Base       string // address of the search, to which page and size are added
	Plain      map[string]string
	Sealed     string
	Statuses   []string
	Classes    []message.Class
	Vias       []message.Via

	// by status
	Scan    bool
	Scanned int
	Through time.Time // looked at down to this time
	Next    string    // cursor: where to go on; empty: all was looked at
	Before  bool
	Fault   bool
}

// rows makes rows of streams, in order. Those that are gone are left out.
func (s *Server) rows(ctx context.Context, v *visit, refs []store.Ref, keep func(*message.State, *payment.State) bool) ([]row, error) {
	states, claims, err := s.states(ctx, v, refs)
	if err != nil {
		return nil, err
	}
	out := make([]row, 0, len(refs))
	for i := range states {
		st, claim := &states[i], claims[i]
		if st.Version == 0 || keep != nil && !keep(st, claim) {
			continue
		}
		r, err := s.row(v, refs[i].ID, st, claim)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// states are messages and the claim of each, nil where it has none. One that is not there is of version 0.
func (s *Server) states(ctx context.Context, v *visit, refs []store.Ref) ([]message.State, []*payment.State, error) {
	streams, err := s.Store.LoadMany(ctx, v.scope, refs)
	if err != nil {
		return nil, nil, err
	}
	states, money := make([]message.State, len(streams)), make([]*payment.State, len(streams))
	var claims []store.Ref
	of := map[ulid.ULID][]int{} // messages by claim
	for i, events := range streams {
		if len(events) == 0 {
			continue
		}
		if states[i], err = stored.State(events); err != nil {
			return nil, nil, fmt.Errorf("message %s: %w", refs[i].ID, err)
		}
		if c := states[i].Head.Claim; !c.IsZero() {
			if of[c] == nil {
				claims = append(claims, store.Ref{Tenant: v.Tenant.ID, Kind: store.Claim, ID: c})
			}
			of[c] = append(of[c], i)
		}
	}
	if len(claims) == 0 {
		return states, money, nil
	}
	found, err := s.Store.LoadMany(ctx, v.scope, claims)
	if err != nil {
		return nil, nil, err
	}
	for i, events := range found {
		if len(events) == 0 {
			continue
		}
		c, err := payment.Fold(events)
		if err != nil {
			return nil, nil, fmt.Errorf("claim %s: %w", claims[i].ID, err)
		}
		for _, j := range of[claims[i].ID] {
			money[j] = &c
		}
	}
	return states, money, nil
}

func (s *Server) row(v *visit, id ulid.ULID, st *message.State, claim *payment.State) (row, error) {
	h := &st.Head
	r := row{
		ID: id, No: h.No, Via: h.Via, Class: h.Class, Phone: h.Masked, Status: statusOf(st, claim, v.now), AcceptedAt: st.AcceptedAt, SentAt: st.DeliveredAt,
		OpenedAt: st.OpenedAt, ViewedAt: st.ViewedAt, IDAt: st.IdentifiedAt, AnsweredAt: st.AnsweredAt, Access: v.accessWord(st),
		Outcome: v.outcomeWord(st, claim), Carrier: st.Carrier, Reason: st.Reason, Campaign: h.Campaign, Claim: claim, Promise: st.Promise,
	}
	sms, err := s.sms(v, id, h)
	if errors.Is(err, store.ErrErased) {
		r.Erased = true
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Reference = sms.Reference
	if v.Unmasked {
		if n, err := carrier.ParseNumber(sms.Number); err == nil {
			r.Phone = hyphens(n)
		}
	}
	return r, nil
}

// hyphens is a number as people read it: 090-1234-5678.
func hyphens(n carrier.Number) string {
	d := n.National()
	if len(d) != 11 {
		return d
	}
	return d[:3] + "-" + d[3:7] + "-" + d[7:]
}

// sms opens what is sealed in a message.
func (s *Server) sms(v *visit, id ulid.ULID, h *message.Head) (message.SMS, error) {
	return stored.SMS(s.Store, v.Tenant.ID, id, h)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, v *visit) error {
	values := r.URL.Query()
	p, err := s.find(r.Context(), v, values)
	if err != nil {
		return err
	}
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Message: true, store.Claim: true}}
	if err := s.auditNumbers(r.Context(), v, p.Rows); err != nil {
		return err
	}
	return s.show(w, r, v, "list", p)
}

// auditNumbers records which messages' numbers are shown whole, once for a set on an open screen.
func (s *Server) auditNumbers(ctx context.Context, v *visit, rows []row) error {
	if !v.Unmasked || len(rows) == 0 {
		return nil
	}
	nos := make([]string, len(rows))
	for i, r := range rows {
		nos[i] = r.No
	}
	text := strings.Join(nos, " ")
	if v.shown == text {
		return nil
	}
	v.shown = text
	return s.record(ctx, v, "message.unmasked_view", fmt.Sprintf("%d", len(rows)), text)
}

// find makes the list of an address.
func (s *Server) find(ctx context.Context, v *visit, values url.Values) (*listPage, error) {
	p := &listPage{Search: s.readSearch(v, values), Size: 20, Sizes: pageSizes, At: v.now, Statuses: statusCodes, Classes: message.Classes, Vias: message.Vias}
	if n, err := strconv.Atoi(values.Get("size")); err == nil && slices.Contains(pageSizes, n) {
		p.Size = n
	}
	p.Page = 1
	if n, err := strconv.Atoi(values.Get("page")); err == nil && n > 1 {
		p.Page = min(n, countMost/p.Size)
	}
	q, err := s.query(ctx, v, &p.Search)
	if err != nil {
		return nil, err
	}
	p.Conditions = p.Search.Conditions(v)
	base := s.searchValues(v, &p.Search)
	p.Sealed = base.Get("q")
	p.Plain = map[string]string{}
	for k := range base {
		p.Plain[k] = base.Get(k)
	}
	base.Set("size", strconv.Itoa(p.Size))
	p.Base = "/messages?" + base.Encode()
	if p.Fault = len(p.Search.Faults) > 0; p.Fault {
		return p, nil
	}
	if p.Search.No != "" {
		return p, s.findNo(ctx, v, p)
	}
	if id, err := ulid.ParseStrict(values.Get("before")); err == nil {
		q.Before, p.Before = id, true
	}
	if p.Search.Status != "" {
		return p, s.scan(ctx, v, p, q)
	}
	if p.Count, err = s.Store.Count(ctx, v.scope, q, countMost+1); err != nil {
		return nil, err
	}
	if p.More = p.Count > countMost; p.More {
		p.Count = countMost
	}
	p.Pages = max((p.Count+p.Size-1)/p.Size, 1)
	p.Page = min(p.Page, p.Pages)
	refs, err := s.window(ctx, v, q, (p.Page-1)*p.Size, p.Size)
	if err != nil {
		return nil, err
	}
	if p.Rows, err = s.rows(ctx, v, refs, nil); err != nil {
		return nil, err
	}
	if len(refs) > 0 {
		p.First = (p.Page-1)*p.Size + 1
		p.Last = p.First + len(refs) - 1
	}
	return p, nil
}

// findNo looks for the one message with the number, which must also fit the other conditions that are cheap to ask for.
func (s *Server) findNo(ctx context.Context, v *visit, p *listPage) error {
	ref, _, err := s.Store.Lookup(ctx, v.scope, store.ByNo, p.Search.No)
	p.Pages = 1
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.Rows, err = s.rows(ctx, v, []store.Ref{ref}, nil); err != nil {
		return err
	}
	p.Count, p.First, p.Last = len(p.Rows), len(p.Rows), len(p.Rows)
	return nil
}

// window is n matches behind the first skip, which the index walks over without reading messages.
func (s *Server) window(ctx context.Context, v *visit, q store.Query, skip, n int) ([]store.Ref, error) {
	for {
		q.Limit = min(skip+n, 1000)
		refs, err := s.Store.Search(ctx, v.scope, q)
		if err != nil {
			return nil, err
		}
		switch {
		case skip < len(refs) && (skip+n <= len(refs) || len(refs) < q.Limit):
			return refs[skip:min(skip+n, len(refs))], nil
		case len(refs) < q.Limit:
			return nil, nil
		case skip+n > q.Limit && skip < len(refs): // straddles: start from where the page begins
			if skip > 0 {
				q.Before = refs[skip-1].ID
			}
			skip = 0
		default:
			skip -= len(refs)
			q.Before = refs[len(refs)-1].ID
		}
	}
}

// scan looks at messages, newest first, until a page of the status is full or enough were looked at: a status is not an
// index, it changes with every event and with the clock.
func (s *Server) scan(ctx context.Context, v *visit, p *listPage, q store.Query) error {
	p.Scan, p.Pages = true, 1
	keep := func(st *message.State, c *payment.State) bool { return statusOf(st, c, v.now) == p.Search.Status }
	for p.Scanned < scanMost {
		q.Limit = scanBatch
		refs, err := s.Store.Search(ctx, v.scope, q)
		if err != nil {
			return err
		}
		rows, err := s.rows(ctx, v, refs, keep)
		if err != nil {
			return err
		}
		if room := p.Size - len(p.Rows); len(rows) >= room {
			p.Rows = append(p.Rows, rows[:room]...)
			last := p.Rows[len(p.Rows)-1].ID
			p.Scanned += slices.IndexFunc(refs, func(r store.Ref) bool { return r.ID == last }) + 1
			p.Through = ulid.Time(last.Time())
			if len(rows) > room || len(refs) == scanBatch || refs[len(refs)-1].ID != last {
				p.Next = last.String()
			}
			break
		}
		p.Rows = append(p.Rows, rows...)
		p.Scanned += len(refs)
		if len(refs) < scanBatch {
			break
		}
		q.Before = refs[len(refs)-1].ID
		p.Through, p.Next = ulid.Time(q.Before.Time()), q.Before.String()
	}
	if p.Scanned < scanMost && len(p.Rows) < p.Size {
		p.Next = ""
	}
	p.Count = len(p.Rows)
	if p.Count > 0 {
		p.First, p.Last = 1, p.Count
	}
	return nil
}

// unmask shows numbers whole for a while, or masks them again.
func (s *Server) unmask(w http.ResponseWriter, r *http.Request, v *visit) error {
	on := r.PostForm.Get("on") == "1"
	action := "message.mask"
	if on {
		action = "message.unmask"
	}
	if err := s.record(r.Context(), v, action, "", ""); err != nil {
		return err
	}
	s.door.SetUnmasked(v.session, on)
	return back(w, r, r.PostForm.Get("next"))
}
