package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The operator's screen of carriers: what waits, how the binds stand, pause, drain, resume, and the reload of the
// configuration. They do what `kakitome carrier` and `kakitome reload` do.

// Dispatch is what these screens need of engine/dispatch.
type Dispatch interface {
	Waiting(carrier string, now time.Time) (dispatch.Waiting, error)
	BindConfig(name string) (bind.Config, bool)
	Recheck()
}

// History is what they need of engine/bind/history.
type History interface {
	Read(bind string, now time.Time, span, step time.Duration) ([]history.Record, error)
}

type bindLine struct {
	bind.Status
	Word, Tone string
	Meaning    string // what Why means, where that is known
	Lasted     string // how long it has been so
	Known      bool   // the last minute is
	Now        tableRow
	Spark      []string // paths of what was submitted in the last hour
}

type carrierLine struct {
	Name, Label string
	Hold        tenant.Hold
	By          string
	Waiting     dispatch.Waiting
	Waits       string // how long the oldest has waited
	Binds       []bindLine
}

type carriersPage struct {
	At       time.Time
	Carriers []carrierLine
	Faults   []string // of the configuration that was not taken
	Reloads  bool
}

func (s *Server) carriersPage(v *visit) (carriersPage, error) {
	p := carriersPage{At: v.now, Reloads: s.Reload != nil}
	binds, held := s.Binds(), s.Directory.Now().Held
	for _, c := range s.Carriers.Carriers() {
		l := carrierLine{Name: c.Name, Label: c.Label(v.Lang), Hold: held[c.Name]}
		l.By = whoWord(l.Hold.By, v.Lang)
		if s.Dispatch != nil {
			var err error
			if l.Waiting, err = s.Dispatch.Waiting(c.Name, v.now); err != nil {
				return p, err
			}
		}
		if !l.Waiting.Oldest.IsZero() {
			l.Waits = lasted(v.now.Sub(l.Waiting.Oldest), v.Lang)
		}
		for _, b := range binds {
			if b.Carrier == c.Name {
				line := s.bindLine(b, v)
				if err := s.lately(&line, v); err != nil {
					return p, err
				}
				l.Binds = append(l.Binds, line)
			}
		}
		p.Carriers = append(p.Carriers, l)
	}
	return p, nil
}

func (s *Server) bindLine(st bind.Status, v *visit) bindLine {
	l := bindLine{Status: st, Word: stateTexts[st.State].in(v.Lang), Tone: stateTones[st.State]}
	if st.State == bind.Bound {
		l.Why = "" // of the time before
	}
	l.Meaning = whyText(l.Why, v.Lang)
	since := st.Since
	if !st.DownSince.IsZero() {
		since = st.DownSince
	}
	l.Since, l.Lasted = since, lasted(v.now.Sub(since), v.Lang)
	return l
}

// lately adds what the bind did in the last minute and a small line of the last hour.
func (s *Server) lately(l *bindLine, v *visit) error {
	steps, err := s.recent(l.Name, v.now, time.Hour, 10*time.Second)
	if err != nil {
		return err
	}
	minute := history.Sum(steps[max(len(steps)-6, 0):])
	l.Known, l.Now = minute.Covered > 0, rowOf(minute)
	const w, h, points = 120, 24, 60
	var high float64
	sums := make([]history.Record, 0, points)
	for group := range slices.Chunk(steps, 6) {
		r := history.Sum(group)
		sums, high = append(sums, r), max(high, r.PerSecond(r.Submitted))
	}
	var run []string
	for i := range sums {
		if sums[i].Covered > 0 {
			x, y := float64(i)*w/float64(max(len(sums)-1, 1)), h-1-(h-2)*sums[i].PerSecond(sums[i].Submitted)/max(high, 1e-9)
			run = append(run, coord(x)+" "+coord(y))
		}
		if (sums[i].Covered == 0 || i == len(sums)-1) && len(run) > 0 {
			if len(run) == 1 {
				run = append(run, run[0])
			}
			l.Spark, run = append(l.Spark, "M"+strings.Join(run, "L")), nil
		}
	}
	return nil
}

func (s *Server) carriers(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.carriersPage(v)
	if err != nil {
		return err
	}
	v.watch = interest{tenant: tenant.OperatorID}
	return s.show(w, r, v, "carriers", &p)
}

// hold pauses, drains or releases a carrier. It holds over restarts.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, ok := s.Carriers.Carrier(r.PathValue("name"))
	mode := tenant.HoldMode(r.PostForm.Get("mode"))
	said := map[tenant.HoldMode]words{
		tenant.Paused:   {"への送信を一時停止しました。", " is paused."},
		tenant.Drained:  {"を切り離しています。応答待ちが終わると切断します。", " is being drained: its binds finish and unbind."},
		tenant.Released: {"への送信を再開しました。", " submits again."},
	}
	text, known := said[mode]
	if !ok || !known || s.Dispatch == nil || !r.PostForm.Has("mode") {
		return errNotFound
	}
	if err := s.record(r.Context(), v, "carrier.hold", c.Name, string(mode)); err != nil {
		return err
	}
	if err := s.Directory.Hold(r.Context(), c.Name, mode, v.By()); err != nil {
		return err
	}
	s.Dispatch.Recheck()
	s.hub.ring(tenant.OperatorID)
	return back(w, r, s.note(v, "/carriers", c.Label("ja")+text.ja, c.Label("en")+text.en))
}

// reload puts the configuration file into use; what is wrong with it is shown and changes nothing.
func (s *Server) reload(w http.ResponseWriter, r *http.Request, v *visit) error {
	if s.Reload == nil {
		return errNotFound
	}
	if err := s.record(r.Context(), v, "config.reload", "", ""); err != nil {
		return err
	}
	restart, err := s.Reload()
	if err != nil {
		p, err2 := s.carriersPage(v)
		if err2 != nil {
			return err2
		}
		p.Faults = strings.Split(err.Error(), "\n")
		s.render(w, v, http.StatusUnprocessableEntity, "carriers", &p)
		return nil
	}
	ja, en := "設定ファイルを再読み込みしました。", "The configuration is in use."
	if len(restart) > 0 {
		list := strings.Join(restart, ", ")
		ja, en = ja+"次の変更は再起動後に有効になります："+list, en+" Changed too, and in use only after a restart: "+list
	}
	s.hub.ring(tenant.OperatorID)
	return back(w, r, s.note(v, "/carriers", ja, en))
}

// ring wakes the operator's open screens.
func (h *hub) ring(id tenant.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if w.tenant == id && w.kinds == nil {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
	}
}
