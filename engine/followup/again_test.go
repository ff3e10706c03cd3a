package followup

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// TestRunLeavesOutWhoWasAskedOftenOrJustNow counts resends of the first message, also where the list shows a later one.
func TestRunLeavesOutWhoWasAskedOftenOrJustNow(t *testing.T) {
	r := open(t)
	r.run()
	first := r.bill(nil)
	r.happen(first, submitted, delivered)
	r.bill(nil)
	r.told()
	require.EqualValues(t, 1, r.order(Order{List: Unopened, Filter: Filter{MaxResent: 1}}).Sent)
	r.happen(r.state(first).ResentTo, submitted, delivered)
	r.told()
	now := time.Now()
	require.Zero(t, r.order(Order{List: Unopened, Filter: Filter{MaxResent: 1}}).Sent)
	require.Zero(t, r.order(Order{List: Unopened, Filter: Filter{NotSince: now.Add(-time.Hour)}}).Sent)
	p, err := r.List(t.Context(), mizu, Unopened, Filter{MaxResent: 1}, ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Empty(t, p.Items, "what is shown is what is sent")
	require.EqualValues(t, 1, r.order(Order{List: Unopened, Filter: Filter{MaxResent: 2, NotSince: now.Add(time.Hour)}}).Sent)
	_, err = r.Start(t.Context(), r.tenants.Now().Tenants[mizu], Order{List: Unopened, Filter: Filter{MaxResent: MaxResents + 1}})
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, "filter.max_resent", ps[0].Field)
}

// TestKeyOfAResendStandsForItsMessageAndDue: two messages to one phone with one text differ by nothing else.
func TestKeyOfAResendStandsForItsMessageAndDue(t *testing.T) {
	r := open(t)
	same := func(d *message.Draft) {
		d.To, d.Reference, d.Text = "090-0001-9999", "C-9", "〇〇水道局です。{url}"
	}
	a, b := r.bill(same), r.bill(func(d *message.Draft) { same(d); d.Page.Title = "別のご請求" })
	resend := func(id ulid.ULID, due string) intake.Result {
		t.Helper()
		res, err := r.Resend(t.Context(), r.tenants.Now().Tenants[mizu], id, Order{Key: "k", Due: due, By: "key:erp"})
		require.NoError(t, err)
		require.NoError(t, res.Err)
		return res
	}
	r.happen(a, submitted, delivered)
	r.happen(b, submitted, delivered)
	first := resend(a, "")
	require.True(t, first.Accepted(), first.Problems)
	require.Equal(t, first.ID, resend(a, "").ID)
	for _, other := range []intake.Result{resend(b, ""), resend(a, message.Day(time.Now().AddDate(0, 0, 10)))} {
		require.Len(t, other.Problems, 1)
		require.Equal(t, "key", other.Problems[0].Field)
	}
}

func TestOneMessageIsSentAgain(t *testing.T) {
	r := open(t)
	tenant := r.tenants.Now().Tenants[mizu]
	resend := func(id ulid.ULID, o Order) intake.Result {
		t.Helper()
		o.By = "key:erp"
		res, err := r.Resend(t.Context(), tenant, id, o)
		require.NoError(t, err)
		require.NoError(t, res.Err)
		return res
	}
	first := r.bill(nil)
	r.happen(first, submitted, delivered)
	due := message.Day(time.Now().AddDate(0, 0, 25))
	res := resend(first, Order{Key: "k", Template: "remind", Due: due})
	require.True(t, res.Accepted(), res.Problems)
	st := r.state(first)
	require.Equal(t, res.ID, st.ResentTo)
	require.Equal(t, 1, st.Resends)
	require.True(t, st.ResentBy.IsZero(), "it is of no run")
	require.Equal(t, first, r.state(res.ID).Head.Resends)
	require.Contains(t, r.text(res.ID), st.Head.URL)
	require.Equal(t, due, message.Day(r.claim(st.Head.Claim).Due))

	again := resend(first, Order{Key: "k", Template: "remind", Due: due})
	require.True(t, again.Repeated)
	require.Equal(t, res.ID, again.ID)
	refused := func(id ulid.ULID, detail string) {
		t.Helper()
		res := resend(id, Order{})
		require.Len(t, res.Problems, 1)
		require.Equal(t, "conflict", res.Problems[0].Code)
		require.Equal(t, detail, res.Problems[0].Detail)
		require.NotContains(t, res.Problems[0].Text("ja"), detail, "it has Japanese words")
	}
	refused(first, "its newest SMS is on its way")
	r.happen(res.ID, submitted, undelivered)
	res = resend(res.ID, Order{})
	require.True(t, res.Accepted(), "by the later message too")
	require.Equal(t, 2, r.state(first).Resends)

	paid, canceled, wrong, ended := r.bill(nil), r.bill(nil), r.bill(nil), r.bill(nil)
	for _, id := range []ulid.ULID{paid, wrong, ended} {
		r.happen(id, submitted, delivered)
	}
	r.settle("W-2", 0)
	r.happen(canceled, event(message.Canceled, message.Act{}))
	r.happen(wrong, event(message.Disowned, message.Disowning{}))
	refused(paid, "nothing is to be paid any more")
	refused(canceled, "it was canceled, or its link was closed")
	refused(wrong, "whoever has the link says that it is for somebody else")

	r.now = func() time.Time { return time.Now().AddDate(0, 0, 40) }
	res = resend(ended, Order{})
	require.NotEmpty(t, r.state(res.ID).Head.Token, "its link had ended")
	refused(ended, "another message has taken its place")
	_, err := r.Resend(t.Context(), tenant, ulid.Make(), Order{})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.Resend(t.Context(), r.tenants.Now().Tenants["gasu"], first, Order{})
	require.ErrorIs(t, err, store.ErrNotFound)
	var ps message.Problems
	_, err = r.Resend(t.Context(), tenant, first, Order{Due: "x"})
	require.ErrorAs(t, err, &ps)
}
