package admin

import (
	"net/http"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/survey"
)

// The screen of what recipients answered to surveys (アンケート集計): of one upload, or of all messages.

const unansweredShown = 100

type answersPage struct {
	Campaign string // id of the upload; "": of all
	Name     string
	*survey.Totals
	Most       int
	Unanswered []survey.Reply
	More       bool
}

// answersOf reads which messages a screen or file is about.
func (s *Server) answersOf(r *http.Request, v *visit, campaign string) (q survey.Query, name string, err error) {
	if campaign == "" {
		return q, "", nil
	}
	if q.Campaign, err = ulid.ParseStrict(campaign); err != nil {
		return q, "", errNotFound
	}
	st, err := s.Campaigns.State(r.Context(), v.scope, q.Campaign)
	if err != nil {
		return q, "", err
	}
	return q, st.Name, nil
}

func (s *Server) answersScreen(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := &answersPage{Campaign: r.URL.Query().Get("campaign"), Most: survey.MaxTotalled}
	q, name, err := s.answersOf(r, v, p.Campaign)
	if err != nil {
		return err
	}
	p.Name = name
	surveys := survey.Surveys{Store: s.Store}
	if p.Totals, err = surveys.Totals(r.Context(), v.scope, q); err != nil {
		return err
	}
	var next ulid.ULID
	if p.Unanswered, next, err = surveys.List(r.Context(), v.scope, q, survey.Unanswered, ulid.ULID{}, unansweredShown); err != nil {
		return err
	}
	p.More = !next.IsZero()
	if err := s.record(r.Context(), v, "answers.view", p.Campaign, ""); err != nil {
		return err
	}
	return s.show(w, r, v, "answers", p)
}

// exportReplies streams who answered what, or who viewed and did not answer.
func (s *Server) exportReplies(w http.ResponseWriter, r *http.Request, v *visit) error {
	q, _, err := s.answersOf(r, v, r.PostForm.Get("campaign"))
	if err != nil {
		return err
	}
	which, file := survey.Answered, "answers"
	if r.PostForm.Get("state") == string(survey.Unanswered) {
		which, file = survey.Unanswered, "unanswered"
	}
	done, err := s.turn(v)
	if err != nil {
		return err
	}
	defer done()
	if err := s.record(r.Context(), v, "answers.export", r.PostForm.Get("campaign"), string(which)); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+file+`_`+v.now.Format("20060102_1504")+`.csv"`)
	if err := (survey.Surveys{Store: s.Store}).WriteCSV(r.Context(), v.scope, q, which, v.Lang, w); err != nil && r.Context().Err() == nil {
		s.Log.Error("export cut off", "tenant", tenantOf(v), "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
