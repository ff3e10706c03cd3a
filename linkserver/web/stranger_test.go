package web

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
)

// stopped reports whether the tenant sends nothing to the messages' number any more.
func (w *world) stopped() bool {
	w.t.Helper()
	n, err := carrier.ParseNumber(ownNumber)
	w.must(err)
	no, err := w.stops.Refuses(w.ctx(), "water", message.Notice, n)
	w.must(err)
	return no
}

// disown goes by the link on the page that is shown and presses the button, as somebody who reads.
func (w *world) disown(b *browser, m *sent) {
	w.t.Helper()
	b.says(w.path(m) + "/stranger")
	b.get(w.path(m) + "/stranger")
	b.says("お心当たりのない方へ", "〇〇県水道局")
	w.pass(3 * time.Second)
	b.submit("stranger", nil)
}

func TestWhoeverItIsNotForStopsTheMessages(t *testing.T) {
	for name, at := range map[string]func(w *world, b *browser){
		"landing":   func(*world, *browser) {},
		"questions": func(_ *world, b *browser) { b.submit("open", nil) },
		"code": func(_ *world, b *browser) {
			b.submit("open", nil)
			b.submit("identify", rightAnswers())
			b.says("認証番号")
		},
		"locked": func(_ *world, b *browser) {
			b.submit("open", nil)
			b.submit("identify", rightAnswers())
			for _, code := range []string{"000001", "000002", "000003", "000004", "000005"} {
				b.submit("code", url.Values{"code": {code}})
			}
			b.says("入力できる回数を超えました")
		},
		"expired": func(w *world, b *browser) {
			w.pass(90 * time.Minute)
			b.get(b.shown.path)
			require.Equal(t, http.StatusGone, b.shown.status)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, DefaultConfig())
			m := w.send(draft{items: questions, code: true})
			b := w.newBrowser()
			b.get(w.path(m))
			at(w, b)
			w.disown(b, m)
			require.Equal(t, http.StatusGone, b.shown.status)
			b.says("送信を停止しました", "000-000-0000")
			require.NotContains(t, b.shown.body, "<form", "nothing is to be done any more")
			require.True(t, w.stopped())
			s := w.state(m)
			require.False(t, s.DisownedAt.IsZero())
			n, err := carrier.ParseNumber(ownNumber)
			w.must(err)
			e, err := w.stops.Find(t.Context(), "water", n)
			w.must(err)
			require.Equal(t, [3]string{"wrong_person", "No. " + s.Head.No, "link"}, [3]string{string(e.Reason), e.Note, e.By})

			other := w.newBrowser()
			other.get(w.path(m))
			other.says("送信を停止しました")
			require.NotContains(t, other.shown.body, "水道料金のお知らせ")
			other.get(w.path(m) + "/stranger")
			other.says("送信を停止しました")

			// The sender takes it back.
			w.must(w.stops.Readmit(t.Context(), m.ref, "user:tanto", w.now()))
			w.must(w.links.Renew(t.Context(), m.ref))
			require.False(t, w.stopped())
			other.get(w.path(m))
			require.NotContains(t, other.shown.body, "送信を停止しました")
		})
	}
}

// A page that asks nothing has the way as well, and somebody who showed who they are has it no more.
func TestOnlyWhoDidNotIdentifyCanDisown(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	open := w.send(draft{})
	b := w.opened(open)
	b.says("水道料金のお知らせ", "/stranger")

	asked := w.send(draft{items: questions})
	in := w.opened(asked)
	in.get(w.path(asked) + "/stranger")
	action, token := in.form("stranger")
	in.get(w.path(asked))
	in.submit("identify", rightAnswers())
	in.says("水道料金のお知らせ")
	require.NotContains(t, in.shown.body, "/stranger")
	w.pass(time.Minute)
	require.Equal(t, w.path(asked), in.get(w.path(asked)+"/stranger").path, "back to the page")
	in.post(action, url.Values{"form": {token}})
	require.Zero(t, w.count(asked, message.Disowned))
	require.False(t, w.stopped())

	w.disown(b, open)
	require.True(t, w.stopped())
	in.get(w.path(asked))
	in.says("水道料金のお知らせ") // another message's link is its own matter
}

func TestNothingButAPersonPressesTheButton(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions})
	unchanged := func() {
		t.Helper()
		require.Equal(t, 1, w.version(m))
		require.False(t, w.stopped())
	}
	b := w.newBrowser()
	for range 3 { // previews
		b.get(w.path(m) + "/stranger")
		req, err := http.NewRequest("HEAD", w.base+w.path(m)+"/stranger", nil)
		require.NoError(t, err)
		require.Empty(t, b.do(req).body)
		unchanged()
	}

	b = w.newBrowser()
	b.get(w.path(m) + "/stranger")
	b.submit("stranger", nil) // sooner than anybody reads
	b.says("まだ停止していません")
	require.Equal(t, http.StatusUnprocessableEntity, b.shown.status)
	unchanged()

	scanner := w.newBrowser()
	scanner.header.Set("User-Agent", "Mozilla/5.0 (compatible; SafeLinks/1.0)")
	scanner.get(w.path(m) + "/stranger")
	w.pass(time.Minute)
	scanner.submit("stranger", nil)
	scanner.says("まだ停止していません")
	unchanged()

	blind := w.newBrowser() // has seen another page only
	blind.get(w.path(m))
	_, token := blind.form("open")
	w.pass(time.Minute)
	blind.post(w.path(m)+"/stranger", url.Values{"form": {token}})
	blind.says("まだ停止していません")
	unchanged()

	none := w.newBrowser() // no session, no token
	require.Equal(t, http.StatusForbidden, none.post(w.path(m)+"/stranger", nil).status)
	foreign := w.newBrowser()
	foreign.get(w.path(m) + "/stranger")
	w.pass(time.Minute)
	foreign.header.Set("Sec-Fetch-Site", "cross-site")
	foreign.submit("stranger", nil)
	require.Equal(t, http.StatusForbidden, foreign.shown.status)
	unchanged()

	b.submit("stranger", nil) // the first one, again
	require.True(t, w.stopped())
}

func TestPressedByManyAtOnceItIsOneWord(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	messages := []*sent{w.send(draft{}), w.send(draft{items: questions})}
	var wg sync.WaitGroup
	for _, m := range messages {
		for range 4 {
			b := w.newBrowser()
			b.get(w.path(m) + "/stranger")
			action, token := b.form("stranger")
			wg.Go(func() {
				for range 3 {
					again := *b
					again.post(action, url.Values{"form": {token}})
				}
			})
		}
	}
	w.pass(time.Minute)
	wg.Wait()
	for _, m := range messages {
		b := w.newBrowser()
		b.get(w.path(m) + "/stranger")
		if w.state(m).DisownedAt.IsZero() { // all came before the time had passed
			w.pass(time.Minute)
			b.submit("stranger", nil)
		}
		require.Equal(t, 1, w.count(m, message.Disowned))
	}
	page, _, err := w.stops.Page(t.Context(), "water", donotsend.Query{Limit: 10})
	w.must(err)
	require.Len(t, page, 1, "one number, one entry")
}

func TestDisownedLinkIsClosedToWhoeverWasOnItsWay(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, code: true})
	person := w.opened(m)
	action, token := person.form("identify")
	stranger := w.newBrowser()
	stranger.get(w.path(m))
	w.disown(stranger, m)
	person.post(action, url.Values{"form": {token}, "birth_date": {"19980101"}, "customer_number": {"C-778899"}})
	person.says("送信を停止しました")
	require.Zero(t, w.count(m, message.Tried))
	require.Empty(t, w.out.sent)
}
