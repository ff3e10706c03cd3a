package journey

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kakitome/kakitome/engine/message"
)

var survey = &message.Survey{Items: []message.SurveyItem{
	{Title: "応募", Type: "radio", Choices: []string{"応募する", "辞退する"}, Required: true},
	{Title: "理由", Type: "check", Choices: []string{"時給", "業務内容"}},
	{Title: "ご希望", Type: "text"},
}}

// FuzzAnswers: whatever a form holds, only choices of the survey and short valid text become an answer.
func FuzzAnswers(f *testing.F) {
	f.Add("応募する", "時給", "業務内容", "週末")
	f.Add("応募", "", "時給", strings.Repeat("あ", 201))
	f.Add("\xff", "\x00", " ", "a\r\nb")
	f.Fuzz(func(t *testing.T, radio, check, check2, text string) {
		answers, faults := readAnswers(survey, map[string][]string{"q0": {radio}, "q1": {check, check2}, "q2": {text}, "q3": {"x"}, "q-1": {"y"}})
		for i, given := range answers {
			if i < 0 || i >= len(survey.Items) || len(given) == 0 {
				t.Fatalf("answer to item %d: %q", i, given)
			}
			for _, v := range given {
				if survey.Items[i].Type != "text" && !slices.Contains(survey.Items[i].Choices, v) {
					t.Fatalf("%q is no choice", v)
				}
				if !utf8.ValidString(v) {
					t.Fatalf("%q is not UTF-8", v)
				}
			}
			if survey.Items[i].Type == "radio" && len(given) > 1 {
				t.Fatalf("two of one: %q", given)
			}
		}
		if len(faults) == 0 && (len(answers[0]) != 1 || len(answers[2]) == 1 && message.Length(answers[2][0]) > message.MaxSurveyText) {
			t.Fatalf("nothing is wrong with %v", answers)
		}
		if _, err := json.Marshal(answers); err != nil {
			t.Fatal(err)
		}
	})
}
