package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Answer takes the answers to the survey, by control name. Of many only the first is kept.
func (j *Journey) Answer(ctx context.Context, v *Visit, typed map[string][]string) (Next, error) {
	for {
		in, err := j.load(ctx, v)
		if err != nil || v.Standing < Open || v.Session.Step != In {
			return again, err
		}
		content, err := j.content(in)
		if err != nil {
			return again, err
		}
		if content.Page.Survey == nil || !in.state.AnsweredAt.IsZero() {
			return again, nil
		}
		v.Session.Content = true // there the survey is
		answers, complete := readAnswers(content.Page.Survey, typed)
		if !complete {
			// What was entered is shown again, and goes into no record.
			screen, err := j.screen(ctx, in)
			if err != nil {
				return again, err
			}
			screen.Page.Incomplete, screen.Reload = true, 0 // a later look would not bring it back
			page.SetAnswers(screen.Page, answers, false)
			return Next{Screen: screen}, nil
		}
		plain, err := json.Marshal(answers)
		if err != nil {
			return again, fmt.Errorf("write an answer: %w", err)
		}
		sealed, err := j.Store.Seal(in.t.ID, string(in.state.Head.Class), in.state.ContentAt, answerAAD(v), plain)
		if err != nil {
			return again, fmt.Errorf("seal an answer: %w", err)
		}
		err = j.append(ctx, in, message.Answered, message.SurveyAnswer{Sealed: sealed})
		if conflict(err) {
			continue
		}
		if err != nil {
			return again, fmt.Errorf("record an answer: %w", err)
		}
		v.Session.Note = NoteAnswered
		return again, nil
	}
}

func answerAAD(v *Visit) string { return stored.AAD(v.Link.Message, stored.PlaceAnswer) }

// lineEnds makes one kind of line's end of those that browsers and programs write.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// readAnswers takes what fits the survey; complete: nothing required is missing and nothing else was given.
func readAnswers(s *message.Survey, typed map[string][]string) (answers page.Answers, complete bool) {
	answers, complete = page.Answers{}, true
	for i, it := range s.Items {
		var given []string
		for _, v := range typed[page.ItemName(i)] {
			v = strings.TrimSpace(strings.ToValidUTF8(lineEnds.Replace(v), ""))
			if v != "" && !slices.Contains(given, v) {
				given = append(given, v)
			}
		}
		switch it.Type {
		case "text":
			if len(given) > 1 || (len(given) == 1 && message.Length(given[0]) > message.MaxSurveyText) {
				complete, given = false, given[:1]
			}
		default:
			known := slices.DeleteFunc(slices.Clone(given), func(v string) bool { return !slices.Contains(it.Choices, v) })
			if len(known) != len(given) || (it.Type == "radio" && len(known) > 1) {
				complete, known = false, nil
			}
			given = known
		}
		if len(given) == 0 && it.Required {
			complete = false
		}
		if len(given) > 0 {
			answers[i] = given
		}
	}
	if len(answers) == 0 { // scanners press the button too: it is answered once
		complete = false
	}
	return answers, complete
}

// answered shows what was answered.
func (j *Journey) answered(v *visit, p *proto.Page) error {
	if p.Survey == nil || v.state.AnsweredAt.IsZero() {
		return nil
	}
	var a page.Answers
	plain, err := j.Store.Open(v.t.ID, answerAAD(v.Visit), v.state.Survey)
	switch {
	case errors.Is(err, store.ErrErased):
	case err != nil:
		return fmt.Errorf("open an answer: %w", err)
	default:
		if err := json.Unmarshal(plain, &a); err != nil {
			return fmt.Errorf("read the answer of message %s: it has another form", v.Link.Message)
		}
	}
	page.SetAnswers(p, a, true)
	return nil
}
