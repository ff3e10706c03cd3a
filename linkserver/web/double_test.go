package web

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// Every form of a link, sent many times at the same moment by the same browser, does what it says once.
func TestEveryPostIsDoneOnce(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true, class: message.Collection, claim: bill(w, "D-1"), page: message.Page{Survey: survey}})
	b := w.newBrowser()
	b.get(w.path(m))
	// pressed sends the shown form as often as an impatient person, and shows what came of it.
	pressed := func(step string, values url.Values) {
		t.Helper()
		action, token := b.form(step)
		filled := url.Values{"form": {token}}
		for k, v := range values {
			filled[k] = v
		}
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				again := *b
				if again.post(action, filled); again.shown.status >= 500 {
					t.Errorf("%s: status %d", step, again.shown.status)
				}
			})
		}
		wg.Wait()
		b.get(w.path(m))
	}
	attempts := func() int {
		w.modules.mu.Lock()
		defer w.modules.mu.Unlock()
		return len(w.modules.payments)
	}

	pressed("open", nil)
	require.Equal(t, 1, w.count(m, message.Opened))
	pressed("identify", rightAnswers())
	require.Len(t, w.out.sent, 1, "one code")
	w.pass(time.Minute)
	pressed("resend", nil)
	require.Len(t, w.out.sent, 2, "one more")
	pressed("code", url.Values{"code": {w.out.code()}})
	require.Equal(t, 1, w.count(m, message.Identified))
	pressed("promise", url.Values{"promise": {"day_after"}})
	require.Equal(t, 1, w.count(m, message.Promised))
	pressed("answer", url.Values{"q0": {"応募する"}})
	require.Equal(t, 1, w.count(m, message.Answered))
	pressed("checkout", url.Values{"method": {"konbini_number"}})
	require.Zero(t, attempts(), "nothing is issued yet")
	b.submit("checkout", url.Values{"method": {"konbini_number"}}) // what it shows is gone with the next GET
	pressed("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	require.Equal(t, 1, attempts(), "one number was issued")
	require.Contains(t, b.shown.body, "9988776655")
	pressed("cancel", nil)
	require.Equal(t, 1, attempts())
	require.Contains(t, b.shown.body, "/checkout", "another way may be chosen")
}
