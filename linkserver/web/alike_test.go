package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/linkserver/journey"
)

var moment = regexp.MustCompile(`[0-9]{1,2}:[0-9]{2}`)

// What a recipient sees after a match and after a mismatch, when a code follows, is the same to the byte but for what is
// random: the link, the form token, the cookie's value.
func TestMatchAndMismatchCannotBeToldApart(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	walk := func(answers url.Values) (seen []string) {
		m := w.send(draft{items: questions, code: true})
		b := w.opened(m)
		note := func() {
			body := tokenPattern.ReplaceAllString(strings.ReplaceAll(b.shown.body, m.token, "LINK"), "FORM")
			seen = append(seen, moment.ReplaceAllString(body, "TIME"))
		}
		note()
		came := time.Now()
		b.submit("identify", answers)
		require.GreaterOrEqual(t, time.Since(came), alikeAfter, "the time of a commit is not seen")
		note()
		action, token := b.form("resend")
		b.post(action, url.Values{"form": {token}}) // too soon
		note()
		w.pass(time.Minute)
		b.submit("resend", nil)
		note()
		for range 5 {
			b.submit("code", url.Values{"code": {"000000"}})
			note()
		}
		other := w.opened(m)
		other.says("お問い合わせ")
		seen = append(seen, tokenPattern.ReplaceAllString(strings.ReplaceAll(other.shown.body, m.token, "LINK"), "FORM"))
		return seen
	}
	hit := walk(rightAnswers())
	sent := len(w.out.sent)
	require.Equal(t, 2, sent)
	w.pass(2 * time.Hour)
	for _, wrong := range []url.Values{
		{"birth_date": {"19980102"}, "customer_number": {"C-778899"}},
		{"birth_date": {"19980101"}, "customer_number": {"C-778898"}},
		{"birth_date": {"20000229"}, "customer_number": {"X"}},
	} {
		miss := walk(wrong)
		w.pass(2 * time.Hour)
		require.Len(t, miss, len(hit))
		for i := range hit {
			require.Equal(t, hit[i], miss[i], "screen %d", i)
		}
	}
	require.Len(t, w.out.sent, sent, "nothing went out")
}

func TestCookieIsAsLongAfterAMatchAsAfterAMismatch(t *testing.T) {
	seal, err := newSeal(make([]byte, 32))
	require.NoError(t, err)
	s := journey.NewSession("a/xxxxxxxxxx", time.Now())
	s.Step, s.Codes = journey.Code, 1
	s.Held = 1
	match := seal.write("c", s)
	s.Held = 2
	require.Len(t, seal.write("c", s), len(match))
}
