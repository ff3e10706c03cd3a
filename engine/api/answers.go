package api

import (
	"errors"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// SurveyAnswer is one question of a page's survey with what was answered; no values: it was left out.
type SurveyAnswer struct {
	Question string   `json:"question"`
	Type     string   `json:"type"` // radio, check, text
	Values   []string `json:"values"`
}

// surveyAnswers opens what was answered; nil: nothing was, or it ended with its term.
func (s *Server) surveyAnswers(id tenant.ID, msg ulid.ULID, st *message.State) (all []SurveyAnswer, err error) {
	survey, given, err := stored.Answers(s.Store, id, msg, st)
	if errors.Is(err, store.ErrErased) {
		return nil, nil
	}
	if err != nil || survey == nil {
		return nil, err
	}
	for i, it := range survey.Items {
		all = append(all, SurveyAnswer{it.Title, it.Type, append([]string{}, given[i]...)})
	}
	return all, nil
}
