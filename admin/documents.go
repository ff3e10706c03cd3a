package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// The screen of uploaded PDFs (書類), which messages show behind their pages.

const (
	documentsShown = 50
	documentsMost  = 20               // of one form
	documentTime   = 10 * time.Minute // to receive them at the most
)

type documentLine struct {
	document.File
	Uses int // messages that name it
	More bool
}

type documentsPage struct {
	Files   []documentLine
	Next    string
	Classes []message.Class
	Most    int
	Kept    int      // of a form of which not all were
	Faults  []string // why, file by file
}

func (s *Server) documentsPage(ctx context.Context, v *visit, before string) (*documentsPage, error) {
	p := &documentsPage{Classes: classesOfPages(), Most: documentsMost}
	files, next, err := s.Documents.List(ctx, v.scope, before, documentsShown)
	if before != "" && errors.Is(err, store.ErrNotFound) {
		files, next, err = s.Documents.List(ctx, v.scope, "", documentsShown)
	}
	if err != nil {
		return nil, err
	}
	p.Next = next
	for _, f := range files {
		n, err := s.Documents.Uses(ctx, v.scope, f.ID, document.UsesListed)
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, documentLine{f, n, n == document.UsesListed})
	}
	return p, nil
}

// classesOfPages are the classes that a person sends.
func classesOfPages() (all []message.Class) {
	for _, c := range message.Classes {
		if c != message.OTP {
			all = append(all, c)
		}
	}
	return all
}

func (s *Server) documents(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.documentsPage(r.Context(), v, r.URL.Query().Get("before"))
	if err != nil {
		return err
	}
	return s.show(w, r, v, "documents", p)
}

// uploadDocuments keeps the files of a form as they come, one in memory at a time. Those that are refused are named; the
// others stay.
func (s *Server) uploadDocuments(w http.ResponseWriter, r *http.Request, v *visit) error {
	_ = http.NewResponseController(w).SetReadDeadline(clock.Now().Add(documentTime)) // not all connections can
	r.Body = http.MaxBytesReader(w, r.Body, documentsMost*(document.MaxBytes+1<<20))
	unreadable := &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	form, err := r.MultipartReader()
	if err != nil {
		return unreadable
	}
	fields := map[string]string{}
	kept, files, faults := 0, 0, []string(nil)
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return unreadable
		}
		if part.FormName() != "file" {
			text, err := io.ReadAll(io.LimitReader(part, 4<<10))
			if err != nil {
				return unreadable
			}
			fields[part.FormName()] = string(text)
			continue
		}
		if err := s.proven(v, fields["csrf"]); err != nil {
			return err
		}
		if part.FileName() == "" {
			continue
		}
		if files++; files > documentsMost {
			faults = append(faults, v.T("一度に登録できるのは"+strconv.Itoa(documentsMost)+"件までです。", "At most "+strconv.Itoa(documentsMost)+" at once."))
			break
		}
		pdf, err := io.ReadAll(io.LimitReader(part, document.MaxBytes+1))
		if err != nil {
			return unreadable
		}
		switch fault, err := s.keepDocument(r.Context(), v, fields["class"], part.FileName(), pdf); {
		case err != nil:
			return err
		case fault != "":
			faults = append(faults, part.FileName()+v.T("：", ": ")+fault)
		default:
			kept++
		}
	}
	if err := s.proven(v, fields["csrf"]); err != nil {
		return err
	}
	if files == 0 {
		faults = append(faults, v.T("PDFファイルを選択してください。", "Choose a PDF file."))
	}
	if len(faults) == 0 {
		return back(w, r, s.note(v, "/documents", fmt.Sprintf("%d件の書類を登録しました。", kept), fmt.Sprintf("Documents kept: %d.", kept)))
	}
	p, err := s.documentsPage(r.Context(), v, "")
	if err != nil {
		return err
	}
	p.Kept, p.Faults = kept, faults
	s.render(w, v, http.StatusUnprocessableEntity, "documents", p)
	return nil
}

// keepDocument keeps one file; fault says why it is refused.
func (s *Server) keepDocument(ctx context.Context, v *visit, class, name string, pdf []byte) (fault string, err error) {
	c, err := message.ParseClass(class)
	if err != nil {
		c = message.Notice
	}
	if err := s.record(ctx, v, "document.upload", "", ""); err != nil {
		return "", err
	}
	_, err = s.Documents.Upload(ctx, v.Tenant.ID, string(c), name, pdf)
	var refused *document.RefusedError
	if errors.As(err, &refused) {
		p := message.Problem{Code: refused.Code, Limit: refused.Limit, Got: refused.Got, Detail: refused.Detail}
		return strings.TrimLeft(p.Text(v.Lang), "：: "), nil
	}
	return "", err
}

// documentFile shows an uploaded PDF to the sender's own people.
func (s *Server) documentFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := s.Documents.File(r.Context(), v.scope, r.PathValue("id"))
	if err != nil {
		return goneDocument(err)
	}
	if err := s.record(r.Context(), v, "document.view", f.ID, ""); err != nil {
		return err
	}
	_, pdf, err := s.Documents.Get(r.Context(), v.scope, f.ID)
	if err != nil {
		return goneDocument(err)
	}
	writePDF(w, f.ID, pdf)
	return nil
}

func goneDocument(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrErased) {
		return errNotFound
	}
	return err
}

// writePDF writes a document for a person to look at: nothing in it may run.
func writePDF(w http.ResponseWriter, name string, pdf []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="`+name+`.pdf"`)
	h.Set("Content-Security-Policy", "script-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write(pdf) // the browser went away
}

func (s *Server) removeDocument(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("id")
	f, err := s.Documents.File(r.Context(), v.scope, id)
	if err != nil {
		return goneDocument(err)
	}
	if err := s.record(r.Context(), v, "document.remove", f.ID, ""); err != nil {
		return err
	}
	err = s.Documents.Remove(r.Context(), v.scope, id)
	var used *document.InUseError
	switch {
	case errors.As(err, &used):
		return back(w, r, s.note(v, "/documents", "「"+f.Name+"」は削除できません。"+usedText(used, "ja"), f.Name+" cannot be removed. "+usedText(used, "en")))
	case err != nil:
		return goneDocument(err)
	}
	return back(w, r, s.note(v, "/documents", "「"+f.Name+"」を削除しました。", f.Name+" is removed."))
}

// usedText says which message keeps a document from being removed.
func usedText(e *document.InUseError, lang string) string {
	until := dateTime(e.Until)
	switch {
	case lang == "en" && e.No != "":
		return "The page of message No. " + e.No + " shows it until " + until + "; revoke its link, or wait."
	case lang == "en":
		return "Pages of messages show it" + map[bool]string{true: " until " + until}[until != ""] + "."
	case e.No != "":
		return "SMS（No. " + e.No + "）のページで表示中です（URLの有効期限 " + until + "）。URLを無効にするか、期限が過ぎてから削除してください。"
	}
	return cmp.Or(map[bool]string{true: until + "まで、"}[until != ""], "") + "SMSのページで表示中です。"
}
