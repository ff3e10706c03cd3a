package admin

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// hand uploads a CSV file by the form, with fields in turn.
func (b *browser) hand(csv string, kv ...string) answered {
	b.t.Helper()
	form, kind := b.form(csv, kv...)
	return b.sendForm(form, kind)
}

// form is the body of the form for an upload, and its content type.
func (b *browser) form(csv string, kv ...string) (*bytes.Buffer, string) {
	b.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(b.t, w.WriteField("csrf", b.csrf))
	for i := 0; i < len(kv); i += 2 {
		require.NoError(b.t, w.WriteField(kv[i], kv[i+1]))
	}
	f, err := w.CreateFormFile("file", "a.csv")
	require.NoError(b.t, err)
	_, err = f.Write([]byte(csv))
	require.NoError(b.t, err)
	require.NoError(b.t, w.Close())
	return &form, w.FormDataContentType()
}

func (b *browser) sendForm(form io.Reader, kind string) answered {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+"/uploads", form)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", kind)
	return b.do(req)
}

// reach waits until an upload is in a phase.
func (r *room) reach(id tenant.ID, upload string, phase campaign.Phase) *campaign.State {
	r.t.Helper()
	at := ulid.MustParse(upload)
	changed, stop := r.Campaigns.Watch(at)
	defer stop()
	for {
		st, err := r.Campaigns.State(context.Background(), tenant.Only(id), at)
		require.NoError(r.t, err)
		if st.Phase == phase {
			return st
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			r.t.Fatalf("upload is still %s", st.Phase)
		}
	}
}

// TestUploadThatBreaksOffIsNotWhole: half a file, its last row cut in a cell, is neither checked nor staged.
func TestUploadThatBreaksOffIsNotWhole(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	b.get("/uploads")
	form, kind := b.form("電話番号,請求番号,請求金額\n" + strings.Repeat("09000010001,A-1,12000\n", 120_000))
	a := b.sendForm(io.LimitReader(form, int64(form.Len())*6/10), kind)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "途中で切れました")
	all, err := r.Campaigns.List(t.Context(), tenant.Only("mizu"), ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, campaign.Receiving, all[0].Phase)
}

func TestFormSaysWhatRowsDoNot(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	require.Contains(t, b.get("/uploads").body, "ファイルに指定がない項目の内容")
	b.bring("料金表.pdf", paper(t, "x"))
	said := []string{"class", "billing", "text", "{url}", "title", "ご請求", "lead", "共通の文頭", "period", "2026年2～3月分", "sheet_message", "冬のクーポン", "contact_phone", "000-000-0001", "document0", "料金表.pdf", "document_title0", "料金表",
		"survey_lead", "お聞かせください", "q_title0", "ご都合", "q_type0", "radio", "q_choices0", "午前\n午後", "claim_method", "konbini_barcode", "claim_due", "2030-12-31", "expires", "2030-01-01T00:00", "to", "09000019999", "key", "k"}
	a := b.hand("x", append(said, "q_title1", "一択", "q_type1", "radio", "q_choices1", "はい", "contact_hours", strings.Repeat("時", 81))...)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "80文字以内で入力してください（現在 81文字）")
	require.Contains(t, a.body, "2以上必要です（現在 1）")
	require.Contains(t, a.body, `value="000-000-0001"`, "what was typed stays")

	said[len(said)-6] = "link_until" // too far away for a link
	a = b.hand("電話番号,請求番号,請求金額,文頭\n09000010001,A-1,100,この方だけ\n09000010002,A-2,200,\n", said...)
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	id := strings.TrimPrefix(a.header.Get("Location"), "/uploads/")
	st := r.reach("mizu", id, campaign.Staged)
	require.Equal(t, int64(2), st.Good)
	b.get("/uploads/" + id)
	require.Equal(t, http.StatusSeeOther, b.post("/uploads/"+id+"/release").status)
	r.reach("mizu", id, campaign.Done)
	refs, err := r.Store.Search(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Message, Limit: 10})
	require.NoError(t, err)
	require.Len(t, refs, 2)
	leads := map[string]bool{}
	for _, ref := range refs {
		head := r.state("mizu", ref.ID.String()).Head
		require.Equal(t, message.Billing, head.Class)
		plain, err := r.Store.Open("mizu", ref.ID.String()+"/page", head.Page)
		require.NoError(t, err)
		var c message.Content
		require.NoError(t, message.Decode(plain, &c))
		leads[c.Page.Lead] = true
		require.Equal(t, "000-000-0001", c.Page.Contact.Phone)
		require.Equal(t, []message.SurveyItem{{Title: "ご都合", Type: "radio", Choices: []string{"午前", "午後"}}}, c.Page.Survey.Items)
		require.Equal(t, "料金表", c.Page.Documents[0].Title)
		require.Equal(t, "冬のクーポン", c.Page.SheetMessage)
		require.Equal(t, "2026年2～3月分", c.Page.Period)
		require.Equal(t, []string{"konbini_barcode"}, c.Methods)
	}
	require.Equal(t, map[string]bool{"共通の文頭": true, "この方だけ": true}, leads)
}
