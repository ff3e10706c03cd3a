package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

//go:embed screen/*.html
var screenFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// screens are the templates by language and name.
type screens map[string]map[string]*template.Template

// screen is what a template gets.
type screen struct {
	*visit
	D         any // of the handler
	Simulated bool
	LiveURL   string // of this page; empty: it is not live
}

func parseScreens() (screens, error) {
	all := screens{}
	names, err := fs.Glob(screenFiles, "screen/*.html")
	if err != nil {
		return nil, err
	}
	for _, lang := range []string{"ja", "en"} {
		all[lang] = map[string]*template.Template{}
		base, err := template.New("base.html").Funcs(functions(lang)).ParseFS(screenFiles, "screen/base.html")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			name := strings.TrimSuffix(path.Base(file), ".html")
			if name == "base" {
				continue
			}
			t, err := base.Clone()
			if err != nil {
				return nil, err
			}
			if all[lang][name], err = t.ParseFS(screenFiles, file); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// functions are the words of templates. t chooses the language where the words stand.
func functions(lang string) template.FuncMap {
	say := func(ja, en string) string {
		if lang == "en" {
			return en
		}
		return ja
	}
	return template.FuncMap{
		"t":         say,
		"livebegin": func() template.HTML { return template.HTML(liveBegin) }, // a comment of a template itself would be taken out
		"liveend":   func() template.HTML { return template.HTML(liveEnd) },
		"lang":      func() string { return lang },
		"dt":        dateTime,
		"ms":        dateTimeMS,
		"jdt":       func(t time.Time) string { return t.In(message.Tokyo).Format("01月02日15:04") },
		"local":     func(t time.Time) string { return t.In(message.Tokyo).Format("2006-01-02T15:04") }, // of a datetime-local field
		"day":       func(t time.Time) string { return t.In(message.Tokyo).Format("2006/01/02") },
		"iday":      message.Day, // of a date field
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"num": func(n any) string {
			switch n := n.(type) {
			case int:
				return number(n)
			case int64:
				return number(n)
			}
			return fmt.Sprint(n)
		},
		"guess": func(oneIn uint64) string {
			if oneIn <= 1 {
				return say("誰でも通過できます", "everybody gets in")
			}
			return say("約"+number(int64(oneIn))+"人に1人", "about 1 in "+number(int64(oneIn)))
		},
		"yen":          func(n int64) string { return say(number(n)+"円", "¥"+number(n)) },
		"classname":    func(name string) string { return className(name, lang) },
		"dayword":      func(day string) string { return dayWord(day, lang) },
		"setting":      func(name string) string { return settingWord(name, lang) },
		"settingvalue": func(value string) string { return settingValue(value, lang) },
		"class":        func(c message.Class) string { return classWords[c].in(lang) },
		"via":          func(v message.Via) string { return viaWords[v].in(lang) },
		"who":          func(by string) string { return whoWord(by, lang) },
		"role":         func(r any) string { return roleWords[fmt.Sprint(r)].in(lang) },
		"tone":         func(c string) string { return tones[c] },
		"alert":        func(c string) string { return payment.AlertLabel(c, lang) },
		"attempt":      func(c string) string { return payment.AttemptLabel(c, lang) },
		"rest":         func(s *payment.State) int64 { rest, _ := s.Rest(); return rest },
		"over":         func(s *payment.State) int64 { _, over := s.Rest(); return over },
		"usual":        func(lang, kind, code string) string { return usualWord(kind, code, lang) },
		"asset":        func(name string) string { return "/static/" + assetSums[name] + "/" + name },
		"docsize":      func(n int) string { return bytesText(int64(n)) },
		"seq": func(n int) []int {
			out := make([]int, n)
			for i := range out {
				out[i] = i
			}
			return out
		},
		"modstate":    func(state string) string { return moduleWords[state].in(lang) },
		"uploadword":  func(p string) string { return uploadWords[campaign.Phase(p)].in(lang) },
		"refusal":     func(code string) string { return refusalWord(code, lang) },
		"reason":      func(code string) string { return reasonWord(code, lang) },
		"waitword":    func(why string) string { return waitWords[why].in(lang) },
		"failword":    func(r string) string { return failWords[campaign.Reason(r)].in(lang) },
		"stopreason":  func(r donotsend.Reason) string { return stopWords[r].in(lang) },
		"notaken":     func(why string) string { return notTakenWord(why, lang) },
		"action":      func(a string) string { return actionWord(a, lang) },
		"finding":     func(f campaign.Finding) string { return f.Text(lang) },
		"bytes":       bytesText,
		"fieldword":   func(code, label string) string { return fieldWord(code, label, lang) },
		"paytone":     func(p payment.Phase) string { return payTones[p] },
		"span":        func(c chartSpan) string { return c.Label.in(lang) },
		"rowtime":     rowTime,
		"clock":       func(t time.Time) string { return t.In(message.Tokyo).Format("15:04:05") },
		"seg":         url.PathEscape,
		"list":        func(items ...any) []any { return items },
		"today":       message.Day,
		"sec":         func(t time.Time) string { return t.In(message.Tokyo).Format("2006/01/02 15:04:05") },
		"sub":         func(a, b int) int { return a - b },
		"sub64":       func(a, b int64) int64 { return a - b },
		"num64":       func(n uint32) string { return number(int64(n)) },
		"verdicttone": func(v payment.Verdict) string { return verdictTones[v] },
		"pct64":       func(part, whole int) int64 { return percent(int64(part), int64(whole)) },
		"add":         func(a, b int) int { return a + b },
		"pct":         percent,
		"png":         func(b64 string) template.URL { return template.URL("data:image/png;base64," + b64) },
		"upper":       func(e campaign.Encoding) string { return strings.ToUpper(string(e)) },
		"join":        strings.Join,
	}
}

func dateTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(message.Tokyo).Format("2006/01/02 15:04")
}

func dateTimeMS(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(message.Tokyo).Format("2006/01/02 15:04:05.000")
}

// percent is a part of the whole, 0 to 100.
func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return max(0, min(part*100/whole, 100))
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return number(n) + " B"
}

// number writes thousands with commas.
func number[N int | int64](n N) string { return message.Grouped(int64(n)) }

// render writes a page. Nothing is written before the template is done, so that a fault gives no half page.
func (s *Server) render(w http.ResponseWriter, v *visit, status int, name string, data any) {
	var b bytes.Buffer
	sc := screen{visit: v, D: data, Simulated: s.Simulated}
	if err := s.screens[v.Lang][name].ExecuteTemplate(&b, "base.html", sc); err != nil {
		s.Log.Error("screen failed", "screen", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser went away
}

// show renders a page of a handler.
func (s *Server) show(w http.ResponseWriter, r *http.Request, v *visit, name string, data any) error {
	v.Notice = s.readNote(v, r.URL.Query().Get("note"))
	s.render(w, v, http.StatusOK, name, data)
	return nil
}

// assetSums are short digests of the static files: their addresses change with them, so that they may be kept for ever.
var assetSums = func() map[string]string {
	sums := map[string]string{}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic("BUG: static files: " + err.Error())
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			panic("BUG: static files: " + err.Error())
		}
		sum := sha256.Sum256(data)
		sums[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return sums
}()

// static serves an embedded file under the address that asset gives.
func (s *Server) static(w http.ResponseWriter, r *http.Request) {
	sum, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/static/"), "/")
	if want, ok := assetSums[name]; !ok || want != sum {
		http.NotFound(w, r)
		return
	}
	data, _ := staticFiles.ReadFile("static/" + name) // assetSums has read it
	switch path.Ext(name) {
	case ".css":
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
	case ".js":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	case ".svg":
		w.Header().Set("Content-Type", "image/svg+xml")
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data) // the browser went away
}
