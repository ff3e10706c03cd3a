package payment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Verdict is how our amount and the agent's compare. Values are stable.
type Verdict string

const (
	Agrees     Verdict = "agrees"
	OnlyOurs   Verdict = "only_ours"   // no file told of it: 確報 is missing, or a notice was wrong
	OnlyTheirs Verdict = "only_theirs" // money of which we know nothing, or that no longer stands with us
	Differs    Verdict = "differs"     // both, and not the same
)

// Verdicts lists them in the order in which they are shown.
var Verdicts = []Verdict{Differs, OnlyTheirs, OnlyOurs, Agrees}

var verdictWords = map[Verdict]words{
	Agrees: {"一致", "Agrees"}, OnlyOurs: {"当方のみ", "Only ours"}, OnlyTheirs: {"先方のみ", "Only theirs"}, Differs: {"金額相違", "Amounts differ"},
}

// Label is the verdict as people read it.
func (v Verdict) Label(lang string) string { return verdictWords[v].in(lang) }

// Total counts lines and adds up their yen.
type Total struct {
	Lines  int   `json:"lines"`
	Ours   int64 `json:"ours"`
	Theirs int64 `json:"theirs"`
}

// Reconciled is one amount: ours, the agent's, or both.
type Reconciled struct {
	Verdict     Verdict   `json:"verdict"`
	Claim       string    `json:"claim,omitempty"`     // number
	Message     ulid.ULID `json:"message_id,omitzero"` // whose link was used, else the first that carries the claim
	Attempt     ulid.ULID `json:"attempt_id,omitzero"` //
	Payment     string    `json:"agent_payment_id,omitempty"`
	Deposit     string    `json:"deposit,omitempty"`     // id of a transfer
	Ours        int64     `json:"ours"`                  // yen
	Theirs      int64     `json:"theirs"`                // yen
	Provisional bool      `json:"provisional,omitempty"` // ours is by 速報 alone
	At          time.Time `json:"at"`                    // of the money, by the agent's clock
	File        string    `json:"file,omitempty"`        // that told of it
	Line        uint32    `json:"line,omitempty"`        // in the file
	FileDay     string    `json:"file_day,omitempty"`    // of theirs, where it is another day
}

// Reconciliation is a day of an agent: ours against what its files told.
type Reconciliation struct {
	Agent  string            `json:"agent"`
	Day    string            `json:"day"` // YYYY-MM-DD in Asia/Tokyo
	Files  []ReportRead      `json:"files"`
	Total  Total             `json:"total"`
	Totals map[Verdict]Total `json:"totals"`
	Lines  []Reconciled      `json:"lines"`
}

// An agent's file may tell of money a day or some days after or before it by its own books: those are looked into before ours
// counts as missing there.
const (
	daysBefore = 1
	daysAfter  = 4
)

// Reconcile compares the money of a day of an agent of the tenant, in Asia/Tokyo: what stands with us by notices and files, and what
// the agent's files told. Errors: ErrNoReports for an agent that the tenant has not; message.Problems for a day that is none;
// those of the store.
func (p *Payments) Reconcile(ctx context.Context, t *tenant.Tenant, agent, day string) (*Reconciliation, error) {
	if _, ok := t.AgentEver(agent); !ok {
		return nil, fmt.Errorf("reconcile: the tenant has no agent %q: %w", agent, ErrNoReports)
	}
	at, err := time.ParseInLocation(time.DateOnly, day, message.Tokyo)
	if err != nil {
		return nil, message.Problems{{Field: "day", Code: "pattern", Value: message.Mask(day), Detail: "YYYY-MM-DD"}}
	}
	r := &reconciler{p: p, id: t.ID, agent: agent, claims: map[ulid.ULID]*State{}, theirs: map[string]theirs{}, out: &Reconciliation{
		Agent: agent, Day: day, Files: []ReportRead{}, Totals: map[Verdict]Total{}, Lines: []Reconciled{}}}
	for d := -daysBefore; d <= daysAfter; d++ {
		if err := r.told(ctx, message.Day(at.AddDate(0, 0, d))); err != nil {
			return nil, err
		}
	}
	if err := r.ours(ctx); err != nil {
		return nil, err
	}
	if err := r.rest(ctx); err != nil {
		return nil, err
	}
	out := r.out
	slices.SortFunc(out.Lines, func(a, b Reconciled) int {
		return cmp.Or(cmp.Compare(slices.Index(Verdicts, a.Verdict), slices.Index(Verdicts, b.Verdict)), cmp.Compare(a.Claim, b.Claim), a.At.Compare(b.At), cmp.Compare(a.Payment+a.Deposit, b.Payment+b.Deposit))
	})
	for _, l := range out.Lines {
		out.Total = out.Total.with(l)
		out.Totals[l.Verdict] = out.Totals[l.Verdict].with(l)
	}
	return out, nil
}

func (t Total) with(l Reconciled) Total {
	return Total{t.Lines + 1, t.Ours + l.Ours, t.Theirs + l.Theirs}
}

// theirs is the latest word of the agent's files on one amount.
type theirs struct {
	reportedRow
	file, day string
	read      time.Time
	met       bool // ours has it
}

type reconciler struct {
	p      *Payments
	id     tenant.ID
	agent  string
	claims map[ulid.ULID]*State
	theirs map[string]theirs // by key
	out    *Reconciliation
}

// key names an amount: of an attempt where it is known, else as the agent calls it.
func (r *reportedRow) key() string {
	of := "attempt/" + r.Attempt.String()
	if r.Attempt.IsZero() {
		of = "agent/" + r.Payment
		if r.Payment == "" && r.Deposit == "" {
			of += strconv.FormatUint(uint64(r.Line), 10)
		}
	}
	return of + "/" + r.Deposit
}

// told gathers what files told of a day.
func (r *reconciler) told(ctx context.Context, day string) error {
	return r.p.eachReported(ctx, r.id, r.agent, day, func(part *reportedPart, read time.Time) {
		if day == r.out.Day {
			i := slices.IndexFunc(r.out.Files, func(f ReportRead) bool { return f.File == part.File && f.Read.Equal(read) })
			if i < 0 {
				i = len(r.out.Files)
				r.out.Files = append(r.out.Files, ReportRead{File: part.File, Read: read, By: part.By})
			}
			r.out.Files[i].Rows += len(part.Rows)
		}
		for i := range part.Rows {
			row := &part.Rows[i]
			if have, ok := r.theirs[row.key()]; !ok || read.After(have.read) || read.Equal(have.read) && have.file == part.File && row.Line > have.Line {
				r.theirs[row.key()] = theirs{*row, part.File, day, read, false}
			}
		}
	})
}

// ours puts down what stands with us on the day, beside theirs.
func (r *reconciler) ours(ctx context.Context) error {
	var of []settled
	err := r.p.eachOfDay(ctx, r.id, dayTerm(fieldOurs, r.agent, r.out.Day), func(e store.Event) error {
		var s settled
		if err := json.Unmarshal(e.Data, &s); err != nil {
			return fmt.Errorf("payment of a day %s: %w", e.Ref.ID, err)
		}
		of = append(of, s)
		return nil
	})
	if err != nil {
		return err
	}
	ids := make([]ulid.ULID, len(of))
	for i, o := range of {
		ids[i] = o.Claim
	}
	if err := r.load(ctx, ids); err != nil {
		return err
	}
	for _, o := range of {
		s := r.claims[o.Claim]
		a := s.Attempt(o.Attempt)
		if a == nil || a.Agent != r.agent {
			continue
		}
		for _, sum := range a.sums() {
			if message.Day(sum.at) != r.out.Day {
				continue
			}
			line := r.line(s, a, sum)
			key := (&reportedRow{Attempt: a.ID, Deposit: sum.deposit}).key()
			if t, ok := r.theirs[key]; ok {
				t.met = true
				r.theirs[key] = t
				line.compare(&t, r.out.Day)
			}
			r.out.Lines = append(r.out.Lines, line)
		}
	}
	return nil
}

// rest puts down what files told of the day and ours has not on it.
func (r *reconciler) rest(ctx context.Context) error {
	var ids []ulid.ULID
	for _, t := range r.theirs {
		if !t.met && t.day == r.out.Day && !t.Claim.IsZero() {
			ids = append(ids, t.Claim)
		}
	}
	if err := r.load(ctx, ids); err != nil {
		return err
	}
	for _, t := range r.theirs {
		if t.met || t.day != r.out.Day {
			continue
		}
		line := Reconciled{Verdict: OnlyTheirs, Payment: t.Payment, Deposit: t.Deposit, At: t.At}
		if !t.Claim.IsZero() {
			s := r.claims[t.Claim]
			if a := s.Attempt(t.Attempt); a != nil {
				line = r.line(s, a, sum{deposit: t.Deposit, at: t.At})
				for _, sum := range a.sums() { // ours stands on another day
					if sum.deposit == t.Deposit {
						line = r.line(s, a, sum)
					}
				}
			}
		}
		line.compare(&t, r.out.Day)
		r.out.Lines = append(r.out.Lines, line)
	}
	return nil
}

// compare puts theirs beside ours.
func (l *Reconciled) compare(t *theirs, day string) {
	l.Theirs, l.File, l.Line = t.Yen, t.file, t.Line
	l.Payment = cmp.Or(l.Payment, t.Payment)
	if t.day != day {
		l.FileDay = t.day
	}
	switch {
	case l.Ours == l.Theirs:
		l.Verdict = Agrees
	case l.Ours == 0:
		l.Verdict = OnlyTheirs
	default:
		l.Verdict = Differs
	}
}

func (r *reconciler) line(s *State, a *Attempt, of sum) Reconciled {
	msg := a.Message
	if msg.IsZero() && len(s.Messages) > 0 {
		msg = s.Messages[0]
	}
	return Reconciled{Verdict: OnlyOurs, Claim: s.Number, Message: msg, Attempt: a.ID, Payment: a.AgentID, Deposit: of.deposit,
		Ours: of.yen, Provisional: of.yen > 0 && !of.confirmed, At: of.at}
}

// load reads the claims that are not there yet, many at once: a day of a large tenant has thousands.
func (r *reconciler) load(ctx context.Context, ids []ulid.ULID) error {
	var refs []store.Ref
	for _, id := range ids {
		if _, ok := r.claims[id]; !ok {
			r.claims[id] = nil
			refs = append(refs, claimRef(r.id, id))
		}
	}
	for some := range slices.Chunk(refs, reconcileBatch) {
		streams, err := r.p.s.LoadMany(ctx, tenant.Only(r.id), some)
		if err != nil {
			return fmt.Errorf("load claims: %w", err)
		}
		for i, events := range streams {
			if len(events) == 0 {
				return fmt.Errorf("load claim %s: %w", some[i].ID, store.ErrNotFound)
			}
			s, err := Fold(events)
			if err != nil {
				return err
			}
			r.claims[some[i].ID] = &s
		}
	}
	return nil
}

// reconcileBatch is how many claims are read at once.
const reconcileBatch = 500

// ReconciliationHeader names the columns of Rows.
func ReconciliationHeader(lang string) (cells []string) {
	for _, w := range []words{{"判定", "verdict"}, {"請求番号", "claim"}, {"決済連携ID", "agent_payment_id"}, {"入金ID", "deposit"}, {"当方（円）", "ours"}, {"先方（円）", "theirs"}, {"差額（円）", "difference"},
		{"速報・確報", "state"}, {"日時", "at"}, {"ファイル", "file"}, {"行", "line"}, {"先方の計上日", "file_day"}, {"メッセージID", "message_id"}} {
		cells = append(cells, w.in(lang))
	}
	return cells
}

// Rows are the lines as a CSV file has them.
func (r *Reconciliation) Rows(lang string) (rows [][]string) {
	for _, l := range r.Lines {
		state, msg, line := "", "", ""
		if l.Ours > 0 {
			state = words{"確報", "confirmed"}.in(lang)
		}
		if l.Provisional {
			state = words{"速報", "provisional"}.in(lang)
		}
		if !l.Message.IsZero() {
			msg = l.Message.String()
		}
		if l.Line > 0 {
			line = strconv.FormatUint(uint64(l.Line), 10)
		}
		rows = append(rows, []string{l.Verdict.Label(lang), l.Claim, l.Payment, l.Deposit, strconv.FormatInt(l.Ours, 10), strconv.FormatInt(l.Theirs, 10), strconv.FormatInt(l.Theirs-l.Ours, 10),
			state, l.At.In(message.Tokyo).Format("2006-01-02 15:04:05"), l.File, line, l.FileDay, msg})
	}
	return rows
}

// ReportAgents are the tenant's agents that read reports, those that it had before at the end.
func (p *Payments) ReportAgents(t *tenant.Tenant) (names []string) {
	for _, a := range slices.Concat(t.Agents, t.Replaced()) {
		if d, ok := p.opt.Agents.Describe(a.Module); ok && d.Reports {
			names = append(names, a.Name)
		}
	}
	return names
}
