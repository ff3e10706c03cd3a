package admin

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screen of callbacks: where notices go, how that is doing, and telling again.

type callbackLine struct {
	tenant.Callback
	Status callback.Status
	Until  time.Time // a replaced secret signs until then; zero: none does
	Asked  string    // Events, as typed
}

type callbacksPage struct {
	Lines        []callbackLine
	Types        []string
	Form         callbackLine // of the form that adds
	Faults       []string
	Shown, Fresh string // name and secret, shown once
}

func (s *Server) callbacksPage(v *visit) callbacksPage {
	p := callbacksPage{Types: callback.Types}
	if t := s.Directory.Now().Tenants[v.Tenant.ID]; t != nil {
		for i := range t.Callbacks {
			cb := &t.Callbacks[i]
			p.Lines = append(p.Lines, callbackLine{*cb, s.Callbacks.Status(cb), callback.Overlapping(cb, v.now), strings.Join(cb.Events, " ")})
		}
	}
	return p
}

func (s *Server) callbacks(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.show(w, r, v, "callbacks", s.callbacksPage(v))
}

// setCallback adds a callback, or changes the one of the name.
func (s *Server) setCallback(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	spec := callback.Spec{
		URL: strings.TrimSpace(r.PostForm.Get("url")), Events: strings.FieldsFunc(r.PostForm.Get("events"), func(c rune) bool { return c == ',' || c <= ' ' }),
		Numbers: r.PostForm.Get("numbers") != "", Answers: r.PostForm.Get("answers") != "",
	}
	if old, ok := v.Tenant.Callback(name); ok {
		spec.Paused = old.Paused
	}
	if err := s.record(r.Context(), v, "callback.set", name, spec.URL); err != nil {
		return err
	}
	secret, err := s.Callbacks.Put(r.Context(), v.Tenant.ID, name, spec)
	if faults := callbackFaults(v, err); faults != nil {
		p := s.callbacksPage(v)
		p.Faults = faults
		p.Form = callbackLine{Callback: tenant.Callback{Name: name, URL: spec.URL, Numbers: spec.Numbers, Answers: spec.Answers}, Asked: strings.Join(spec.Events, " ")}
		s.render(w, v, http.StatusUnprocessableEntity, "callbacks", p)
		return nil
	}
	if err != nil {
		return err
	}
	return s.callbackSecret(w, r, v, name, secret)
}

// callbackSecret shows a secret once, or says that all is done.
func (s *Server) callbackSecret(w http.ResponseWriter, r *http.Request, v *visit, name, secret string) error {
	if secret == "" {
		return back(w, r, s.note(v, "/callbacks", "変更しました。", "Changed."))
	}
	p := s.callbacksPage(v)
	p.Shown, p.Fresh = name, secret
	s.render(w, v, http.StatusOK, "callbacks", p)
	return nil
}

// callbackFaults are the words for what is wrong with what was typed; nil: err is another fault, or none.
func callbackFaults(v *visit, err error) []string {
	var ps message.Problems
	switch {
	case errors.As(err, &ps):
		var faults []string
		for _, p := range ps {
			faults = append(faults, p.Text(v.Lang))
		}
		return faults
	case errors.Is(err, callback.ErrChanged), errors.Is(err, tenant.ErrTooManyCallbacks), errors.Is(err, tenant.ErrStale):
		return []string{v.T("同時に別の変更がありました。もう一度お試しください。", "It was changed at the same time. Please try again.")}
	}
	return nil
}

var callbackDeeds = []string{"pause", "resume", "secret", "test", "replay", "remove"}

// changeCallback does one thing to a callback.
func (s *Server) changeCallback(w http.ResponseWriter, r *http.Request, v *visit) error {
	name, do := r.PathValue("name"), r.PostForm.Get("do")
	if _, ok := v.Tenant.Callback(name); !ok || !slices.Contains(callbackDeeds, do) {
		return errNotFound
	}
	if err := s.record(r.Context(), v, "callback."+do, name, ""); err != nil {
		return err
	}
	ja, en, secret, err := s.doCallback(r, v, name, do)
	switch faults := callbackFaults(v, err); {
	case faults != nil:
		p := s.callbacksPage(v)
		p.Faults = faults
		s.render(w, v, http.StatusUnprocessableEntity, "callbacks", p)
		return nil
	case errors.Is(err, tenant.ErrNoCallback):
		return errNotFound
	case err != nil:
		return err
	case secret != "":
		return s.callbackSecret(w, r, v, name, secret)
	}
	return back(w, r, s.note(v, "/callbacks", ja, en))
}

func (s *Server) doCallback(r *http.Request, v *visit, name, do string) (ja, en, secret string, err error) {
	ctx, id := r.Context(), v.Tenant.ID
	switch do {
	case "pause":
		return "一時停止しました。", "Paused.", "", s.Callbacks.Pause(ctx, id, name, true)
	case "resume":
		return "再開しました。", "Resumed.", "", s.Callbacks.Pause(ctx, id, name, false)
	case "remove":
		return "削除しました。", "Removed.", "", s.Callbacks.Remove(ctx, id, name)
	case "secret":
		secret, err = s.Callbacks.Rotate(ctx, id, name, "")
		return "", "", secret, err
	case "test":
		tried, err := s.Callbacks.Test(ctx, id, name)
		if err == nil && !tried.Taken {
			return "テスト通知は受け取られませんでした。", "The test was not taken.", "", nil
		}
		return "テスト通知が受け取られました。", "The test was taken.", "", err
	}
	ja, en = "再通知を受け付けました。", "It will be told again."
	if no := strings.TrimSpace(r.PostForm.Get("message")); no != "" {
		err = s.Callbacks.ReplayMessage(ctx, id, name, no, v.By())
	} else {
		var from time.Time
		if from, err = time.ParseInLocation(time.DateOnly, r.PostForm.Get("from"), message.Tokyo); err != nil {
			return "", "", "", message.Problems{{Field: "from", Code: "required"}}
		}
		err = s.Callbacks.ReplayFrom(ctx, id, name, from, v.By())
	}
	if errors.Is(err, store.ErrNotFound) {
		err = message.Problems{{Field: "message", Code: "unknown"}}
	}
	return ja, en, "", err
}
