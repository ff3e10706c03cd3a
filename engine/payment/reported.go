package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// reported is what one file told of one day of an agent, up to reportedRows of it: the head of a stream of kind store.Register
// with a term of the day. It is kept for the reconciliation; the facts are in the claims.
type reported struct {
	V    int       `json:"v"` // 1
	Box  []byte    `json:"box"`
	Read time.Time `json:"read"`
}

// reportedRows bounds one stream: a group of the store takes 5 MB.
const reportedRows = 5000

// reportedPart is the sealed part, aad "<id of the stream>/reported".
type reportedPart struct {
	File string        `json:"file"`
	By   string        `json:"by"`
	Rows []reportedRow `json:"rows"`
}

type reportedRow struct {
	Line    uint32    `json:"line"`
	Claim   ulid.ULID `json:"claim,omitzero"`
	Attempt ulid.ULID `json:"attempt,omitzero"`
	Payment string    `json:"payment,omitempty"` // what the agent calls it
	Deposit string    `json:"deposit,omitempty"`
	Yen     int64     `json:"yen"`
	At      time.Time `json:"at"`
}

// keepReported records what a file told, by day. The same file again is recorded once; under another name it may tell of other transfers.
func (p *Payments) keepReported(ctx context.Context, id tenant.ID, f *ReportFile, rows []reportRow) error {
	days := map[string][]reportedRow{}
	for i := range rows {
		r := &rows[i]
		out := reportedRow{Line: r.Line, Attempt: r.attempt, Payment: r.payment, Yen: r.Yen, At: r.at}
		if !r.attempt.IsZero() {
			out.Claim = r.ref.ID
		}
		if r.deposit != nil {
			out.Deposit = r.deposit.ID
		} else {
			out.Yen = r.fact.standing(r.fact.View.Yen)
		}
		if out.Yen > 0 {
			days[message.Day(r.at)] = append(days[message.Day(r.at)], out)
		}
	}
	digest := sha256.Sum256(append([]byte(f.Name+"\n"), f.Body...))
	for _, day := range slices.Sorted(maps.Keys(days)) {
		for n := 0; len(days[day]) > 0; n++ {
			part := days[day][:min(reportedRows, len(days[day]))]
			days[day] = days[day][len(part):]
			ref := registerOf(id, fmt.Sprintf("payment/reported/%s/%s/%s/%s/%d", id, f.Agent, day, hex.EncodeToString(digest[:]), n))
			if err := p.keepPart(ctx, ref, f, day, part); err != nil {
				return fmt.Errorf("keep what a report told: %w", err)
			}
		}
	}
	return nil
}

func (p *Payments) keepPart(ctx context.Context, ref store.Ref, f *ReportFile, day string, rows []reportedRow) error {
	now := p.now()
	box, err := p.s.Seal(ref.Tenant, Class, now, ref.ID.String()+"/reported", encode(reportedPart{clip(f.Name, 200), f.By, rows}))
	if err != nil {
		return err
	}
	err = p.commit(ctx, store.Tx{{Ref: ref, Terms: dayTerm(fieldTheirs, f.Agent, day),
		Events: []store.NewEvent{{Type: 1, At: now, Data: encode(reported{V: 1, Box: box, Read: now})}}, Final: true}})
	var c *store.ConflictError
	if errors.As(err, &c) {
		return nil // it came before
	}
	return err
}

// ReportRead is a file that told of a day.
type ReportRead struct {
	File string    `json:"file"`
	Read time.Time `json:"read_at"`
	By   string    `json:"by"`
	Rows int       `json:"rows"`
}

// eachReported calls do with what was told of a day of an agent, the newest part first.
func (p *Payments) eachReported(ctx context.Context, id tenant.ID, agent, day string, do func(*reportedPart, time.Time)) error {
	return p.eachOfDay(ctx, id, dayTerm(fieldTheirs, agent, day), func(e store.Event) error {
		var head reported
		if err := json.Unmarshal(e.Data, &head); err != nil {
			return fmt.Errorf("report %s: %w", e.Ref.ID, err)
		}
		plain, err := p.s.Open(id, e.Ref.ID.String()+"/reported", head.Box)
		if errors.Is(err, store.ErrErased) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open report %s: %w", e.Ref.ID, err)
		}
		var part reportedPart
		if err := json.Unmarshal(plain, &part); err != nil {
			return fmt.Errorf("report %s: %w", e.Ref.ID, err)
		}
		do(&part, head.Read)
		return nil
	})
}

// eachOfDay calls do with the head of each stream that has the terms, the newest first.
func (p *Payments) eachOfDay(ctx context.Context, id tenant.ID, terms []store.Term, do func(store.Event) error) error {
	const page = 500
	var before ulid.ULID
	for {
		refs, err := p.s.Search(ctx, tenant.Only(id), store.Query{Kind: store.Register, Terms: terms, Before: before, Limit: page})
		if err != nil {
			return err
		}
		streams, err := p.s.LoadMany(ctx, tenant.Only(id), refs)
		if err != nil {
			return err
		}
		for _, events := range streams {
			if len(events) > 0 {
				if err := do(events[0]); err != nil {
					return err
				}
			}
		}
		if len(refs) < page {
			return nil
		}
		before = refs[len(refs)-1].ID
	}
}
