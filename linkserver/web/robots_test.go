package web

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// robot opens a link, keeps cookies, follows what it finds and presses every button, filling nothing in, as scanners of mail do.
func (w *world) robot(b *browser, m *sent) {
	req, err := http.NewRequest("HEAD", w.base+w.path(m), nil)
	require.NoError(b.t, err)
	b.do(req)
	b.get(w.path(m))
	pressed := map[string]bool{}
	for range 12 {
		action, token := "", ""
		for _, f := range formPattern.FindAllStringSubmatch(b.shown.body, -1) {
			if !pressed[f[1]] {
				action, token = f[1], tokenPattern.FindStringSubmatch(f[2])[1]
				break
			}
		}
		switch stranger := w.path(m) + "/stranger"; {
		case action != "":
			pressed[action] = true
			b.post(action, url.Values{"form": {token}})
		case !pressed["GET "+stranger]:
			pressed["GET "+stranger] = true
			b.get(stranger)
		default:
			b.get(w.path(m))
			return
		}
	}
}

// TestNoButtonThatARobotPressesDoesAnything lets known programs loose on links of all kinds. testdata/robots.tsv
func TestNoButtonThatARobotPressesDoesAnything(t *testing.T) {
	file, err := os.ReadFile("testdata/robots.tsv")
	require.NoError(t, err)
	w := newWorld(t, DefaultConfig())
	type visit struct {
		name, agent string
		links       []*sent
		live        *sent // whose recipient has a number to pay with
	}
	live := func() *sent {
		m := w.send(draft{claim: bill(w, "L-"+newID().String())})
		b := w.opened(m)
		b.submit("checkout", url.Values{"method": {"konbini_number"}})
		b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
		b.says("9988776655")
		return m
	}
	var all []visit
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, agent, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		require.True(t, ok, line)
		all = append(all, visit{name, agent, []*sent{
			w.send(draft{items: questions, code: true}),
			w.send(draft{code: true}),
			w.send(draft{class: message.Collection, claim: bill(w, "R-"+newID().String()), page: message.Page{Survey: survey}}),
			w.send(draft{page: message.Page{Survey: &message.Survey{Items: []message.SurveyItem{{Title: "ご希望", Type: "text"}}}}}),
		}, live()})
	}
	require.GreaterOrEqual(t, len(all), 30)
	t.Run("visits", func(t *testing.T) {
		for _, v := range all {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				for _, m := range append(v.links, v.live) {
					b := newBrowser(t, w.base)
					b.header.Set("User-Agent", v.agent)
					w.robot(b, m)
				}
			})
		}
	})
	w.pass(time.Minute)
	for _, v := range all {
		for i, m := range v.links {
			for _, e := range w.events(m)[1:] {
				require.Equal(t, message.Opened, message.Type(e.Type), "%s, link %d: %s", v.name, i, message.Type(e.Type))
			}
			if s := w.state(m); !s.OpenedAt.IsZero() {
				require.Equal(t, "scanner", s.DoubtfulOpening, v.name)
			}
			if !m.head.Claim.IsZero() {
				require.Empty(t, w.claim(m).Attempts, v.name)
			}
		}
		c := w.claim(v.live)
		require.Len(t, c.Attempts, 1, v.name)
		require.NotNil(t, c.Live(), "%s: the number was taken back", v.name)
		require.Empty(t, w.state(v.live).Mails, v.name)
	}
	require.Empty(t, w.out.sent, "no code went out")
	require.False(t, w.stopped())
	person := w.newBrowser() // nothing of it is in the way of the person
	person.get(w.path(all[0].links[0]))
	person.submit("open", nil)
	person.submit("identify", rightAnswers())
	person.submit("code", url.Values{"code": {w.out.code()}})
	person.says("水道料金のお知らせ")

	// One with a browser's name is faster than anybody can have read what taking a number back means.
	m := live()
	w.robot(w.newBrowser(), m)
	c := w.claim(m)
	require.NotNil(t, c.Live())
	person = w.opened(m)
	w.pass(3 * time.Second)
	person.submit("cancel", nil)
	c = w.claim(m)
	require.Nil(t, c.Live())
}
