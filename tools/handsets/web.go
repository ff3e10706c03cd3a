package main

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

//go:embed page
var files embed.FS

// listed is how many phones the list shows.
const listed = 200

var tokyo = time.FixedZone("JST", 9*3600)

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"display": display,
	"pieces":  pieces,
	"clock":   func(t time.Time) string { return t.In(tokyo).Format("15:04") },
	"stamp":   func(t time.Time) string { return t.In(tokyo).Format(time.RFC3339) },
	"day":     day,
	"when":    func(t time.Time) string { return when(t, time.Now()) },
	"brand":   brand,
}).ParseFS(files, "page/*.html"))

var weekdays = [...]string{"日", "月", "火", "水", "木", "金", "土"}

func day(t time.Time) string {
	t = t.In(tokyo)
	return fmt.Sprintf("%d月%d日（%s）", t.Month(), t.Day(), weekdays[t.Weekday()])
}

// when is the time today, else the day.
func when(t, now time.Time) string {
	t, now = t.In(tokyo), now.In(tokyo)
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return fmt.Sprintf("%d/%d", t.Month(), t.Day())
}

// brand is the style of a carrier.
func brand(carrier string) string {
	switch strings.ToLower(carrier) {
	case "docomo":
		return "a"
	case "au":
		return "b"
	case "softbank":
		return "c"
	case "rakuten", "rakuten mobile":
		return "d"
	}
	return "e"
}

type site struct {
	book *book
	feed *feed
}

func newSite(b *book, f *feed) http.Handler {
	s := &site{book: b, feed: f}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("POST /search", s.search)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /phones/{id}", s.phone)
	mux.HandleFunc("GET /phones/{id}/events", s.events)
	mux.HandleFunc("POST /phones/{id}/reply", s.reply)
	mux.HandleFunc("GET /style.css", s.file)
	mux.HandleFunc("GET /live.js", s.file)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *site) file(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "page"+r.URL.Path)
}

func (s *site) show(w http.ResponseWriter, status int, page string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, page, data)
}

type indexData struct {
	Phones []phone
	Total  int
	Query  string
	Up     bool
	SMSC   string
}

func (s *site) list(w http.ResponseWriter, status int, query string) {
	phones, total := s.book.list(query, listed)
	s.show(w, status, "index.html", indexData{Phones: phones, Total: total, Query: query, Up: s.book.isUp(), SMSC: s.feed.base.String()})
}

func (s *site) index(w http.ResponseWriter, _ *http.Request) { s.list(w, http.StatusOK, "") }

// search takes the number in the body, and goes to the phone when there is
// one.
func (s *site) search(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.PostFormValue("number"))
	if phones, total := s.book.list(query, 1); total == 1 && normal(query) != "" {
		http.Redirect(w, r, fmt.Sprintf("/phones/%d", phones[0].ID), http.StatusSeeOther)
		return
	}
	s.list(w, http.StatusOK, query)
}

type phoneData struct {
	phone
	Threads []thread
	Now     time.Time
	Up      bool
	ReplyTo string
	Failed  string
}

// thread is a run of messages with one address on one day.
type thread struct {
	Address  string
	Day      string // "" when the one before is of the same day
	Messages []message
}

func threads(messages []message) []thread {
	var out []thread
	last := ""
	for _, m := range messages {
		d := day(m.At)
		if n := len(out); n == 0 || out[n-1].Address != m.Address || d != last {
			t := thread{Address: m.Address}
			if d != last {
				t.Day = d
			}
			out = append(out, t)
		}
		last = d
		out[len(out)-1].Messages = append(out[len(out)-1].Messages, m)
	}
	return out
}

func (s *site) find(w http.ResponseWriter, r *http.Request) (phone, bool) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	p, ok := s.book.find(id)
	if !ok {
		s.list(w, http.StatusNotFound, "")
	}
	return p, ok
}

func (s *site) screen(w http.ResponseWriter, status int, p phone, failed string) {
	data := phoneData{phone: p, Threads: threads(p.Messages), Now: time.Now(), Up: s.book.isUp(), Failed: failed}
	if len(p.Messages) > 0 {
		data.ReplyTo = p.Last().Address
	}
	s.show(w, status, "phone.html", data)
}

func (s *site) phone(w http.ResponseWriter, r *http.Request) {
	if p, ok := s.find(w, r); ok {
		s.screen(w, http.StatusOK, p, "")
	}
}

func (s *site) reply(w http.ResponseWriter, r *http.Request) {
	p, ok := s.find(w, r)
	if !ok {
		return
	}
	text := strings.TrimSpace(r.PostFormValue("text"))
	switch n := utf8.RuneCountInString(text); {
	case text == "":
		s.screen(w, http.StatusBadRequest, p, "本文を入力してください。")
		return
	case n > 660:
		s.screen(w, http.StatusBadRequest, p, fmt.Sprintf("本文は660文字までです（入力は%d文字）。", n))
		return
	}
	if err := s.feed.reply(r.Context(), &p, p.Last().Address, text); err != nil {
		s.feed.log.Warn("reply not sent", "carrier", p.Carrier, "err", err)
		s.screen(w, http.StatusBadGateway, p, "送信できませんでした。キャリア（tools/smsc）の状態をご確認ください。")
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/phones/%d", p.ID), http.StatusSeeOther)
}

// events tells the page that it is out of date.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 on the list
	changed, cancel := s.book.watch(id)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	fmt.Fprint(w, "retry: 1000\n\n")
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for out.Flush() == nil {
		select {
		case <-changed:
			fmt.Fprint(w, "data: changed\n\n")
		case <-beat.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
