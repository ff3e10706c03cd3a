package followup

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func (r *room) claim(id ulid.ULID) payment.State {
	r.t.Helper()
	c, err := r.payments.Claim(r.t.Context(), tenant.Only(mizu), id)
	require.NoError(r.t, err)
	return c
}

// TestRunGivesAnotherDueDate: one message's link works until after it, that of another ends before, and a third one's claim has a
// number that may still be paid.
func TestRunGivesAnotherDueDate(t *testing.T) {
	r := open(t)
	r.run()
	due := message.Day(time.Now().AddDate(0, 0, 25))
	living := r.bill(nil)
	short := r.bill(func(d *message.Draft) {
		end := time.Now().AddDate(0, 0, 22)
		d.Link = &message.Link{ExpiresAt: &end}
	})
	paying := r.bill(nil)
	for _, id := range []ulid.ULID{living, short, paying} {
		r.happen(id, submitted, delivered)
	}
	open := r.state(paying).Head.Claim
	attempt := payment.Start{ID: ulid.Make(), Agent: "sandbox", Method: "konbini_number", Yen: 7440, Due: r.claim(open).Due}
	errs, err := r.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: mizu, Kind: store.Claim, ID: open}, Expect: store.Any,
		Events: []store.NewEvent{{Type: byte(payment.Started), Data: encode(attempt)}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	r.told()

	run := r.order(Order{List: Unopened, Template: "remind", Due: due})
	require.Equal(t, due, run.Due)
	require.EqualValues(t, 2, run.Sent)
	require.Equal(t, map[string]int64{message.CodeOpenPayment: 1}, run.Refused)
	require.Zero(t, r.state(paying).Resends)
	for _, id := range []ulid.ULID{living, short} {
		st := r.state(id)
		c := r.claim(st.Head.Claim)
		require.Equal(t, due, message.Day(c.Due))
		require.Equal(t, "user:sender", c.Statements[0].By)
		require.Contains(t, r.text(st.ResentTo), "お支払い期限は"+c.Due.In(message.Tokyo).Format("2006/01/02"))
	}
	st := r.state(living)
	require.Contains(t, r.text(st.ResentTo), st.Head.URL)
	st = r.state(short)
	again := r.state(st.ResentTo)
	require.True(t, st.Replaced)
	require.False(t, again.Head.LinkExpires.Before(r.claim(st.Head.Claim).Due), "the link lives as long as it can be paid")
	require.Equal(t, []ulid.ULID{short, st.ResentTo}, r.claim(st.Head.Claim).Messages)
}

// TestRunHasTheWordsOfAnOccasion: the SMS alone where the link works, also the page where a claim has none of its own; and the class
// of the occasion.
func TestRunHasTheWordsOfAnOccasion(t *testing.T) {
	r := open(t)
	r.run()
	living := r.bill(nil)
	bare := r.bill(func(d *message.Draft) {
		d.Page = nil
		end := time.Now().AddDate(0, 0, 22)
		d.Link = &message.Link{ExpiresAt: &end}
	})
	plain := r.bill(func(d *message.Draft) {
		d.Text, d.Page, d.Claim, d.Identity = "断水のお知らせです。", nil, nil, nil
	})
	for _, id := range []ulid.ULID{living, bare} {
		r.happen(id, submitted, delivered)
	}
	r.happen(plain, submitted, undelivered)
	r.told()
	const words = message.OccasionPrefix + "reminder"
	run := r.order(Order{List: Unopened, Template: words, Due: message.Day(time.Now().AddDate(0, 0, 25))})
	require.Empty(t, run.Refused)
	require.EqualValues(t, 2, run.Sent)
	for _, id := range []ulid.ULID{living, bare} {
		st := r.state(id)
		require.Contains(t, r.text(st.ResentTo), "〇〇水道局からお支払いの確認のお願いです。")
		require.Equal(t, message.Collection, r.state(st.ResentTo).Head.Class)
	}
	require.Empty(t, r.state(r.state(living).ResentTo).Head.Token, "the page that is there stays as it is")
	page := r.content(r.state(bare).ResentTo).Page
	require.Equal(t, "お支払いの確認のお願い", page.Title)
	require.Contains(t, page.Lead, message.Yesterday(time.Now())+"現在で")

	run = r.order(Order{List: Undelivered, Template: words})
	require.Equal(t, map[string]int64{"mismatch": 1}, run.Refused, "there is nothing that the SMS could lead to")
}
