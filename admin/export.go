package admin

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const exportBatch = 500

// cp932 writes text as Windows-31J. What that has under another code point is mapped to it; what it has not becomes 〓.
type cp932 struct {
	w io.Writer
}

var cp932Twins = strings.NewReplacer("〜", "～", "−", "－", "‖", "∥", "¢", "￠", "£", "￡", "¬", "￢", "¥", "￥", "—", "―")

func (c *cp932) Write(p []byte) (int, error) {
	enc := japanese.ShiftJIS.NewEncoder()
	text := cp932Twins.Replace(norm.NFC.String(string(p)))
	out, err := enc.String(text)
	if err != nil {
		var b strings.Builder
		for _, r := range text {
			one, err := enc.String(string(r))
			if err != nil {
				enc.Reset()
				one = "\x81\xac" // 〓
			}
			b.WriteString(one)
		}
		out = b.String()
	}
	_, err = io.WriteString(c.w, out)
	return len(p), err
}

// sheet is a CSV file on its way to the browser.
type sheet struct {
	csv   *csv.Writer
	flush func() error
	n     int
}

// download starts a CSV file once action is on record. The name has no personal data in it.
func (s *Server) download(w http.ResponseWriter, r *http.Request, v *visit, action, name, detail string) (*sheet, error) {
	encoding := r.PostForm.Get("encoding")
	if encoding != "cp932" {
		encoding = "utf8"
	}
	if err := s.record(r.Context(), v, action, name, strings.TrimSpace(detail+" "+encoding)); err != nil {
		return nil, err
	}
	file := fmt.Sprintf("%s_%s.csv", name, v.now.In(message.Tokyo).Format("20060102_1504"))
	h := w.Header()
	h.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	b := bufio.NewWriterSize(w, 64<<10)
	sh := &sheet{flush: b.Flush}
	if encoding == "cp932" {
		h.Set("Content-Type", "text/csv; charset=Shift_JIS")
		// csv writes whole fields into its own buffer first: cut it at line ends, so that no character is cut
		lines := bufio.NewWriterSize(&wholeRunes{w: &cp932{w: b}}, 64<<10)
		sh.csv = csv.NewWriter(lines)
		sh.flush = func() error { return errors.Join(lines.Flush(), b.Flush()) }
	} else {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		_, _ = b.WriteString("\ufeff") // told by flush
		sh.csv = csv.NewWriter(b)
	}
	sh.csv.UseCRLF = true
	return sh, nil
}

// wholeRunes hands on whole characters only: a buffer may be full in the middle of one.
type wholeRunes struct {
	w    io.Writer
	rest []byte
}

func (u *wholeRunes) Write(p []byte) (int, error) {
	text := append(u.rest, p...)
	end := len(text)
	for i := 1; i <= min(utf8.UTFMax, len(text)); i++ {
		if c := text[len(text)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(text[len(text)-i:]) {
				end = len(text) - i
			}
			break
		}
	}
	_, err := u.w.Write(text[:end])
	u.rest = append([]byte(nil), text[end:]...)
	return len(p), err
}

func (sh *sheet) write(cells ...string) error {
	for i, c := range cells {
		cells[i] = message.Cell(c)
	}
	sh.n++
	return sh.csv.Write(cells)
}

func (sh *sheet) close() error {
	sh.csv.Flush()
	return errors.Join(sh.csv.Error(), sh.flush())
}

// Exports at once, in all and of one tenant: what they may take from everybody else, and from other tenants.
const exportsAtOnce, exportsOfOne = 8, 2

// places are those of exports that run.
type places struct {
	mu  sync.Mutex // guards all below
	all int
	of  map[tenant.ID]int
}

// turn takes one of the places of exports, until done.
func (s *Server) turn(v *visit) (done func(), err error) {
	p, id := &s.downloads, tenantOf(v)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= exportsAtOnce || p.of[id] >= exportsOfOne {
		return nil, errBusy
	}
	p.all++
	p.of[id]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all--
		p.of[id]--
	}, nil
}

// walk calls fn with all messages of the search, newest first, in batches.
func (s *Server) walk(ctx context.Context, v *visit, p *search, fn func(refs []store.Ref) error) error {
	q, err := s.query(ctx, v, p)
	if err != nil {
		return err
	}
	if len(p.Faults) > 0 {
		return &fail{http.StatusUnprocessableEntity, "検索条件に誤りがあるため出力できません。", "The search has faults; nothing was exported."}
	}
	if p.No != "" {
		ref, _, err := s.Store.Lookup(ctx, v.scope, store.ByNo, p.No)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn([]store.Ref{ref})
	}
	if q.To.IsZero() {
		q.To = v.now // what comes in while we write is not in it
	}
	for q.Limit = exportBatch; ; {
		refs, err := s.Store.Search(ctx, v.scope, q)
		if err != nil {
			return err
		}
		if len(refs) > 0 {
			if err := fn(refs); err != nil {
				return err
			}
		}
		if len(refs) < exportBatch {
			return nil
		}
		q.Before = refs[len(refs)-1].ID
	}
}

// described is the search in the audit log: which conditions, but no personal value.
func described(p *search, unmasked bool) string {
	var parts []string
	for name, field := range p.plainFields() {
		if *field != "" {
			parts = append(parts, name+"="+*field)
		}
	}
	if p.Number != "" {
		parts = append(parts, "number=****")
	}
	if p.Last4 != "" {
		parts = append(parts, "last4=****")
	}
	if p.Reference != "" {
		parts = append(parts, "reference="+message.Mask(p.Reference))
	}
	if unmasked {
		parts = append(parts, "numbers=whole")
	}
	return strings.Join(parts, " ")
}

// export streams the results of a search as CSV.
func (s *Server) export(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := s.readSearch(v, r.PostForm)
	done, err := s.turn(v)
	if err != nil {
		return err
	}
	defer done()
	if _, err := s.query(r.Context(), v, &p); err != nil || len(p.Faults) > 0 {
		return errors.Join(err, &fail{http.StatusUnprocessableEntity, "検索条件に誤りがあるため出力できません。", "The search has faults; nothing was exported."})
	}
	sh, err := s.download(w, r, v, "results.export", "sms_results", described(&p, v.Unmasked))
	if err != nil {
		return err
	}
	_ = sh.write(v.T("送信種別", "Sent by"), v.T("種別", "Class"), v.T("電話番号", "Number"), v.T("ステータス", "Status"), v.T("ステータスコード", "Status code"), "No.",
		v.T("会員情報", "Reference"), v.T("SMS受付日時", "Accepted"), v.T("SMS送信日時", "Delivered"), v.T("期限付URL認証日時", "Link opened"), v.T("認証日時", "Identified"),
		v.T("アクセス日時", "Viewed"), v.T("回答日時", "Answered"), v.T("アクセス", "Access"), v.T("決済/回答", "Payment/answer"), v.T("キャリア", "Carrier"), v.T("理由", "Reason"), v.T("一括送信ID", "Upload"),
		v.T("請求番号", "Claim no."), v.T("請求金額", "Amount"), v.T("入金額", "Received"), v.T("支払期限", "Due"), v.T("決済方法", "Method"), v.T("入金日時", "Paid"), v.T("確報日時", "Confirmed"), v.T("決済状況", "Payment"),
		v.T("支払予定の申告", "Promise"), v.T("支払予定日", "Promised for"), v.T("口座振替登録日時", "Account registered"))
	var keep func(*message.State, *payment.State) bool
	if p.Status != "" {
		keep = func(st *message.State, c *payment.State) bool { return statusOf(st, c, v.now) == p.Status }
	}
	err = s.walk(r.Context(), v, &p, func(refs []store.Ref) error {
		rows, err := s.rows(r.Context(), v, refs, keep)
		if err != nil {
			return err
		}
		for _, x := range rows {
			campaign := ""
			if !x.Campaign.IsZero() {
				campaign = x.Campaign.String()
			}
			cells := append([]string{viaWords[x.Via].in(v.Lang), classWords[x.Class].in(v.Lang), x.Phone, v.StatusWord(x.Status), x.Status, x.No, x.Reference,
				dateTime(x.AcceptedAt), dateTime(x.SentAt), dateTime(x.OpenedAt), dateTime(x.IDAt), dateTime(x.ViewedAt), dateTime(x.AnsweredAt),
				x.Access, x.Outcome, x.Carrier, reasonWord(x.Reason, v.Lang), campaign}, s.moneyCells(v, &x)...)
			if err := sh.write(cells...); err != nil {
				return err
			}
		}
		return nil
	})
	return s.finish(r, v, sh, err)
}

// moneyCells are a row's cells about its claim and what its recipient said of the payment. Amounts are for who sees money.
func (s *Server) moneyCells(v *visit, x *row) []string {
	cells := make([]string, 11)
	if c := x.Claim; c != nil {
		m := s.Payments.Timeline(c, v.now, v.Lang)
		copy(cells, []string{c.Number, "", "", message.Day(c.Due), m.MethodLabel, dateTime(c.PaidAt()), dateTime(m.ConfirmedAt), v.ClaimWord(m.Phase)})
		cells[10] = dateTime(m.RegisteredAt)
		if v.SeesMoney() {
			cells[1], cells[2] = strconv.FormatInt(c.Amount, 10), strconv.FormatInt(c.Received-c.Refunded, 10)
		}
	}
	if p := x.Promise; p != nil {
		cells[8], cells[9] = detailWord(p.Word, v.Lang), p.By
	}
	return cells
}

// finish ends a file. An error in its middle cuts the connection: half a file must not look like a whole one.
func (s *Server) finish(r *http.Request, v *visit, sh *sheet, err error) error {
	if err = errors.Join(err, sh.close()); err != nil && r.Context().Err() == nil {
		s.Log.Error("export cut off", "tenant", tenantOf(v), "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// exportAnswers streams the answers to surveys, a line for each item.
func (s *Server) exportAnswers(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := s.readSearch(v, r.PostForm)
	done, err := s.turn(v)
	if err != nil {
		return err
	}
	defer done()
	sh, err := s.download(w, r, v, "answers.export", "sms_answers", described(&p, false))
	if err != nil {
		return err
	}
	_ = sh.write("No.", v.T("会員情報", "Reference"), v.T("回答日時", "Answered"), v.T("設問番号", "Item"), v.T("設問", "Question"), v.T("回答", "Answer"))
	err = s.walk(r.Context(), v, &p, func(refs []store.Ref) error {
		states, claims, err := s.states(r.Context(), v, refs)
		if err != nil {
			return err
		}
		for i := range states {
			st := &states[i]
			if len(st.Survey) == 0 || p.Status != "" && statusOf(st, claims[i], v.now) != p.Status {
				continue
			}
			answers, err := s.answers(v, refs[i].ID, st)
			if errors.Is(err, store.ErrErased) {
				continue
			}
			if err != nil {
				return err
			}
			sms, err := s.sms(v, refs[i].ID, &st.Head)
			if err != nil && !errors.Is(err, store.ErrErased) {
				return err
			}
			for _, a := range answers {
				if err := sh.write(st.Head.No, sms.Reference, dateTime(st.AnsweredAt), strconv.Itoa(a.N), a.Title, a.Text); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return s.finish(r, v, sh, err)
}

// answer is one item of a survey with what was answered.
type answer struct {
	N           int
	Title, Text string
}

// answers opens a message's survey.
func (s *Server) answers(v *visit, id ulid.ULID, st *message.State) ([]answer, error) {
	survey, given, err := stored.Answers(s.Store, v.Tenant.ID, id, st)
	if err != nil || survey == nil {
		return nil, err
	}
	out := make([]answer, 0, len(survey.Items))
	for i, it := range survey.Items {
		out = append(out, answer{i + 1, it.Title, strings.Join(given[i], " / ")})
	}
	return out, nil
}

// content opens what is behind a message's link.
func (s *Server) content(v *visit, id ulid.ULID, h *message.Head) (message.Content, error) {
	return stored.Content(s.Store, v.Tenant.ID, id, h)
}

// exportAudit gives one day of the audit log as CSV.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request, v *visit) error {
	day := auditDay(v, r.PostForm.Get("day"))
	sh, err := s.download(w, r, v, "audit.export", "audit_"+day.Format("20060102"), "")
	if err != nil {
		return err
	}
	entries, err := s.Audit.Day(r.Context(), s.auditScope(v), v.User.Tenant, day)
	if err == nil {
		_ = sh.write(v.T("日時", "Time"), v.T("操作者", "By"), v.T("接続元", "From"), v.T("操作", "Action"), v.T("対象", "Target"), v.T("詳細", "Detail"))
		for _, e := range entries {
			if err = sh.write(e.At.In(message.Tokyo).Format("2006/01/02 15:04:05"), e.By, e.From, e.Action, e.Target, e.Detail); err != nil {
				break
			}
		}
	}
	return s.finish(r, v, sh, err)
}

// auditDay reads a day; today where there is none.
func auditDay(v *visit, text string) time.Time {
	day, err := time.ParseInLocation(time.DateOnly, text, message.Tokyo)
	if err != nil {
		return v.now.In(message.Tokyo)
	}
	return day
}
