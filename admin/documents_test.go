package admin

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// paper is a PDF with a word in it.
func paper(t testing.TB, word string) string {
	t.Helper()
	f := fpdf.New("P", "mm", "A4", "")
	f.AddPage()
	f.SetFont("Helvetica", "", 10)
	f.Cell(0, 5, word)
	var b bytes.Buffer
	require.NoError(t, f.Output(&b))
	return b.String()
}

// bring uploads documents: names and contents in turn.
func (b *browser) bring(files ...string) answered {
	b.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(b.t, w.WriteField("csrf", b.csrf))
	require.NoError(b.t, w.WriteField("class", "billing"))
	for i := 0; i < len(files); i += 2 {
		f, err := w.CreateFormFile("file", files[i])
		require.NoError(b.t, err)
		_, err = f.Write([]byte(files[i+1]))
		require.NoError(b.t, err)
	}
	require.NoError(b.t, w.Close())
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+"/documents", &form)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(req)
}

func TestDocumentsAreUploadedChosenAndRemoved(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	require.Contains(t, b.get("/documents").body, "登録済みの書類はまだありません")
	require.Equal(t, http.StatusSeeOther, b.bring("断水のお知らせ.pdf", paper(t, "a"), "料金表.pdf", paper(t, "b")).status)
	a := b.bring("よい.pdf", paper(t, "c"), "わるい.pdf", strings.Replace(paper(t, "d"), "/Type /Catalog", "/Type /Catalog /OpenAction << /S /JavaScript /JS (x) >>", 1), "絵.pdf", "GIF89a")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "1件を登録しました")
	require.Contains(t, a.body, "わるい.pdf：")
	require.Contains(t, a.body, "絵.pdf：")
	require.NotContains(t, a.body, "<li>よい.pdf")
	files, _, err := r.Documents.List(t.Context(), tenant.Only("mizu"), "", 10)
	require.NoError(t, err)
	require.Len(t, files, 3)
	id := files[2].ID
	require.Equal(t, "断水のお知らせ.pdf", files[2].Name)

	// Chosen on the form, under a title of its own.
	form := []string{"to", "090-0001-0001", "class", "notice", "text", "{url}", "link", "1", "title", "お知らせ", "document0", id, "document_title0", "工事のご案内", "key", "k"}
	require.Contains(t, b.get("/send").body, `<option value="`+id+`">断水のお知らせ.pdf</option>`)
	preview := b.post("/send", append(form, "do", "preview")...).body
	require.Contains(t, preview, `href="/documents/`+id+`"`)
	require.Contains(t, preview, "工事のご案内")
	require.Contains(t, b.post("/send", append(form, "document1", "無い.pdf", "do", "preview")...).body, "登録されていない値です")
	sent := b.post("/send", append(form, "do", "send")...)
	require.Equal(t, http.StatusSeeOther, sent.status)
	msg := strings.TrimPrefix(strings.Split(sent.header.Get("Location"), "?")[0], "/messages/")
	head := r.state("mizu", msg).Head
	plain, err := r.Store.Open("mizu", msg+"/page", head.Page)
	require.NoError(t, err)
	var content message.Content
	require.NoError(t, message.Decode(plain, &content))
	require.Equal(t, []message.Attachment{{ID: id, Title: "工事のご案内"}}, content.Page.Documents)

	body := b.get("/documents").body
	require.Contains(t, body, "1件")
	require.Equal(t, "application/pdf", b.get("/documents/"+id).header.Get("Content-Type"))
	kept := b.post("/documents/" + id + "/remove")
	require.Equal(t, http.StatusSeeOther, kept.status)
	body = b.get(kept.header.Get("Location")).body
	require.Contains(t, body, "「断水のお知らせ.pdf」は削除できません。SMS（No. "+head.No+"）のページで表示中です")
	r.happen("mizu", ulid.MustParse(msg), event(message.Revoked, message.Act{By: "x"}))
	require.Contains(t, b.get(b.post("/documents/"+id+"/remove").header.Get("Location")).body, "「断水のお知らせ.pdf」を削除しました。")
	require.Equal(t, http.StatusNotFound, b.get("/documents/"+id).status)
	require.NotContains(t, b.get("/documents").body, "断水")
	require.Equal(t, []string{"document.remove", "document.remove", "document.view"}, r.actions("mizu")[:3])

	// Others get nothing of it.
	other := files[1].ID
	gas := r.enter("admin@gasu")
	require.NotContains(t, gas.get("/documents").body, "料金表")
	require.Equal(t, http.StatusNotFound, gas.get("/documents/"+other).status)
	require.Equal(t, http.StatusNotFound, gas.post("/documents/"+other+"/remove").status)
	require.NotContains(t, gas.get("/send").body, "料金表")
	require.Contains(t, gas.post("/send", "to", "090-0001-0001", "class", "notice", "text", "{url}", "link", "1", "title", "x", "document0", other, "key", "g", "do", "preview").body, "登録されていない値です")
	require.Equal(t, http.StatusForbidden, r.enter("viewer@mizu").get("/documents").status)
	forged := r.enter("sender@mizu")
	forged.csrf = "x"
	require.Equal(t, http.StatusForbidden, forged.bring("x.pdf", paper(t, "x")).status)
}

// A file of many rows names documents as they were uploaded; a name that is none is said with its line and column.
func TestFileNamesDocuments(t *testing.T) {
	r := openRoom(t)
	r.enter("sender@mizu").bring("明細-001.pdf", paper(t, "a"), "明細-002.pdf", paper(t, "b"))
	st := r.upload("mizu", "bills.csv", "電話番号,本文,タイトル,書類1,書類名1\n09000010001,{url},ご請求,明細-001.pdf,11月分の明細\n09000010002,{url},ご請求,明細-002.pdf,\n09000010003,{url},ご請求,明細-003.pdf,\n")
	require.Equal(t, int64(2), st.Good)
	findings := r.enter("sender@mizu").get("/uploads/" + st.ID.String()).body
	require.Contains(t, findings, "書類1")
	require.Contains(t, findings, "登録されていない値です")
}

func TestListOfDocumentsCountsMessagesSoFar(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	b.bring("料金表.pdf", paper(t, "b"))
	files, _, err := r.Documents.List(t.Context(), tenant.Only("mizu"), "", 1)
	require.NoError(t, err)
	var all []store.Tx
	for range document.UsesListed + 1 {
		all = append(all, store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: ulid.Make()}, Events: []store.NewEvent{event(message.Accepted, &message.Head{V: 1, Class: message.Notice})},
			Terms: []store.Term{{Field: document.MessageField, Value: files[0].ID}}}})
	}
	errs, err := r.Store.Commit(t.Context(), all...)
	require.NoError(t, errors.Join(append(errs, err)...))
	require.Contains(t, b.get("/documents").body, "1,000件以上")
}
