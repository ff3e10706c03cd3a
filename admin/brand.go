package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// brandPage is the form, and how pages and PDFs of a recipient look with it.
type brandPage struct {
	Brand   tenant.Brand
	Was     string            // tag of the brand that the form is of
	Fault   map[string]string // by field: color, phone, hours, note, hours_en, note_en, logo, renderer
	Frames  []brandFrame
	Papers  []brandFrame  // PDFs, each in a tab of its own
	Unsaid  bool          // the frames show what was not saved
	Stale   *tenant.Brand // what somebody else saved meanwhile; nil: nobody did
	Modules []string      // that draw pages
	Entry   string        // address of the shared entry page; empty: there is none
	Limits  struct{ Phone, Hours, Note int }
}

type brandFrame struct{ Title, URL string }

func (s *Server) brand(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := s.brandPage(r.Context(), v, v.Tenant.Brand)
	p.Was = v.Tenant.Brand.Tag()
	return s.show(w, r, v, "brand", p)
}

// brandSamples are the landing page and a notice with a brand.
func brandSamples(v *visit, b tenant.Brand) []*proto.Page {
	t := *v.Tenant
	t.Brand = b
	landing, notice := page.View(&t, proto.View_LANDING, v.Lang), page.View(&t, proto.View_INFO, v.Lang)
	landing.Preview, notice.Preview, landing.Identify, landing.Code = true, true, true, t.Policy.Identity.Code
	page.SetNotice(landing, &t, v.now)
	page.SetContent(notice, &message.Content{Page: message.Page{
		Title: v.T("お知らせの見本", "A notice"), Lead: v.T("ご案内の文章がここに入ります。", "The words of the notice stand here."),
		Rows: []message.Row{{Item: v.T("お客様番号", "Customer number"), Value: "00-0-000000"}},
	}})
	return []*proto.Page{landing, notice}
}

// brandMenu is a menu with a brand.
func brandMenu(v *visit, b tenant.Brand) *proto.Page {
	t := *v.Tenant
	t.Brand = b
	menu := page.View(&t, proto.View_CLAIM_MENU, v.Lang)
	menu.Title, menu.Preview = v.T("お知らせの見本", "A notice"), true
	menu.Claim, menu.Promise = page.ClaimOf(&message.Claim{Amount: 1000, Due: message.Day(v.now.AddDate(0, 0, 14))}), &proto.Promise{}
	return menu
}

// brandPage draws the samples by the brand's renderer; one that fails is a fault of the field.
func (s *Server) brandPage(ctx context.Context, v *visit, b tenant.Brand) *brandPage {
	p := &brandPage{Brand: b, Fault: map[string]string{}, Modules: s.renderers(), Entry: s.entryAddress(v.Tenant)}
	p.Limits.Phone, p.Limits.Hours, p.Limits.Note = tenant.MaxBrandPhone, tenant.MaxBrandHours, tenant.MaxBrandNote
	frame := func(title string, html *page.HTML) {
		p.Frames = append(p.Frames, brandFrame{title, "/brand/preview/" + s.drafts.keep(drawn{login: v.User.Login, html: html, brand: &b}, v.now)})
	}
	for i, m := range brandSamples(v, b) {
		html, err := s.Pages.Try(ctx, v.Tenant.ID, m, cmp.Or(b.Renderer, page.DefaultModule))
		if err != nil {
			p.Fault["renderer"] = rendererFault(v, fmt.Errorf("%v: %w", m.View, err))
			html = s.Pages.Page(ctx, v.Tenant.ID, m)
		}
		title := v.T("最初のページ", "The first page")
		if i > 0 {
			title = v.T("ご案内のページ", "The notice")
		}
		frame(title, html)
	}
	if v.Tenant.Policy.ClaimMenu {
		frame(v.T("お支払いのメニュー", "The menu before a claim"), s.Pages.Page(ctx, v.Tenant.ID, brandMenu(v, b)))
	}
	for _, paper := range []struct{ name, title string }{{"notice", v.T("ご案内（PDF）", "Notice (PDF)")}, {"receipt", v.T("領収書（PDF）", "Receipt (PDF)")}, {"invoice", v.T("請求書（PDF）", "Invoice (PDF)")}} {
		p.Papers = append(p.Papers, brandFrame{paper.title, p.Frames[0].URL + "/" + paper.name})
	}
	return p
}

// brandPaper draws a sample of a PDF with the brand of a preview, by its renderer.
func (s *Server) brandPaper(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	kind, known := map[string]proto.DocumentKind{"notice": proto.DocumentKind_NOTICE, "receipt": proto.DocumentKind_RECEIPT, "invoice": proto.DocumentKind_INVOICE}[name]
	x, ok := s.drafts.get(v.User.Login, r.PathValue("id"), v.now)
	if !ok || !known || x.brand == nil {
		return errNotFound
	}
	t := *v.Tenant
	t.Brand = *x.brand
	pdf, err := s.Pages.TryDocument(r.Context(), t.ID, page.SampleDocument(&t, kind, v.Lang, v.now), cmp.Or(t.Brand.Renderer, page.DefaultModule))
	if err != nil {
		return &fail{http.StatusBadGateway, fmt.Sprintf("このモジュールのPDFは表示できません：%v", err), fmt.Sprintf("The PDF of this module cannot be shown: %v", err)}
	}
	writePDF(w, name, pdf)
	return nil
}

// rendererFault says which page or document cannot be shown, and why: it is for whoever wrote the module.
func rendererFault(v *visit, err error) string {
	return v.T("このモジュールの画面・PDFは表示できません：", "The pages or PDFs of this module cannot be shown: ") + err.Error()
}

// renderers are the modules that draw pages.
func (s *Server) renderers() (all []string) {
	for _, m := range s.Modules() {
		if strings.HasPrefix(m.Module, "render/") {
			all = append(all, m.Module)
		}
	}
	return all
}

// setBrand shows a preview of what was typed, or saves it. A form that was opened before somebody else saved theirs is shown again.
func (s *Server) setBrand(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, file, err := s.brandForm(w, r, v)
	if err != nil {
		return err
	}
	b := v.Tenant.Brand
	b.Color, b.Phone, b.Hours, b.Note = form["color"], form["phone"], form["hours"], form["note"]
	b.HoursEN, b.NoteEN = form["hours_en"], form["note_en"]
	faults := map[string]string{}
	if name, chosen := form["renderer"]; chosen && name != b.Renderer {
		b.Renderer = name
		if name != "" && !slices.Contains(s.renderers(), name) {
			return &fail{http.StatusUnprocessableEntity, "このモジュールは登録されていません。", "There is no such module."}
		}
		if name != "" { // the standard one stands in for all
			t := *v.Tenant
			t.Brand = b
			if err := s.Pages.Trial(r.Context(), &t, name); err != nil {
				faults["renderer"] = rendererFault(v, err)
			}
		}
	}
	switch {
	case form["remove_logo"] != "":
		b.Logo = nil
	case len(file) > 0:
		logo, err := tenant.ReadLogo(file)
		var wrong *tenant.LogoError
		if err != nil && !errors.As(err, &wrong) {
			return err
		}
		if wrong != nil {
			faults["logo"] = logoFault(v, wrong)
		} else {
			b.Logo = logo
		}
	}
	for _, err := range b.Validate() {
		var wrong *tenant.BrandError
		if !errors.As(err, &wrong) {
			return err
		}
		faults[wrong.Field] = problemText(message.Problem{Code: wrong.Code, Limit: wrong.Limit, Got: wrong.Got}, v.Lang)
	}
	if len(faults) > 0 || form["do"] == "preview" {
		status := http.StatusOK
		if len(faults) > 0 {
			status = http.StatusUnprocessableEntity
		}
		shown := b
		if b.Logo != nil {
			if _, served := s.Directory.Now().Logo(b.Logo.Name); !served { // it has no address before it is saved
				shown.Logo = nil
			}
		}
		p := s.brandPage(r.Context(), v, shown)
		maps.Copy(p.Fault, faults)
		p.Unsaid, p.Was = true, form["was"]
		s.render(w, v, status, "brand", p)
		return nil
	}
	err = s.Directory.SetBrand(r.Context(), v.Tenant.ID, func(now tenant.Brand) (tenant.Brand, error) {
		if now.Tag() != form["was"] {
			return now, tenant.ErrStale
		}
		b.Public = now.Public // of the settings, which may have been saved meanwhile
		return b, s.record(r.Context(), v, "brand.set", string(v.Tenant.ID), "")
	})
	if errors.Is(err, tenant.ErrStale) {
		now := s.Directory.Now().Tenants[v.Tenant.ID].Brand
		b.Logo = now.Logo // a file has to be chosen anew
		p := s.brandPage(r.Context(), v, b)
		p.Unsaid, p.Was, p.Stale = true, now.Tag(), &now
		s.render(w, v, http.StatusConflict, "brand", p)
		return nil
	}
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, "/brand", "保存しました。", "Saved."))
}

func logoFault(v *visit, e *tenant.LogoError) string {
	switch e.Code {
	case "too_long":
		return v.T(fmt.Sprintf("ファイルが大きすぎます（%d KBまで）。", tenant.MaxLogoFile>>10), fmt.Sprintf("The file is too large: %d kB at most.", tenant.MaxLogoFile>>10))
	case "range":
		return v.T(fmt.Sprintf("画像の縦横は8〜%dピクセルにしてください（現在 %d）。", e.Limit, e.Got), fmt.Sprintf("8 to %d pixels wide and high, this has %d.", e.Limit, e.Got))
	}
	return v.T("PNGまたはJPEGの画像を選択してください。", "Choose a PNG or JPEG picture.")
}

// brandForm reads the fields and the logo's file (nil: none was chosen) of a form in parts.
func (s *Server) brandForm(w http.ResponseWriter, r *http.Request, v *visit) (fields map[string]string, file []byte, err error) {
	unreadable := &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	_ = http.NewResponseController(w).SetReadDeadline(clock.Now().Add(uploadTime)) // not all connections can
	r.Body = http.MaxBytesReader(w, r.Body, 4*tenant.MaxLogoFile)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, nil, unreadable
	}
	fields = map[string]string{}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return fields, file, s.proven(v, fields["csrf"])
		}
		if err != nil {
			return nil, nil, unreadable
		}
		most := int64(4 << 10)
		if part.FormName() == "logo" {
			most = tenant.MaxLogoFile + 1 // one more says that it is too large
		}
		b, err := io.ReadAll(io.LimitReader(part, most))
		if err != nil || len(fields) > 20 {
			return nil, nil, unreadable
		}
		if part.FormName() == "logo" {
			file = b
			continue
		}
		fields[part.FormName()] = string(b)
	}
}

// logo serves a tenant's logo to previews. It is public: the link server shows it to everybody.
func (s *Server) logo(w http.ResponseWriter, r *http.Request, _ *visit) error {
	l, ok := s.Directory.Now().Logo(r.PathValue("name"))
	if !ok {
		return errNotFound
	}
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // a preview is sandboxed, and so of no origin
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(l.PNG) // the browser went away
	return nil
}
