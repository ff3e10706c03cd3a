package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Searches by number that a user may make within an hour. A viewer sees masked numbers only: without a bound he could try all that a mask
// stands for. Senders know numbers, and are bounded against the same.
const (
	viewerLookups = 30
	memberLookups = 300
)

// lookups counts the numbers that users search for.
type lookups struct {
	mu sync.Mutex          // guards of
	of map[string][]lookup // by login: those of the last hour
}

type lookup struct {
	number carrier.Number
	at     time.Time
}

// take counts a number that the user has not searched for within the last hour, unless those are as many as may be.
func (l *lookups) take(login string, n carrier.Number, most int, now time.Time) (known, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := slices.DeleteFunc(l.of[login], func(u lookup) bool { return now.Sub(u.at) >= time.Hour })
	known = slices.ContainsFunc(of, func(u lookup) bool { return u.number == n })
	if ok = known || len(of) < most; ok && !known {
		of = append(of, lookup{n, now})
	}
	l.of[login] = of
	return known, ok
}

// lookUp lets a search by number be made, once it is on record. A list that is narrowed further is searched for the same number again.
func (s *Server) lookUp(ctx context.Context, v *visit, n carrier.Number) error {
	most := memberLookups
	if v.Is(tenant.RoleViewer) {
		most = viewerLookups
	}
	known, ok := s.lookups.take(v.User.Login, n, most, v.now)
	if !ok {
		return &fail{http.StatusTooManyRequests, "電話番号での検索は1時間に" + number(most) + "回までです。時間をおいてもう一度お試しください。",
			"Numbers can be searched for " + number(most) + " times an hour. Please try again later."}
	}
	if known {
		return nil
	}
	return s.record(ctx, v, "messages.search", n.Masked(), "")
}

// maxClaimNumber is more than the characters of any claim's number.
const maxClaimNumber = 64

// search is what the list is narrowed by. Number, Last4 and Reference are personal: in an address they stand sealed.
type search struct {
	Number    string `json:"n,omitempty"` // as typed
	Last4     string `json:"4,omitempty"`
	Reference string `json:"r,omitempty"`

	No       string `json:"-"`
	Status   string `json:"-"`
	Class    string `json:"-"`
	Via      string `json:"-"`
	Campaign string `json:"-"`
	Claim    string `json:"-"` // number of a claim
	From, To string `json:"-"` // YYYY-MM-DD, both inclusive

	Faults map[string]string `json:"-"` // by field
}

// plainFields are the fields that may stand in an address as they are.
func (q *search) plainFields() map[string]*string {
	return map[string]*string{"no": &q.No, "status": &q.Status, "class": &q.Class, "via": &q.Via, "campaign": &q.Campaign, "claim": &q.Claim, "from": &q.From, "to": &q.To}
}

func (s *Server) readSearch(v *visit, values url.Values) search {
	var q search
	if box, ok := s.door.Open("search/"+string(tenantOf(v)), values.Get("q")); ok {
		_ = json.Unmarshal(box, &q) // we wrote it
	}
	for name, field := range q.plainFields() {
		*field = strings.TrimSpace(values.Get(name))
	}
	return q
}

// Values is the search as an address has it.
func (s *Server) searchValues(v *visit, q *search) url.Values {
	values := url.Values{}
	for name, field := range q.plainFields() {
		if *field != "" {
			values.Set(name, *field)
		}
	}
	if q.Number+q.Last4+q.Reference != "" {
		plain, _ := json.Marshal(q) // cannot fail
		values.Set("q", s.door.Seal("search/"+string(tenantOf(v)), plain))
	}
	return values
}

// Set reports whether any condition is set.
func (q *search) Set() bool {
	for _, field := range q.plainFields() {
		if *field != "" {
			return true
		}
	}
	return q.Number+q.Last4+q.Reference != ""
}

// condition is one thing that the list is narrowed by, as it is shown.
type condition struct{ Name, Value string }

// Conditions are shown above the list: 検索条件.
func (q *search) Conditions(v *visit) []condition {
	var out []condition
	add := func(ja, en, value string) {
		if value != "" {
			out = append(out, condition{v.T(ja, en), value})
		}
	}
	if n, err := carrier.ParseNumber(q.Number); err == nil {
		if add("電話番号", "Number", n.Masked()); v.Unmasked {
			out[len(out)-1].Value = hyphens(n)
		}
	}
	add("電話番号下4桁", "Last 4 digits", q.Last4)
	add("会員情報", "Reference", q.Reference)
	add("No.", "No.", q.No)
	if slices.Contains(statusCodes, q.Status) {
		add("ステータス", "Status", v.StatusWord(q.Status))
	}
	add("種別", "Class", classWords[message.Class(q.Class)].in(v.Lang))
	add("送信種別", "Sent by", viaWords[message.Via(q.Via)].in(v.Lang))
	add("一括送信", "Upload", q.Campaign)
	add("請求番号", "Claim no.", q.Claim)
	add("受付日（から）", "Accepted from", strings.ReplaceAll(q.From, "-", "/"))
	add("受付日（まで）", "Accepted to", strings.ReplaceAll(q.To, "-", "/"))
	return out
}

// query makes the store's query; Faults are set for what cannot be read.
func (s *Server) query(ctx context.Context, v *visit, q *search) (store.Query, error) {
	q.Faults = map[string]string{}
	f := intake.Filter{Reference: q.Reference}
	if q.Number != "" {
		n, err := carrier.ParseNumber(q.Number)
		if err != nil {
			q.Faults["number"] = v.T("携帯電話番号を11桁で入力してください。", "Type a mobile number of 11 digits.")
		}
		f.Number = n
	}
	if q.Last4 != "" {
		if _, err := strconv.ParseUint(q.Last4, 10, 16); err != nil || len(q.Last4) != 4 {
			q.Faults["last4"] = v.T("半角数字4桁で入力してください。", "Type 4 digits.")
		}
		f.Last4 = q.Last4
	}
	if q.Class != "" {
		if !slices.Contains(message.Classes, message.Class(q.Class)) {
			q.Faults["class"] = v.T("選択し直してください。", "Choose again.")
		}
		f.Class = message.Class(q.Class)
	}
	if q.Via != "" {
		f.Via = message.Via(q.Via)
	}
	if q.Status != "" && !slices.Contains(statusCodes, q.Status) {
		q.Faults["status"] = v.T("選択し直してください。", "Choose again.")
	}
	if q.Campaign != "" {
		id, err := ulid.ParseStrict(q.Campaign)
		if err != nil {
			q.Faults["campaign"] = v.T("一括送信のIDが正しくありません。", "This is no upload.")
		}
		f.Campaign = id
	}
	if q.Claim != "" {
		ref, _, err := s.Store.Lookup(ctx, v.scope, store.ByClaimNumber, q.Claim[:min(len(q.Claim), maxClaimNumber)])
		if errors.Is(err, store.ErrNotFound) {
			q.Faults["claim"] = v.T("この番号の請求はありません。", "There is no such claim.")
		} else if err != nil {
			return store.Query{}, err
		}
		f.Claim = ref.ID
	}
	out := store.Query{Kind: store.Message}
	day := func(field, text string, after int) time.Time {
		if text == "" {
			return time.Time{}
		}
		t, err := time.ParseInLocation(time.DateOnly, text, message.Tokyo)
		if err != nil {
			q.Faults[field] = v.T("日付を正しく入力してください。", "This is no date.")
			return time.Time{}
		}
		return t.AddDate(0, 0, after)
	}
	out.From, out.To = day("from", q.From, 0), day("to", q.To, 1)
	if len(q.Faults) > 0 {
		return out, nil
	}
	var err error
	out.Terms, err = f.Terms(s.Store, v.Tenant.ID)
	return out, err
}

// search takes the form and leads to the list.
func (s *Server) search(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := search{Number: strings.TrimSpace(r.PostForm.Get("number")), Last4: strings.TrimSpace(r.PostForm.Get("last4")), Reference: strings.TrimSpace(r.PostForm.Get("reference"))}
	for name, field := range q.plainFields() {
		*field = strings.TrimSpace(r.PostForm.Get(name))
	}
	if len(q.Number) > 64 || len(q.Reference) > 4*message.MaxReference {
		return errTooBig
	}
	if n, err := carrier.ParseNumber(q.Number); err == nil { // else nothing is searched for: query says so
		if err := s.lookUp(r.Context(), v, n); err != nil {
			return err
		}
	}
	to := "/messages"
	values := s.searchValues(v, &q)
	if size := r.PostForm.Get("size"); size != "" {
		values.Set("size", size)
	}
	if len(values) > 0 {
		to += "?" + values.Encode()
	}
	return back(w, r, to)
}
