package campaign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/message"
)

func (r *row) contact() *message.Contact {
	p := r.page()
	if !r.had.contact {
		r.had.contact = true
		c := message.Contact{}
		if p.Contact != nil {
			c = *p.Contact
		}
		p.Contact = &c
	}
	return p.Contact
}

func (r *row) survey() *message.Survey {
	p := r.page()
	if !r.had.survey {
		r.had.survey = true
		s := message.Survey{}
		if p.Survey != nil {
			s = *p.Survey
		}
		p.Survey = &s
	}
	return p.Survey
}

// survey makes questions of 設問n, 形式n, 選択肢n and 必須n: a row that asks any has none of the defaults'. Without a 形式 it is one of
// the 選択肢, or a text where there are none.
func (c *converter) survey(r *row) {
	var items []message.SurveyItem
	for _, n := range c.questions {
		title, i := r.cell(columnQuestion, n)
		kind, k := r.cell(columnType, n)
		choices, ch := r.cell(columnChoices, n)
		required, q := r.cell(columnRequired, n)
		if title == "" && kind == "" && choices == "" && required == "" {
			continue
		}
		at := fmt.Sprintf("page.survey.items[%d]", len(items))
		r.mark("page.survey.items", len(items), "type", k)
		r.mark("page.survey.items", len(items), "choices", ch)
		r.mark("page.survey.items", len(items), "required", q)
		r.mark("page.survey.items", len(items), "", i)
		it := message.SurveyItem{Title: title, Type: questionType(kind), Choices: choicesOf(choices)}
		if kind == "" {
			it.Type = "radio"
			if len(it.Choices) == 0 {
				it.Type = "text"
			}
		}
		if required != "" {
			it.Required = r.yes(at+".required", required)
		}
		items = append(items, it)
	}
	if len(items) > 0 {
		r.survey().Items = items
	}
}

var questionTypes = []struct {
	code  string
	words []string
}{
	{"radio", []string{"1つ選択", "一つ選択", "択一", "単一選択", "ラジオボタン"}},
	{"check", []string{"複数選択", "複数回答", "チェックボタン", "チェックボックス"}},
	{"text", []string{"文字入力", "テキスト入力", "自由記述", "自由入力"}},
}

// questionType is the code of what people call a kind of question; what is none is left to the check.
func questionType(v string) string {
	folded := fold(v)
	for _, t := range questionTypes {
		if folded == t.code || slices.ContainsFunc(t.words, func(w string) bool { return fold(w) == folded }) {
			return t.code
		}
	}
	return v
}

// choicesOf are choices between ";", "|" or line ends: commas of either kind may be in one.
func choicesOf(v string) (all []string) {
	for part := range strings.FieldsFuncSeq(v, func(c rune) bool { return strings.ContainsRune(";；|｜\n", c) }) {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
