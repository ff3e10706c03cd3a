package payment

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

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
	maxReport        = 8 << 20      // bytes of one file
	reportEvery      = 30 * time.Second
	reportQuiet      = 10 * time.Second // a file that changed since may still be written
)

// ReportLine is what became of one line.
type ReportLine struct {
	Line   uint32
	Result string
	Claim  string // number; empty: none
	Yen    int64  // that the line says
	Detail string
}

// Report reads a file of an agent (確報, a settlement, a bank's statement) by its module and appends what it says. The same file
// again changes nothing. An error means that it could not be read to its end; it may be given again.
func (p *Payments) Report(ctx context.Context, t *tenant.Tenant, agent, name string, body []byte) ([]ReportLine, error) {
	a, ok := t.Agent(agent)
	if !ok {
		return nil, fmt.Errorf("report: the tenant has no agent %q", agent)
	}
	if d, ok := p.opt.Agents.Describe(a.Module); !ok || !d.Reports {
		return nil, fmt.Errorf("report: module %s is not there or reads no reports", a.Module)
	}
	if len(body) > maxReport {
		return nil, fmt.Errorf("report: %d bytes; at most %d", len(body), maxReport)
	}
	resp, err := p.opt.Agents.Payment(a.Module).ReadReport(ctx, &proto.ReportRequest{Call: p.call(t.ID, agent, "", p.now()), Name: name, Body: body})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if resp.Error != nil {
		return nil, fmt.Errorf("report: %s %s", reasonOf(resp.Error), resp.Error.Message)
	}
	var lines []ReportLine
	for _, f := range resp.Faults {
		lines = append(lines, ReportLine{Line: f.Line, Result: reportUnreadable, Detail: clip(f.Message, 200)})
	}
	for _, r := range resp.Rows {
		line, err := p.applyRow(ctx, t.ID, agent, r)
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (p *Payments) applyRow(ctx context.Context, id tenant.ID, agent string, r *proto.ReportRow) (ReportLine, error) {
	line := ReportLine{Line: r.Line, Yen: r.GetDeposit().GetYen() + r.GetPayment().GetPaidYen(), Result: reportNotOurs}
	ref, attempt, err := p.ofRow(ctx, id, agent, r)
	if errors.Is(err, store.ErrNotFound) {
		return line, nil
	}
	if err != nil {
		return line, fmt.Errorf("report: line %d: %w", r.Line, err)
	}
	before, err := p.load(ctx, tenant.Only(id), ref)
	if err != nil {
		return line, err
	}
	if a := before.Attempt(attempt); a == nil || a.Agent != agent {
		return line, nil
	}
	line.Claim = before.Number
	unreadable := func(why string) (ReportLine, error) {
		line.Result, line.Detail = reportUnreadable, why
		return line, nil
	}
	var after State
	switch d := r.Deposit; {
	case d == nil && r.Payment == nil:
		return unreadable("neither a payment nor a deposit")
	case d != nil && (d.Yen < 1 || d.Yen > maxYen || d.Id == "" || len(d.Id) > maxVoucherField || timeOf(d.At).IsZero()):
		return unreadable(fmt.Sprintf("a deposit of %d yen is out of range, or has no id of 1 to %d bytes or no time", d.Yen, maxVoucherField))
	case d != nil:
		after, err = p.receive(ctx, ref, Deposit{Attempt: attempt, ID: d.Id, Yen: d.Yen, Paid: timeOf(d.At)})
	default:
		r.Payment.AttemptId = attempt.String()
		view, bad := parseView(r.Payment)
		if bad != nil {
			return unreadable(bad.Error())
		}
		after, err = p.record(ctx, ref, Fact{Attempt: attempt, View: view, Seen: seenByAsking(&view, p.now()), From: sourceReport})
	}
	if err != nil {
		return line, fmt.Errorf("report: line %d: %w", r.Line, err)
	}
	a := after.Attempt(attempt)
	switch {
	case a.Received != a.Yen:
		line.Result, line.Detail = reportDiffers, fmt.Sprintf("%d yen were asked for, %d are here", a.Yen, a.Received)
	case after.Version == before.Version:
		line.Result = reportKnown
	default:
		line.Result = reportApplied
	}
	return line, nil
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

// pollReports reads the files below Config.Reports, <tenant>/<agent>/<file>, until ctx ends. A file that was read is moved to done
// beside it, one that could not be to failed, each with <file>.result.csv: what became of each line. One whose module or store
// was not there stays and is tried again.
func (p *Payments) pollReports(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.readReports(ctx); err != nil {
			p.log.Error("read reports", "err", err)
		}
		pause(ctx, reportEvery, nil)
	}
}

func (p *Payments) readReports(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(p.c.Reports, "*", "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range files {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(info.Name(), ".") || p.now().Sub(info.ModTime()) < reportQuiet {
			continue
		}
		agent := filepath.Base(filepath.Dir(path))
		t := p.opt.Directory().Tenants[tenant.ID(filepath.Base(filepath.Dir(filepath.Dir(path))))]
		if t == nil {
			continue
		}
		if err := p.readReport(ctx, t, agent, path, info); err != nil {
			p.log.Error("read report", "tenant", t.ID, "agent", agent, "err", err)
		}
	}
	return nil
}

func (p *Payments) readReport(ctx context.Context, t *tenant.Tenant, agent, path string, info fs.FileInfo) error {
	var lines []ReportLine
	to := "done"
	if info.Size() > maxReport {
		to, lines = "failed", []ReportLine{{Result: reportUnreadable, Detail: fmt.Sprintf("%d bytes; at most %d", info.Size(), maxReport)}}
	} else {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lines, err = p.Report(ctx, t, agent, info.Name(), body); err != nil {
			return err
		}
		for _, l := range lines {
			if l.Result == reportUnreadable {
				to = "failed"
			}
		}
	}
	dir := filepath.Join(filepath.Dir(path), to)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, info.Name())
	if err := writeResult(name+".result.csv", lines); err != nil {
		return err
	}
	p.log.Info("report read", "tenant", t.ID, "agent", agent, "lines", len(lines), "result", to)
	return os.Rename(path, name)
}

func writeResult(path string, lines []ReportLine) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"line", "result", "claim", "yen", "detail"})
	for _, l := range lines {
		_ = w.Write([]string{strconv.FormatUint(uint64(l.Line), 10), l.Result, l.Claim, strconv.FormatInt(l.Yen, 10), l.Detail})
	}
	w.Flush() // gives the first error of all writes
	return errors.Join(w.Error(), f.Sync(), f.Close())
}
