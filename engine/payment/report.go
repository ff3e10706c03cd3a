package payment

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// What became of a line of a report. The words are stable: they stand in the results.
const (
	reportApplied    = "applied"    // it said something new
	reportKnown      = "known"      // we had it
	reportNotOurs    = "not_ours"   // no attempt of this contract is meant
	reportDiffers    = "differs"    // applied or known, and the amount is not the one that was asked for
	reportUnreadable = "unreadable" // by the module, or by us
)

// ReportLine is what became of one line.
type ReportLine struct {
	Line   uint32 // 0: the whole file
	Result string
	Claim  string // number; empty: none
	Yen    int64  // that the line says
	Detail string
}

// ReportFaults are why a file was refused: every line that cannot be read. Nothing of the file was applied.
type ReportFaults []ReportLine

func (f ReportFaults) Error() string {
	return fmt.Sprintf("report: %d lines cannot be read, the first is line %d: %s", len(f), f[0].Line, f[0].Detail)
}

// Problems are the faults as people and programs read them; the field is the line.
func (f ReportFaults) Problems() (ps message.Problems) {
	for _, l := range f {
		field := "file"
		if l.Line > 0 {
			field = fmt.Sprintf("line %d", l.Line)
		}
		ps = append(ps, message.Problem{Field: field, Code: "refused", Detail: l.Detail})
	}
	return ps
}

// ErrNoReports: the tenant has no such agent, or its module reads no reports.
var ErrNoReports = errors.New("agent reads no reports")

// MaxReport is the size of the largest report, in bytes.
const MaxReport = 8 << 20

const detailTooLarge = "larger than 8 MiB"

// ReportFile is one file of an agent.
type ReportFile struct {
	Agent string // name of the tenant's contract
	Name  string // of the file; some modules choose the format by it
	By    string // who gave it, as in message.Act
	Body  []byte
}

// Report reads a file of an agent (確報, a settlement, a bank's statement) by its module and appends what it says. Every line is
// looked at before the first is applied: with a fault in one (ReportFaults) nothing is. The same file again changes nothing.
// Errors: ErrNoReports; ReportFaults; any other means that the file may be given again.
func (p *Payments) Report(ctx context.Context, t *tenant.Tenant, f ReportFile) ([]ReportLine, error) {
	a, ok := t.AgentEver(f.Agent)
	if !ok {
		return nil, fmt.Errorf("report: the tenant has no agent %q: %w", f.Agent, ErrNoReports)
	}
	if d, ok := p.opt.Agents.Describe(a.Module); !ok || !d.Reports {
		return nil, fmt.Errorf("report: module %s is not there or reads none: %w", a.Module, ErrNoReports)
	}
	if len(f.Body) > MaxReport {
		return nil, ReportFaults{{Result: reportUnreadable, Detail: detailTooLarge}}
	}
	resp, err := p.opt.Agents.Payment(a.Module).ReadReport(ctx, &proto.ReportRequest{Call: p.call(t.ID, f.Agent, "", p.now()), Name: f.Name, Body: f.Body})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if e := resp.Error; e.GetClass() == proto.ErrorClass_INVALID {
		return nil, ReportFaults{{Result: reportUnreadable, Detail: clip(e.Message, 200)}}
	} else if e != nil {
		return nil, fmt.Errorf("report: %s %s", reasonOf(e), e.Message)
	}
	rows, err := p.planRows(ctx, t.ID, f.Agent, resp)
	if err != nil {
		return nil, err
	}
	lines := make([]ReportLine, 0, len(rows))
	for i := range rows {
		if err := p.applyRow(ctx, &rows[i]); err != nil {
			return lines, err
		}
		lines = append(lines, rows[i].ReportLine)
	}
	return lines, p.keepReported(ctx, t.ID, &f, rows)
}

// reportRow is one line on its way.
type reportRow struct {
	ReportLine
	ref     store.Ref // of the claim; zero: no attempt of the contract is meant
	attempt ulid.ULID
	payment string   // what the agent calls it, where the line says so
	deposit *Deposit // or
	fact    *Fact
	at      time.Time // of the money
}

// planRows finds what each line means; ReportFaults when one of them means nothing.
func (p *Payments) planRows(ctx context.Context, id tenant.ID, agent string, resp *proto.ReportResponse) ([]reportRow, error) {
	var faults ReportFaults
	for _, f := range resp.Faults {
		faults = append(faults, ReportLine{Line: f.Line, Result: reportUnreadable, Detail: clip(f.Message, 200)})
	}
	rows := make([]reportRow, 0, len(resp.Rows))
	for _, r := range resp.Rows {
		row, detail, err := p.planRow(ctx, id, agent, r)
		if err != nil {
			return nil, fmt.Errorf("report: line %d: %w", r.Line, err)
		}
		if detail != "" {
			faults = append(faults, ReportLine{Line: r.Line, Result: reportUnreadable, Yen: row.Yen, Detail: detail})
		}
		rows = append(rows, row)
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b ReportLine) int { return cmp.Compare(a.Line, b.Line) })
		return nil, faults
	}
	return rows, nil
}

func (p *Payments) planRow(ctx context.Context, id tenant.ID, agent string, r *proto.ReportRow) (row reportRow, detail string, err error) {
	row = reportRow{ReportLine: ReportLine{Line: r.Line, Result: reportNotOurs, Yen: r.GetDeposit().GetYen() + r.GetPayment().GetPaidYen()}, payment: clip(r.AgentPaymentId, maxAgentID)}
	switch d := r.Deposit; {
	case d == nil && r.Payment == nil:
		return row, "neither a payment nor a deposit", nil
	case d != nil && (d.Yen < 1 || d.Yen > maxYen || d.Id == "" || len(d.Id) > maxVoucherField || timeOf(d.At).IsZero()):
		return row, "a deposit without its id or time, or of an amount that is out of range", nil
	case d != nil:
		row.deposit, row.at = &Deposit{ID: d.Id, Yen: d.Yen, Paid: timeOf(d.At)}, timeOf(d.At)
	default:
		view, fault := parseView(r.Payment)
		if fault != nil {
			return row, "what is said of the payment cannot be: " + fault.Error(), nil
		}
		row.fact = &Fact{View: view, Seen: seenByAsking(&view, p.now()), From: sourceReport}
		row.payment = cmp.Or(row.payment, view.AgentID)
		row.at = view.ConfirmedAt
		if row.at.IsZero() {
			row.at = view.ProvisionalAt
		}
	}
	if row.at.IsZero() {
		row.at = p.now()
	}
	ref, attempt, err := p.ofRow(ctx, id, agent, r)
	if errors.Is(err, store.ErrNotFound) {
		return row, "", nil
	}
	if err != nil {
		return row, "", err
	}
	s, err := p.load(ctx, tenant.Only(id), ref)
	if err != nil {
		return row, "", err
	}
	if a := s.Attempt(attempt); a == nil || a.Agent != agent {
		return row, "", nil
	}
	row.ref, row.attempt, row.Claim = ref, attempt, s.Number
	if row.fact != nil {
		row.fact.Attempt = attempt
	} else {
		row.deposit.Attempt = attempt
	}
	return row, "", nil
}

// applyRow appends what a line says.
func (p *Payments) applyRow(ctx context.Context, row *reportRow) error {
	if row.attempt.IsZero() {
		return nil
	}
	before, err := p.load(ctx, tenant.Only(row.ref.Tenant), row.ref)
	if err != nil {
		return err
	}
	after := before
	if row.deposit != nil {
		after, err = p.receive(ctx, row.ref, *row.deposit)
	} else if !before.Attempt(row.attempt).knows(row.fact) {
		after, err = p.record(ctx, row.ref, *row.fact)
	}
	if err != nil {
		return fmt.Errorf("report: line %d: %w", row.Line, err)
	}
	a := after.Attempt(row.attempt)
	switch {
	case a.Received != a.Yen:
		row.Result, row.Detail = reportDiffers, fmt.Sprintf("%d yen were asked for, %d are here", a.Yen, a.Received)
	case after.Version == before.Version:
		row.Result = reportKnown
	default:
		row.Result = reportApplied
	}
	return nil
}

// receive appends a deposit that is not known.
func (p *Payments) receive(ctx context.Context, ref store.Ref, d Deposit) (State, error) {
	return p.change(ctx, tenant.Only(ref.Tenant), ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		if have, ok := s.Attempt(d.Attempt).deposits[d.ID]; ok && have.Yen >= d.Yen {
			return nil, nil
		}
		return []store.NewEvent{newEvent(Deposited, now, d)}, nil
	})
}

// ofRow finds the attempt that a row is about.
func (p *Payments) ofRow(ctx context.Context, id tenant.ID, agent string, r *proto.ReportRow) (store.Ref, ulid.ULID, error) {
	if r.AttemptId == "" {
		if r.AgentPaymentId == "" {
			return store.Ref{}, ulid.ULID{}, store.ErrNotFound
		}
		ref, value, err := p.s.Lookup(ctx, tenant.Only(id), store.ByAttempt, agentKey(id, agent, r.AgentPaymentId))
		var attempt ulid.ULID
		copy(attempt[:], value)
		return ref, attempt, err
	}
	attempt, err := ulid.ParseStrict(r.AttemptId)
	if err != nil {
		return store.Ref{}, attempt, store.ErrNotFound
	}
	ref, _, err := p.s.Lookup(ctx, tenant.Only(id), store.ByAttempt, attempt.String())
	return ref, attempt, err
}

// agentKey names an attempt by what its agent calls it.
func agentKey(id tenant.ID, agent, payment string) string {
	sum := sha256.Sum256([]byte(string(id) + "\n" + agent + "\n" + payment))
	return hex.EncodeToString(sum[:])
}

// agentNames names the attempts that events give an agent's id for the first time.
func agentNames(s, next *State) (names []store.Name) {
	for _, a := range next.Attempts {
		if was := s.Attempt(a.ID); a.AgentID != "" && (was == nil || was.AgentID != a.AgentID) {
			names = append(names, store.Name{Space: store.ByAttempt, Key: agentKey(s.Ref.Tenant, a.Agent, a.AgentID), Value: a.ID[:]})
		}
	}
	return names
}

// knows reports whether the attempt has the money of a fact by 確報 already: how else a file words it says nothing new.
func (a *Attempt) knows(f *Fact) bool {
	return f.level() == 3 && a.money != nil && a.money.level() == 3 && a.money.standing(a.Yen) == f.standing(a.Yen) && f.View.Refunded <= a.Refunded
}

// CountResults counts lines by what became of them.
func CountResults(lines []ReportLine) map[string]int {
	counts := map[string]int{}
	for _, l := range lines {
		counts[l.Result]++
	}
	return counts
}
