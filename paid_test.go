package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// counter takes messages as intake does: the same key is the same message.
type counter struct {
	drafts []message.Draft
	ids    map[string]ulid.ULID
	fails  int // so many times it is busy first
	refuse message.Problems
}

func (c *counter) Accept(_ context.Context, r intake.Request) ([]intake.Result, error) {
	if c.fails > 0 {
		c.fails--
		return []intake.Result{{Err: store.ErrBusy}}, nil
	}
	if c.refuse != nil {
		return []intake.Result{{Problems: c.refuse}}, nil
	}
	d := r.Drafts[0]
	if id, known := c.ids[d.Key]; known {
		return []intake.Result{{ID: id, Repeated: true}}, nil
	}
	c.drafts = append(c.drafts, d)
	c.ids[d.Key] = ulid.Make()
	return []intake.Result{{ID: c.ids[d.Key]}}, nil
}

type paidRig struct {
	*paidNotices
	t      *testing.T
	s      *store.Store
	intake *counter
	shop   tenant.Tenant
	sms    []byte // of the message behind the next claim; nil: one that can be read
}

func newPaidRig(t *testing.T, sms tenant.PaidSMS) *paidRig {
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key"), MinFree: 1, Pace: -1, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	r := &paidRig{t: t, s: s, intake: &counter{ids: map[string]ulid.ULID{}}, shop: tenant.Tenant{ID: "mizu", Name: "〇〇県水道局", Brand: tenant.Brand{Phone: "000-000-0000"}, PaidSMS: sms,
		Senders:   []tenant.SenderProfile{{Name: "default"}},
		Templates: []tenant.Template{{Name: "paid", Text: "{payer}様 {number} {amount}円を{paid_on}に受領しました。{link}"}}}}
	require.Empty(t, r.shop.Validate())
	payments, err := payment.New(payment.Options{Store: s, Config: payment.DefaultConfig(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	r.paidNotices = &paidNotices{store: s, claims: payments, intake: r.intake, now: time.Now, log: slog.New(slog.DiscardHandler),
		directory: func() *tenant.Snapshot {
			return &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{"mizu": &r.shop}}
		}}
	return r
}

func (r *paidRig) commit(changes ...store.Change) {
	r.t.Helper()
	errs, err := r.s.Commit(r.t.Context(), store.Tx(changes))
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

func jsonEvent(t payment.Type, data any) store.NewEvent {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return store.NewEvent{Type: byte(t), At: time.Now(), Data: b}
}

// claim makes a message with a claim of 7,440 yen and an attempt; happens appends what its agent said.
func (r *paidRig) claim(number string) (ref store.Ref, happens func(state string)) {
	r.t.Helper()
	msg, attempt, now := ulid.Make(), ulid.Make(), time.Now()
	ref = store.Ref{Tenant: "mizu", Kind: store.Claim, ID: ulid.Make()}
	sms := r.sms
	if sms == nil {
		sms = message.Encode(&message.SMS{Number: "+819000010001", Text: "x", Reference: "ref-1"})
	}
	box, err := r.s.Seal("mizu", "billing", now, msg.String()+"/sms", sms)
	require.NoError(r.t, err)
	content, err := r.s.Seal("mizu", payment.Class, now, ref.ID.String()+"/content", []byte(`{"payer":"書留 太郎"}`))
	require.NoError(r.t, err)
	r.commit(
		store.Change{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: msg}, Events: []store.NewEvent{{Type: byte(message.Accepted), At: now,
			Data: message.Encode(&message.Head{No: "20261122000000001", Class: message.Billing, Sender: "default", URL: "https://s.example.jp/a/SQND01gr00", Token: "SQND01gr00", SMS: box, Claim: ref.ID})}}},
		store.Change{Ref: ref, Events: []store.NewEvent{
			jsonEvent(payment.Made, payment.Head{V: 1, Number: number, Terms: payment.Terms{Amount: 7440, Tax: -1, Due: now.Add(time.Hour), Sealed: content}}),
			jsonEvent(payment.Joined, payment.Join{Message: msg}),
			jsonEvent(payment.Started, payment.Start{ID: attempt, Agent: "sandbox", Module: "payment/sandbox", Method: "card", Yen: 7440, Due: now.Add(time.Hour), Message: msg}),
		}})
	return ref, func(state string) {
		r.t.Helper()
		typ := map[string]payment.Type{payment.IsProvisional: payment.Provisional, payment.IsConfirmed: payment.Confirmed}[state]
		at := time.Now()
		r.commit(store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{jsonEvent(typ, payment.Fact{Attempt: attempt, Seen: at, From: "notice",
			View: payment.View{State: state, Yen: 7440, Paid: 7440, ProvisionalAt: at}})}})
	}
}

// follow reads all that was committed, from the beginning: every fact comes again.
func (r *paidRig) follow() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	whole := errors.New("whole")
	last := store.Ref{Tenant: "mizu", Kind: store.Notice, ID: ulid.Make()}
	r.commit(store.Change{Ref: last, Events: []store.NewEvent{{Type: 1}}})
	err := r.s.Follow(ctx, "test "+last.ID.String(), func(batch []store.Event, lost bool) error {
		if err := r.batch(ctx, batch); err != nil {
			return err
		}
		for _, e := range batch {
			if e.Ref == last {
				return whole
			}
		}
		return nil
	})
	require.ErrorIs(r.t, err, whole)
}

func TestPayerIsToldOnceWhateverIsReplayed(t *testing.T) {
	r := newPaidRig(t, tenant.PaidSMS{When: tenant.PaidOnConfirmed})
	ref, happens := r.claim("A-1")
	happens(payment.IsProvisional)
	r.follow()
	require.Empty(t, r.intake.drafts, "速報 is not what it waits for")
	r.intake.fails = 2
	happens(payment.IsConfirmed)
	r.follow()
	require.Len(t, r.intake.drafts, 1)
	d := r.intake.drafts[0]
	require.Equal(t, "+819000010001", d.To)
	require.Equal(t, "〇〇県水道局：7,440円のお支払いを確認しました。", d.Text)
	require.Equal(t, "notice", d.Class)
	require.Equal(t, "default", d.Sender)
	require.Equal(t, "ref-1", d.Reference)

	happens(payment.IsConfirmed)
	r.intake.ids = map[string]ulid.ULID{} // the key has ended
	r.follow()
	r.follow()
	require.Len(t, r.intake.drafts, 1, "the claim knows that its payer was told")
	s, err := r.claims.Claim(t.Context(), tenant.Only("mizu"), ref.ID)
	require.NoError(t, err)
	require.False(t, s.ToldAt.IsZero())
	require.False(t, s.ToldBy.IsZero())
}

func TestPayerIsToldWithTheFirstNewsWhereTheTenantWantsThat(t *testing.T) {
	r := newPaidRig(t, tenant.PaidSMS{When: tenant.PaidOnReceived, Template: "paid"})
	_, happens := r.claim("A-1")
	happens(payment.IsProvisional)
	r.follow()
	happens(payment.IsConfirmed)
	r.follow()
	require.Len(t, r.intake.drafts, 1)
	d := r.intake.drafts[0]
	require.Equal(t, "paid", d.Template)
	require.Equal(t, map[string]string{"payer": "書留 太郎", "number": "A-1", "amount": "7,440", "paid_on": time.Now().In(message.Tokyo).Format("2006/01/02"), "link": "https://s.example.jp/a/SQND01gr00"}, d.Vars)
}

// A message that cannot be read holds nobody up who comes after it.
func TestPayerOfAnUnreadableMessageHoldsNobodyUp(t *testing.T) {
	r := newPaidRig(t, tenant.PaidSMS{When: tenant.PaidOnConfirmed})
	r.sms = []byte("?")
	_, happens := r.claim("A-1")
	happens(payment.IsConfirmed)
	r.sms = nil
	_, happens = r.claim("A-2")
	happens(payment.IsConfirmed)
	r.follow()
	require.Len(t, r.intake.drafts, 1)
}

func TestNobodyIsToldWhenItIsOffOrLongAgoOrRefused(t *testing.T) {
	r := newPaidRig(t, tenant.PaidSMS{})
	_, happens := r.claim("A-1")
	happens(payment.IsConfirmed)
	r.follow()
	require.Empty(t, r.intake.drafts)
	r.shop.PaidSMS.When = tenant.PaidOnConfirmed
	r.now = func() time.Time { return time.Now().Add(paidFresh + time.Minute) }
	r.follow()
	require.Empty(t, r.intake.drafts, "turned on long after")
	r.now = time.Now
	r.intake.refuse = message.Problems{{Field: "to", Code: "refused", Detail: "on the do-not-send list"}}
	r.follow()
	require.Empty(t, r.intake.drafts)
}

// A payment that comes at night: the notice of it is no demand, so that the hours of collection do not hold it, whatever class its claim
// was sent under; but the tenant's own quiet hours of notices do, as of any notice.
func TestPayerIsToldInTheHoursOfNotices(t *testing.T) {
	night := time.Date(2026, 11, 28, 23, 30, 0, 0, message.Tokyo)
	sent := func(quiet ...tenant.Quiet) time.Time {
		r := newPaidRig(t, tenant.PaidSMS{When: tenant.PaidOnReceived})
		r.shop.Policy.Quiet = quiet
		require.Empty(t, r.shop.Validate())
		_, happens := r.claim("A-1")
		happens(payment.IsProvisional)
		r.follow()
		require.Len(t, r.intake.drafts, 1)
		d := r.intake.drafts[0]
		require.Nil(t, d.SendAt)
		require.WithinDuration(t, time.Now().Add(paidValid), *d.ValidUntil, time.Minute, "closed days do not outlast it")
		class, err := message.ParseClass(d.Class)
		require.NoError(t, err)
		return dispatch.Release(night, class, d.Window, r.shop.Policy.Quiet, 7)
	}
	require.Equal(t, night, sent(), "at once")
	require.Equal(t, night, sent(tenant.Quiet{Class: "collection", From: "21:00", To: "08:00"}), "it is no demand")
	morning := time.Date(2026, 11, 29, 8, 0, 0, 0, message.Tokyo)
	for _, class := range []string{"notice", "*"} {
		at := sent(tenant.Quiet{Class: class, From: "21:00", To: "08:00"})
		require.False(t, at.Before(morning), "%s: %s", class, at)
		require.True(t, at.Before(morning.Add(2*time.Hour)), "%s: %s", class, at)
	}
	monday := time.Date(2026, 11, 30, 0, 0, 0, 0, message.Tokyo)
	require.False(t, sent(tenant.Quiet{Class: "notice", Closed: []string{"sat", "sun"}}).Before(monday), "closed days")
}
