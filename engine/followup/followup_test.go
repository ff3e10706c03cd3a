package followup

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

const mizu = tenant.ID("mizu")

// room is follow-ups over a real store, intake and payments; agents and the identity module are played.
type room struct {
	*FollowUps
	t        testing.TB
	dir      string
	tenants  *tenant.Directory
	payments *payment.Payments
	intake   *intake.Intake
	before   func(intake.Request) // called before intake gets a batch
	n        int
}

type edge struct{ store *store.Store }

func (edge) Payment(string) proto.PaymentAgentClient         { return nil }
func (edge) Describe(string) (*proto.DescribeResponse, bool) { return nil, false }
func (edge) Render(string) proto.RenderClient                { return nil }
func (edge) Put([]intake.Link)                               {}
func (e edge) Enroll(_ context.Context, t *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	answers, problems := make([][]message.Answer, len(ids)), make([]message.Problems, len(ids))
	for i := range ids {
		for _, it := range items[i] {
			sum, err := e.store.Keyed(t.ID, "identity/"+ids[i].String()+"/"+it.Field, it.Value)
			if err != nil {
				return nil, nil, err
			}
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Hash: sum[:], OneIn: 1_000_000})
		}
	}
	return answers, problems, nil
}

type claims struct{ *payment.Payments }

func (c claims) Plan(ctx context.Context, t *tenant.Tenant, id ulid.ULID, cl *message.Claim, subject string) (ulid.ULID, []store.Change, *message.Problem, error) {
	planned, problem, err := c.Payments.Plan(ctx, t, id, cl, subject)
	return planned.ID, planned.Changes, problem, err
}

// Accept is the intake of runs.
func (r *room) Accept(ctx context.Context, req intake.Request) ([]intake.Result, error) {
	if r.before != nil {
		r.before(req)
	}
	return r.intake.Accept(ctx, req)
}

func open(t testing.TB) *room {
	t.Helper()
	r := &room{t: t, dir: t.TempDir()}
	key := filepath.Join(r.dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	st, err := store.Open(store.Options{Dir: filepath.Join(r.dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Pace: -1, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	r.tenants, err = tenant.OpenDirectory(t.Context(), st.DirectoryLog())
	require.NoError(t, err)
	for _, id := range []tenant.ID{mizu, "gasu"} {
		require.NoError(t, r.tenants.Apply(t.Context(), tenant.Tenant{ID: id, Name: "〇〇水道局", Brand: tenant.Brand{Phone: "000-000-0000"},
			Senders:   []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}},
			Templates: []tenant.Template{{Name: "remind", Text: "〇〇水道局です。{amount}円のお支払い期限は{due}です。{url}"}}}))
	}
	carriers, err := carrier.Open(carrier.Box("../../conf/data/ranges.csv"))
	require.NoError(t, err)
	e, docs := edge{st}, document.New(st, nil)
	r.payments, err = payment.New(payment.Options{Store: st, Directory: r.tenants.Now, Agents: e, Renders: e, Documents: docs, Config: payment.DefaultConfig(), NotSent: func(error) bool { return false }})
	require.NoError(t, err)
	r.intake, err = intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: st, Tenants: r.tenants, Carriers: carriers, Identity: e, Claims: claims{r.payments}, Documents: docs, Links: e})
	require.NoError(t, err)
	r.FollowUps, err = Open(Options{Dir: filepath.Join(r.dir, "followup"), Store: st, Directory: r.tenants.Now, Intake: r, Claims: r.payments})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// run lets the index follow and runs go until the test, or what stop ends, is over.
func (r *room) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(r.t, <-done) })
	r.t.Cleanup(stop)
	return stop
}

// told waits until the index has followed all that happened.
func (r *room) told() {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.Store.Lag(r.index.reader) == 0 }, time.Minute, time.Millisecond)
}

func (r *room) bill(change func(*message.Draft)) ulid.ULID {
	r.t.Helper()
	r.n++
	d := message.Draft{To: fmt.Sprintf("090-0001-%04d", r.n), Text: "〇〇水道局からのお知らせです。{url}", Reference: fmt.Sprint("C-", r.n), Class: "billing", Page: &message.Page{Title: "ご請求"},
		Identity: &message.Identity{Items: []message.IdentityItem{{Field: "customer_number", Value: "1234"}}},
		Claim:    &message.Claim{Number: fmt.Sprint("W-", r.n), Amount: 7440, Due: time.Now().AddDate(0, 0, 20).Format(time.DateOnly)}}
	if change != nil {
		change(&d)
	}
	res, err := r.intake.Accept(r.t.Context(), intake.Request{Tenant: mizu, Via: message.ViaAPI, By: "key:erp", Drafts: []message.Draft{d}})
	require.NoError(r.t, err)
	require.NoError(r.t, res[0].Err)
	require.Empty(r.t, res[0].Problems)
	return res[0].ID
}

func (r *room) happen(id ulid.ULID, events ...message.Event) {
	r.t.Helper()
	c := store.Change{Ref: store.Ref{Tenant: mizu, Kind: store.Message, ID: id}, Expect: store.Any}
	for _, e := range events {
		c.Events = append(c.Events, store.NewEvent{Type: byte(e.Type), Data: e.Data})
	}
	errs, err := r.Store.Commit(r.t.Context(), store.Tx{c})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

func (r *room) settle(number string, remaining int64) {
	r.t.Helper()
	_, err := r.payments.Patch(context.Background(), r.tenants.Now().Tenants[mizu], number, payment.Patch{Settled: true, Remaining: &remaining}, "key:erp")
	require.NoError(r.t, err)
}

func (r *room) state(id ulid.ULID) message.State {
	r.t.Helper()
	s, err := r.states(r.t.Context(), mizu, []ulid.ULID{id})
	require.NoError(r.t, err)
	return s[0]
}

func (r *room) text(id ulid.ULID) string {
	r.t.Helper()
	sms, err := r.sms(mizu, &subject{id: id, st: r.state(id)})
	require.NoError(r.t, err)
	return sms.Text
}

func event(typ message.Type, data any) message.Event {
	return message.Event{Type: typ, Data: message.Encode(data)}
}

var (
	submitted   = event(message.Submitted, message.Submission{Part: 1, Attempt: 1, SMSCID: "1"})
	delivered   = event(message.Delivered, message.Report{Part: 1, State: "DELIVRD"})
	undelivered = event(message.Undelivered, message.Report{Part: 1, State: "UNDELIV"})
	opened      = event(message.Opened, message.Opening{})
	identified  = event(message.Identified, nil)
)

func promised(by time.Time) message.Event {
	return event(message.Promised, message.Promise{Word: message.PromisePay, By: message.Day(by)})
}

// listed are the references on a list, oldest first.
func (r *room) listed(l List) (all []string) {
	r.t.Helper()
	require.NoError(r.t, r.Each(r.t.Context(), mizu, l, Filter{}, func(it *Item) error {
		all = append([]string{it.SMS.Reference}, all...)
		return nil
	}))
	return all
}

func (r *room) order(o Order) State {
	r.t.Helper()
	o.By = "user:sender"
	s, err := r.Start(r.t.Context(), r.tenants.Now().Tenants[mizu], o)
	require.NoError(r.t, err)
	require.Eventually(r.t, func() bool {
		s, err = r.State(r.t.Context(), mizu, s.ID)
		require.NoError(r.t, err)
		return s.Phase != Running
	}, time.Minute, time.Millisecond)
	return s
}

// Single messages wait for one another, what stands for many does not wait.
func TestBusyStoreIsKeptUpWith(t *testing.T) {
	require.Equal(t, syncEvery, pause(1, 0))
	require.Equal(t, syncEvery/4, pause(crowd-1, 3*syncEvery/4))
	require.Zero(t, pause(1, 2*syncEvery))
	require.Zero(t, pause(crowd, 0))
}

func TestMessagesStandInTheListOfTheirState(t *testing.T) {
	r := open(t)
	r.run()
	day := 24 * time.Hour
	r.bill(nil) // 1 waits
	for _, events := range [][]message.Event{
		{submitted, undelivered},                   // 2
		{submitted, delivered},                     // 3
		{submitted, delivered, opened},             // 4
		{submitted, delivered, opened, identified}, // 5
		{submitted, delivered, opened, identified, promised(time.Now().Add(day))},                                                          // 6 keeps it
		{submitted, delivered, opened, identified, promised(time.Now().Add(-day))},                                                         // 7
		{submitted, delivered, event(message.Opened, message.Opening{Doubtful: "scanner"})},                                                // 8
		{submitted, delivered, event(message.Revoked, message.Act{})},                                                                      // 9
		{event(message.Canceled, message.Act{})},                                                                                           // 10
		{submitted, delivered, opened, identified},                                                                                         // 11 settled
		{event(message.Refused, message.Submission{Part: 1, Reason: "no_sender"})},                                                         // 12
		{submitted, delivered, event(message.Disowned, message.Disowning{})},                                                               // 13
		{submitted, delivered, opened, event(message.Disowned, message.Disowning{}), event(message.Readmitted, message.Act{By: "user:a"})}, // 14
	} {
		r.happen(r.bill(nil), events...)
	}
	r.settle("W-11", 0)
	r.told()
	want := map[List][]string{Undelivered: {"C-2", "C-12"}, Unopened: {"C-3", "C-8"}, Unidentified: {"C-4", "C-14"}, Unpaid: {"C-5"}, Promised: {"C-6"}, BrokenPromise: {"C-7"}}
	for _, l := range Lists {
		require.Equal(t, want[l], r.listed(l), l)
	}
	other, err := r.List(t.Context(), "gasu", Unopened, Filter{}, ulid.ULID{}, 100)
	require.NoError(t, err)
	require.Empty(t, other.Items)

	var b strings.Builder
	w := csv.NewWriter(&b)
	require.NoError(t, r.Each(t.Context(), mizu, Undelivered, Filter{}, func(it *Item) error { return w.Write(it.CallRow(Undelivered, time.Now(), "ja")) }))
	w.Flush()
	require.Contains(t, b.String(), "09000010002,C-2,不達,不達 (UNDELIV),0,0,")
	require.Len(t, CallHeader("ja"), len((&Item{}).CallRow(Unopened, time.Now(), "ja")))
}

func TestResendCarriesTheLivingLink(t *testing.T) {
	r := open(t)
	r.run()
	first := r.bill(nil)
	r.happen(first, submitted, delivered)
	r.told()
	run := r.order(Order{List: Unopened, Template: "remind"})
	require.EqualValues(t, 1, run.Sent)
	old := r.state(first)
	again := r.state(old.ResentTo)
	require.Equal(t, 1, old.Resends)
	require.Equal(t, first, again.Head.Resends)
	require.Equal(t, run.ID, again.Head.Campaign)
	require.Equal(t, old.Head.Claim, again.Head.Claim)
	require.Empty(t, again.Head.Token)
	require.Contains(t, r.text(old.ResentTo), "7440円")
	require.Contains(t, r.text(old.ResentTo), old.Head.URL)

	r.told()
	require.Empty(t, r.listed(Unopened), "it is on its way")
	require.EqualValues(t, 0, r.order(Order{List: Unopened}).Sent)
	r.happen(old.ResentTo, submitted, undelivered)
	r.told()
	require.Empty(t, r.listed(Unopened))
	require.Equal(t, []string{"C-1"}, r.listed(Undelivered))
	require.EqualValues(t, 1, r.order(Order{List: Undelivered}).Sent)
	old = r.state(first)
	require.Equal(t, 2, old.Resends)
	require.Equal(t, first, r.state(old.ResentTo).Head.Resends, "the link's own message is followed up")
	require.Contains(t, r.text(old.ResentTo), old.Head.URL)
	r.happen(old.ResentTo, submitted, delivered)
	r.told()
	require.Empty(t, r.listed(Undelivered))
	p, err := r.List(t.Context(), mizu, Unopened, Filter{}, ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	require.Equal(t, 2, p.Items[0].Resends)
}

func TestResendMakesALinkWhereTheOldOneEnded(t *testing.T) {
	r := open(t)
	r.run()
	first := r.bill(func(d *message.Draft) {
		d.Page.Survey = &message.Survey{Items: []message.SurveyItem{{Title: "ご都合", Type: "text"}}}
	})
	r.happen(first, submitted, delivered)
	r.told()
	r.now = func() time.Time { return time.Now().AddDate(0, 0, 40) }
	require.EqualValues(t, 1, r.order(Order{List: Unopened}).Sent)
	old := r.state(first)
	again := r.state(old.ResentTo)
	require.True(t, old.Replaced)
	require.NotEmpty(t, again.Head.Token)
	require.NotEqual(t, old.Head.Token, again.Head.Token)
	require.Equal(t, old.Head.Claim, again.Head.Claim, "the same claim")
	require.Equal(t, old.Head.Answers, again.Head.Answers)
	require.Equal(t, first, again.Head.Answering)
	require.True(t, again.Head.Survey)
	require.NotContains(t, r.text(old.ResentTo), old.Head.URL)
	require.Contains(t, r.text(old.ResentTo), again.Head.URL)
	c, err := r.payments.Claim(t.Context(), tenant.Only(mizu), old.Head.Claim)
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{first, old.ResentTo}, c.Messages)
	r.told()
	require.Empty(t, r.listed(Unopened))
}

func TestRunIsOneActionHoweverOftenItIsAskedFor(t *testing.T) {
	r := open(t)
	for range walkBatch + 10 {
		r.happen(r.bill(nil), submitted, delivered)
	}
	r.run()
	r.told()
	first := r.order(Order{List: Unopened, Key: "monday"})
	require.EqualValues(t, walkBatch+10, first.Sent)
	require.EqualValues(t, walkBatch+10, first.Looked)
	require.Equal(t, first.Candidates, first.Looked)
	require.Equal(t, first.ID, r.order(Order{List: Unopened, Key: "monday"}).ID)
	for _, other := range []Order{{List: Unpaid}, {List: Unopened, Filter: Filter{NotSince: time.Now()}}, {List: Unopened, Text: "{url}"}, {List: Unopened, Due: message.Day(time.Now().AddDate(0, 0, 25))}} {
		other.Key = "monday"
		_, err := r.Start(t.Context(), r.tenants.Now().Tenants[mizu], other)
		var ps message.Problems
		require.ErrorAs(t, err, &ps)
		require.Equal(t, "conflict", ps[0].Code)
	}
	whole := Order{List: Unpaid, Key: "whole", Text: "{url}", Class: message.Notice, Due: message.Day(time.Now().AddDate(0, 0, 25)), Filter: Filter{From: time.Now().Add(-time.Hour), MaxResent: 1}}
	require.Equal(t, r.order(whole).ID, r.order(whole).ID)
	n, err := r.Store.Count(t.Context(), tenant.Only(mizu), store.Query{Kind: store.Message}, 10_000)
	require.NoError(t, err)
	require.Equal(t, 2*(walkBatch+10), n)
	runs, err := r.Runs(t.Context(), mizu, ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Len(t, runs, 2)
}

// TestBatchThatComesAgainSendsNothingTwice: the process ends between intake's answer and the run's record.
func TestBatchThatComesAgainSendsNothingTwice(t *testing.T) {
	r := open(t)
	for range 20 {
		r.happen(r.bill(nil), submitted, delivered)
	}
	stop := r.run()
	r.told()
	stop()
	s, err := r.Start(t.Context(), r.tenants.Now().Tenants[mizu], Order{List: Unopened, By: "user:sender"})
	require.NoError(t, err)
	ids, err := r.index.walk(t.Context(), mizu, Unopened, s.ID, time.Time{}, walkBatch)
	require.NoError(t, err)
	once, err := r.batch(t.Context(), r.tenants.Now().Tenants[mizu], &s, ids)
	require.NoError(t, err)
	again, err := r.batch(t.Context(), r.tenants.Now().Tenants[mizu], &s, ids)
	require.NoError(t, err)
	require.Equal(t, once, again)
	require.EqualValues(t, 20, again.Sent)
	n, err := r.Store.Count(t.Context(), tenant.Only(mizu), store.Query{Kind: store.Message}, 100)
	require.NoError(t, err)
	require.Equal(t, 40, n)
}

// TestNobodyIsAskedWhoPaysMeanwhile settles claims at the moment at which a run gives them to intake, and beside it.
func TestNobodyIsAskedWhoPaysMeanwhile(t *testing.T) {
	r := open(t)
	var ids []ulid.ULID
	for range 60 {
		id := r.bill(nil)
		r.happen(id, submitted, delivered)
		ids = append(ids, id)
	}
	r.run()
	r.told()
	var wg sync.WaitGroup
	r.before = func(intake.Request) {
		for i := 1; i <= 20; i++ { // between the reading of the list and the commit
			r.settle(fmt.Sprint("W-", i), 0)
		}
		wg.Go(func() { // while it commits
			for i := 21; i <= 60; i++ {
				_, _ = r.payments.Patch(context.Background(), r.tenants.Now().Tenants[mizu], fmt.Sprint("W-", i), payment.Patch{Settled: true}, "key:erp")
			}
		})
	}
	run := r.order(Order{List: Unopened})
	wg.Wait()
	require.EqualValues(t, 60, run.Sent+run.Left)
	require.GreaterOrEqual(t, run.Left, int64(20))
	for i, id := range ids {
		s := r.state(id)
		if i < 20 {
			require.Zero(t, s.Resends)
		}
		if s.Resends == 0 {
			continue
		}
		claim, err := r.Store.Load(t.Context(), tenant.Only(mizu), store.Ref{Tenant: mizu, Kind: store.Claim, ID: s.Head.Claim})
		require.NoError(t, err)
		for _, e := range claim {
			if payment.Type(e.Type) == payment.Settled {
				require.False(t, e.At.Before(s.ResentAt), "asked after it was settled")
			}
		}
	}
}

// TestClaimIsAskedAboutAgainRightBeforeSending: dispatch commits the submission with the guard.
func TestClaimIsAskedAboutAgainRightBeforeSending(t *testing.T) {
	r := open(t)
	st := r.state(r.bill(nil))
	guard, awaited, err := r.Awaited(t.Context(), mizu, st.Head.Claim)
	require.NoError(t, err)
	require.True(t, awaited)
	r.settle("W-1", 0)
	other := r.bill(nil)
	errs, err := r.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: mizu, Kind: store.Message, ID: other}, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Submitting)}}}, guard})
	require.NoError(t, err)
	var conflict *store.ConflictError
	require.ErrorAs(t, errs[0], &conflict)
	_, awaited, err = r.Awaited(t.Context(), mizu, st.Head.Claim)
	require.NoError(t, err)
	require.False(t, awaited)
}

func TestIndexFillsAnewWhenItsDirectoryIsGone(t *testing.T) {
	r := open(t)
	stop := r.run()
	r.happen(r.bill(nil), submitted, delivered)
	r.told()
	stop()
	require.NoError(t, r.Close())
	require.NoError(t, os.RemoveAll(r.Dir))
	old := r.index.reader
	require.Zero(t, r.Store.Lag(old))
	again, err := Open(r.Options)
	require.NoError(t, err)
	*r.FollowUps = *again
	r.run()
	r.told()
	require.Equal(t, []string{"C-1"}, r.listed(Unopened))
	require.NotZero(t, r.Store.Lag(old), "its place is forgotten, else it would fall behind for ever")
}

func TestOrdersAreChecked(t *testing.T) {
	r := open(t)
	for _, o := range []Order{{List: "x"}, {List: Unopened, Text: "a", Template: "remind"}, {List: Unopened, Template: "none"}, {List: Unopened, Class: "otp"}, {List: Unopened, Sender: "none"},
		{List: Unopened, Key: "a b"}, {List: Unopened, Due: "2026-02-30"}, {List: Unopened, Due: "2020-01-01"}, {List: Unopened, Template: "std:none"}, {List: Unopened, Text: strings.Repeat("あ", message.MaxText+1)}} {
		_, err := r.Start(t.Context(), r.tenants.Now().Tenants[mizu], o)
		var ps message.Problems
		require.ErrorAs(t, err, &ps, "%+v", o)
	}
}

func TestStoppedRunSendsNoMore(t *testing.T) {
	r := open(t)
	s, err := r.Start(t.Context(), r.tenants.Now().Tenants[mizu], Order{List: Unopened, By: "user:sender"})
	require.NoError(t, err)
	s, err = r.Stop(t.Context(), mizu, s.ID, "user:sender")
	require.NoError(t, err)
	require.Equal(t, Stopped, s.Phase)
	r.happen(r.bill(nil), submitted, delivered)
	r.run()
	r.told()
	require.Zero(t, r.state(s.ID).Version)
	require.Equal(t, []string{"C-1"}, r.listed(Unopened))
	_, err = r.State(t.Context(), "gasu", s.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
}
