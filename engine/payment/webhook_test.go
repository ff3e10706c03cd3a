package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

func TestNoticesInAnyOrderAndTwice(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	prov := r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour)
	conf := r.told("n2", a, proto.PaymentState_CONFIRMED, 7440, 30*time.Hour)
	reply := r.hook(conf)
	require.Equal(t, 200, reply.Status)
	require.Equal(t, "OK", string(reply.Body))
	require.Equal(t, Paid, r.state(claim).Phase)
	for range 3 {
		require.Equal(t, 200, r.hook(prov).Status)
		require.Equal(t, 200, r.hook(conf, prov).Status)
	}
	s := r.state(claim)
	require.Equal(t, int64(7440), s.Confirmed)
	require.Equal(t, Paid, s.Phase)
	require.Empty(t, s.Alerts)
	require.True(t, s.Over())
	require.Equal(t, []string{"made", "joined", "attempt_started", "attempt_issued", "confirmed"}, r.events(claim))

	revoked := r.told("n3", a, proto.PaymentState_AWAITING, 0, 40*time.Hour)
	revoked.Payment.ProvisionalRevoked = true
	r.hook(revoked)
	s = r.state(claim)
	require.Equal(t, Paid, s.Phase, "a late 速報取消 undoes nothing")
	require.Equal(t, RevokedAfterConfirm, s.Alerts[0].Code)
	require.Empty(t, r.waiting())
}

// waiting lists the webhooks that are stored and not yet applied. As many are in the
// queue.
func (r *rig) waiting() []store.DueItem {
	r.t.Helper()
	refs, err := r.s.Search(r.t.Context(), scope, store.Query{Kind: store.Notice, Limit: 1000})
	require.NoError(r.t, err)
	var open []store.DueItem
	for _, ref := range refs {
		events, err := r.s.Load(r.t.Context(), scope, ref)
		require.NoError(r.t, err)
		if len(events) == 1 {
			open = append(open, store.DueItem{Ref: ref})
		}
	}
	if _, due, err := r.s.NextDue(queueNotice, store.Cursor{}); err != nil || due != (len(open) > 0) {
		r.t.Fatalf("%d webhooks are not applied; in the queue: %v (%v)", len(open), due, err)
	}
	return open
}

func TestWebhookIsDurableBeforeItIsRead(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	r.bank.before = func(call string) error {
		if call == "webhook" {
			r.s.Close() // power is gone while the module reads
		}
		return nil
	}
	require.Equal(t, 503, r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour)).Status)
	r.bank.before = nil
	r.open()
	require.Equal(t, AwaitingMoney, r.state(claim).Phase)
	r.pass(noticeRetry)
	items := r.waiting()
	require.Len(t, items, 1)
	require.NoError(t, r.retryNotice(t.Context(), items[0].Ref))
	require.Equal(t, Accepted, r.state(claim).Phase)
	require.Empty(t, r.waiting())
	require.NoError(t, r.retryNotice(t.Context(), items[0].Ref), "again changes nothing")
	require.Equal(t, int64(7440), r.state(claim).Received)
}

func TestCrashBetweenFactsAndEndOfNotice(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	req := r.request(goodSignature, r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	n := raw{Method: req.Method, Headers: req.Headers, Body: req.Body, at: r.time()}
	ref, err := r.keep(t.Context(), "acme", r.tenant.Agents[0], &n)
	require.NoError(t, err)
	resp, err := r.readWebhook(t.Context(), "acme", "sandbox", "payment/sandbox", &n)
	require.NoError(t, err)
	require.NoError(t, r.applyPayment(t.Context(), "acme", "sandbox", resp.Notices[0], n.at))
	r.crash()
	require.Equal(t, Accepted, r.state(claim).Phase)
	require.NoError(t, r.retryNotice(t.Context(), ref))
	require.Equal(t, int64(7440), r.state(claim).Received)
	require.Empty(t, r.waiting())
}

func TestModuleThatIsDownDelaysAndLosesNothing(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	r.bank.before = func(string) error { return status.Error(codes.Unavailable, "down") }
	require.Equal(t, 503, r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour)).Status)
	for range 6 { // longer than the signature holds
		items := r.waiting()
		require.Len(t, items, 1)
		at, ok, err := r.s.NextDue(queueNotice, store.Cursor{})
		require.NoError(t, err)
		require.True(t, ok)
		require.True(t, at.After(r.time()))
		r.pass(at.Sub(r.time()))
		require.NoError(t, r.retryNotice(t.Context(), items[0].Ref))
	}
	require.Equal(t, AwaitingMoney, r.state(claim).Phase)
	r.bank.before = nil
	require.NoError(t, r.retryNotice(t.Context(), r.waiting()[0].Ref))
	require.Equal(t, Accepted, r.state(claim).Phase)
	require.Empty(t, r.waiting())

	r.bank.before = func(string) error { return status.Error(codes.Unavailable, "down") }
	require.Equal(t, 503, r.hook(r.told("n2", a, proto.PaymentState_CONFIRMED, 7440, 2*time.Hour)).Status)
	r.pass(noticePatience + time.Minute)
	require.NoError(t, r.retryNotice(t.Context(), r.waiting()[0].Ref))
	require.Empty(t, r.waiting(), "after a week it is given up, loudly")
	require.Equal(t, 1.0, r.webhooks("abandoned"))
}

func TestBudgetsBeforeAnythingIsStored(t *testing.T) {
	r := newRig(t)
	events := func() int {
		refs, err := r.s.Search(t.Context(), scope, store.Query{Kind: store.Notice, Limit: 1000})
		require.NoError(t, err)
		return len(refs)
	}
	big := r.request(goodSignature)
	big.Body = make([]byte, MaxWebhookBody+1)
	require.Equal(t, 413, r.Webhook(t.Context(), big).Status)
	wide := r.request(goodSignature)
	wide.Headers = append(wide.Headers, Header{"X-Long", strings.Repeat("x", MaxWebhookHeaders)})
	require.Equal(t, 413, r.Webhook(t.Context(), wide).Status)
	unknown := r.request(goodSignature)
	unknown.Hook = "ffffffffffffffffffffffffffffffff"
	require.Equal(t, 404, r.Webhook(t.Context(), unknown).Status)
	unknown.Hook = ""
	require.Equal(t, 404, r.Webhook(t.Context(), unknown).Status)
	require.Equal(t, 0, events())

	for range r.c.Unverified + 40 { // somebody knows the path and not the secret
		require.Equal(t, 401, r.Webhook(t.Context(), r.request("wrong")).Status)
		r.pass(100 * time.Millisecond)
	}
	require.Equal(t, r.c.Unverified, events(), "no more than the budget is kept")
	require.Equal(t, 200, r.hook().Status, "what verifies is taken all the same")
	require.Equal(t, r.c.Unverified+1, events())
	require.Empty(t, r.waiting())

	many := 0
	for range r.c.HookBurst + 50 {
		if r.hook().Status == 429 {
			many++
		}
	}
	require.GreaterOrEqual(t, many, 40)
}

// Somebody who knows the path floods it, from one address and from many, while the agent tells of money from another.
func TestFloodLeavesTheDiskBoundedAndRealNoticesTaken(t *testing.T) {
	for _, forgers := range []int{1, 40} {
		r := newRig(t)
		r.c.HookRate, r.c.HookBurst, r.c.Unverified = 10, 40, 10
		kept := func() int {
			refs, err := r.s.Search(t.Context(), scope, store.Query{Kind: store.Notice, Limit: 1000})
			require.NoError(t, err)
			return len(refs)
		}
		real := 0
		tells := func(from string) int {
			real++
			claim := r.claim(fmt.Sprint("A-", real), 1000)
			told := r.request(goodSignature, r.told(fmt.Sprint("n", real), r.mustStart(claim, "konbini_barcode"), proto.PaymentState_CONFIRMED, 1000, time.Hour))
			told.Remote = from
			reply := r.Webhook(t.Context(), told)
			require.Equal(t, reply.Status == 200, r.state(claim).Phase == Paid)
			return reply.Status
		}
		forged := r.request("wrong")
		forged.Body = make([]byte, MaxWebhookBody)
		random := rand.New(rand.NewPCG(1, 2))
		flood := func(seconds int) { // 200 a second
			for range seconds * 200 {
				n := random.IntN(forgers)
				forged.Remote = fmt.Sprint("203.0.113.", n)
				if n%2 == 1 {
					forged.Remote = fmt.Sprintf("2001:db8:0:%x::%x", n, random.Uint32()>>16)
				}
				forged.Headers[0].Value = strconv.FormatInt(r.time().Unix(), 10)
				require.Contains(t, []int{401, 429}, r.Webhook(t.Context(), forged).Status)
				r.pass(5 * time.Millisecond)
			}
		}
		const agent, moved = "198.51.100.1", "198.51.100.2"
		require.Equal(t, 200, tells(agent))
		for range 3 {
			flood(1)
			for range 3 {
				require.Equal(t, 200, tells(agent))
			}
		}
		require.LessOrEqual(t, kept(), real+r.c.Unverified, "of what does not verify no more than its budget is kept")

		r.crash()
		r.c.HookRate, r.c.HookBurst, r.c.Unverified = 10, 40, 10
		flood(5)
		require.Equal(t, 200, tells(agent), "it is known after a restart")
		flood(14)
		require.Equal(t, 200, tells(moved), "who forges is known after a while, and leaves room to a new address")
		require.LessOrEqual(t, kept(), real+2*r.c.Unverified)
		require.LessOrEqual(t, len(r.budget(testHook).sources), forgers+2, "a network is one source")

		for i := range maxSources + 100 {
			forged.Remote = fmt.Sprintf("2001:db8:1:%x::1", i)
			r.Webhook(t.Context(), forged)
		}
		require.Equal(t, 200, tells(moved))
		require.LessOrEqual(t, len(r.budget(testHook).sources), maxSources)
	}
}

// While the module is down nobody can tell a forged notice from a real one.
func TestFloodWhileTheModuleIsDownLeavesTheDiskBounded(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 1000)
	a := r.mustStart(claim, "konbini_barcode")
	r.bank.set(func() { r.bank.before = func(string) error { return errors.New("down") } })
	forged := r.request("wrong")
	forged.Body = make([]byte, MaxWebhookBody)
	const flood = 2 * maxUnread / MaxWebhookBody
	for i := range flood {
		forged.Remote = fmt.Sprint("203.0.113.", i%250)
		require.Equal(t, 503, r.Webhook(t.Context(), forged).Status)
		r.pass(100 * time.Millisecond)
	}
	refs, err := r.s.Search(t.Context(), scope, store.Query{Kind: store.Notice, Limit: 1000})
	require.NoError(t, err)
	require.LessOrEqual(t, len(refs), maxUnread/MaxWebhookBody*102/100, "and what a minute adds")
	r.bank.set(func() { r.bank.before = nil })
	require.Equal(t, 200, r.hook(r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, time.Hour)).Status)
	require.Equal(t, Paid, r.state(claim).Phase)
}

func TestForeignNoticesTouchNothing(t *testing.T) {
	r := newRig(t)
	r.tenant.Agents = append(r.tenant.Agents, tenant.Agent{Name: "second", Module: "payment/sandbox", Hook: strings.Repeat("a", 32), Methods: []string{"x"}})
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	n := r.told("n1", a, proto.PaymentState_CONFIRMED, 7440, time.Hour)
	req := r.request(goodSignature, n)
	req.Hook = strings.Repeat("a", 32)
	require.Equal(t, 200, r.Webhook(t.Context(), req).Status)
	require.Equal(t, AwaitingMoney, r.state(claim).Phase, "another agent's word does not count")
	n.Payment.AttemptId = ulid.Make().String()
	require.Equal(t, 200, r.hook(n).Status)
	n.Payment.AttemptId = "not-ours"
	require.Equal(t, 200, r.hook(n).Status)
	require.Equal(t, 3.0, r.webhooks("foreign"))
	require.Len(t, r.events(claim), 4)
}

func TestNoticeIDUsedForTwoClaimsLosesNoMoney(t *testing.T) {
	r := newRig(t)
	first, second := r.claim("A-1", 1000), r.claim("A-2", 2000)
	a, b := r.mustStart(first, "konbini_barcode"), r.mustStart(second, "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, time.Hour))
	r.hook(r.told("n1", b, proto.PaymentState_CONFIRMED, 2000, time.Hour))
	require.Equal(t, Paid, r.state(first).Phase)
	require.Equal(t, Paid, r.state(second).Phase)
	require.Equal(t, 1.0, r.webhooks("reused"))
}

// webhooks reads the counter of what became of webhooks.
func (r *rig) webhooks(outcome string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	require.NoError(r.t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "kakitome_payment_webhooks_total" && m.Label[0].GetValue() == outcome {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

func TestReplyIsWithinWhatAHostMaySay(t *testing.T) {
	got := reply(&proto.WebhookResponse{ReplyStatus: 302, ReplyBody: []byte("<b>"), ReplyHeaders: []*proto.Header{
		{Name: "Set-Cookie", Value: "a=b"}, {Name: "Location", Value: "https://example.com"}, {Name: "content-type", Value: "text/html"},
	}}, 200)
	require.Equal(t, []Header{{"Content-Type", "text/plain; charset=utf-8"}}, got.Headers)
	got = reply(&proto.WebhookResponse{ReplyStatus: 9999, ReplyBody: []byte("{}"), ReplyHeaders: []*proto.Header{{Name: "Content-Type", Value: "application/json"}}}, 200)
	require.Equal(t, 200, got.Status)
	require.Equal(t, []Header{{"Content-Type", "application/json"}}, got.Headers)
}

func TestNothingPersonalPlainOnDisk(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	n := r.told("n1", a, proto.PaymentState_CONFIRMED, 7440, time.Hour)
	req := r.request(goodSignature, n)
	req.Headers = append(req.Headers, Header{"X-Payer", "HIMITSU"})
	r.Webhook(t.Context(), req)
	_, _, err := r.Receipt(t.Context(), r.tenant, claim, ReceiptOptions{})
	require.NoError(t, err)
	require.NoError(t, r.s.Close())
	require.NoError(t, filepath.WalkDir(r.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, secret := range []string{"書留 太郎", "HIMITSU", "〇〇利用料", goodSignature} {
			require.NotContains(t, string(b), secret, path)
		}
		return err
	}))
}

func FuzzParseView(f *testing.F) {
	f.Add(int32(2), int64(1000), int64(0), "https://agent.example.com/", "91908081030210019970007091753026123100074406")
	f.Add(int32(2), int64(1), int64(0), "http://\xcd", "")
	f.Add(int32(99), int64(-1), int64(1)<<62, "javascript:alert(1)", "１２３")
	f.Fuzz(func(t *testing.T, state int32, yen, paid int64, redirect, barcode string) {
		v, err := parseView(&proto.Payment{
			State: proto.PaymentState(state), Yen: yen, PaidYen: paid, RedirectUrl: redirect, AgentPaymentId: redirect, Store: barcode,
			Voucher: &proto.Voucher{Barcode: barcode, PaymentNumber: redirect, Stores: make([]*proto.Store, len(barcode)%100)},
		})
		if err != nil {
			return
		}
		if v.Redirect != "" && !strings.HasPrefix(strings.ToLower(v.Redirect), "http") {
			t.Fatalf("redirect to %q", v.Redirect)
		}
		if v.Voucher.Barcode != "" && len(v.Voucher.Barcode) != 44 || len(v.AgentID) > maxVoucherField || len(v.Voucher.Stores) > maxStores {
			t.Fatalf("%+v", v)
		}
		fact := Fact{View: v, Seen: day0}
		var again Fact
		if err := json.Unmarshal(encode(fact), &again); err != nil || again.compare(&fact) != 0 {
			t.Fatalf("a fact does not come back as it was stored: %v", err)
		}
		if !slices.Contains([]Type{Issued, Provisional, Revoked, Confirmed, Failed, Canceled, Expired}, fact.Type()) {
			t.Fatal(fact.Type())
		}
	})
}

func TestRunAppliesWhatACrashLeft(t *testing.T) {
	r := newRig(t)
	claim := r.claim("A-1", 7440)
	a := r.mustStart(claim, "konbini_barcode")
	req := r.request(goodSignature, r.told("n1", a, proto.PaymentState_PROVISIONAL, 7440, time.Hour))
	_, err := r.keep(t.Context(), "acme", r.tenant.Agents[0], &raw{Method: req.Method, Headers: req.Headers, Body: req.Body, at: r.time()})
	require.NoError(t, err)
	r.crash()
	r.pass(noticeRetry)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	require.Eventually(t, func() bool {
		s, err := r.Claim(t.Context(), scope, claim)
		return err == nil && s.Phase == Accepted
	}, 30*time.Second, 5*time.Millisecond)
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
}
