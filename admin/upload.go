package admin

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
)

const (
	uploadsShown = 20
	faultsShown  = 100
	uploadTime   = 30 * time.Minute // to receive a file at the most
)

type uploadsPage struct {
	Uploads []*campaign.State
	Next    string
	Form    *sendPage // what rows do not say
	Open    bool
	Fault   string
}

func (s *Server) uploadsPage(ctx context.Context, v *visit, before string, form url.Values) (*uploadsPage, error) {
	p := &uploadsPage{Open: len(form) > 0}
	cursor, err := ulid.ParseStrict(before)
	if err != nil {
		cursor = ulid.ULID{}
	}
	if p.Form, err = s.sendPage(ctx, v, form); err != nil {
		return nil, err
	}
	if p.Uploads, err = s.Campaigns.List(ctx, v.scope, cursor, uploadsShown); err != nil {
		return nil, err
	}
	if n := len(p.Uploads); n == uploadsShown {
		p.Next = p.Uploads[n-1].ID.String()
	}
	return p, nil
}

func (s *Server) uploads(w http.ResponseWriter, r *http.Request, v *visit) error {
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Campaign: true}}
	p, err := s.uploadsPage(r.Context(), v, r.URL.Query().Get("before"), nil)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "uploads", p)
}

// upload receives a file as it comes: the form's small fields stand before it. Nothing of it is kept in memory or on a
// temporary disk. Where the line breaks the upload stays one that is being received, to be dropped: without a digest nobody
// knows the file again, so that it comes anew as another upload.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, v *visit) error {
	_ = http.NewResponseController(w).SetReadDeadline(clock.Now().Add(uploadTime)) // not all connections can
	form, err := r.MultipartReader()
	if err != nil {
		return &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	}
	fields := url.Values{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return s.refuseUpload(w, r, v, fields, v.T("CSVファイルを選択してください。", "Choose a CSV file."))
		}
		if err != nil {
			return &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
		}
		if part.FormName() != "file" {
			text, err := io.ReadAll(io.LimitReader(part, 16<<10))
			if err != nil {
				return err
			}
			if len(fields) < 300 {
				fields.Add(part.FormName(), string(text))
			}
			continue
		}
		if err := s.proven(v, fields.Get("csrf")); err != nil {
			return err
		}
		if part.FileName() == "" {
			return s.refuseUpload(w, r, v, fields, v.T("CSVファイルを選択してください。", "Choose a CSV file."))
		}
		return s.receive(w, r, v, fields, part)
	}
}

func (s *Server) refuseUpload(w http.ResponseWriter, r *http.Request, v *visit, form url.Values, fault string) error {
	p, err := s.uploadsPage(r.Context(), v, "", form)
	if err != nil {
		return err
	}
	p.Fault = fault
	s.render(w, v, http.StatusUnprocessableEntity, "uploads", p)
	return nil
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request, v *visit, fields url.Values, part *multipart.Part) error {
	f := campaign.File{Name: part.FileName(), Size: -1, Via: "console", By: v.By()}
	defaults, faults := uploadDefaults(fields)
	if len(faults) > 0 {
		var texts []string
		for _, x := range faults {
			texts = append(texts, x.Text(v.Lang))
		}
		return s.refuseUpload(w, r, v, fields, strings.Join(texts, v.T("、", "; ")))
	}
	f.Settings.Defaults = defaults
	f.Settings.Encoding = campaign.Encoding(fields.Get("encoding"))
	if err := s.record(r.Context(), v, "upload.begin", "", ""); err != nil {
		return err
	}
	st, _, err := s.Campaigns.Begin(r.Context(), v.Tenant.ID, f)
	var ps message.Problems
	if errors.As(err, &ps) && len(ps) > 0 {
		return s.refuseUpload(w, r, v, fields, ps[0].Text(v.Lang))
	}
	if err != nil {
		return err
	}
	if st, err = s.Campaigns.Append(r.Context(), v.scope, st.ID, st.Offset, part); err == nil && st.Phase == campaign.Receiving {
		st, err = s.Campaigns.Finish(r.Context(), v.scope, st.ID, "")
	}
	if errors.As(err, &ps) && len(ps) > 0 {
		return s.refuseUpload(w, r, v, fields, ps[0].Text(v.Lang))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &fail{http.StatusBadRequest, "ファイルの送信が途中で切れました。もう一度アップロードしてください。", "The file broke off on its way. Please upload it again."}
	}
	if err != nil {
		return err
	}
	return back(w, r, "/uploads/"+st.ID.String())
}

// uploadDefaults is what the form says for rows that do not, and what is wrong with it whatever rows say.
func uploadDefaults(f url.Values) (message.Draft, message.Problems) {
	form := url.Values{"link": {"1"}}
	for _, name := range []string{"class", "sender", "template", "text", "expires", "code", "title", "lead", "closing", "period", "sheet_message", "send_at", "valid_until", "window_from", "window_to"} {
		form[name] = f[name]
	}
	for name, values := range f {
		for _, of := range []string{"contact_", "document", "survey_", "q_"} {
			if strings.HasPrefix(name, of) {
				form[name] = values
			}
		}
	}
	fr := readDraft(form)
	d := fr.d
	d.Vars = nil
	if p := d.Page; p.Title == "" && p.Lead == "" && p.Closing == "" && p.Period == "" && p.SheetMessage == "" && p.Contact == nil && p.Survey == nil && len(p.Documents) == 0 {
		d.Page = nil
	}
	if methods, due := f["claim_method"], f.Get("claim_due"); len(methods) > 0 || due != "" {
		d.Claim = &message.Claim{Methods: methods, Due: due}
	}
	ps := fr.ps
	for _, x := range d.Check() {
		title := x.Field == "page.title" && x.Code == "required" // a row has it
		if strings.HasPrefix(x.Field, "page.") && !title {
			ps = append(ps, x)
		}
	}
	return d, ps
}

type uploadPage struct {
	*campaign.State
	Faults    []campaign.Finding
	Refusals  []campaign.Finding
	Warnings  []campaign.Finding
	Delivered int
	Submitted int
	Looked    int  // messages of the upload that were counted
	Counted   bool // all of them
	At        time.Time
	Seeds     []campaign.Seed // with which a canary can be
	Missing   []string        // labels of carriers of the rows without a seed
	Sheets    []sheetOffer    // ways to have numbers issued for payment sheets
	labels    map[string]string
}

func (s *Server) uploadDetail(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	st, err := s.Campaigns.State(r.Context(), v.scope, id)
	if err != nil {
		return err
	}
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Campaign: true, store.Message: st.Accepted > 0}}
	p := &uploadPage{State: st, At: v.now, Sheets: s.sheetMethods(v), labels: map[string]string{}}
	for _, c := range s.Carriers.Carriers() {
		p.labels[c.Name] = c.Label(v.Lang)
	}
	if st.Phase == campaign.Staged {
		if err := s.canaryOf(v, p); err != nil {
			return err
		}
	}
	for _, l := range []struct {
		list campaign.List
		n    int64
		to   *[]campaign.Finding
	}{{campaign.ListFaults, st.Faults, &p.Faults}, {campaign.ListRefusals, st.Refusals, &p.Refusals}, {campaign.ListWarnings, st.Warnings, &p.Warnings}} {
		if l.n > 0 {
			if *l.to, err = s.Campaigns.Findings(r.Context(), v.scope, id, l.list, 0, faultsShown); err != nil {
				return err
			}
		}
	}
	if st.Accepted > 0 {
		if err := s.progress(r.Context(), v, p); err != nil {
			return err
		}
	}
	return s.show(w, r, v, "upload", p)
}

// progress counts how many of an upload's messages were sent, of the newest homeMost.
func (s *Server) progress(ctx context.Context, v *visit, p *uploadPage) error {
	q := search{Campaign: p.ID.String()}
	query, err := s.query(ctx, v, &q)
	if err != nil {
		return err
	}
	for query.Limit = scanBatch; p.Looked < homeMost; {
		refs, err := s.Store.Search(ctx, v.scope, query)
		if err != nil {
			return err
		}
		streams, err := s.Store.LoadMany(ctx, v.scope, refs)
		if err != nil {
			return err
		}
		for _, events := range streams {
			st, err := stored.State(events)
			if err != nil {
				return err
			}
			if !st.SubmittedAt.IsZero() {
				p.Submitted++
			}
			if !st.DeliveredAt.IsZero() {
				p.Delivered++
			}
		}
		p.Looked += len(refs)
		if len(refs) < scanBatch {
			p.Counted = true
			return nil
		}
		query.Before = refs[len(refs)-1].ID
	}
	return nil
}

// onUpload does one thing to an upload and leads back to it.
func (s *Server) onUpload(w http.ResponseWriter, r *http.Request, v *visit, action string, do func(id ulid.ULID) error) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	st, err := s.Campaigns.State(r.Context(), v.scope, id)
	if err != nil {
		return err
	}
	detail := strconv.FormatInt(st.Good, 10) + " rows"
	if c := r.PostForm.Get("carrier"); st.Canary != nil && slices.Contains(st.Canary.Failed, c) {
		detail = c
	}
	if err := s.record(r.Context(), v, action, id.String(), detail); err != nil {
		return err
	}
	to := "/uploads/" + id.String()
	err = do(id)
	var late *campaign.PhaseError
	var twin *campaign.TwinError
	var seed *campaign.SeedError
	var ps message.Problems
	switch {
	case errors.As(err, &seed):
		to = s.note(v, to, "テスト番号が登録されていない携帯電話会社があるため、カナリア送信を開始できません。", "The canary cannot begin: a carrier has no seed number.")
	case errors.As(err, &ps) && len(ps) > 0:
		text := ps[0].Text(v.Lang)
		to = s.note(v, to, text, text)
	case errors.As(err, &late):
		to = s.note(v, to, "すでに別の操作が行われています。現在の状態をご確認ください。", "Somebody was faster. Please look at how it stands now.")
	case errors.Is(err, campaign.ErrFaulty):
		to = s.note(v, to, "エラー行があります。「正常な行のみ送信」を選択してください。", "There are faulty rows. Choose to send the good rows only.")
	case errors.Is(err, campaign.ErrNoRows):
		to = s.note(v, to, "送信できる行がありません。", "There is no row that can be sent.")
	case errors.As(err, &twin):
		to = s.note(v, to, "同じ内容のファイルが登録済みです。確認のうえ、もう一度操作してください。", "The same file was uploaded before. Please confirm that it is meant.")
	case err != nil:
		return err
	}
	return back(w, r, to)
}

func (s *Server) release(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.release", func(id ulid.ULID) error {
		_, err := s.Campaigns.Release(r.Context(), v.scope, id, campaign.Release{By: v.By(), GoodOnly: r.PostForm.Get("good_only") == "1", Again: r.PostForm.Get("again") == "1",
			Canary: r.PostForm.Get("canary") == "1"})
		return err
	})
}

func (s *Server) drop(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.drop", func(id ulid.ULID) error {
		_, err := s.Campaigns.Drop(r.Context(), v.scope, id, v.By())
		return err
	})
}

// uploadFaults gives the faulty rows as CSV.
func (s *Server) uploadFaults(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Campaigns.State(r.Context(), v.scope, id); err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "upload.faults", id.String(), ""); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="faults_`+id.String()+`.csv"`)
	if err := s.Campaigns.WriteCSV(r.Context(), v.scope, id, v.Lang, w); err != nil && r.Context().Err() == nil {
		s.Log.Error("list of faults cut off", "campaign", id, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
