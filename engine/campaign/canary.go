package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A canary sends the upload's words to a phone of the tenant's own at each carrier that the rows have, and goes on when all
// were delivered in time. Else it stops, names the carriers, and a person decides. Tried again, only the seeds that did not
// arrive are sent anew, to the phones as they are then; those that arrived have arrived.
//
// A seed is a message of its own (Via canary): the sender profile, template or text of the first good row, but nothing of a
// customer. Values of {names} become placeholder. A text that stands in a cell may hold anything, so only what the first
// sampled rows have in common at its beginning and end is used. Page, claim and identity of the rows are left out: where they
// have a link, the seed's leads to a page that says what it is. The class is notice: quiet hours of collection and
// advertising protect customers, and the phone is the sender's own. Seeds do not carry the upload's id: none of its counts,
// lists and exports has them, and the duplicate guard does not know them.

const (
	placeholder = "〇〇"
	// sampled is how many good rows a text is compared over; with less than fewest nothing of it counts as common.
	sampled, fewest = 1000, 10
	lookEvery       = 500 * time.Millisecond
	seedLink        = 24 * time.Hour
)

// beginCanary is the step that releases an upload to its seeds first.
func (c *Campaigns) beginCanary(st *State, r Release) (step, error) {
	t := c.Tenants.Now().Tenants[st.ref.Tenant]
	if t == nil {
		return step{}, intake.ErrNoTenant
	}
	if r.Minutes == 0 {
		r.Minutes = int(t.Policy.CanaryTime() / time.Minute)
	}
	if r.Minutes < 1 || r.Minutes > 24*60 {
		return step{}, message.Problems{{Field: "canary_minutes", Code: "range", Limit: 24 * 60, Got: int64(r.Minutes), Detail: "1 to 1,440 minutes"}}
	}
	carriers, err := c.probedCarriers(t, st)
	if err != nil {
		return step{}, err
	}
	if err := c.needSeeds(t, carriers); err != nil {
		return step{}, err
	}
	return st.next(c.now(), store.NewEvent{Type: evProbing, Data: encode(released{By: r.By, GoodOnly: r.GoodOnly, Again: r.Again, Minutes: r.Minutes})})
}

// needSeeds is a *SeedError unless there are carriers and the tenant has a seed at each.
func (c *Campaigns) needSeeds(t *tenant.Tenant, carriers []string) error {
	var none []string
	for _, name := range carriers {
		if _, ok, err := c.seed(t, name); err != nil {
			return err
		} else if !ok {
			none = append(none, name)
		}
	}
	if len(carriers) == 0 || len(none) > 0 {
		return &SeedError{none}
	}
	return nil
}

// probedCarriers are those of the rows; of an upload that was checked before they were counted, those with a seed.
func (c *Campaigns) probedCarriers(t *tenant.Tenant, st *State) ([]string, error) {
	if st.Carriers != nil {
		return slices.Sorted(maps.Keys(st.Carriers)), nil
	}
	seeds, err := c.Seeds(t)
	var names []string
	for _, s := range seeds {
		names = append(names, s.Carrier)
	}
	return names, err
}

// probe sends the seeds, and waits for what becomes of them.
func (c *Campaigns) probe(ctx context.Context, st *State) error {
	scope := tenant.Only(st.ref.Tenant)
	if st.Canary.Seeds == nil || st.Canary.again != nil {
		seeds, err := c.sendSeeds(ctx, st)
		if err != nil {
			return err
		}
		s, err := st.next(c.now(), store.NewEvent{Type: evProbed, Data: encode(probed{seeds})})
		if err != nil {
			return err
		}
		if err := c.commit(ctx, st, s); err != nil {
			return err
		}
		if st, err = c.load(ctx, scope, st.ID); err != nil {
			return err
		}
	}
	seeds, failed, err := watch(ctx, st.Canary.Until, func() ([]Probe, error) {
		now, err := c.load(ctx, scope, st.ID)
		if err != nil {
			return nil, err
		}
		if now.Phase != Probing {
			return nil, errDecided
		}
		return c.seedStates(ctx, st)
	})
	if errors.Is(err, errDecided) {
		return nil
	}
	if err != nil {
		return err
	}
	e := store.NewEvent{Type: evWentOn, Data: encode(wentOn{act: act{By: "engine"}, Seeds: seeds})}
	if len(failed) > 0 {
		e = store.NewEvent{Type: evStopped, Data: encode(stopped{Failed: failed, Seeds: seeds})}
	}
	s, err := st.next(c.now(), e)
	if err != nil {
		return err
	}
	if err := c.commit(ctx, st, s); err != nil {
		return err
	}
	if len(failed) > 0 {
		c.metrics.uploads.WithLabelValues(string(Stopped)).Inc()
		c.Log.Warn("canary stopped an upload", "tenant", st.ref.Tenant, "campaign", st.ID, "carriers", failed)
	} else {
		c.Log.Info("canary arrived", "tenant", st.ref.Tenant, "campaign", st.ID)
	}
	return nil
}

var errDecided = errors.New("somebody decided meanwhile")

// watch looks at the seeds until all are delivered, or each is decided, or it is until: then those without a delivery have
// failed, and their carriers are named.
func watch(ctx context.Context, until time.Time, look func() ([]Probe, error)) (seeds []Probe, failed []string, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		late := !clock.Now().Before(until)
		if seeds, err = look(); err != nil {
			return nil, nil, err
		}
		if failed, decided := judge(seeds, late); decided {
			return seeds, failed, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// judge says which carriers failed, and whether that is all there is to wait for.
func judge(seeds []Probe, late bool) (failed []string, decided bool) {
	decided = true
	for _, s := range seeds {
		switch s.Phase {
		case message.Arrived:
		case "", message.NotDelivered, message.Rejected, message.Expired, message.Withdrawn:
			failed = append(failed, s.Carrier)
		default:
			decided = decided && late
			failed = append(failed, s.Carrier)
		}
	}
	return failed, decided
}

// seedStates says where the seeds stand.
func (c *Campaigns) seedStates(ctx context.Context, st *State) ([]Probe, error) {
	seeds := slices.Clone(st.Canary.Seeds)
	var refs []store.Ref
	for _, p := range seeds {
		refs = append(refs, store.Ref{Tenant: st.ref.Tenant, Kind: store.Message, ID: p.Message})
	}
	for i, ref := range refs {
		if ref.ID.IsZero() {
			continue
		}
		events, err := c.Store.Load(ctx, tenant.Only(st.ref.Tenant), ref)
		if errors.Is(err, store.ErrNotFound) {
			continue // erased; as it was last seen
		}
		if err != nil {
			return nil, fmt.Errorf("load a seed of upload %s: %w", st.ID, err)
		}
		s, err := stored.State(events)
		if err != nil {
			return nil, err
		}
		seeds[i].Phase, seeds[i].Reason = s.PhaseAt(c.now()), s.Reason
		if s.Carrier != seeds[i].Carrier && s.Phase != message.Rejected { // the number has moved: it says nothing of this carrier
			seeds[i].Phase, seeds[i].Reason = message.Rejected, "seed_moved"
		}
	}
	return seeds, nil
}

// sendSeeds gives the seeds to intake. Done again after a crash it gets the first answers.
func (c *Campaigns) sendSeeds(ctx context.Context, st *State) ([]Probe, error) {
	t := c.Tenants.Now().Tenants[st.ref.Tenant]
	if t == nil {
		return nil, intake.ErrNoTenant
	}
	carriers, key := st.Canary.again, "canary/"+st.ID.String()+"/"
	if carriers != nil {
		key += strconv.Itoa(len(st.Canary.Retries)) + "/"
	} else {
		var err error
		if carriers, err = c.probedCarriers(t, st); err != nil {
			return nil, err
		}
	}
	d, err := c.seedDraft(ctx, st)
	if err != nil {
		return nil, err
	}
	seeds := make([]Probe, len(carriers))
	req := intake.Request{Tenant: st.ref.Tenant, Via: message.ViaCanary, By: st.ReleasedBy}
	var asked []int
	for i, name := range carriers {
		seeds[i] = Probe{Carrier: name, Reason: "no_seed"}
		n, ok, err := c.seed(t, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // taken away since it was asked for
		}
		one := d
		one.To, one.Key = n.E164(), key+name
		req.Drafts, asked = append(req.Drafts, one), append(asked, i)
	}
	results, err := c.Intake.Accept(ctx, req)
	if err != nil {
		return nil, err
	}
	for n, res := range results {
		p := &seeds[asked[n]]
		switch {
		case res.Err != nil:
			return nil, fmt.Errorf("send a seed of upload %s: %w", st.ID, res.Err)
		case len(res.Problems) > 0:
			p.Reason = res.Problems[0].Code
			c.Log.Warn("a seed is refused", "tenant", st.ref.Tenant, "campaign", st.ID, "carrier", p.Carrier, "err", res.Problems)
		default:
			p.Message, p.Phase, p.Reason = res.ID, res.Phase, ""
		}
	}
	return seeds, nil
}

// seedDraft is the message of all seeds of a try, but for its number. It depends on the upload alone, so that a key finds it
// again.
func (c *Campaigns) seedDraft(ctx context.Context, st *State) (message.Draft, error) {
	first, texts, err := c.sample(ctx, st)
	if err != nil {
		return message.Draft{}, err
	}
	d := message.Draft{Class: string(message.Notice), Sender: first.draft.Sender, Template: first.draft.Template, ValidUntil: &st.Canary.Until}
	if len(first.draft.Vars) > 0 {
		d.Vars = map[string]string{}
		for name := range first.draft.Vars {
			d.Vars[name] = placeholder
		}
	}
	if d.Template == "" {
		if d.Text = first.draft.Text; first.had.words {
			d.Text = common(texts)
		}
	}
	if first.draft.WantsLink() {
		expires := st.Canary.Since.Add(seedLink)
		d.Link = &message.Link{ExpiresAt: &expires}
		d.Page = &message.Page{Title: "送信テスト", Lead: "一括送信の前に送信したテスト用のSMSです。お客様の情報は含まれていません。"}
	}
	return d, nil
}

// sample reads the first good rows that are sent: the first whole, of the others the texts.
func (c *Campaigns) sample(ctx context.Context, st *State) (first *row, texts []string, err error) {
	rs, _, err := c.startRows(ctx, st, func(string) bool { return true })
	if err != nil {
		return nil, nil, err
	}
	faulty := &faultyRows{c: c, ctx: ctx, st: st}
	for rs != nil && len(texts) < sampled {
		r, err := rs.next(true)
		if errors.Is(err, io.EOF) || errors.Is(err, errNotCSV) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read upload %s: %w", st.ID, err)
		}
		bad, err := faulty.has(r.number)
		if err != nil {
			return nil, nil, err
		}
		if bad || r.columns == nil || !r.draft.WantsSend() {
			continue
		}
		if first == nil {
			first = r
		}
		texts = append(texts, r.draft.Text)
	}
	if first == nil {
		return nil, nil, fmt.Errorf("BUG: upload %s has a canary and no row that is sent", st.ID)
	}
	return first, texts, nil
}

// common is what all texts begin and end with, a placeholder between. Of a few texts nothing counts as common: two customers
// may well share a name.
func common(texts []string) string {
	if len(texts) < fewest {
		return placeholder
	}
	head, tail := []rune(texts[0]), []rune(texts[0])
	same := true
	for _, t := range texts[1:] {
		same = same && t == texts[0]
		r := []rune(t)
		n := 0
		for n < min(len(head), len(r)) && head[n] == r[n] {
			n++
		}
		head = head[:n]
		n = 0
		for n < min(len(tail), len(r)) && tail[len(tail)-1-n] == r[len(r)-1-n] {
			n++
		}
		tail = tail[len(tail)-n:]
	}
	if same {
		return texts[0]
	}
	shortest := len([]rune(slices.MinFunc(texts, func(a, b string) int { return len([]rune(a)) - len([]rune(b)) })))
	if over := len(head) + len(tail) - shortest; over > 0 { // head and tail share runes of the shortest
		tail = tail[over:]
	}
	return string(head) + placeholder + string(tail)
}
