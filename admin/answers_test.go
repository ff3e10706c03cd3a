package admin

import (
	"net/http"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestAnswersAreTotalledAndTheSilentListed(t *testing.T) {
	r := openRoom(t)
	st := r.upload("mizu", "ask.csv", "電話番号,本文,タイトル,会員情報,設問1,選択肢1,設問2\n09000010001,{url},ご都合,A-1,ご希望の時間帯,午前;午後,ご意見\n09000010002,{url},ご都合,A-2,ご希望の時間帯,午前;午後,ご意見\n09000010003,{url},ご都合,A-3,ご希望の時間帯,午前;午後,ご意見\n")
	require.Equal(t, int64(3), st.Good)
	b := r.enter("sender@mizu")
	b.get("/uploads/" + st.ID.String())
	require.Equal(t, http.StatusSeeOther, b.post("/uploads/"+st.ID.String()+"/release").status)
	r.reach("mizu", st.ID.String(), campaign.Done)
	refs, err := r.Store.Search(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Message, Limit: 10})
	require.NoError(t, err)
	require.Len(t, refs, 3)
	box, err := r.Store.Seal("mizu", "notice", r.state("mizu", refs[0].ID.String()).AcceptedAt, refs[0].ID.String()+"/answer", []byte(`{"0":["午後"],"1":["はい"]}`))
	require.NoError(t, err)
	r.happen("mizu", refs[0].ID, event(message.Viewed, nil), event(message.Answered, message.SurveyAnswer{Sealed: box}))
	r.happen("mizu", refs[1].ID, event(message.Viewed, nil))

	at := "/answers?campaign=" + st.ID.String()
	require.Contains(t, b.get("/uploads/"+st.ID.String()).body, `href="`+at+`"`)
	for _, path := range []string{at, "/answers"} {
		body := b.get(path).body
		for _, want := range []string{"1. ご希望の時間帯", "<span>午後</span>", "1件（100%）", "0件（0%）", "2. ご意見", "回答の内容はCSVで", `href="/messages/` + refs[1].ID.String() + `"`} {
			require.Contains(t, body, want)
		}
		require.NotContains(t, body, `href="/messages/`+refs[2].ID.String()+`"`, "it was not viewed")
	}
	require.Contains(t, b.post("/answers/export", "campaign", st.ID.String(), "state", "answered").body, ",1,ご希望の時間帯,午後")
	silent := b.post("/answers/export", "campaign", st.ID.String(), "state", "unanswered").body
	require.Contains(t, silent, r.state("mizu", refs[1].ID.String()).Head.No)
	require.NotContains(t, silent, "午後")
	require.Equal(t, []string{"answers.export", "answers.export", "answers.view"}, r.actions("mizu")[:3])

	gas := r.enter("admin@gasu")
	require.Equal(t, http.StatusNotFound, gas.get(at).status)
	require.NotContains(t, gas.get("/answers").body, "ご希望の時間帯")
	require.Equal(t, http.StatusForbidden, r.enter("viewer@mizu").get(at).status)
}

// TestAnswersExportHeedsTheStatusOfTheList: who answered and paid is among those who paid, there as in the list.
func TestAnswersExportHeedsTheStatusOfTheList(t *testing.T) {
	r := openRoom(t)
	asked := claimed("S-1")
	asked.Page.Survey = &message.Survey{Items: []message.SurveyItem{{Title: "ご意見", Type: "text"}}}
	paid := r.accept("mizu", message.ViaAPI, asked)[0]
	asked.To, asked.Claim = "090-0001-4322", nil
	open := r.accept("mizu", message.ViaAPI, asked)[0]
	for _, id := range []ulid.ULID{paid.ID, open.ID} {
		box, err := r.Store.Seal("mizu", "billing", r.state("mizu", id.String()).AcceptedAt, id.String()+"/answer", []byte(`{"0":["はい"]}`))
		require.NoError(t, err)
		r.happen("mizu", id, event(message.Answered, message.SurveyAnswer{Sealed: box}))
	}
	a, err := r.Payments.Start(t.Context(), r.tenant("mizu"), paid.Claim.ID, payment.StartOptions{Method: "card", MessageID: paid.ID, ReturnURL: "https://s.example.jp/r"})
	require.NoError(t, err)
	r.paid("mizu", paid.ID.String(), a, 7440)
	b := r.enter("sender@mizu")
	for status, no := range map[string]string{statusPaid: paid.No, statusAnswered: open.No} {
		lines := linesOf(t, b.post("/messages/answers", "status", status).body)
		require.Len(t, lines, 1, status)
		require.Equal(t, "はい", lines[no]["回答"], status)
	}
}
