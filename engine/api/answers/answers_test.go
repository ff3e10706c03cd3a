package answers

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/survey"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestAnswersByAPI(t *testing.T) {
	site := edge.Open(t)
	surveys := survey.Surveys{Store: site.Store}
	site.Serve(map[string]api.Handler{Path: Handler(surveys, site.Audit)})
	campaign := ulid.Make()
	ask := &message.Survey{Items: []message.SurveyItem{{Title: "ご都合", Type: "radio", Choices: []string{"午前", "午後"}}, {Title: "ご関心", Type: "check", Choices: []string{"時給", "業務", "その他"}}, {Title: "ご意見", Type: "text"}}}
	take := func(id tenant.ID, campaign ulid.ULID, reference string, sv *message.Survey) ulid.ULID {
		res, err := site.Intake.Accept(t.Context(), intake.Request{Tenant: id, Via: message.ViaAPI, By: "key:erp", Campaign: campaign, Drafts: []message.Draft{{To: "09000010001", Text: "{url}", Reference: reference, Page: &message.Page{Title: "t", Survey: sv}}}})
		require.NoError(t, err)
		require.True(t, res[0].Accepted(), "%v %v", res[0].Problems, res[0].Err)
		return res[0].ID
	}
	happen := func(id tenant.ID, msg ulid.ULID, given map[int][]string) {
		events := []store.NewEvent{{Type: byte(message.Viewed)}}
		if given != nil {
			plain, err := json.Marshal(given)
			require.NoError(t, err)
			box, err := site.Store.Seal(id, "notice", time.Now(), msg.String()+"/answer", plain)
			require.NoError(t, err)
			events = append(events, store.NewEvent{Type: byte(message.Answered), Data: message.Encode(message.SurveyAnswer{Sealed: box})})
		}
		errs, err := site.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: id, Kind: store.Message, ID: msg}, Expect: store.Any, Events: events}})
		require.NoError(t, err)
		require.NoError(t, errs[0])
	}
	plain := take("mizu", campaign, "none", nil)
	happen("mizu", plain, nil)
	take("mizu", campaign, "asleep", ask)
	looked := take("mizu", campaign, "=looked", ask)
	happen("mizu", looked, nil)
	first := take("mizu", campaign, "first", ask)
	happen("mizu", first, map[int][]string{0: {"午前"}, 1: {"時給", "その他"}, 2: {"=1+1"}})
	second := take("mizu", campaign, "second", ask)
	happen("mizu", second, map[int][]string{0: {"午前"}})
	other := take("mizu", ulid.ULID{}, "other", &message.Survey{Items: []message.SurveyItem{{Title: "ご都合", Type: "radio", Choices: []string{"午後", "終日"}}}})
	happen("mizu", other, map[int][]string{0: {"終日"}})
	theirs := take("gasu", campaign, "theirs", ask)
	happen("gasu", theirs, map[int][]string{0: {"午後"}})

	get := func(path, at string, status int, into any) {
		t.Helper()
		a := site.Ask(status, edge.Call{Method: "GET", Path: path, At: at})
		if into != nil {
			a.Into(t, into)
		}
	}
	of := "campaign=" + campaign.String()
	var totals Totals
	get(Path+"/totals", Path+"/totals?"+of, 200, &totals)
	require.Equal(t, Totals{Asked: 4, Viewed: 3, Answered: 2, Complete: true, Questions: []Question{
		{Question: "ご都合", Type: "radio", Asked: 2, Given: 2, Choices: []Choice{{"午前", 2}, {"午後", 0}}},
		{Question: "ご関心", Type: "check", Asked: 2, Given: 1, Choices: []Choice{{"時給", 1}, {"業務", 0}, {"その他", 1}}},
		{Question: "ご意見", Type: "text", Asked: 2, Given: 1},
	}}, totals)
	totals = Totals{}
	get(Path+"/totals", Path+"/totals", 200, &totals)
	require.Equal(t, []Choice{{"午後", 0}, {"終日", 1}, {"午前", 2}}, totals.Questions[0].Choices, "the same question with other choices is one")

	var list List
	get(Path, Path+"?limit=1&"+of, 200, &list)
	require.Equal(t, second.String(), list.Messages[0].ID)
	require.Equal(t, []api.SurveyAnswer{{Question: "ご都合", Type: "radio", Values: []string{"午前"}}, {Question: "ご関心", Type: "check", Values: []string{}}, {Question: "ご意見", Type: "text", Values: []string{}}}, list.Messages[0].Answers)
	next := list.Next
	list = List{}
	get(Path, Path+"?limit=1&"+of+"&before="+next, 200, &list)
	require.Equal(t, "first", list.Messages[0].Reference)
	require.Empty(t, list.Next)
	list = List{}
	get(Path, Path+"?state=unanswered&"+of, 200, &list)
	require.Len(t, list.Messages, 1)
	require.Equal(t, looked.String(), list.Messages[0].ID)
	require.Equal(t, "090-****-0001", list.Messages[0].Number)
	require.Nil(t, list.Messages[0].AnsweredAt)

	var one Reply
	get(Path+"/{id}", Path+"/"+first.String(), 200, &one)
	require.Equal(t, []string{"時給", "その他"}, one.Answers[1].Values)
	for _, at := range []string{plain.String(), theirs.String(), "nothing"} {
		get(Path+"/{id}", Path+"/"+at, 404, nil)
	}

	file := site.Ask(200, edge.Call{Method: "GET", Path: Path + "/export.csv", At: Path + "/export.csv?" + of, Header: map[string]string{"Accept-Language": "ja"}})
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(file.Body), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 7)
	require.Equal(t, "回答", rows[0][7])
	require.Equal(t, []string{"first", "3", "ご意見", "'=1+1"}, []string{rows[6][2], rows[6][5], rows[6][6], rows[6][7]})
	file = site.Ask(200, edge.Call{Method: "GET", Path: Path + "/export.csv", At: Path + "/export.csv?state=unanswered&" + of})
	require.Contains(t, string(file.Body), "'=looked")

	// Past their retention answers are counted, and not told.
	_, err = site.Store.EraseKeys(time.Now().AddDate(0, 0, 2), "mizu", "notice")
	require.NoError(t, err)
	totals = Totals{}
	get(Path+"/totals", Path+"/totals?"+of, 200, &totals)
	require.Equal(t, Totals{Asked: 4, Viewed: 3, Answered: 2, Erased: 2, Complete: true, Questions: []Question{}}, totals)

	for path, bad := range map[string]string{Path: "?limit=0&state=x", Path + "/totals": "?from=x", Path + "/export.csv": "?campaign=x", Path + "/{id}": "?x=1"} {
		at := strings.ReplaceAll(path, "{id}", first.String())
		get(path, at+bad, 400, nil)
		site.Ask(405, edge.Call{Method: "PUT", Like: "get", Path: path, At: at})
		site.Ask(401, edge.Call{Method: "GET", Path: path, At: at, Header: map[string]string{"Authorization": "Bearer kk_x_y"}})
		site.Ask(403, edge.Call{Method: "GET", Path: path, At: at, Header: map[string]string{"X-Forwarded-For": "198.51.100.1"}})
	}
	get(Path, Path+"?before="+theirs.String(), 400, nil)
	require.Empty(t, site.Doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "429", "503", "507"))
}
