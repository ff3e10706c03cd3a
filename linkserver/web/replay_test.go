package web

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How many codes a session has asked for stands in its cookie, and an older one says less: so whoever gives an older one again is where a
// new session is. What is counted with the message and its number holds: back-off, five an hour, ten a day, five tries and the lock.
func TestAnOlderSessionGivenAgainGetsNoMoreThanANewOne(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	long := draft{items: questions, code: true, expires: 48 * time.Hour, until: 72 * time.Hour}
	m, other := w.send(long), w.send(long)
	home, err := url.Parse(w.base)
	require.NoError(t, err)
	type copied struct {
		b             *browser
		cookies       []*http.Cookie
		action, token string
	}
	begin := func(m *sent) (c copied) {
		c.b = w.opened(m)
		c.b.submit("identify", rightAnswers())
		c.action, c.token = c.b.form("resend")
		c.cookies = c.b.client.Jar.Cookies(home)
		return c
	}
	again := func(c copied, path string, values url.Values) {
		c.b.client.Jar.SetCookies(home, c.cookies)
		c.b.post(path, values)
	}
	resend := func(c copied) { again(c, c.action, url.Values{"form": {c.token}}) }
	codes := func() int { w.out.mu.Lock(); defer w.out.mu.Unlock(); return len(w.out.sent) }

	first := begin(m)
	for range 3 {
		resend(first)
	}
	require.Equal(t, 1, codes(), "the back-off is the message's")
	for want := 2; want <= 5; want++ {
		w.pass(5*time.Minute + time.Second)
		resend(first)
		require.Equal(t, want, codes())
	}
	w.pass(5*time.Minute + time.Second)
	resend(first)
	first.b.says("送信していません")
	resend(begin(other))
	require.Equal(t, 5, codes(), "five an hour, by old sessions and new ones, of all messages to the number")

	var last copied
	for range 3 {
		w.pass(61 * time.Minute)
		last = begin(m)
		w.pass(5*time.Minute + time.Second)
		resend(last)
	}
	require.Equal(t, 10, codes(), "ten a day, of eleven that were asked for")

	w.pass(24 * time.Hour)
	last = begin(m)
	require.Equal(t, 11, codes())
	action, _ := last.b.form("code")
	for _, wrong := range []string{"000001", "000002", "000003", "000004", "000005"} {
		again(last, action, url.Values{"form": {last.token}, "code": {wrong}})
	}
	right := w.out.code()
	again(last, action, url.Values{"form": {last.token}, "code": {right}})
	last.b.says("お問い合わせ")
	require.NotContains(t, last.b.shown.body, "水道料金のお知らせ", "the message is locked, whatever the cookie says")
}
