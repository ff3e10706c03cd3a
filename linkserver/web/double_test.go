package web

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
)

// Every form of a link, sent many times at the same moment by the same browser, does what it says once.
func TestEveryPostIsDoneOnce(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.menus(true)
	var steps []string // that were pressed
	// pressed sends the shown form as often as an impatient person, and shows what came of it.
	pressed := func(b *browser, m *sent, step string, values url.Values) (all []shown) {
		t.Helper()
		steps = append(steps, step)
		action, token := b.form(step)
		filled := url.Values{"form": {token}}
		for k, v := range values {
			filled[k] = v
		}
		all = make([]shown, 12)
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				again := *b
				if all[i] = again.post(action, filled); all[i].status >= 500 {
					t.Errorf("%s: status %d", step, all[i].status)
				}
			})
		}
		wg.Wait()
		b.get(w.path(m))
		return all
	}
	asked := func() (attempts, gets, finished int) {
		w.modules.mu.Lock()
		defer w.modules.mu.Unlock()
		return len(w.modules.payments), w.modules.gets, len(w.modules.finished)
	}
	attempts := func() int { n, _, _ := asked(); return n }
	open := func(m *sent) *browser {
		b := w.newBrowser()
		b.get(w.path(m))
		return b
	}

	m := w.send(draft{items: questions, code: true, class: message.Collection, claim: bill(w, "D-1"), page: message.Page{Survey: survey}})
	b := open(m)
	pressed(b, m, "open", nil)
	require.Equal(t, 1, w.count(m, message.Opened))
	pressed(b, m, "identify", rightAnswers())
	require.Len(t, w.out.sent, 1, "one code")
	require.NotContains(t, b.shown.body, "送信していません", "it was sent, whichever answer came last")
	w.pass(time.Minute)
	pressed(b, m, "resend", nil)
	require.Len(t, w.out.sent, 2, "one more")
	pressed(b, m, "code", url.Values{"code": {w.out.code()}})
	require.Equal(t, 1, w.count(m, message.Identified))
	for _, step := range []string{"content", "menu"} {
		was := w.version(m)
		pressed(b, m, step, nil)
		require.Equal(t, was, w.version(m), "nothing is recorded")
	}
	pressed(b, m, "promise", url.Values{"promise": {"day_after"}})
	require.Equal(t, 1, w.count(m, message.Promised))
	b.submit("content", nil)
	pressed(b, m, "answer", url.Values{"q0": {"応募する"}})
	require.Equal(t, 1, w.count(m, message.Answered))
	pressed(b, m, "checkout", url.Values{"method": {"konbini_number"}})
	require.Zero(t, attempts(), "nothing is issued yet")
	b.submit("checkout", url.Values{"method": {"konbini_number"}}) // what it shows is gone with the next GET
	pressed(b, m, "pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	require.Equal(t, 1, attempts(), "one number was issued")
	b.says("9988776655")
	pressed(b, m, "mail", url.Values{"address": {"taro@example.jp"}})
	require.Len(t, w.state(m).Mails, 1)
	_, before, _ := asked()
	pressed(b, m, "state", nil)
	_, after, _ := asked()
	require.Equal(t, before+1, after, "the agent is asked once")
	pressed(b, m, "cancel", nil)
	require.Equal(t, 1, attempts())
	require.Contains(t, b.shown.body, "/checkout", "another way may be chosen")
	b.submit("checkout", url.Values{"method": {"card"}})
	b.submit("pay", url.Values{"method": {"card"}})
	claim := w.claim(m)
	for _, got := range pressed(b, m, "redirect", nil) {
		require.Equal(t, "0; url=https://pay.example.jp/p/"+claim.Live().ID.String(), got.header.Get("Refresh"), "all lead to the one page")
	}
	require.Equal(t, claim.Version, w.claim(m).Version)
	require.Equal(t, 2, attempts())

	asking := w.send(draft{items: questions, code: true})
	b = open(asking)
	b.submit("open", nil)
	b.submit("identify", rightAnswers())
	sent, was := len(w.out.sent), w.version(asking)
	pressed(b, asking, "again", nil)
	require.Contains(t, b.shown.body, "/identify", "the questions again")
	require.Len(t, w.out.sent, sent)
	require.Equal(t, was, w.version(asking), "nothing is recorded, and no try is used up")

	other := w.send(draft{items: elsewhere})
	b = open(other)
	b.submit("open", nil)
	b.get(back(b.goesElsewhere(), "id1"))
	pressed(b, other, "identified", nil)
	b.says("水道料金のお知らせ")
	_, _, finished := asked()
	require.Equal(t, 1, finished, "the provider is asked once")
	require.Equal(t, 1, w.count(other, message.Identified))

	wrong := w.send(draft{})
	b = open(wrong)
	b.get(w.path(wrong) + "/stranger")
	w.pass(time.Minute)
	pressed(b, wrong, "stranger", nil)
	require.Equal(t, 1, w.count(wrong, message.Disowned))
	require.ElementsMatch(t, page.Actions, append(steps, "pick"), "every step was pressed; pick is the shared entry page's, and pressed in its tests")
}
