package admin

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
)

func claimed(number string) message.Draft {
	return message.Draft{To: "090-0001-4321", Text: "〇〇県水道局です。{url}", Class: "billing", Page: &message.Page{Title: "水道料金"},
		Claim: &message.Claim{Number: number, Amount: 7440, Due: time.Now().AddDate(0, 0, 20).Format(time.DateOnly)}}
}

func TestPaymentSheetFromTheConsole(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaAPI, claimed("W-1"))[0]
	claim := r.state("mizu", res.ID.String()).Head.Claim.String()
	b := r.enter("admin@mizu")
	detail := b.get("/messages/" + res.ID.String())
	require.Contains(t, detail.body, "支払シートのURL")
	require.Contains(t, detail.body, `<option value="konbini_barcode">`)
	require.NotContains(t, detail.body, `<option value="card">`, "a card has no sheet")
	a := b.post("/claims/"+claim+"/sheet", "message", res.ID.String(), "method", "konbini_barcode", "lang", "ja")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, "https://s.example.jp/sheets/")
	require.Contains(t, a.body, "barcode.png")
	require.Equal(t, "claim.sheet", r.actions("mizu")[0])
	_, code, _ := strings.Cut(a.body, "https://s.example.jp/sheets/")
	code, _, _ = strings.Cut(code, "/")
	_, _, err := r.Sheets.Open(context.Background(), code, "sheet.pdf")
	require.NoError(t, err)

	require.Contains(t, b.get("/messages/"+res.ID.String()).body, "発番済みの番号・バーコードを表示します")
	a = b.post("/claims/"+claim+"/sheet-revoke", "message", res.ID.String())
	require.Equal(t, http.StatusSeeOther, a.status)
	require.Equal(t, "claim.sheet_revoke", r.actions("mizu")[0])
	_, _, err = r.Sheets.Open(context.Background(), code, "sheet.pdf")
	require.Error(t, err)

	other := r.enter("admin@gasu")
	other.get("/")
	require.Equal(t, http.StatusNotFound, other.post("/claims/"+claim+"/sheet").status, "another tenant's")
	sender := r.enter("sender@mizu")
	sender.get("/")
	require.Equal(t, http.StatusForbidden, sender.post("/claims/"+claim+"/sheet").status)
}

func TestInvoiceAndReadingFromTheForm(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	_, key, _ := strings.Cut(b.get("/send").body, `name="key" value="`)
	key = key[:strings.IndexByte(key, '"')]
	form := []string{"key", key, "to", "090-0001-0001", "text", "〇〇県水道局です。{url}", "link", "1", "title", "お知らせ",
		"inv_number", "S-1", "inv_date", "2026-11-30", "inv_to", "山田", "inv_lines", "水道使用料,1,4440,10,2026/11/01\n飲料水、10、108、8", "inv_tax10", "403", "inv_tax8", "80",
		"read_on", "2026-11-24", "read_usage0", "44", "read_unit0", "m3", "read_name3", "下水道", "read_usage3", "40", "read_lines", "基本料金,1200\n従量料金,6240円", "read_months", "10月分=41\n9月分=38.5"}
	a := b.post("/send", append(form, "do", "preview")...)
	require.Equal(t, http.StatusOK, a.status, a.body)
	_, frame, _ := strings.Cut(a.body, `iframe src="`)
	frame = frame[:strings.IndexByte(frame, '"')]
	for _, name := range []string{"/invoice", "/reading"} {
		require.Contains(t, a.body, frame+name)
		require.True(t, strings.HasPrefix(b.get(frame+name).body, "%PDF"))
		require.Equal(t, http.StatusNotFound, r.enter("admin@mizu").get(frame+name).status, "a preview is its maker's")
	}
	b.get("/send")
	sent := b.post("/send", append(form, "do", "send")...)
	require.Equal(t, http.StatusSeeOther, sent.status, sent.body)
	at, _, _ := strings.Cut(sent.header.Get("Location"), "?")
	for _, name := range []string{"invoice", "reading"} {
		require.Contains(t, b.get(at).body, at+"/papers/"+name)
		require.True(t, strings.HasPrefix(b.get(at+"/papers/"+name).body, "%PDF"))
	}
	require.Equal(t, http.StatusNotFound, b.get(at+"/papers/x").status)
	require.Equal(t, http.StatusNotFound, r.enter("sender@gasu").get(at+"/papers/invoice").status)
	again := b.get("/send?from=" + strings.TrimPrefix(at, "/messages/")).body
	for _, want := range []string{"水道使用料,1,4440,10,2026-11-01", "飲料水,10,108,8", "10月分=41", `value="403"`, `name="read_usage1" value="40"`, "従量料金,6240"} {
		require.Contains(t, again, want)
	}

	bad := b.post("/send", "do", "preview", "key", "k9", "to", "090-0001-0001", "text", "x{url}", "link", "1", "title", "x",
		"inv_number", strings.Repeat("1", 41), "inv_date", "", "inv_lines", "水道,一,100", "read_on", "2026-11-24", "read_usage0", "44", "read_usage5", "多い", "read_lines", "基本料金,無料", "read_months", "10月分=x")
	require.Equal(t, http.StatusUnprocessableEntity, bad.status)
	require.Contains(t, bad.body, "40文字以内で入力してください（現在 41文字）")
	for _, field := range []string{"inv_number", "inv_date", "inv_lines", "read_usage5", "read_lines", "read_months"} {
		require.Regexp(t, `name="`+field+`"[^>]*aria-invalid="true"`, bad.body)
	}
}

func TestTemplateOfAnOccasionFillsThePage(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	form := b.get("/send").body
	require.Contains(t, form, `<option value="std:reminder">お支払いの督促`)
	a := b.post("/send", "do", "preview", "key", "k1", "to", "090-0001-0001", "template", "std:reminder", "class", "collection", "link", "1")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, "〇〇県水道局からお支払いの確認のお願いです。")
	_, frame, _ := strings.Cut(a.body, `iframe src="`)
	frame = frame[:strings.IndexByte(frame, '"')]
	require.Contains(t, b.get(frame).body, "現在で、お客様のご利用代金についてご入金の確認が取れておりません")
}

// brandPost posts the form in parts.
func (b *browser) brandPost(logo []byte, kv ...string) answered {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	require.NoError(b.t, w.WriteField("csrf", b.csrf))
	require.NoError(b.t, w.WriteField("was", b.was))
	for i := 0; i < len(kv); i += 2 {
		require.NoError(b.t, w.WriteField(kv[i], kv[i+1]))
	}
	part, err := w.CreateFormFile("logo", "logo.png")
	require.NoError(b.t, err)
	_, err = part.Write(logo)
	require.NoError(b.t, err)
	require.NoError(b.t, w.Close())
	req, err := http.NewRequest("POST", b.base+"/brand", &body)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(req)
}

// papers are the addresses of the PDFs that a screen shows.
func papers(screen string) (all []string) {
	for _, m := range regexp.MustCompile(`href="(/brand/preview/[^"]+)"`).FindAllStringSubmatch(screen, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestBrandIsSetWithAPreview(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	screen := b.get("/brand").body
	require.Equal(t, 2, strings.Count(screen, "<iframe"))
	a := b.brandPost(nil, "do", "preview", "color", "#aa0011", "phone", "000-111-2222", "hours", "平日 9:00～17:00", "note", "補足です", "hours_en", "weekdays 9-17", "note_en", strings.Repeat("a", 201))
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "200文字以内で入力してください（現在 201文字）")
	a = b.brandPost(nil, "do", "preview", "color", "#aa0011", "phone", "000-111-2222", "hours", "平日 9:00～17:00", "note", "補足です", "hours_en", "weekdays 9-17", "note_en", "A note")
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.body, "まだ保存されていません")
	require.Contains(t, a.body, `value="weekdays 9-17"`)
	require.Contains(t, a.body, ">A note</textarea>")
	_, frame, _ := strings.Cut(a.body, `iframe src="`)
	frame = frame[:strings.IndexByte(frame, '"')]
	require.Contains(t, b.get(frame).body, "000-111-2222")
	require.Equal(t, "000-000-0000", r.tenant("mizu").Brand.Phone, "a preview saves nothing")
	require.Len(t, papers(a.body), 3)
	for _, path := range papers(a.body) {
		pdf := b.get(path)
		require.Equal(t, "application/pdf", pdf.header.Get("Content-Type"))
		require.Contains(t, pdf.body, "(000-111-2222)", "with the brand that is not saved")
		require.Equal(t, http.StatusNotFound, r.enter("admin@gasu").get(path).status)
	}
	require.Equal(t, http.StatusNotFound, b.get(frame+"/certificate").status)

	var logo bytes.Buffer
	require.NoError(t, png.Encode(&logo, image.NewGray(image.Rect(0, 0, 60, 20))))
	b.get("/brand")
	a = b.brandPost(logo.Bytes(), "do", "save", "color", "#aa0011", "phone", "000-111-2222", "hours", "", "note", "", "hours_en", "weekdays 9-17", "note_en", "A note")
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	require.Equal(t, "brand.set", r.actions("mizu")[0])
	brand := r.tenant("mizu").Brand
	require.Equal(t, "#aa0011", brand.Color)
	require.Equal(t, []string{"weekdays 9-17", "A note"}, []string{brand.HoursEN, brand.NoteEN})
	require.NotNil(t, brand.Logo)
	got := r.browser().get("/logos/" + brand.Logo.Name)
	require.Equal(t, "image/png", got.header.Get("Content-Type"))
	require.Equal(t, string(brand.Logo.PNG), got.body)
	require.Contains(t, b.get("/brand").body, "/logos/"+brand.Logo.Name)

	a = b.brandPost([]byte("<svg/>"), "do", "save", "color", "red", "phone", "", "hours", strings.Repeat("あ", 81), "note", "")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	for _, want := range []string{"PNGまたはJPEGの画像を選択してください", "形式が正しくありません", "必須です", "80文字以内で入力してください（現在 81文字）"} {
		require.Contains(t, a.body, want)
	}
	b.get("/brand")
	a = b.brandPost(nil, "do", "save", "color", "", "phone", "000-111-2222", "hours", "", "note", "", "remove_logo", "1")
	require.Equal(t, http.StatusSeeOther, a.status)
	require.Nil(t, r.tenant("mizu").Brand.Logo)
	require.Equal(t, tenant.Brand{Phone: "000-111-2222"}, r.tenant("mizu").Brand)

	other := r.enter("admin@mizu") // who opened the screen before the next change
	other.get("/brand")
	b.get("/brand")
	require.Equal(t, http.StatusSeeOther, b.brandPost(nil, "do", "save", "color", "", "phone", "000-111-3333", "hours", "", "note", "").status)
	a = other.brandPost(nil, "do", "save", "color", "#112233", "phone", "000-111-2222", "hours", "", "note", "")
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "ほかの方がブランドを変更しました")
	require.Contains(t, a.body, "000-111-3333")
	require.Contains(t, a.body, "#112233", "what was typed is kept")
	require.Equal(t, "000-111-3333", r.tenant("mizu").Brand.Phone)
	require.Equal(t, http.StatusSeeOther, other.brandPost(nil, "do", "save", "color", "#112233", "phone", "000-111-2222", "hours", "", "note", "").status, "once more, and knowing it")
	require.Equal(t, "000-111-2222", r.tenant("mizu").Brand.Phone)

	b.csrf = "forged"
	require.Equal(t, http.StatusForbidden, b.brandPost(nil, "do", "save", "phone", "1").status)
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").get("/brand").status)
}

// A tenant's renderer is one that is there and whose pages can be shown; what is none is not saved.
func TestRendererIsChosenWhereItsPagesCanBeShown(t *testing.T) {
	r := openRoom(t)
	r.Modules = func() (all []host.Status) {
		for _, m := range []string{"render/standard", "render/own", "render/half", "render/dead", "payment/sandbox"} {
			all = append(all, host.Status{Module: m})
		}
		return all
	}
	b := r.enter("admin@mizu")
	screen := b.get("/brand").body
	require.Contains(t, screen, `<option value="render/own">`)
	require.NotContains(t, screen, `value="payment/sandbox"`)
	choose := func(do, name string) answered {
		b.get("/brand")
		return b.brandPost(nil, "do", do, "color", "", "phone", "000-000-0000", "hours", "", "note", "", "renderer", name)
	}
	for _, name := range []string{"render/gone", "payment/sandbox"} {
		a := choose("save", name)
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		require.Contains(t, a.body, "このモジュールは登録されていません")
	}
	for _, do := range []string{"save", "preview"} {
		a := choose(do, "render/dead")
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		require.Contains(t, a.body, "このモジュールの画面・PDFは表示できません：renderer is down")
		require.Contains(t, a.body, `<option value="render/dead" selected>`, "what was chosen stands there")
		require.Equal(t, 2, strings.Count(a.body, "<iframe"))
		a = choose(do, "render/half")
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		require.Contains(t, a.body, "表示できません：NOTICE (PDF), ja: renderer refused the document: INTERNAL font", "both pages that are shown can be")
		require.Equal(t, http.StatusBadGateway, b.get(papers(a.body)[1]).status, "no other one stands in for its PDF")
	}
	require.Equal(t, http.StatusOK, choose("preview", "render/own").status)
	require.Empty(t, r.tenant("mizu").Brand.Renderer)
	require.NotContains(t, r.actions("mizu"), "brand.set")

	require.Equal(t, http.StatusSeeOther, choose("save", "render/own").status)
	require.Equal(t, "render/own", r.tenant("mizu").Brand.Renderer)
	require.Equal(t, "brand.set", r.actions("mizu")[0])
	require.Contains(t, b.get("/brand").body, `<option value="render/own" selected>`)
	require.Equal(t, http.StatusSeeOther, b.brandPost(nil, "do", "save", "color", "", "phone", "000-111-2222", "hours", "", "note", "").status)
	require.Equal(t, "render/own", r.tenant("mizu").Brand.Renderer, "a form without the field leaves it")
	require.Equal(t, http.StatusSeeOther, choose("save", "").status)
	require.Empty(t, r.tenant("mizu").Brand.Renderer)
}
