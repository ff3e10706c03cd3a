package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
)

// reconcilePage compares a day of an agent: ours against what its files told.
type reconcilePage struct {
	Agents  []tenant.Agent
	Former  []tenant.Agent // those that the tenant had before
	Readers []string       // of them all, those whose files can be read
	Agent   string
	Day     string // YYYY-MM-DD
	Only    string // verdict; empty: all
	Out     *payment.Reconciliation
	Lines   []payment.Reconciled // of Only, at most reconcileMost
	Most    int
	Faults  []string
}

const (
	reconcileMost = 500
	faultsMost    = 50
)

func (s *Server) reconcilePage(r *http.Request, v *visit, get func(string) string) (*reconcilePage, error) {
	p := &reconcilePage{Agents: v.Tenant.Agents, Former: v.Tenant.Replaced(), Readers: s.Payments.ReportAgents(v.Tenant), Agent: get("agent"), Day: get("day"), Only: get("only"), Most: reconcileMost}
	all := slices.Concat(p.Agents, p.Former)
	if p.Agent == "" && len(all) > 0 {
		p.Agent = all[0].Name
	}
	if _, err := time.Parse(time.DateOnly, p.Day); err != nil {
		p.Day = message.Day(v.now)
	}
	if len(all) == 0 {
		return p, nil
	}
	var err error
	if p.Out, err = s.Payments.Reconcile(r.Context(), v.Tenant, p.Agent, p.Day); errors.Is(err, payment.ErrNoReports) {
		return nil, errNotFound
	} else if err != nil {
		return nil, err
	}
	for _, l := range p.Out.Lines {
		if (p.Only == "" || string(l.Verdict) == p.Only) && len(p.Lines) < reconcileMost {
			p.Lines = append(p.Lines, l)
		}
	}
	return p, nil
}

// Reads reports whether the agent's files can be read.
func (p *reconcilePage) Reads() bool { return slices.Contains(p.Readers, p.Agent) }

// Verdicts are what a line may be, with what they come to.
func (p *reconcilePage) Verdicts() []payment.Verdict { return payment.Verdicts }

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.reconcilePage(r, v, r.URL.Query().Get)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "reconcile", p)
}

func (s *Server) exportReconciliation(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.reconcilePage(r, v, r.PostForm.Get)
	if err != nil || p.Out == nil {
		return err
	}
	sh, err := s.download(w, r, v, "reconciliation.export", "reconciliation_"+p.Agent+"_"+p.Day, "")
	if err != nil {
		return err
	}
	err = sh.write(payment.ReconciliationHeader(v.Lang)...)
	for _, cells := range p.Out.Rows(v.Lang) {
		err = errors.Join(err, sh.write(cells...))
	}
	return s.finish(r, v, sh, err)
}

// report takes a file of an agent: csrf, agent and day stand before it in the form. A file with a fault changes nothing.
func (s *Server) report(w http.ResponseWriter, r *http.Request, v *visit) error {
	unreadable := &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	_ = http.NewResponseController(w).SetReadDeadline(clock.Now().Add(uploadTime)) // not all connections can
	r.Body = http.MaxBytesReader(w, r.Body, payment.MaxReport+maxForm)
	form, err := r.MultipartReader()
	if err != nil {
		return unreadable
	}
	fields := map[string]string{}
	for {
		part, err := form.NextPart()
		if err != nil {
			return unreadable
		}
		if part.FormName() != "file" {
			b, err := io.ReadAll(io.LimitReader(part, 1<<10))
			if err != nil {
				return unreadable
			}
			fields[part.FormName()] = string(b)
			continue
		}
		if err := s.proven(v, fields["csrf"]); err != nil {
			return err
		}
		body, err := io.ReadAll(part)
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return &fail{http.StatusRequestEntityTooLarge, "ファイルは8MB（8,388,608バイト）までです。", "A file has 8 MiB at most."}
		}
		if err != nil {
			return unreadable
		}
		return s.readReport(w, r, v, fields, payment.ReportFile{Agent: fields["agent"], Name: part.FileName(), By: v.By(), Body: body})
	}
}

func (s *Server) readReport(w http.ResponseWriter, r *http.Request, v *visit, fields map[string]string, f payment.ReportFile) error {
	if err := s.record(r.Context(), v, "report.read", f.Agent, message.Mask(f.Name)); err != nil {
		return err
	}
	lines, err := s.Payments.Report(r.Context(), v.Tenant, f)
	var faults payment.ReportFaults
	switch {
	case errors.As(err, &faults):
		p, err := s.reconcilePage(r, v, func(name string) string { return fields[name] })
		if err != nil {
			return err
		}
		for i, problem := range faults.Problems() {
			if i == faultsMost {
				p.Faults = append(p.Faults, v.T("ほか", "and ")+number(len(faults)-faultsMost)+v.T("件", " more"))
				break
			}
			if line := faults[i].Line; line > 0 {
				problem.Field = v.T(fmt.Sprintf("%d行目", line), problem.Field)
			} else {
				problem.Field = v.T("ファイル", problem.Field)
			}
			p.Faults = append(p.Faults, problem.Text(v.Lang))
		}
		s.render(w, v, http.StatusUnprocessableEntity, "reconcile", p)
		return nil
	case errors.Is(err, payment.ErrNoReports):
		return errNotFound
	case err != nil:
		return err
	}
	c := payment.CountResults(lines)
	return back(w, r, s.note(v, "/reconciliation?agent="+f.Agent+"&day="+fields["day"],
		fmt.Sprintf("%s行を読み取りました（新しい入金 %s、登録済み %s、金額相違 %s、重複の疑い %s、該当なし %s）。", number(len(lines)), number(c["applied"]), number(c["known"]), number(c["differs"]), number(c["doubtful"]), number(c["not_ours"])),
		fmt.Sprintf("%s lines were read: %s new, %s known, %s of another amount, %s that may be counted already, %s not ours.", number(len(lines)), number(c["applied"]), number(c["known"]), number(c["differs"]), number(c["doubtful"]), number(c["not_ours"]))))
}
