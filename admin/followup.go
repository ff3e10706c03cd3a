package admin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

const (
	followUpsShown = 50
	runsShown      = 10
)

// followUp is a message of a list as the screen shows it.
type followUp struct {
	followup.Item
	Phone, Why string
}

type followUpsPage struct {
	List     followup.List
	Lists    []followup.List
	Class    string
	From, To string // YYYY-MM-DD, both inclusive
	Most     string // as followup.Filter.MaxResent
	NotSince string // YYYY-MM-DD
	Classes  []message.Class
	Rows     []followUp
	Next     string // address of the next page
	Query    url.Values
	Runs     []followup.State
	Tenant   []string // templates
	Ready    []message.Occasion
	Key      string // of the form: pressing twice is one action
	Text     string // as typed, when there is a fault
	Due      string
	Faults   []string
}

// followUpFilter reads what a list is narrowed by.
func followUpFilter(values url.Values) (l followup.List, f followup.Filter, err error) {
	if l, err = followup.ParseList(values.Get("list")); err != nil {
		l = followup.Undelivered
	}
	f.Class = message.Class(values.Get("class"))
	if f.Class != "" && !slices.Contains(message.Classes, f.Class) {
		return l, f, errNotFound
	}
	for name, at := range map[string]*time.Time{"from": &f.From, "to": &f.To, "not_since": &f.NotSince} {
		if text := values.Get(name); text != "" {
			if *at, err = time.ParseInLocation(time.DateOnly, text, message.Tokyo); err != nil {
				return l, f, errNotFound
			}
		}
	}
	if text := values.Get("max_resent"); text != "" {
		if f.MaxResent, err = strconv.Atoi(text); err != nil || f.MaxResent < 1 || f.MaxResent > followup.MaxResents {
			return l, f, errNotFound
		}
	}
	if !f.To.IsZero() {
		f.To = f.To.AddDate(0, 0, 1)
	}
	return l, f, nil
}

func (s *Server) followUpsPage(r *http.Request, v *visit, values url.Values) (*followUpsPage, error) {
	l, f, err := followUpFilter(values)
	if err != nil {
		return nil, err
	}
	p := &followUpsPage{List: l, Lists: followup.Lists, Class: string(f.Class), From: values.Get("from"), To: values.Get("to"), Most: values.Get("max_resent"), NotSince: values.Get("not_since"), Query: url.Values{"list": {string(l)}}, Ready: message.Occasions, Key: ulid.Make().String()}
	for _, c := range message.Classes {
		if c != message.OTP {
			p.Classes = append(p.Classes, c)
		}
	}
	for _, t := range v.Tenant.Templates {
		p.Tenant = append(p.Tenant, t.Name)
	}
	for _, name := range []string{"class", "from", "to", "max_resent", "not_since"} {
		if text := values.Get(name); text != "" {
			p.Query.Set(name, text)
		}
	}
	before, _ := ulid.ParseStrict(values.Get("before")) // of another form: from the newest
	page, err := s.FollowUps.List(r.Context(), v.Tenant.ID, l, f, before, followUpsShown)
	if err != nil {
		return nil, err
	}
	var shown []row
	for _, it := range page.Items {
		line := followUp{Item: it, Phone: it.State.Head.Masked, Why: it.Reason(l, v.now, v.Lang)}
		if code := it.State.Reason; code != "" {
			line.Why = strings.Replace(line.Why, "("+code+")", "("+reasonWord(code, v.Lang)+")", 1)
		}
		if n, err := carrier.ParseNumber(it.SMS.Number); v.Unmasked && err == nil {
			line.Phone = hyphens(n)
		}
		p.Rows, shown = append(p.Rows, line), append(shown, row{ID: it.ID, No: it.State.Head.No})
	}
	if !page.Next.IsZero() {
		next := url.Values{"before": {page.Next.String()}}
		for k := range p.Query {
			next.Set(k, p.Query.Get(k))
		}
		p.Next = "/follow-ups?" + next.Encode()
	}
	if err := s.auditNumbers(r.Context(), v, shown); err != nil {
		return nil, err
	}
	p.Runs, err = s.FollowUps.Runs(r.Context(), v.Tenant.ID, ulid.ULID{}, runsShown)
	return p, err
}

// followUps shows a list of messages that came to nothing yet, and the runs.
func (s *Server) followUps(w http.ResponseWriter, r *http.Request, v *visit) error {
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.FollowUp: true}}
	p, err := s.followUpsPage(r, v, r.URL.Query())
	if err != nil {
		return err
	}
	return s.show(w, r, v, "followups", p)
}

// followUp sends a list again, as one action.
func (s *Server) followUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	form := r.PostForm
	l, f, err := followUpFilter(form)
	if err != nil {
		return err
	}
	o := followup.Order{Key: form.Get("key"), List: l, Filter: f, Due: form.Get("due"), By: v.By()}
	if err := s.record(r.Context(), v, "followup.start", string(l), o.Audited()); err != nil {
		return err
	}
	if name, chosen := strings.CutPrefix(form.Get("words"), "template:"); chosen {
		o.Template = name
	} else if form.Get("words") == "text" {
		if o.Text = strings.TrimSpace(form.Get("text")); o.Text == "" {
			return s.refuseFollowUp(w, r, v, v.T("本文を入力してください。", "Type a text."))
		}
	}
	_, err = s.FollowUps.Start(r.Context(), v.Tenant, o)
	var ps message.Problems
	if errors.As(err, &ps) {
		return s.refuseFollowUp(w, r, v, followUpFault(ps[0], v.Lang))
	}
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, "/follow-ups?list="+string(l), "再送を開始しました。", "It is being sent again."))
}

// followUpFault says what is wrong with a field of the form, by the name that it has there.
func followUpFault(p message.Problem, lang string) string {
	if p.Field == "due" {
		return words{"新しい支払期限：", "New due date: "}.in(lang) + problemText(p, lang)
	}
	return problemText(p, lang)
}

func (s *Server) refuseFollowUp(w http.ResponseWriter, r *http.Request, v *visit, fault string) error {
	p, err := s.followUpsPage(r, v, r.PostForm)
	if err != nil {
		return err
	}
	p.Faults, p.Text, p.Due = []string{fault}, r.PostForm.Get("text"), r.PostForm.Get("due")
	s.render(w, v, http.StatusUnprocessableEntity, "followups", p)
	return nil
}

func (s *Server) stopFollowUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	st, err := s.FollowUps.State(r.Context(), v.Tenant.ID, id)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "followup.stop", id.String(), ""); err != nil {
		return err
	}
	if _, err := s.FollowUps.Stop(r.Context(), v.Tenant.ID, id, v.By()); err != nil {
		return err
	}
	return back(w, r, s.note(v, "/follow-ups?list="+string(st.List), "再送を停止しました。", "The run is stopped."))
}

// callList gives the list with whole numbers, for people who call (TEL連絡).
func (s *Server) callList(w http.ResponseWriter, r *http.Request, v *visit) error {
	l, f, err := followUpFilter(r.PostForm)
	if err != nil {
		return err
	}
	done, err := s.turn(v)
	if err != nil {
		return err
	}
	defer done()
	sh, err := s.download(w, r, v, "followup.calls", "calls_"+string(l), "")
	if err != nil {
		return err
	}
	if err := sh.write(followup.CallHeader(v.Lang)...); err != nil {
		return err
	}
	err = s.FollowUps.Each(r.Context(), v.Tenant.ID, l, f, func(it *followup.Item) error { return sh.write(it.CallRow(l, v.now, v.Lang)...) })
	return s.finish(r, v, sh, err)
}
