package payment

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
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
	reportDoubtful   = "doubtful"   // a transfer that may be one that counts already: it does not, and a person has to look
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
	former  []string  // ids of the deposit by earlier versions of the module
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
		row.deposit, row.at = &Deposit{ID: d.Id, Yen: d.Yen, Paid: timeOf(d.At), Series: d.Series}, timeOf(d.At)
		row.former = d.FormerIds
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
	s, a, err := p.ofRow(ctx, id, agent, &row, r)
	switch {
	case errors.Is(err, errTooEarly):
		row.Detail = err.Error()
		return row, "", nil
	case errors.Is(err, store.ErrNotFound):
		return row, "", nil
	case err != nil:
		return row, "", err
	case a != nil && a.Agent == agent:
		row.of(s.Ref, a.ID)
		row.Claim = s.Number
	}
	return row, "", nil
}

// of says which attempt the row is about.
func (row *reportRow) of(claim store.Ref, attempt ulid.ULID) {
	row.ref, row.attempt = claim, attempt
	if row.fact != nil {
		row.fact.Attempt = attempt
	} else {
		row.deposit.Attempt = attempt
	}
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
		after, err = p.receive(ctx, row.ref, row.deposit, row.former)
		var taken *store.TakenError
		if errors.As(err, &taken) { // since the row was looked at it was counted for another
			row.of(taken.Holder, ulid.ULID(taken.Value))
			return p.applyRow(ctx, row)
		}
	} else if !before.Attempt(row.attempt).knows(row.fact) {
		after, err = p.record(ctx, row.ref, *row.fact)
	}
	if err != nil {
		return fmt.Errorf("report: line %d: %w", row.Line, err)
	}
	a := after.Attempt(row.attempt)
	row.Claim = after.Number
	switch {
	case row.deposit != nil && a.doubtful(row.deposit.ID):
		row.Result, row.Detail = reportDoubtful, "it may be one that counts already, or another of that day and amount"
	case a.Received != a.Yen:
		row.Result, row.Detail = reportDiffers, fmt.Sprintf("%d yen were asked for, %d are here", a.Yen, a.Received)
	case after.Version == before.Version:
		row.Result = reportKnown
	default:
		row.Result = reportApplied
	}
	return nil
}

// receive appends a deposit that is not known, and gives it the id that it is known by. One that may be counted already, under the id of
// another series, is put down as doubted.
func (p *Payments) receive(ctx context.Context, ref store.Ref, d *Deposit, former []string) (State, error) {
	return p.change(ctx, tenant.Only(ref.Tenant), ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		of := s.Attempt(d.Attempt)
		for _, a := range s.Attempts {
			id, counts := a.find(d.ID, former)
			if !counts || a.Agent != of.Agent {
				continue
			}
			if d.ID = id; a != of || a.deposits[id].Yen >= d.Yen {
				return nil, nil
			}
			return []store.NewEvent{newEvent(Deposited, now, d)}, nil // more of it
		}
		if !of.alike(d) {
			return []store.NewEvent{newEvent(Deposited, now, d)}, nil
		}
		if _, told := of.doubts[d.ID]; told {
			return nil, nil
		}
		return []store.NewEvent{newEvent(Doubted, now, d)}, nil
	})
}

// alike reports whether a deposit may be one that counts already: of the same day and amount, and of another series.
func (a *Attempt) alike(d *Deposit) bool {
	for _, have := range a.deposits {
		if have.Series != d.Series && have.Yen == d.Yen && message.Day(have.Paid) == message.Day(d.Paid) {
			return true
		}
	}
	return false
}

// find gives the id by which the attempt knows a deposit, the present one or a former one, and whether it counts; empty: it does not know it.
func (a *Attempt) find(id string, former []string) (known string, counts bool) {
	for _, id := range append([]string{id}, former...) {
		if _, ok := a.deposits[id]; ok {
			return id, true
		}
	}
	if _, ok := a.doubts[id]; ok {
		return id, false
	}
	return "", false
}

// doubtful reports whether a deposit waits for somebody to say whether it is another one.
func (a *Attempt) doubtful(id string) bool {
	d, ok := a.doubts[id]
	return ok && !d.settled
}

// errTooEarly: the account of a deposit was nobody's on that day, as far as is known.
var errTooEarly = errors.New("it came before the payment began whose account it is now")

// ofRow finds the attempt that a row is about: the one that it names; of a deposit that counts already, where it does; else the one that
// its agent calls so. Errors: store.ErrNotFound, errTooEarly, those of the store.
func (p *Payments) ofRow(ctx context.Context, id tenant.ID, agent string, row *reportRow, r *proto.ReportRow) (State, *Attempt, error) {
	if r.AttemptId != "" {
		attempt, err := ulid.ParseStrict(r.AttemptId)
		if err != nil {
			return State{}, nil, store.ErrNotFound
		}
		return p.attempt(ctx, id, attempt)
	}
	if r.AgentPaymentId == "" {
		return State{}, nil, store.ErrNotFound
	}
	if row.deposit == nil {
		return p.named(ctx, id, agentKey(id, agent, r.AgentPaymentId))
	}
	for _, d := range append([]string{row.deposit.ID}, row.former...) {
		if s, a, err := p.named(ctx, id, depositKey(id, agent, d)); !errors.Is(err, store.ErrNotFound) {
			return s, a, err
		}
	}
	s, a, err := p.named(ctx, id, agentKey(id, agent, r.AgentPaymentId))
	if err != nil {
		return s, a, err
	}
	return p.holder(ctx, s, a, row)
}

// holder finds whose a deposit to an account is, from the attempt that has the account back to those that had it before: it is of the
// one that knows it, else of the latest that had begun by its day.
func (p *Payments) holder(ctx context.Context, s State, a *Attempt, row *reportRow) (State, *Attempt, error) {
	for day := message.Day(row.at); !row.knownTo(a) && day <= message.Day(a.StartedAt); {
		before, b, err := p.named(ctx, s.Ref.Tenant, beforeKey(a.ID))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return s, nil, err
		}
		known := err == nil && b.StartedAt.Before(a.StartedAt)
		switch {
		case day == message.Day(a.StartedAt) && !(known && row.knownTo(b)):
			return s, a, nil
		case !known:
			return s, nil, errTooEarly
		}
		s, a = before, b
	}
	return s, a, nil
}

// knownTo reports whether an attempt knows the row's deposit.
func (row *reportRow) knownTo(a *Attempt) bool {
	id, _ := a.find(row.deposit.ID, row.former)
	return id != ""
}

// attempt loads an attempt with its claim.
func (p *Payments) attempt(ctx context.Context, id tenant.ID, attempt ulid.ULID) (State, *Attempt, error) {
	ref, _, err := p.s.Lookup(ctx, tenant.Only(id), store.ByAttempt, attempt.String())
	if err != nil {
		return State{}, nil, err
	}
	s, err := p.load(ctx, tenant.Only(id), ref)
	if err != nil {
		return s, nil, err
	}
	a := s.Attempt(attempt)
	if a == nil {
		return s, nil, store.ErrNotFound
	}
	return s, a, nil
}

// named loads the attempt whose id is the value of a name.
func (p *Payments) named(ctx context.Context, id tenant.ID, key string) (State, *Attempt, error) {
	_, value, err := p.s.Lookup(ctx, tenant.Only(id), store.ByAttempt, key)
	if err != nil {
		return State{}, nil, err
	}
	return p.attempt(ctx, id, ulid.ULID(value))
}

// agentKey names an attempt by what its agent calls it.
func agentKey(id tenant.ID, agent, payment string) string {
	sum := sha256.Sum256([]byte(string(id) + "\n" + agent + "\n" + payment))
	return hex.EncodeToString(sum[:])
}

// beforeKey names the attempt that its agent called the same before this one: that had its account.
func beforeKey(attempt ulid.ULID) string { return "before/" + attempt.String() }

// depositKey names the attempt for which a deposit counts, or may: it is one's.
func depositKey(id tenant.ID, agent, deposit string) string {
	sum := sha256.Sum256([]byte("deposit\n" + string(id) + "\n" + agent + "\n" + deposit))
	return hex.EncodeToString(sum[:])
}

// newNames are the names that events make: of the ids that agents gave attempts, and of deposits.
func (p *Payments) newNames(ctx context.Context, s, next *State) (names []store.Name, err error) {
	for _, a := range next.Attempts {
		was := s.Attempt(a.ID)
		if was == nil {
			was = new(Attempt)
		}
		if a.AgentID != was.AgentID && a.AgentID != "" {
			key := agentKey(s.Ref.Tenant, a.Agent, a.AgentID)
			_, before, err := p.s.Lookup(ctx, tenant.Only(s.Ref.Tenant), store.ByAttempt, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			if err == nil && !bytes.Equal(before, a.ID[:]) {
				names = append(names, store.Name{Space: store.ByAttempt, Key: beforeKey(a.ID), Value: before})
			}
			names = append(names, store.Name{Space: store.ByAttempt, Key: key, Value: a.ID[:]})
		}
		for _, id := range append(slices.Collect(maps.Keys(a.deposits)), slices.Collect(maps.Keys(a.doubts))...) {
			if known, _ := was.find(id, nil); known == "" {
				names = append(names, store.Name{Space: store.ByAttempt, Key: depositKey(s.Ref.Tenant, a.Agent, id), Value: a.ID[:], Exclusive: true})
			}
		}
	}
	return names, nil
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
