package web

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestPayerSaysHowThePaymentStands(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{class: message.Collection, claim: bill(w, "P-1")})
	b := w.opened(m)
	require.Contains(t, b.shown.body, "すでにお支払い済み・明日/明後日までにお支払い")
	action, token := b.form("promise")
	b.post(action, url.Values{"form": {token}, "promise": {"next year"}})
	require.Zero(t, w.count(m, message.Promised))
	var wg sync.WaitGroup
	for range 10 { // pressed again and again
		wg.Go(func() {
			again := *b
			again.post(action, url.Values{"form": {token}, "promise": {"day_after"}})
		})
	}
	wg.Wait()
	require.Equal(t, 1, w.count(m, message.Promised))
	by := w.now().In(message.Tokyo).AddDate(0, 0, 2)
	s := w.state(m)
	require.Equal(t, message.Promise{Word: message.PromisePay, By: by.Format(time.DateOnly)}, *s.Promise)
	require.False(t, s.Promise.Broken(by))
	require.True(t, s.Promise.Broken(by.AddDate(0, 0, 1)))
	b.get(w.path(m))
	require.Contains(t, b.shown.body, by.Format("2006年1月2日")+"（")
	b.submit("promise", url.Values{"promise": {"paid"}})
	require.Contains(t, b.shown.body, "お支払い済みとのお申し出を承りました")
	require.Equal(t, message.PromisePaid, w.state(m).Promise.Word, "the last word counts")
	require.Contains(t, b.shown.body, "/checkout", "one can pay all the same")

	other := w.send(draft{claim: bill(w, "P-2")})
	require.NotContains(t, w.opened(other).shown.body, "/promise", "only a reminder asks by itself")
	asked := w.send(draft{claim: bill(w, "P-3"), promises: true})
	b = w.opened(asked)
	b.submit("promise", url.Values{"promise": {"tomorrow"}})
	require.Contains(t, b.shown.body, "までにお支払いいただけるとのお申し出を承りました")
	require.Equal(t, message.PromisePay, w.state(asked).Promise.Word, "where the sender wants it any page asks")
	require.NotContains(t, w.opened(w.send(draft{promises: true})).shown.body, "/promise", "there is nothing to pay")
}

// TestFollowUpAsksWhatTheFirstMessageAsked: its link is new, the expected answers are those of the first.
func TestFollowUpAsksWhatTheFirstMessageAsked(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	first := w.send(draft{items: questions})
	again := w.send(draft{after: first})
	b := w.opened(again)
	b.submit("identify", url.Values{"birth_date": {"19980102"}, "customer_number": {"C-778899"}})
	require.Zero(t, w.state(again).IdentifiedAt)
	b.submit("identify", rightAnswers())
	require.NotZero(t, w.state(again).IdentifiedAt)
	require.Contains(t, b.shown.body, "水道料金のお知らせ")
}
