package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	// batch is how many rows are given to intake, and put on record, at a time.
	batch = 1024
	// perTenant is how many uploads of a tenant are worked on at a time.
	perTenant = 2
	// inPlace is how long a limit of the tenant may hold rows back without the upload leaving its worker.
	inPlace = time.Minute
	// limitAgain is when a limit that holds rows back until midnight is asked again at the latest: it may have been raised.
	limitAgain = 15 * time.Minute
	// lookAgain is how often uploads are looked for that a limit held back: nothing tells that their time has come.
	lookAgain = time.Minute
	// giveUp is how many rows in a row that cannot be read as CSV make a file none.
	giveUp = 1000
)

// Run works on uploads that are whole or released until ctx ends; then it waits for what is under way. What it left
// unfinished it finds again. Those that only wait for their messages take no worker's place.
func (c *Campaigns) Run(ctx context.Context) error {
	wake, wakeWatch := c.Store.Wake(queue), c.Store.Wake(watchQueue)
	type ended struct {
		ref  store.Ref
		slot bool
	}
	done := make(chan ended, c.Config.Workers) // each sends once; this loop takes until all have
	active := map[ulid.ULID]bool{}
	of, slots := map[tenant.ID]int{}, 0
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		ending := ctx.Err() != nil // asked once: it may change at any moment
		for _, q := range []string{queue, watchQueue} {
			slot := q == queue
			if ending || slot && slots >= c.Config.Workers {
				continue
			}
			items, err := c.Store.Due(nil, q, store.Cursor{}, clock.Now(), 1000)
			if err != nil && !errors.Is(err, store.ErrClosed) {
				return fmt.Errorf("look for uploads to work on: %w", err)
			}
			for _, it := range items {
				id := it.Ref.Tenant
				if active[it.Ref.ID] || slot && (of[id] >= perTenant || slots >= c.Config.Workers) {
					continue
				}
				active[it.Ref.ID] = true
				if slot {
					of[id]++
					slots++
				}
				go func() {
					c.work(ctx, it.Ref, q)
					done <- ended{it.Ref, slot}
				}()
			}
		}
		if ending && len(active) == 0 {
			return nil
		}
		stop := ctx.Done()
		if ending {
			stop = nil // only workers are waited for
		}
		select {
		case e := <-done:
			delete(active, e.ref.ID)
			if e.slot {
				of[e.ref.Tenant]--
				slots--
			}
		case <-wake:
		case <-wakeWatch:
		case <-again.C:
		case <-stop:
		}
	}
}

// work brings an upload to where it leaves the queue. What fails for a time is tried again.
func (c *Campaigns) work(ctx context.Context, ref store.Ref, from string) {
	scope := tenant.Only(ref.Tenant)
	defer c.wait(ref.ID, "")
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		st, err := c.load(ctx, scope, ref.ID)
		if err == nil {
			switch {
			case st.place() != from || st.limited() || ctx.Err() != nil:
				return
			case st.Phase == Checking:
				err = c.check(ctx, st)
			case st.Phase == Releasing:
				err = c.release(ctx, st)
			case st.Phase == Probing:
				err = c.probe(ctx, st)
			case from == queue:
				err = c.sweep(ctx, st)
			default:
				err = c.settle(ctx, st)
			}
		}
		var conflict *store.ConflictError
		switch {
		case err == nil, errors.As(err, &conflict): // somebody decided something
			pause = time.Second
			continue
		case ctx.Err() != nil, errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrNotFound):
			return
		case errors.Is(err, store.ErrErased):
			if err = c.fail(ctx, ref, ReasonErased, nil); err == nil {
				continue
			}
		case errors.Is(err, intake.ErrNoTenant):
			if err = c.fail(ctx, ref, ReasonTenant, nil); err == nil {
				continue
			}
		}
		c.Log.Error("upload is not getting on", "tenant", ref.Tenant, "campaign", ref.ID, "err", err)
		if !c.pause(ctx, ref.ID, err, pause) {
			return
		}
	}
}

// waitLimit is why an upload waits that a limit of its tenant holds back.
const waitLimit = "limit"

// heldFor is how long a limit of the tenant holds a row back; 0: the error is another one.
func heldFor(err error) time.Duration {
	if limit := (*intake.LimitError)(nil); errors.As(err, &limit) {
		return limit.RetryAfter
	}
	return 0
}

// pause waits for d, and lets the upload's state say why.
func (c *Campaigns) pause(ctx context.Context, id ulid.ULID, err error, d time.Duration) bool {
	why := "unavailable"
	switch {
	case heldFor(err) > 0:
		why = waitLimit
	case errors.Is(err, store.ErrBusy):
		why = "busy"
	case errors.Is(err, store.ErrFull):
		why = "full"
	}
	c.metrics.retries.Inc()
	c.wait(id, why)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Campaigns) wait(id ulid.ULID, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if why == "" {
		delete(c.waiting, id)
		return
	}
	c.waiting[id] = why
}

// fail ends an upload that cannot be read, with the reason.
func (c *Campaigns) fail(ctx context.Context, ref store.Ref, why Reason, faults []Finding) error {
	_, err := c.decide(ctx, tenant.Only(ref.Tenant), ref.ID, func(st *State) (step, error) {
		if st.Over() {
			return step{}, nil
		}
		s := step{Due: &store.Due{}, Final: true}
		if len(faults) > 0 {
			page, err := c.page(st, ListFaults, len(st.lists[ListFaults]), faults)
			if err != nil {
				return step{}, err
			}
			s.With = append(s.With, page)
		}
		s.Events = []store.NewEvent{{Type: evFailed, Data: encode(failure{why, uint32(len(faults))})}}
		return s, nil
	})
	if err == nil {
		c.metrics.uploads.WithLabelValues(string(Failed)).Inc()
		c.Log.Info("upload failed", "tenant", ref.Tenant, "campaign", ref.ID, "reason", why)
	}
	return err
}

// verify reads the whole file for its digest and encoding, and gives the upload the name of its content.
func (c *Campaigns) verify(ctx context.Context, st *State) error {
	m, err := c.meta(st)
	if err != nil {
		return err
	}
	digest, sniff := sha256.New(), &sniffer{}
	if _, err := io.CopyBuffer(io.MultiWriter(digest, sniff), struct{ io.Reader }{&parts{ctx: ctx, c: c, st: st}}, make([]byte, 64<<10)); err != nil {
		return err
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	if st.declared != nil {
		plain, err := c.Store.Open(st.ref.Tenant, st.ID.String()+"/declared", st.declared)
		if err != nil {
			return fmt.Errorf("open the digest of upload %s: %w", st.ID, err)
		}
		m.SHA256 = string(plain)
	}
	if m.SHA256 != "" && m.SHA256 != sum {
		return c.fail(ctx, st.ref, ReasonDigest, nil)
	}
	enc, lines := sniff.result()
	if m.Settings.Encoding != "" {
		enc = m.Settings.Encoding
	}
	v := verified{Encoding: enc, Lines: lines}
	if v.Sum, err = c.contentName(st.ref.Tenant, "", sum); err != nil {
		return err
	}
	c.verifying.Lock()
	defer c.verifying.Unlock()
	ref, _, err := c.Store.Lookup(ctx, tenant.Only(st.ref.Tenant), store.ByFileHash, v.Sum)
	switch {
	case err == nil && ref.ID != st.ID:
		v.Earlier = ref.ID
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("look for the same file: %w", err)
	}
	return c.commit(ctx, st, step{
		Events: []store.NewEvent{{Type: evVerified, Data: encode(v)}},
		Names:  []store.Name{{Space: store.ByFileHash, Key: v.Sum}},
	})
}

// rows reads the rows of a whole file as drafts.
type rows struct {
	csv  *csvReader
	conv *converter
	n    int64 // of the row that next gives
	bad  int   // rows in a row that are no CSV
}

// startRows reads the header. The findings say what is wrong with it; then there are no rows.
func (c *Campaigns) startRows(ctx context.Context, st *State, variable isVar) (*rows, []Finding, error) {
	m, err := c.meta(st)
	if err != nil {
		return nil, nil, err
	}
	r := &rows{csv: newCSVReader(st.Encoding.decode(&parts{ctx: ctx, c: c, st: st}))}
	for {
		cells, line, err := r.csv.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil, nil
		case isRowError(err):
			return nil, []Finding{{Line: line, Problem: rowProblem(err)}}, nil
		case err != nil:
			return nil, nil, err
		case empty(cells):
			continue
		}
		cols, faults := readHeader(slices.Clone(cells), line, variable)
		if len(faults) > 0 {
			return nil, faults, nil
		}
		r.conv = newConverter(cols, m.Settings.Defaults)
		return r, nil, nil
	}
}

// variables are the {names} of the tenant's templates: headers without braces may be one.
func (c *Campaigns) variables(id tenant.ID) (isVar, error) {
	t := c.Tenants.Now().Tenants[id]
	if t == nil {
		return nil, intake.ErrNoTenant
	}
	names := map[string]bool{}
	for _, tpl := range t.Templates {
		for _, m := range namePattern.FindAllStringSubmatch(tpl.Text, -1) {
			names[m[1]] = m[1] != "url"
		}
	}
	return func(name string) bool { return names[name] }, nil
}

// next gives the next row that is not empty. A row that cannot be read as CSV has faults and no draft. convert says whether
// a draft is wanted: rows that were dealt with before are only counted.
func (r *rows) next(convert bool) (*row, error) {
	for {
		cells, line, err := r.csv.next()
		if isRowError(err) {
			r.n++
			if r.bad++; r.bad > giveUp {
				return nil, errNotCSV
			}
			w := &row{number: r.n, line: line}
			w.faults = []Finding{w.finding("", "row", rowProblem(err))}
			return w, nil
		}
		if err != nil {
			return nil, err
		}
		r.bad = 0
		if empty(cells) {
			continue
		}
		r.n++
		if !convert {
			return &row{number: r.n, line: line}, nil
		}
		return r.conv.convert(r.n, line, slices.Clone(cells)), nil
	}
}

var errNotCSV = errors.New("too many rows cannot be read")

func isRowError(err error) bool {
	return errors.Is(err, errQuote) || errors.Is(err, errRecord) || errors.Is(err, errCells)
}

func rowProblem(err error) message.Problem {
	switch {
	case errors.Is(err, errRecord):
		return message.Problem{Field: "row", Code: "too_long", Limit: maxRecord, Got: maxRecord + 1, Detail: detailRecord}
	case errors.Is(err, errCells):
		return message.Problem{Field: "row", Code: "too_many", Limit: maxCells, Got: maxCells + 1, Detail: detailTooManyCells}
	}
	return message.Problem{Field: "row", Code: "quote", Detail: detailQuote}
}

// empty reports whether a row has nothing in it.
func empty(cells []string) bool {
	for _, cell := range cells {
		for _, r := range cell {
			if r != ' ' && r != '\t' && r != '\u3000' && r != '\n' {
				return false
			}
		}
	}
	return true
}

// check finds all faults of a file.
func (c *Campaigns) check(ctx context.Context, st *State) error {
	if st.Encoding == "" {
		return c.verify(ctx, st) // and once more
	}
	variable, err := c.variables(st.ref.Tenant)
	if err != nil {
		return err
	}
	rs, faults, err := c.startRows(ctx, st, variable)
	switch {
	case err != nil:
		return err
	case len(faults) > 0:
		return c.fail(ctx, st.ref, ReasonHeader, faults)
	case rs == nil:
		return c.fail(ctx, st.ref, ReasonEmpty, nil)
	}
	now := checked{Rows: st.Rows, Line: st.Line, Faulty: st.Faulty, Warned: st.Warned, Restored: st.Restored, Carriers: map[string]int64{}}
	maps.Copy(now.Carriers, st.Carriers)
	for end := false; !end; {
		var all []*row
		for len(all) < batch && !end {
			r, err := rs.next(rs.n >= st.Rows)
			switch {
			case errors.Is(err, io.EOF):
				end = true
			case errors.Is(err, errNotCSV):
				return c.fail(ctx, st.ref, ReasonNotCSV, nil)
			case err != nil:
				return fmt.Errorf("read upload %s: %w", st.ID, err)
			case r.number <= st.Rows: // checked before a restart
			case r.number > c.Config.MaxRows:
				return c.fail(ctx, st.ref, ReasonTooMany, nil)
			default:
				all = append(all, r)
			}
		}
		if len(all) == 0 {
			continue
		}
		left, err := c.validate(ctx, st, all)
		if err != nil || len(left) > 0 {
			return err
		}
		var faults, warnings []Finding
		for _, r := range all {
			now.Rows, now.Line = r.number, r.line
			if len(r.faults) > 0 {
				now.Faulty++
			} else if r.carrier != "" {
				now.Carriers[r.carrier]++
			}
			if len(r.warnings) > 0 {
				now.Warned++
			}
			if r.restored {
				now.Restored++
			}
			faults = append(faults, r.faults[:min(len(r.faults), perRow)]...)
			warnings = append(warnings, r.warnings[:min(len(r.warnings), perRow)]...)
		}
		now.Faults, now.Warnings = uint32(len(faults)), uint32(len(warnings))
		s := step{Events: []store.NewEvent{{Type: evChecked, Data: encode(now)}}}
		if s.With, err = c.pages(st, page{ListFaults, faults}, page{ListWarnings, warnings}); err != nil {
			return err
		}
		if err := c.commit(ctx, st, s); err != nil {
			return err
		}
		c.metrics.rows.WithLabelValues("faulty").Add(float64(now.Faulty - st.Faulty))
		c.metrics.rows.WithLabelValues("good").Add(float64(now.Rows - now.Faulty - st.Good))
		if st, err = c.load(ctx, tenant.Only(st.ref.Tenant), st.ID); err != nil {
			return err
		}
	}
	if st.Rows == 0 {
		return c.fail(ctx, st.ref, ReasonEmpty, nil)
	}
	if err := c.commit(ctx, st, step{Events: []store.NewEvent{{Type: evStaged}}, Due: &store.Due{}}); err != nil {
		return err
	}
	c.metrics.uploads.WithLabelValues(string(Staged)).Inc()
	c.Log.Info("upload staged", "tenant", st.ref.Tenant, "campaign", st.ID, "rows", st.Rows, "faulty", st.Faulty)
	return nil
}

// page is what a batch adds to a list.
type page struct {
	list     List
	findings []Finding
}

func (c *Campaigns) pages(st *State, add ...page) ([]store.Change, error) {
	var changes []store.Change
	for _, p := range add {
		if len(p.findings) == 0 {
			continue
		}
		change, err := c.page(st, p.list, len(st.lists[p.list]), p.findings)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// validate shows rows to intake and adds what it finds, until each row has an answer. That the identity is easily guessed, which is
// the same for most rows of a file, is said of one of them. Rows are left as by ask.
func (c *Campaigns) validate(ctx context.Context, st *State, all []*row) (left []*row, err error) {
	open := slices.DeleteFunc(slices.Clone(all), func(r *row) bool { return r.columns == nil })
	said := false
	again := func(p message.Problem) bool {
		before := said
		said = said || p.Code == message.CodeGuessable
		return before && p.Code == message.CodeGuessable
	}
	left, _, err = c.ask(ctx, st, open, c.Intake.Validate, func(r *row, res *intake.Result) {
		r.faults = append(r.faults, r.found(res.Problems)...)
		r.warnings = append(r.warnings, r.found(slices.DeleteFunc(res.Warnings, again))...)
		if res.Preview != nil && res.Preview.Length.Parts > 0 {
			r.carrier = res.Preview.Carrier
		}
	})
	return left, err
}

// ask gives rows to intake, again those that failed for a time, and calls answered once with each row's result. Rows are left
// where somebody decided meanwhile that the upload does not go on, or where a limit of the tenant holds them back for longer:
// then held says how long.
func (c *Campaigns) ask(ctx context.Context, st *State, open []*row, do func(context.Context, intake.Request) ([]intake.Result, error), answered func(*row, *intake.Result)) (left []*row, held time.Duration, err error) {
	defer c.wait(st.ID, "")
	for pause := 100 * time.Millisecond; len(open) > 0; pause = min(2*pause, 30*time.Second) {
		req := intake.Request{Tenant: st.ref.Tenant, Via: message.ViaFile, By: st.By, Campaign: st.ID, Batch: true, Drafts: make([]message.Draft, len(open))}
		for i, r := range open {
			req.Drafts[i] = r.draft
		}
		results, err := do(ctx, req)
		if err != nil {
			return nil, 0, err
		}
		var again []*row
		var why error // of the row that can go on first
		for i, r := range open {
			if err := results[i].Err; err != nil {
				if again = append(again, r); why == nil || heldFor(err) < heldFor(why) {
					why = err
				}
				continue
			}
			answered(r, &results[i])
		}
		if open = again; len(open) == 0 {
			break
		}
		if ctx.Err() != nil || errors.Is(why, store.ErrClosed) {
			return nil, 0, why
		}
		if held := heldFor(why); held > inPlace {
			return open, held, nil
		} else if held > 0 {
			pause = held
		}
		if pause >= 10*time.Second {
			c.Log.Error("rows of an upload wait", "tenant", st.ref.Tenant, "campaign", st.ID, "rows", len(open), "err", why)
		}
		if !c.pause(ctx, st.ID, why, pause) {
			return nil, 0, ctx.Err()
		}
		now, err := c.load(ctx, tenant.Only(st.ref.Tenant), st.ID)
		if err != nil {
			return nil, 0, err
		}
		if now.Phase != st.Phase || now.Paused != nil {
			return open, 0, nil
		}
	}
	return nil, 0, nil
}
