package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// keyLife is how long an idempotency key is kept at least; longer while its message is not final.
const keyLife = 72 * time.Hour

// patience is how many times a chunk is planned again without one of its messages getting in.
const patience = 8

// accept takes one chunk to disk.
func (in *Intake) accept(ctx context.Context, t *tenant.Tenant, r *Request, plans []*plan) {
	defer in.prepare(ctx, t, r, plans)()
	defer in.recall(ctx, t, r, plans)
	open := make([]*plan, 0, len(plans))
	for _, p := range plans {
		if p.open() && len(t.Policy.Limits) > 0 { // a duplicate that is known takes no place from those behind it
			p.settle(nil, in.findDuplicate(ctx, t, r, p))
		}
		if p.open() {
			p.settle(nil, in.limits.take(ctx, in.Store, t, r, p))
		}
		if p.open() {
			open = append(open, p)
		}
	}
	defer func() {
		for _, p := range plans {
			p.giveBack()
		}
	}()
	committing := ctx
	if len(plans) == 1 && plans[0].class == message.OTP { // its recipient waits for it
		committing = store.Urgent(ctx)
	}
	var links []Link
	for fruitless := 0; len(open) > 0; fruitless++ {
		if fruitless == patience {
			fail(open, store.ErrBusy)
			break
		}
		txs, records := make([]store.Tx, 0, len(open)), make([]record, len(open))
		tried := open[:0]
		w := writer{left: len(open)}
		for i, p := range open {
			beFair(i)
			rec := &records[len(tried)]
			tx, problem, err := in.build(ctx, t, r, p, rec, &w)
			if p.settle(problem, err); p.open() {
				tried, txs = append(tried, p), append(txs, tx)
			} else {
				*rec = record{}
			}
		}
		if len(tried) == 0 {
			break
		}
		errs, err := in.Store.Commit(committing, txs...)
		if err != nil {
			fail(tried, err)
			break
		}
		var again []*plan
		for i, p := range tried {
			if errs[i] == nil {
				fruitless = -1
				head := &records[i].head
				p.accepted(head)
				if head.Token != "" {
					links = append(links, Link{Tenant: t.ID, Message: p.id, Head: head})
				}
			} else if in.lost(ctx, t, r, p, errs[i]) {
				again = append(again, p)
			}
		}
		open = again
	}
	if len(links) > 0 {
		in.Links.Put(links)
	}
}

func fail(plans []*plan, err error) {
	for _, p := range plans {
		p.res.Err = err
	}
}

func (p *plan) accepted(h *message.Head) {
	p.res.ID, p.res.No, p.res.URL, p.res.Phase = p.id, h.No, h.URL, message.Waiting
	if h.Parts == 0 {
		p.res.Phase = message.LinkOnly
	}
	if p.draft.Claim != nil {
		p.res.Claim = &Claim{ID: h.Claim, Number: p.draft.Claim.Number}
	}
}

// lost decides what a transaction that did not get in means; true: plan it again.
func (in *Intake) lost(ctx context.Context, t *tenant.Tenant, r *Request, p *plan, err error) bool {
	var taken *store.TakenError
	var conflict *store.ConflictError
	switch {
	case errors.As(err, &taken) && isGuard(taken.Key):
		return in.alike(ctx, t, p, taken)
	case errors.As(err, &taken) && taken.Space == store.ByKey:
		p.lookedUp = true
		in.replay(ctx, t, r, p, taken.Holder, taken.Value)
	case errors.As(err, &taken) && taken.Space == store.ByToken:
		in.mint(t, p)
		p.final = p.text.with(p.url)
		return true
	case errors.As(err, &taken) && taken.Space == store.ByClaimNumber, errors.As(err, &conflict):
		return true
	default:
		p.res.Err = err
	}
	return false
}

// prepare does all that comes before the transaction: steps 1 to 3 without the claim. done is to be called behind it.
func (in *Intake) prepare(ctx context.Context, t *tenant.Tenant, r *Request, plans []*plan) (done func()) {
	for i, p := range plans {
		beFair(i)
		if err := in.name(t, r, p); err != nil {
			p.res.Err = err
		} else if r.DryRun || len(t.Policy.Limits) > 0 { // nothing is committed, or one that is known would count
			in.known(ctx, t, r, p)
		}
		if p.open() {
			in.check(t, p)
			p.settle(in.refusedNumber(ctx, t, p))
		}
	}
	in.enroll(ctx, t, r, plans)
	if !r.DryRun {
		in.findable(ctx, t, plans)
	}
	for _, p := range plans {
		checkGuess(t, p)
	}
	return in.checkDocuments(ctx, t, plans)
}

// beFair lets others run now and then: a batch of a thousand would keep a core for tens of milliseconds, and a one-time code
// waiting at each of its steps.
func beFair(i int) {
	if i%32 == 31 {
		runtime.Gosched()
	}
}

// name hashes the key, and the body that it stands for.
func (in *Intake) name(t *tenant.Tenant, r *Request, p *plan) error {
	if !message.ValidKey(p.draft.Key) {
		return nil // none, or reported by Draft.Check
	}
	var err error
	if p.key, err = KeyName(in.Store, t.ID, p.draft.Key); err == nil {
		p.digest, err = in.digest(t.ID, r.Via, p.draft, p.resend)
	}
	return err
}

// recall looks up the keys of drafts that did not get in: the first answer to a key holds, whatever would be said of the
// same draft now, such as that its time has passed or that it is a duplicate of itself.
func (in *Intake) recall(ctx context.Context, t *tenant.Tenant, r *Request, plans []*plan) {
	for _, p := range plans {
		if len(p.res.Problems) > 0 || p.res.Err != nil {
			in.known(ctx, t, r, p)
		}
	}
}

// known gives the first answer to the plan's key, if there was one and it was not looked up yet.
func (in *Intake) known(ctx context.Context, t *tenant.Tenant, r *Request, p *plan) {
	if p.key == "" || p.lookedUp {
		return
	}
	p.lookedUp = true
	switch holder, value, err := in.Store.Lookup(ctx, tenant.Only(t.ID), store.ByKey, p.key); {
	case errors.Is(err, store.ErrNotFound):
	case err == nil:
		p.res.Problems, p.res.Err = nil, nil
		in.replay(ctx, t, r, p, holder, value)
	case p.res.Err == nil:
		p.res.Err = err
	}
}

// replay gives the answer of the message that holds the key, or a conflict.
func (in *Intake) replay(ctx context.Context, t *tenant.Tenant, r *Request, p *plan, holder store.Ref, digest []byte) {
	same, err := in.sameBody(t.ID, r.Via, p, digest)
	if err != nil {
		p.res.Err = err
		return
	}
	if holder.Kind != store.Message || !same {
		p.bad(message.Problem{Field: "key", Code: "conflict", Value: p.draft.Key, Detail: "the key was used for another message"})
		return
	}
	events, err := in.Store.Load(ctx, tenant.Only(t.ID), holder)
	if err != nil {
		p.res.Err = fmt.Errorf("load message %s of a known key: %w", holder.ID, err)
		return
	}
	var head message.Head
	if err := (message.Event{Type: message.Accepted, Data: events[0].Data}).Decode(&head); err != nil {
		p.res.Err = err
		return
	}
	p.id = holder.ID
	p.res.Warnings = nil
	p.accepted(&head)
	p.res.Repeated = true
}

// enroll hashes the expected answers of all drafts in one call. Drafts already refused for other reasons are asked too,
// so that a sender sees all faults at once.
func (in *Intake) enroll(ctx context.Context, t *tenant.Tenant, r *Request, plans []*plan) {
	var asked []*plan
	var ids []ulid.ULID
	var items [][]message.IdentityItem
	for _, p := range plans {
		id := p.draft.Identity
		if p.res.Err != nil || p.res.Repeated || id == nil || len(id.Items) == 0 || len(id.Items) > message.MaxIdentityItems {
			continue
		}
		mid := p.id
		if r.DryRun {
			mid = ulid.ULID{}
		}
		asked, ids, items = append(asked, p), append(ids, mid), append(items, id.Items)
	}
	if len(asked) == 0 {
		return
	}
	answers, problems, err := in.Identity.Enroll(ctx, t, ids, items)
	if err == nil && (len(answers) != len(asked) || len(problems) != len(asked)) {
		err = errors.New("BUG: enroll answered another number of messages")
	}
	if err != nil {
		fail(asked, fmt.Errorf("enroll identity answers: %w", err))
		return
	}
	for i, p := range asked {
		p.answers = answers[i]
		p.res.Problems = append(p.res.Problems, problems[i]...)
		if p.open() && len(p.answers) != len(items[i]) {
			p.res.Err = errors.New("enroll identity answers: an item got no answer and no problem")
		}
	}
}

// checkGuess warns of a chain that is easily guessed.
func checkGuess(t *tenant.Tenant, p *plan) {
	id, code := p.draft.Identity, p.asksCode(t)
	if !p.open() || !code && (id == nil || len(id.Items) == 0) {
		return
	}
	digits := 0
	if code {
		digits = cmp.Or(p.codeDigits(), t.Policy.Digits())
	}
	g := identity.GuessOf(t, p.answers, digits)
	p.guess = &g
	if !g.Warns() {
		return
	}
	w := message.Problem{Field: "identity", Code: message.CodeGuessable, Limit: identity.Guessable, Got: int64(g.OneIn)}
	if len(g.Unknown) > 0 {
		w.Detail = "how the answers to a question of your own are spread is not known: it counts as nothing"
	}
	p.warn(w)
}
