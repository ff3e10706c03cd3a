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
		answers, faults := readAnswers(content.Page.Survey, typed)
		if len(faults) > 0 || len(answers) == 0 { // scanners press the button too: it is answered once
			// What was entered is shown again, and goes into no record.
			screen, err := j.screen(ctx, in)
			if err != nil {
				return again, err
			}
			screen.Page.Incomplete, screen.Reload = true, 0 // a later look would not bring it back
			page.SetAnswers(screen.Page, answers, false)
			page.SetFaults(screen.Page, faults)
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

// readAnswers takes what fits the survey, and what can be shown again. faults: of the items that are missing or not as they may be.
func readAnswers(s *message.Survey, typed map[string][]string) (answers page.Answers, faults page.Faults) {
	answers, faults = page.Answers{}, page.Faults{}
	for i, it := range s.Items {
		var given []string
		for _, v := range typed[page.ItemName(i)] {
			v = strings.TrimSpace(strings.ToValidUTF8(lineEnds.Replace(v), ""))
			if v != "" && !slices.Contains(given, v) {
				given = append(given, v)
			}
		}
		fault := func(kind proto.SurveyFault_Kind, has, limit int) {
			faults[i] = &proto.SurveyFault{Kind: kind, Given: uint32(has), Limit: uint32(limit)}
		}
		unknown := func(v string) bool { return !slices.Contains(it.Choices, v) }
		switch {
		case len(given) == 0:
			if it.Required {
				fault(proto.SurveyFault_MISSING, 0, 0)
			}
		case it.Type != "check" && len(given) > 1:
			fault(proto.SurveyFault_TOO_MANY, len(given), 1)
			if given = given[:1]; it.Type == "radio" {
				given = nil
			}
		case it.Type != "text" && slices.ContainsFunc(given, unknown):
			fault(proto.SurveyFault_UNKNOWN, 0, 0)
			given = slices.DeleteFunc(given, unknown)
		case it.Type == "text":
			if n := message.Length(given[0]); n > message.MaxSurveyText {
				fault(proto.SurveyFault_TOO_LONG, n, message.MaxSurveyText)
			}
		}
		if len(given) > 0 {
			answers[i] = given
		}
	}
	return answers, faults
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
