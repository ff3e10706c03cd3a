package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
)

var elsewhere = []message.IdentityItem{{Field: "oidc", Value: "id1"}}

// goesElsewhere presses the button that leads to the other page, and returns where it leads.
func (b *browser) goesElsewhere() *url.URL {
	b.t.Helper()
	b.says("本人確認サービス", "id.example.jp")
	require.Contains(b.t, b.shown.header.Get("Content-Security-Policy"), "form-action 'self';")
	b.submit("identify", nil)
	at, err := url.Parse(b.leads())
	require.NoError(b.t, err)
	require.Equal(b.t, "id.example.jp", at.Host)
	require.Equal(b.t, b.base+"/return", at.Query().Get("redirect_uri"))
	return at
}

func back(at *url.URL, code string) string {
	return "/return?" + url.Values{"state": {at.Query().Get("state")}, "code": {code}}.Encode()
}

func TestWhoIsIdentifiedElsewhereSeesThePage(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: elsewhere})
	b := w.opened(m)
	at := b.goesElsewhere()
	require.NotContains(t, at.String(), m.token, "who identifies does not learn the link")
	b.get(back(at, "id1"))
	require.Equal(t, w.path(m)+"/return", b.shown.path)
	require.Zero(t, w.count(m, message.Tried), "a GET changes nothing")
	b.says("本人確認のページから戻りました")
	b.get(back(at, "id1")) // reloaded
	b.submit("identified", nil)
	b.says("水道料金のお知らせ")
	require.Equal(t, 1, w.count(m, message.Identified))
	require.Equal(t, 1, w.count(m, message.Viewed))
	require.NotContains(t, w.logged(), at.Query().Get("state"))
}

func TestSomebodyElseIsAMismatchAndFiveLock(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: elsewhere})
	b := w.opened(m)
	seen := map[string]bool{}
	for i := range identity.MaxTries {
		at := b.goesElsewhere()
		require.False(t, seen[at.Query().Get("state")], "each way has its own state")
		seen[at.Query().Get("state")] = true
		b.get(back(at, "id2"))
		b.submit("identified", nil)
		if i < identity.MaxTries-1 {
			b.says("ご登録の内容と一致しませんでした")
		}
	}
	b.says("入力できる回数を超えました")
	require.Equal(t, identity.MaxTries, w.count(m, message.Tried))
	require.Zero(t, w.count(m, message.Identified))
}

func TestWhatWasGivenUpOrForgedIsNoTry(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: elsewhere})
	b := w.opened(m)
	for _, query := range []string{"code=forged", "error=access_denied"} {
		at := b.goesElsewhere()
		b.get("/return?" + query + "&state=" + at.Query().Get("state"))
		b.submit("identified", nil)
		b.says("ご本人の確認が完了していません")
	}
	require.Zero(t, w.count(m, message.Tried))
	at := b.goesElsewhere()
	b.get(back(at, "id1"))
	w.modules.mu.Lock()
	w.modules.away = true
	w.modules.mu.Unlock()
	b.submit("identified", nil)
	b.says("本人確認のページに接続できません")
	w.modules.mu.Lock()
	w.modules.away = false
	w.modules.mu.Unlock()
	b.get(w.path(m))
	b.submit("identify", nil)
	b.get(back(b.goesElsewhere(), "id1"))
	b.submit("identified", nil)
	require.Equal(t, 1, w.count(m, message.Identified))
}

func TestTheWayBackIsThisBrowsersAloneAndOnce(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m, other := w.send(draft{items: elsewhere}), w.send(draft{items: elsewhere})
	b := w.opened(m)
	at := b.goesElsewhere()

	thief := w.opened(other) // somebody else's browser, with a link of its own
	thief.goesElsewhere()
	require.Equal(t, http.StatusNotFound, thief.get(back(at, "id1")).status)
	thief.get(w.path(other) + back(at, "id1"))
	require.Equal(t, w.path(other), thief.shown.path, "the state of another session")
	thief.get(w.path(m) + back(at, "id1"))
	require.Equal(t, w.path(m), thief.shown.path)

	b.get(back(at, "id1"))
	action, token := b.form("identified")
	var before []*http.Cookie
	home, err := url.Parse(w.base)
	require.NoError(t, err)
	before = append(before, b.client.Jar.Cookies(home)...)
	b.post(action, url.Values{"form": {token}})
	b.says("水道料金のお知らせ")
	b.client.Jar.SetCookies(home, before) // the same press again
	b.post(action, url.Values{"form": {token}})
	b.says("水道料金のお知らせ")
	w.pass(10 * time.Second)
	b.client.Jar.SetCookies(home, before) // a session of before, as a copy of it would be
	b.post(action, url.Values{"form": {token}})
	b.says("ご本人の確認が完了していません")
	w.modules.mu.Lock()
	require.Len(t, w.modules.finished, 1, "a state is given once")
	w.modules.mu.Unlock()
	require.Equal(t, 1, w.count(m, message.Identified))

	b = w.opened(m)
	at = b.goesElsewhere()
	b.get(back(at, strings.Repeat("x", identity.MaxQuery)))
	require.Equal(t, w.path(m), b.shown.path, "more than a cookie holds")
	require.Equal(t, http.StatusNotFound, b.get("/return").status)
	w.pass(wayLife + time.Second)
	require.Equal(t, http.StatusNotFound, b.get(back(at, "id1")).status, "it took too long")
}

func TestNobodyTypesWhatIsAnsweredElsewhere(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: elsewhere})
	b := w.opened(m)
	b.submit("identify", url.Values{"oidc": {"id1"}})
	require.Contains(t, b.leads(), "https://id.example.jp/")
	result, _, err := w.identity.Items(t.Context(), w.water(), m.ref, map[string]string{"oidc": "id1"})
	require.NoError(t, err)
	require.Equal(t, identity.Incomplete, result)
	require.Zero(t, w.count(m, message.Tried))
}

func TestACodeMayFollowWhoIsIdentifiedElsewhere(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: elsewhere, code: true})
	b := w.opened(m)
	b.get(back(b.goesElsewhere(), "id2"))
	b.submit("identified", nil)
	b.says("認証番号の入力")
	require.Empty(t, w.out.sent, "somebody else")
	w.pass(10 * time.Second) // more than a double click takes
	b.submit("again", nil)
	b.get(back(b.goesElsewhere(), "id1"))
	b.submit("identified", nil)
	require.Len(t, w.out.sent, 1)
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.says("水道料金のお知らせ")
}
