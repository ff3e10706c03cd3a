package web

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// Whoever opens a link that was made just now sees a landing page that was drawn before, with the moment in which this link ends.
func TestLandingPagesAreThereBeforeTheirLinks(t *testing.T) {
	w := newEntry(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.o.Journey.KeepWarm(ctx) }()
	pages := int64(6*len(w.tenants.Now().IDs()) + 2) // in two languages, with questions behind them, with a code besides, and without; and of the shared entry
	require.Eventually(t, func() bool { return w.modules.drawn.Load() == pages }, 30*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	for i, items := range [][]message.IdentityItem{nil, {{Field: "birth_date", Value: "19980101"}}} {
		m := w.send(draft{expires: time.Duration(i+1) * 25 * time.Hour, items: items})
		for lang, want := range map[string]string{"": message.Moment(m.head.LinkExpires, "ja"), "?lang=en": message.Moment(m.head.LinkExpires, "en")} {
			b := w.newBrowser()
			b.get(w.path(m) + lang)
			b.says(want)
		}
	}
	for _, path := range []string{"/e/water", "/e/water?lang=en"} {
		w.newBrowser().get(path)
	}
	require.Equal(t, pages, w.modules.drawn.Load())
}
