package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// waits reports whether the page that is shown looks again by itself, and checks that its script is the host's and nothing else
// may run.
func (b *browser) waits() bool {
	b.t.Helper()
	policy := b.shown.header.Get("Content-Security-Policy")
	require.Empty(b.t, b.shown.header.Get("Refresh"), "without a script there is the button")
	if !strings.Contains(b.shown.body, "<script") {
		require.NotContains(b.t, policy, "script-src")
		require.NotContains(b.t, policy, "connect-src")
		return false
	}
	require.Contains(b.t, policy, "; script-src '"+waitHash+"'; connect-src 'self'")
	require.Equal(b.t, 1, strings.Count(b.shown.body, "<script>"+string(waitScript)+"</script>"))
	require.Contains(b.t, b.shown.body, "最新の状態を見る")
	return true
}

// look is what the script does.
func (b *browser) look() shown {
	b.t.Helper()
	action, token := b.form("state")
	return b.post(action+"?reload", url.Values{"form": {token}})
}

func TestPageOfAPaymentLooksAgainUntilTheSessionEnds(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, claim: bill(w, "A-1"), page: message.Page{Title: "水道料金のお知らせ"}})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	require.False(t, b.waits())
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	require.False(t, b.waits())
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	require.True(t, b.waits(), "somebody stands at the till")
	number := b.shown.body

	asked := func() int {
		w.modules.mu.Lock()
		defer w.modules.mu.Unlock()
		return w.modules.gets
	}
	before := asked()
	b.look()
	require.Equal(t, number, b.shown.body, "nothing has changed, and nothing is exchanged")
	for range 5 {
		b.look()
		b.submit("state", nil)
	}
	require.Equal(t, before+1, asked(), "the agent is asked once a minute at the most, whoever asks")
	w.modules.pay(w, proto.PaymentState_PROVISIONAL)
	w.pass(3 * time.Minute)
	b.look()
	require.Equal(t, before+2, asked())
	require.Contains(t, b.shown.body, "お支払情報（受付）")
	require.True(t, b.waits())
	for range 8 {
		w.pass(3 * time.Minute)
		require.Equal(t, 200, b.look().status)
		require.Contains(t, b.shown.body, "お支払情報（受付）")
	}
	w.pass(4 * time.Minute)
	require.Equal(t, 403, b.look().status, "looking is not using it: the script then loads the page anew")
	b.get(w.path(m))
	require.Contains(t, b.shown.body, `/open">`)
	require.False(t, b.waits())

	b.submit("open", nil)
	b.submit("identify", rightAnswers())
	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	b.submit("state", nil)
	require.Contains(t, b.shown.body, "お支払情報（確定）")
	require.False(t, b.waits(), "it is final")
}
