package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screen of one bind: how it stands, and its charts. Operators only: the volumes are those of all tenants together.

type bindPage struct {
	At      time.Time
	Bind    bindLine
	Address string
	TLS     bool
	Spans   []chartSpan
	Span    chartSpan
	Charts  []chart
	Strip   strip
	Errors  []errorLine
	Table   []tableRow
	Up      string // part of the watched time that it was bound
}

type errorLine struct {
	Name string
	N    uint32
}

type tableRow struct {
	From, To                              time.Time
	Gap                                   bool
	Submitted, Answered, Receipts         string // a second
	Window, P50, P99, Errors, InDoubt, Up string
	Throttled                             string
}

// strip shows when the bind was up.
type strip struct {
	Rects   []rect
	X       []tick
	Summary string
}

func (s *Server) bind(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	p := bindPage{At: v.now, Spans: chartSpans, Span: chartSpans[0]}
	for _, sp := range chartSpans {
		if sp.Code == r.URL.Query().Get("range") {
			p.Span = sp
		}
	}
	found := false
	for _, st := range s.Binds() {
		if st.Name == name {
			p.Bind, found = s.bindLine(st, v), true
		}
	}
	if !found {
		return errNotFound
	}
	if s.Dispatch != nil {
		if c, ok := s.Dispatch.BindConfig(name); ok {
			p.Address, p.TLS = c.Address, c.TLS
		}
	}
	steps, err := s.recent(name, v.now, p.Span.span, p.Span.step)
	if err != nil {
		return err
	}
	p.fill(v, steps)
	v.watch = interest{tenant: tenant.OperatorID}
	return s.show(w, r, v, "bind", &p)
}

// recent reads a bind's history. A step that has only just begun is left out: it is no gap.
func (s *Server) recent(name string, now time.Time, span, step time.Duration) ([]history.Record, error) {
	if s.History == nil {
		return nil, nil
	}
	steps, err := s.History.Read(name, now, span, step)
	for n := 0; err == nil && n < 2 && len(steps) > 0 && steps[len(steps)-1].Covered == 0 && now.Sub(steps[len(steps)-1].At) < max(step, 20*time.Second); n++ {
		steps = steps[:len(steps)-1]
	}
	return steps, err
}

func (p *bindPage) fill(v *visit, steps []history.Record) {
	a := &axis{step: p.Span.step, from: v.now.Add(-p.Span.span), to: v.now, span: p.Span, lang: v.Lang}
	known := make([]bool, len(steps))
	for i := range steps {
		a.times = append(a.times, steps[i].At)
		known[i] = steps[i].Covered > 0
	}
	line := func(ja, en, class string, value func(*history.Record) (float64, bool)) curve {
		c := curve{Name: v.T(ja, en), Class: class, samples: make([]sample, len(steps))}
		for i := range steps {
			if known[i] {
				c.samples[i].v, c.samples[i].known = value(&steps[i])
			}
		}
		return c
	}
	perSecond := func(n func(*history.Record) uint32) func(*history.Record) (float64, bool) {
		return func(r *history.Record) (float64, bool) { return r.PerSecond(n(r)), true }
	}
	perMinute := func(n func(*history.Record) uint32) func(*history.Record) (float64, bool) {
		return func(r *history.Record) (float64, bool) { return 60 * r.PerSecond(n(r)), true }
	}
	quantile := func(q float64) func(*history.Record) (float64, bool) {
		return func(r *history.Record) (float64, bool) {
			d, ok := r.Quantile(q)
			return d.Seconds(), ok
		}
	}
	p.Charts = []chart{
		a.draw("rate", v.T("送信量", "Rate"), v.T("件/秒", "per second"), short, float64(p.Bind.Rate), v.T("契約上限", "limit"),
			line("送信", "submitted", "c1", perSecond(func(r *history.Record) uint32 { return r.Submitted })),
			line("応答", "answered", "c2", perSecond(func(r *history.Record) uint32 { return r.Answered })),
			line("送達通知", "receipts", "c3", perSecond(func(r *history.Record) uint32 { return r.Receipts }))),
		a.draw("window", v.T("ウィンドウの使用", "Window"), v.T("応答待ち件数", "outstanding"), short, float64(p.Bind.Window), v.T("上限", "limit"),
			line("最大", "peak", "c1", func(r *history.Record) (float64, bool) { return float64(r.Window.Peak), true }),
			line("平均", "mean", "c2", func(r *history.Record) (float64, bool) { return r.Window.Mean(), true })),
		a.draw("latency", v.T("応答時間", "Response time"), v.T("送信から応答まで", "submission to response"), millisText, 0, "",
			line("99%", "p99", "c1", quantile(0.99)), line("中央値", "median", "c2", quantile(0.5))),
		a.draw("errors", v.T("エラー", "Errors"), v.T("件/分", "per minute"), short, 0, "",
			line("エラー応答", "refused", "c4", perMinute(func(r *history.Record) uint32 { return uint32(min(r.AllErrors(), 1<<32-1)) })),
			line("流量制限", "throttled", "c5", perMinute(func(r *history.Record) uint32 { return r.Throttled })),
			line("応答なし", "in doubt", "c1", perMinute(func(r *history.Record) uint32 { return r.InDoubt }))),
	}
	for i := range p.Charts {
		p.Charts[i].Gaps = a.gaps(known)
	}
	all := history.Sum(steps)
	p.Strip = a.strip(v, steps)
	p.Up = part(all.Up, all.Covered)
	for _, e := range all.Errors {
		p.Errors = append(p.Errors, errorLine{e.Status.String(), e.N})
	}
	if all.OtherErrors > 0 {
		p.Errors = append(p.Errors, errorLine{v.T("その他", "others"), all.OtherErrors})
	}
	for i := 0; i < len(steps); i += p.Span.rows {
		group := steps[i:min(i+p.Span.rows, len(steps))]
		row := rowOf(history.Sum(group))
		row.From, row.To = group[0].At, group[len(group)-1].At.Add(p.Span.step)
		p.Table = append(p.Table, row)
	}
}

func rowOf(r history.Record) tableRow {
	if r.Covered == 0 {
		return tableRow{Gap: true}
	}
	late := func(q float64) string {
		d, ok := r.Quantile(q)
		if !ok {
			return "–"
		}
		return millisText(d.Seconds())
	}
	return tableRow{Submitted: short(r.PerSecond(r.Submitted)), Answered: short(r.PerSecond(r.Answered)), Receipts: short(r.PerSecond(r.Receipts)),
		Window: short(r.Window.Mean()) + " / " + number(int64(r.Window.Peak)), P50: late(0.5), P99: late(0.99), Errors: number(int64(r.AllErrors())),
		Throttled: number(int64(r.Throttled)), InDoubt: number(int64(r.InDoubt)), Up: part(r.Up, r.Covered)}
}

// part writes up of all; what is not quite all is never written as 100%.
func part(up, all time.Duration) string {
	if all <= 0 {
		return "–"
	}
	switch share := 100 * up.Seconds() / all.Seconds(); {
	case all-up < time.Second/2 || share >= 100:
		return "100%"
	case share > 99.99:
		return "99.99%"
	default:
		return strings.TrimSuffix(strings.TrimRight(short(share), "0"), ".") + "%"
	}
}

// strip joins steps of the same kind.
func (a *axis) strip(v *visit, steps []history.Record) strip {
	kind := func(r *history.Record) string {
		switch {
		case r.Covered == 0:
			return "gap"
		case r.Covered-r.Up < r.Covered/100:
			return "up"
		case r.State == bind.Held && r.Up == 0:
			return "held"
		case r.Up == 0:
			return "down"
		}
		return "part"
	}
	st := strip{X: a.ticks()}
	for i := 0; i < len(steps); {
		k, j := kind(&steps[i]), i
		for j < len(steps) && kind(&steps[j]) == k {
			j++
		}
		st.Rects = append(st.Rects, a.rect(i, j, k))
		i = j
	}
	all := history.Sum(steps)
	if all.Covered == 0 {
		st.Summary = v.T("記録がありません", "nothing is recorded")
	} else {
		st.Summary = v.T("接続していた割合 ", "bound ") + part(all.Up, all.Covered)
	}
	return st
}

// stateTexts say how a bind stands.
var stateTexts = map[bind.State]words{
	bind.Bound: {"接続中", "bound"}, bind.Dialing: {"接続処理中", "dialing"}, bind.Waiting: {"再接続待ち", "waiting to try again"}, bind.Refused: {"接続拒否", "refused"},
	bind.Held: {"切り離し中", "held"}, bind.Unbinding: {"切断処理中", "unbinding"}, bind.Stopped: {"停止", "stopped"},
}

var stateTones = map[bind.State]string{bind.Bound: "good", bind.Dialing: "warn", bind.Waiting: "bad", bind.Refused: "bad", bind.Held: "quiet", bind.Unbinding: "quiet", bind.Stopped: "quiet"}

// whyTexts say what usual reasons mean; the reason itself stands beside.
var whyTexts = []struct {
	part string
	text words
}{
	{"by the operator", words{"運用者が切り離しました", "The operator holds it"}},
	{"the program stops", words{"プログラムの停止中です", "The program stops"}},
	{"connection refused", words{"接続先が接続を受け付けていません", "Nobody listens at its address"}},
	{"no such host", words{"接続先のホスト名が見つかりません", "The host is not known"}},
	{"timeout", words{"接続先から応答がありません", "The carrier does not answer"}},
	{"deadline exceeded", words{"接続先から応答がありません", "The carrier does not answer"}},
	{"RINVPASWD", words{"パスワードが違うため拒否されました。設定を修正して再読み込みしてください", "The password is wrong: correct it and reload"}},
	{"RINVSYSID", words{"system_id が違うため拒否されました。設定を修正して再読み込みしてください", "The system_id is wrong: correct it and reload"}},
	{"RALYBND", words{"携帯電話会社側で前の接続が残っています", "The carrier still counts an earlier session"}},
	{"RBINDFAIL", words{"接続を拒否されました", "The carrier refused the bind"}},
	{"may be read by others", words{"パスワードファイルが他のユーザーから読める状態です（0600にしてください）", "The password file is readable by others: make it 0600"}},
	{"certificate", words{"TLS証明書を確認できません", "The TLS certificate is not accepted"}},
	{"EOF", words{"接続先が切断しました", "The carrier closed the connection"}},
	{"reset by peer", words{"接続先が切断しました", "The carrier closed the connection"}},
	{"unbind", words{"携帯電話会社が切断しました", "The carrier unbound"}},
}

func whyText(why, lang string) string {
	for _, w := range whyTexts {
		if strings.Contains(why, w.part) {
			return w.text.in(lang)
		}
	}
	return ""
}

// lasted writes how long something has been so.
func lasted(d time.Duration, lang string) string {
	d = max(d, 0)
	n, ja, en := int64(d/time.Second), "秒", "s"
	switch {
	case d >= 48*time.Hour:
		n, ja, en = int64(d/(24*time.Hour)), "日", " days"
	case d >= 2*time.Hour:
		n, ja, en = int64(d/time.Hour), "時間", " h"
	case d >= 2*time.Minute:
		n, ja, en = int64(d/time.Minute), "分", " min"
	}
	return number(n) + words{ja, en}.in(lang)
}

// rowTime writes a row's beginning as the range needs it.
func rowTime(t time.Time, code string) string {
	if code == "hour" || code == "day" {
		return t.In(message.Tokyo).Format("1/2 15:04")
	}
	return t.In(message.Tokyo).Format("2006/1/2 15:04")
}
