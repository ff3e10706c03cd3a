package intake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// policy changes that of mizu.
func (r *room) policy(t testing.TB, p tenant.Policy) {
	t.Helper()
	next := shop("mizu")
	next.Policy = p
	require.NoError(t, r.Tenants.Apply(context.Background(), next))
}

// unwanted refuses one number to all classes but otp.
type unwanted struct{ number string }

func (u unwanted) Refuses(_ context.Context, t tenant.ID, c message.Class, n carrier.Number) (bool, error) {
	if t == "gasu" {
		return false, errors.New("the index is gone")
	}
	want, err := carrier.ParseNumber(u.number)
	return err == nil && n == want && c != message.OTP, nil
}

func TestNumberOnTheListIsRefused(t *testing.T) {
	r := openRoom(t)
	r.DoNotSend = unwanted{docomo}
	refused := r.accept(t, bill())[0]
	require.Len(t, refused.Problems, 1)
	require.Equal(t, [3]string{"to", "do_not_send", "090-****-0001"}, [3]string{refused.Problems[0].Field, refused.Problems[0].Code, refused.Problems[0].Value})
	require.Contains(t, refused.Problems[0].Text("ja"), "送信停止リスト")
	ok := func(change func(*message.Draft)) {
		t.Helper()
		d := bill()
		change(&d)
		res := r.accept(t, d)[0]
		require.True(t, res.Accepted(), "%v %v", res.Problems, res.Err)
	}
	ok(func(d *message.Draft) { d.To = au })
	ok(func(d *message.Draft) { send := false; d.Send, d.Text = &send, "" })
	ok(func(d *message.Draft) { *d = message.Draft{To: docomo, Class: "otp", Text: "確認コード 123456"} })
	res, err := r.Accept(t.Context(), Request{Tenant: "gasu", Via: message.ViaAPI, Drafts: []message.Draft{bill()}})
	require.NoError(t, err)
	require.ErrorContains(t, res[0].Err, "the index is gone", "what cannot be asked is not sent")
}

func TestDuplicateIsRefusedForATime(t *testing.T) {
	r := openRoom(t)
	plain := func(class, text, reference, claim string) message.Draft {
		d := message.Draft{To: docomo, Class: class, Text: text, Reference: reference, Page: &message.Page{Title: "お知らせ"}}
		if claim != "" {
			d.Claim = &message.Claim{Number: claim, Amount: 1000, Due: time.Now().AddDate(0, 0, 9).Format(time.DateOnly)}
		}
		return d
	}
	duplicate := func(field string, first ulid.ULID, d message.Draft) {
		t.Helper()
		dry, err := r.Validate(t.Context(), Request{Tenant: "mizu", Via: message.ViaAPI, Drafts: []message.Draft{d}})
		require.NoError(t, err)
		for _, res := range []Result{r.accept(t, d)[0], dry[0]} {
			require.Len(t, res.Problems, 1)
			p := res.Problems[0]
			require.Equal(t, [3]string{"duplicate", field, first.String()}, [3]string{p.Code, p.Field, p.Value})
		}
	}
	ok := func(d message.Draft) ulid.ULID {
		t.Helper()
		res := r.accept(t, d)[0]
		require.True(t, res.Accepted(), "%v %v", res.Problems, res.Err)
		return res.ID
	}
	ok(plain("billing", "請求です。{url}", "R-1", ""))
	ok(plain("billing", "請求です。{url}", "R-1", "")) // off unless asked for
	first := ok(plain("collection", "督促です。{url}", "", ""))
	duplicate("text", first, plain("collection", "督促です。{url}", "", "")) // but for collection

	r.policy(t, tenant.Policy{Duplicates: []tenant.Duplicate{{Class: "*", Minutes: 5}}})
	first = ok(plain("billing", "請求です。{url}", "R-2", "C-2"))
	duplicate("text", first, plain("billing", "請求です。{url}", "R-3", ""))
	duplicate("reference", first, plain("billing", "別の文です。{url}", "R-2", ""))
	duplicate("claim.number", first, plain("notice", "また別の文です。{url}", "", "C-2"))
	other := plain("billing", "請求です。{url}", "R-2", "C-2")
	other.To = au
	ok(other)
	for range 2 {
		ok(message.Draft{To: docomo, Class: "otp", Text: "確認コード 123456"})
	}

	// The same key is the same request, not another message.
	keyed := plain("billing", "鍵つきです。{url}", "", "")
	keyed.Key = "K-1"
	id := ok(keyed)
	again := r.accept(t, keyed)[0]
	require.True(t, again.Repeated)
	require.Equal(t, id, again.ID)
	keyed.Key = "K-2"
	duplicate("text", id, keyed)
}

// TestCanceledMessageIsNoDuplicatesFirst: whoever cancels a message may send it again, once.
func TestCanceledMessageIsNoDuplicatesFirst(t *testing.T) {
	r := openRoom(t)
	r.policy(t, tenant.Policy{Duplicates: []tenant.Duplicate{{Class: "notice", Minutes: 5}}})
	d := message.Draft{To: docomo, Text: "お知らせです", Reference: "R-1"}
	for round := range 3 {
		var mu sync.Mutex
		var wg sync.WaitGroup
		accepted := map[ulid.ULID]bool{}
		firsts := map[string]bool{}
		for range 12 {
			wg.Go(func() {
				res, err := r.Accept(context.Background(), Request{Tenant: "mizu", Via: message.ViaAPI, Drafts: []message.Draft{d}})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil || res[0].Err != nil:
					t.Error(err, res[0].Err)
				case res[0].Accepted():
					accepted[res[0].ID] = true
				default:
					firsts[res[0].Problems[0].Value] = true
				}
			})
		}
		wg.Wait()
		require.Len(t, accepted, 1, "round %d", round)
		require.Len(t, firsts, 1)
		for id := range accepted {
			require.True(t, firsts[id.String()])
			ref := store.Ref{Tenant: "mizu", Kind: store.Message, ID: id}
			errs, err := r.Store.Commit(t.Context(), store.Tx{{Ref: ref, Expect: 1, Final: true, Events: []store.NewEvent{{Type: byte(message.Canceled), Data: message.Encode(message.Act{By: "x"})}}}})
			require.NoError(t, err)
			require.NoError(t, errs[0])
		}
	}
}

func TestDailyCapCountsWhatWasAccepted(t *testing.T) {
	r := openRoom(t)
	r.policy(t, tenant.Policy{Limits: []tenant.Limit{{PerDay: 5}, {Sender: "otp", PerDay: 2}}})
	text := func(i int, profile string) message.Draft {
		return message.Draft{To: docomo, Text: fmt.Sprintf("お知らせ%d", i), Sender: profile}
	}
	capped := func(res Result, sender string, perDay int) {
		t.Helper()
		var limit *LimitError
		require.ErrorAs(t, res.Err, &limit)
		require.Equal(t, [2]any{sender, perDay}, [2]any{limit.Sender, limit.PerDay})
		require.Positive(t, limit.RetryAfter)
		require.LessOrEqual(t, limit.RetryAfter, 24*time.Hour)
		require.Equal(t, "daily_cap", limit.Problem().Code)
	}
	results := r.accept(t, text(0, "otp"), text(1, "otp"), text(2, "otp"), message.Draft{To: "110", Text: "x"})
	require.True(t, results[1].Accepted())
	capped(results[2], "otp", 2)
	require.NotEmpty(t, results[3].Problems, "what is refused does not count")
	r.Intake.limits = limits{} // as after a restart
	results = r.accept(t, text(3, "otp"), text(4, ""), text(5, ""), text(6, ""), text(7, ""))
	capped(results[0], "otp", 2)
	require.True(t, results[3].Accepted())
	capped(results[4], "", 5)
	_, err := r.SendCode(t.Context(), CodeRequest{Tenant: "mizu", To: docomo, Text: "確認コード 123456", ForMessage: results[3].ID})
	require.NoError(t, err, "whoever waits for a code gets it")
	r.policy(t, tenant.Policy{Limits: []tenant.Limit{{PerDay: 7}}})
	results = r.accept(t, text(8, ""), text(9, ""))
	require.True(t, results[0].Accepted())
	capped(results[1], "", 7)
}

// TestDailyCapHoldsUnderConcurrency: what was let in at once is never more than the cap.
func TestDailyCapHoldsUnderConcurrency(t *testing.T) {
	r := openRoom(t)
	r.policy(t, tenant.Policy{Limits: []tenant.Limit{{PerDay: 10}}})
	var mu sync.Mutex
	var wg sync.WaitGroup
	in := 0
	for range 8 {
		wg.Go(func() {
			for range 4 {
				res, err := r.Accept(context.Background(), Request{Tenant: "mizu", Via: message.ViaAPI, Drafts: []message.Draft{{To: docomo, Text: "お知らせ"}}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if res[0].Accepted() {
					in++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 10, in)
}

func TestRateOfASender(t *testing.T) {
	r := openRoom(t)
	r.policy(t, tenant.Policy{Limits: []tenant.Limit{{Sender: "default", PerSec: 3}}})
	now := time.Now()
	try := func(at time.Time, profile string) error {
		tn := r.Tenants.Now().Tenants["mizu"]
		p := &plan{now: at, profile: profile, res: &Result{ID: ulid.Make()}}
		return r.limits.take(t.Context(), r.Store, tn, &Request{Via: message.ViaAPI}, p)
	}
	for range 3 {
		require.NoError(t, try(now, "default"))
	}
	var limit *LimitError
	require.ErrorAs(t, try(now, "default"), &limit)
	require.Equal(t, LimitError{Sender: "default", PerSec: 3, RetryAfter: time.Second}, *limit)
	require.NoError(t, try(now, "otp"))
	require.NoError(t, try(now.Add(time.Second), "default"))
}

// A message that another limit or the record refuses leaves its place in the second to others, and no place is made by that.
func TestRefusedMessageGivesItsRateBack(t *testing.T) {
	r := openRoom(t)
	r.policy(t, tenant.Policy{Limits: []tenant.Limit{{PerSec: 3}, {Sender: "default", PerSec: 1}}})
	tn, now := r.Tenants.Now().Tenants["mizu"], time.Now()
	try := func(at time.Time, profile string, via message.Via) (*plan, error) {
		p := &plan{now: at, profile: profile, res: &Result{}}
		return p, r.limits.take(t.Context(), r.Store, tn, &Request{Via: via}, p)
	}
	var limit *LimitError
	in := func(at time.Time, n int) {
		t.Helper()
		for range n {
			_, err := try(at, "otp", message.ViaAPI)
			require.NoError(t, err)
		}
		_, err := try(at, "otp", message.ViaAPI)
		require.ErrorAs(t, err, &limit)
		require.Empty(t, limit.Sender)
	}
	first, err := try(now, "default", message.ViaAPI)
	require.NoError(t, err)
	for range 5 {
		_, err := try(now, "default", message.ViaAPI)
		require.ErrorAs(t, err, &limit)
		require.Equal(t, "default", limit.Sender)
	}
	in(now, 2)
	code, err := try(now, "otp", message.ViaEngine)
	require.NoError(t, err, "the engine's own come in all the same")
	code.giveBack()
	first.giveBack()
	in(now, 1)
	late, err := try(now.Add(time.Minute), "otp", message.ViaAPI)
	require.NoError(t, err)
	in(now.Add(2*time.Minute), 3)
	late.giveBack()
	late.giveBack()
	in(now.Add(2*time.Minute), 1)
	one, err := try(now.Add(3*time.Minute), "otp", message.ViaAPI)
	require.NoError(t, err)
	two, err := try(now.Add(3*time.Minute), "otp", message.ViaAPI)
	require.NoError(t, err)
	_, err = try(now.Add(4*time.Minute), "otp", message.ViaEngine)
	require.NoError(t, err)
	one.giveBack()
	two.giveBack()
	in(now.Add(4*time.Minute), 3)
}
