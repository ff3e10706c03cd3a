package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screen that sends one SMS by hand over a bind of its own, to see how a carrier writes its ids: `kakitome carrier try`.

// trialWait is how long the delivery receipt is awaited.
const trialWait = time.Minute

// trials are the last one of each carrier. They are kept until the program ends; a number only masked.
type trials struct {
	running sync.WaitGroup
	mu      sync.Mutex        // guards of and what it holds
	of      map[string]*trial // by the name of the carrier
}

type trialStep struct {
	At time.Time
	dispatch.Step
	Text string
}

type trial struct {
	Bind, Number, From string
	Began, Ended       time.Time // Ended zero: it goes on
	Steps              []trialStep
	Rules              []string
	Err                error
}

type trialPage struct {
	Carrier, Label, Rule string
	Hold                 tenant.Hold
	Binds                []string
	Addresses            []string // approved at this carrier
	Form                 trialForm
	Faults               []string
	Last                 *trial
	Steps                []trialStep
	Failed               string
	Fits                 bool // the rule that is configured
}

type trialForm struct{ Bind, Number, From, Text string }

func (s *Server) trialPage(v *visit, name string) (trialPage, error) {
	c, ok := s.Carriers.Carrier(name)
	if !ok || s.Dispatch == nil {
		return trialPage{}, errNotFound
	}
	p := trialPage{Carrier: c.Name, Label: c.Label(v.Lang), Rule: c.IDRule, Hold: s.Directory.Now().Held[c.Name], Form: trialForm{Text: v.T("Kakitome 接続試験", "Kakitome test")}}
	for _, b := range s.Binds() {
		if b.Carrier == c.Name {
			p.Binds = append(p.Binds, b.Name)
		}
	}
	for _, id := range v.snap.IDs() {
		for _, profile := range v.snap.Tenants[id].Senders {
			if a := profile.Addresses[c.Name]; a != "" && !slices.Contains(p.Addresses, a) {
				p.Addresses = append(p.Addresses, a)
			}
		}
	}
	slices.Sort(p.Addresses)
	s.trials.mu.Lock()
	defer s.trials.mu.Unlock()
	if t := s.trials.of[c.Name]; t != nil {
		last := *t
		p.Last, p.Steps, p.Fits = &last, slices.Clone(t.Steps), slices.Contains(t.Rules, c.IDRule)
		for i := range p.Steps {
			p.Steps[i].Text = stepText(p.Steps[i].Step, v.Lang)
		}
		if t.Err != nil {
			p.Failed = trialFault(t.Err, v.Lang)
		}
	}
	return p, nil
}

func (s *Server) trialForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.trialPage(v, r.PathValue("name"))
	if err != nil {
		return err
	}
	v.watch = interest{tenant: tenant.OperatorID}
	return s.show(w, r, v, "trial", &p)
}

func (s *Server) try(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.trialPage(v, r.PathValue("name"))
	if err != nil {
		return err
	}
	p.Form = trialForm{Bind: r.PostForm.Get("bind"), Number: strings.TrimSpace(r.PostForm.Get("number")), From: strings.TrimSpace(r.PostForm.Get("from")), Text: strings.TrimSpace(r.PostForm.Get("text"))}
	config, number, faults := s.checkTrial(&p, v)
	if len(faults) == 0 && p.Last != nil && p.Last.Ended.IsZero() {
		faults = []string{v.T("前の試験送信がまだ終わっていません。", "The last trial is still going on.")}
	}
	if len(faults) > 0 {
		p.Faults, p.Form.Number = faults, ""
		s.render(w, v, http.StatusUnprocessableEntity, "trial", &p)
		return nil
	}
	if err := s.record(r.Context(), v, "carrier.try", p.Carrier, p.Form.Bind+" "+number.Masked()); err != nil {
		return err
	}
	s.begin(p.Carrier, &trial{Bind: config.Name, Number: number.Masked(), From: p.Form.From, Began: v.now},
		dispatch.Trial{Bind: config, Number: number, From: p.Form.From, Text: p.Form.Text, Wait: trialWait})
	return back(w, r, "/carriers/"+p.Carrier+"/try")
}

// checkTrial says what is wrong with a form.
func (s *Server) checkTrial(p *trialPage, v *visit) (config bind.Config, n carrier.Number, faults []string) {
	bad := func(ja, en string) { faults = append(faults, v.T(ja, en)) }
	config, ok := s.Dispatch.BindConfig(p.Form.Bind)
	if !ok || config.Carrier != p.Carrier {
		bad("接続を選んでください。", "Choose a bind.")
	}
	n, err := carrier.ParseNumber(p.Form.Number)
	var ne *carrier.NumberError
	switch found, known := s.Carriers.Resolve(n); {
	case errors.As(err, &ne):
		pr := message.Problem{Field: v.T("電話番号", "number"), Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()}
		faults = append(faults, pr.Text(v.Lang))
	case !known || found.Carrier.Name != p.Carrier:
		bad("電話番号 "+n.Masked()+" は、番号表では"+p.Label+"の番号ではありません。", "By the tables "+n.Masked()+" is no number of "+p.Label+".")
	}
	if p.Form.From == "" || len(p.Form.From) > 20 {
		bad("送信元は1～20文字で入力してください。", "The sender address has 1 to 20 characters.")
	}
	if p.Form.Text == "" {
		bad("本文を入力してください。", "Type a text.")
	} else if !dispatch.FitsOneSMS(p.Form.Text) {
		bad("本文は1通に収まる長さ（全角70文字以内）にしてください。", "The text must fit into one SMS (70 characters).")
	}
	return config, n, faults
}

// begin runs a trial beside the requests; the console ends it when it stops.
func (s *Server) begin(name string, t *trial, d dispatch.Trial) {
	change := func(fn func()) {
		s.trials.mu.Lock()
		fn()
		s.trials.mu.Unlock()
		s.hub.ring(tenant.OperatorID)
	}
	d.Tell = func(st dispatch.Step) { change(func() { t.Steps = append(t.Steps, trialStep{At: s.Now(), Step: st}) }) }
	change(func() { s.trials.of[name] = t })
	s.trials.running.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stop := make(chan struct{})
		defer close(stop)
		s.trials.running.Go(func() {
			select {
			case <-s.closing:
				cancel()
			case <-stop:
			}
		})
		rules, err := s.Try(ctx, d)
		change(func() { t.Rules, t.Err, t.Ended = rules, err, s.Now() })
	})
}

func stepText(st dispatch.Step, lang string) string {
	if lang == "en" {
		return st.String()
	}
	took := millisText(st.Took.Seconds())
	switch st.Deed {
	case dispatch.TrialBound:
		return fmt.Sprintf("接続しました（%s、相手の system_id は %q）", took, st.Peer)
	case dispatch.TrialAccepted:
		return fmt.Sprintf("受け付けられました（%s）。submit_sm_resp の message_id は %q", took, st.ID)
	case dispatch.TrialForeign:
		return fmt.Sprintf("別のSMSの送達通知が届きました。id は %q、状態は %s", st.ID, st.State)
	}
	return fmt.Sprintf("送達通知が届きました（受付から %s）。id は %q、状態は %s、エラーコードは %q", took, st.ID, st.State, st.Err)
}

// trialFault says why a trial came to nothing.
func trialFault(err error, lang string) string {
	var submit *dispatch.SubmitError
	var none *dispatch.NoReceiptError
	say := func(ja, en string) string { return words{ja, en}.in(lang) }
	switch {
	case dispatch.AlreadyBound(err):
		return say("この契約ではこれ以上接続できません。先に「切り離し」を行ってから、もう一度お試しください。", "The carrier allows no further bind: drain it first.")
	case errors.As(err, &submit):
		return say("送信が受け付けられませんでした：", "The submission was not accepted: ") + submit.Status.String()
	case errors.As(err, &none):
		return say("時間内に送達通知が届きませんでした。通常の接続が有効な間は、そちらに届くことがあります。先に「切り離し」を行ってから、もう一度お試しください。",
			"No delivery receipt came in time. It may have come on the engine's own bind: drain the carrier first, then try again.")
	case errors.Is(err, context.Canceled):
		return say("中断されました。", "It was interrupted.")
	}
	return say("試験送信に失敗しました：", "The trial failed: ") + err.Error()
}
