package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// SurveyAnswer is what the recipient answered to one item of the page's survey.
type SurveyAnswer struct {
	Item    int      `json:"item"` // from 0
	Title   string   `json:"title"`
	Answers []string `json:"answers"`
}

// surveyAnswers opens what was answered; nil: nothing was, or it ended with its term.
func (s *Server) surveyAnswers(id tenant.ID, msg ulid.ULID, st *message.State) ([]SurveyAnswer, error) {
	if len(st.Survey) == 0 || len(st.Head.Page) == 0 {
		return nil, nil
	}
	var content message.Content
	given := map[int][]string{}
	page, err := s.Store.Open(id, msg.String()+"/page", st.Head.Page)
	if err == nil {
		err = message.Decode(page, &content)
	}
	if err == nil && content.Page.Survey != nil {
		var plain []byte
		if plain, err = s.Store.Open(id, msg.String()+"/answer", st.Survey); err == nil {
			err = json.Unmarshal(plain, &given)
		}
	}
	if errors.Is(err, store.ErrErased) || err == nil && content.Page.Survey == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("answers of message %s: %w", msg, err)
	}
	answers := make([]SurveyAnswer, len(content.Page.Survey.Items))
	for i, it := range content.Page.Survey.Items {
		if answers[i] = (SurveyAnswer{Item: i, Title: it.Title, Answers: given[i]}); answers[i].Answers == nil {
			answers[i].Answers = []string{}
		}
	}
	return answers, nil
}
