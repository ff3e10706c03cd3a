package admin

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
)

// Charts are SVG, drawn here: the browser needs no script and the policy of the console stays as it is. A chart is made for
// a viewBox of chartW × chartH, which is about what a phone shows; wide screens show two beside each other.
const (
	chartW, chartH        = 400, 190
	plotL, plotR          = 46, 392
	plotT, plotB          = 12, 160
	plotWidth, plotHeight = plotR - plotL, plotB - plotT
)

// sample is a value at a step; not known: a gap.
type sample struct {
	v     float64
	known bool
}

// curve is one line of a chart.
type curve struct {
	Name    string
	Class   string // of the style sheet: a colour and a dash, so that lines differ without colour
	samples []sample

	Paths []string // d of the stretches between gaps
	Dots  []dot    // a step that stands alone
}

type dot struct{ X, Y string }

type tick struct {
	At     string // x or y
	Label  string
	Anchor string
}

type rect struct{ X, W, Class string }

type chart struct {
	ID, Title, Unit string
	Curves          []curve
	Y, X            []tick
	Gaps            []rect
	Limit           string // y of the limit's line; empty: none
	LimitLabel      string
	Empty           bool // nothing is known
	Summary         string
}

// axis is how the times of a chart lie.
type axis struct {
	times []time.Time // of the steps
	step  time.Duration
	from  time.Time
	to    time.Time
	span  chartSpan
	lang  string
}

// x is where a time lies.
func (a *axis) x(t time.Time) float64 {
	whole := a.to.Sub(a.from)
	if whole <= 0 {
		return plotL
	}
	return plotL + float64(plotWidth)*float64(t.Sub(a.from))/float64(whole)
}

func coord(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// draw lays a chart out. unit is that of the values, told to label too; limit > 0 is drawn as a line of its own.
func (a *axis) draw(id, title, unit string, label func(float64) string, limit float64, limitLabel string, curves ...curve) chart {
	c := chart{ID: id, Title: title, Unit: unit, Curves: curves, Empty: true}
	high := limit
	for _, cv := range curves {
		for _, s := range cv.samples {
			if s.known {
				c.Empty, high = false, max(high, s.v)
			}
		}
	}
	top, step := niceTop(high)
	y := func(v float64) float64 { return plotB - plotHeight*min(v/top, 1) }
	for v := 0.0; v <= top*1.0001; v += step {
		c.Y = append(c.Y, tick{At: coord(y(v)), Label: label(v)})
	}
	c.X = a.ticks()
	if limit > 0 {
		c.Limit, c.LimitLabel = coord(y(limit)), limitLabel
	}
	for i := range c.Curves {
		c.Curves[i].trace(a, y)
	}
	c.Summary = c.summary(a.lang, label)
	return c
}

// trace makes the paths: a gap ends one.
func (cv *curve) trace(a *axis, y func(float64) float64) {
	var run []string
	end := func() {
		switch {
		case len(run) == 1:
			x, yy, _ := strings.Cut(run[0], " ")
			cv.Dots = append(cv.Dots, dot{x, yy})
		case len(run) > 1:
			cv.Paths = append(cv.Paths, "M"+strings.Join(run, "L"))
		}
		run = nil
	}
	for i, s := range cv.samples {
		if !s.known {
			end()
			continue
		}
		mid := a.times[i].Add(a.step / 2) // of the step
		run = append(run, coord(min(max(a.x(mid), plotL), plotR))+" "+coord(y(s.v)))
	}
	end()
}

// gaps are the stretches in which nothing was watched.
func (a *axis) gaps(known []bool) (out []rect) {
	for i := 0; i < len(known); i++ {
		if known[i] {
			continue
		}
		j := i
		for j < len(known) && !known[j] {
			j++
		}
		out = append(out, a.rect(i, j, "gap"))
		i = j
	}
	return out
}

// rect covers the steps [i, j).
func (a *axis) rect(i, j int, class string) rect {
	left, right := max(a.x(a.times[i]), plotL), float64(plotR)
	if j < len(a.times) {
		right = min(a.x(a.times[j]), plotR)
	}
	return rect{coord(left), coord(max(right-left, 0.5)), class}
}

// summary says what a chart shows to whoever does not see it.
func (c *chart) summary(lang string, label func(float64) string) string {
	var parts []string
	for _, cv := range c.Curves {
		high, last, any := 0.0, sample{}, false
		for _, s := range cv.samples {
			if s.known {
				high, last, any = max(high, s.v), s, true
			}
		}
		if any {
			parts = append(parts, words{fmt.Sprintf("%s：最大 %s、最新 %s", cv.Name, label(high), label(last.v)), fmt.Sprintf("%s: at most %s, last %s", cv.Name, label(high), label(last.v))}.in(lang))
		}
	}
	if len(parts) == 0 {
		return words{c.Title + "：記録がありません", c.Title + ": nothing is recorded"}.in(lang)
	}
	return c.Title + " (" + c.Unit + ") " + strings.Join(parts, words{"、", "; "}.in(lang))
}

// niceTop is a round end of an axis that holds high, and the distance of its marks: four or five of them.
func niceTop(high float64) (top, step float64) {
	if !(high > 0) || math.IsInf(high, 0) {
		return 1, 0.5
	}
	raw := high / 4
	mag := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step = m * mag; step >= raw*0.9999 {
			break
		}
	}
	return step * math.Ceil(high/step*0.9999), step
}

// short writes a number in few characters: 0.25, 7.5, 1,200, 12k, 3.4M.
func short(v float64) string {
	trim := func(f float64, digits int) string {
		s := strconv.FormatFloat(f, 'f', digits, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	switch {
	case v >= 999_500_000:
		return trim(v/1e9, 1) + "G"
	case v >= 999_500:
		return trim(v/1e6, 1) + "M"
	case v >= 9_999.5:
		return trim(v/1e3, 1) + "k"
	case v >= 100:
		return number(int(math.Round(v)))
	case v >= 10:
		return trim(v, 1)
	}
	return trim(v, 2)
}

// millisText writes seconds as a latency.
func millisText(seconds float64) string {
	switch {
	case seconds <= 0:
		return "0"
	case seconds < 0.01:
		return short(math.Round(seconds*1e4)/10) + "ms"
	case seconds < 1:
		return short(math.Round(seconds*1e3)) + "ms"
	case seconds < 100:
		return short(seconds) + "s"
	}
	return short(math.Round(seconds)) + "s"
}

// chartSpan is a range that can be chosen.
type chartSpan struct {
	Code       string
	Label      words
	span, step time.Duration
	rows       int // steps to a row of the table
	every      time.Duration
	layout     string // of the marks of time
}

var chartSpans = []chartSpan{
	{"hour", words{"1時間", "1 hour"}, time.Hour, 10 * time.Second, 30, 10 * time.Minute, "15:04"},
	{"day", words{"1日", "1 day"}, 24 * time.Hour, 5 * time.Minute, 12, 4 * time.Hour, "15:04"},
	{"week", words{"1週間", "1 week"}, 7 * 24 * time.Hour, 30 * time.Minute, 24, 24 * time.Hour, "1/2"},
	{"year", words{"1年", "1 year"}, 365 * 24 * time.Hour, 24 * time.Hour, 14, 0, "2006/1"},
}

// ticks are round times of Tokyo; for a year the beginnings of its quarters.
func (a *axis) ticks() (out []tick) {
	put := func(t time.Time) {
		if t.Before(a.from) || t.After(a.to) {
			return
		}
		x, anchor := a.x(t), "middle"
		if x < plotL+14 {
			anchor = "start"
		} else if x > plotR-14 {
			anchor = "end"
		}
		out = append(out, tick{At: coord(x), Label: t.In(message.Tokyo).Format(a.span.layout), Anchor: anchor})
	}
	if a.span.every == 0 {
		f := a.from.In(message.Tokyo)
		for m := time.Date(f.Year(), (f.Month()-1)/3*3+1, 1, 0, 0, 0, 0, message.Tokyo); !m.After(a.to); m = m.AddDate(0, 3, 0) {
			put(m)
		}
		return out
	}
	const tokyo = 9 * 60 * 60
	every := int64(a.span.every / time.Second)
	for s := (a.from.Unix()+tokyo)/every*every - tokyo; s <= a.to.Unix(); s += every {
		put(time.Unix(s, 0))
	}
	return out
}
