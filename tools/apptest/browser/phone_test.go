// Package browser goes the recipient's way with a real browser: from the SMS on the handset page through identity to a
// paid claim and its receipt, on a screen of 390 by 844 pixels, with JavaScript and without. It is skipped where no
// Chromium is installed.
//
// Every step is looked at with the eyes of package look, also in 320 pixels and with twice the size of text.
//
// Pictures of every step are written to -shots DIR, else $KAKITOME_SHOTS, else bin/shots of the repository.
package browser

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
	"github.com/kakitome/kakitome/tools/look"
)

var shots = flag.String("shots", os.Getenv("KAKITOME_SHOTS"), "directory that a picture of every step is written to; empty: bin/shots")

// album is the directory of the pictures.
var album = sync.OnceValues(func() (string, error) {
	dir := *shots
	if dir == "" {
		dir = "../../../bin/shots"
	}
	return dir, os.MkdirAll(dir, 0o755)
})

// ofLink are the addresses of links.
var ofLink = regexp.MustCompile(`^http://[^/]+/[a-z]/`)

// phone is a window of the size of a phone.
type phone struct {
	*look.Window
	t       *testing.T
	name    string // of the pictures
	number  string // of its owner, where a test needs it
	message string // whose link was opened, by id, where a test needs it
	status  int    // that pages are answered with from now on; 0: one of success
	shown   int    // pages looked at
	// sparing: a page that another such phone was shown is not looked at again.
	sparing bool
}

// looked are the pages that sparing phones were shown.
var looked sync.Map

// newPhone starts a browser that may ask the programs at the addresses.
func newPhone(t *testing.T, name string, scripted bool, addresses ...string) *phone {
	t.Helper()
	return &phone{Window: look.Open(t, look.Phone, scripted, addresses...), t: t, name: name}
}

// open goes to an address as somebody who types it.
func (p *phone) open(address, shot string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(address))
	p.look(shot)
}

// openUntil goes to an address until the page says so: what an agent tells is on its way for a while.
func (p *phone) openUntil(address, text, shot string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(address))
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(look.StepLimit)
	defer limit.Stop()
	for !strings.Contains(p.text(), text) {
		select {
		case <-limit.C:
			require.FailNow(p.t, "the page never said so", "%s at %s:\n%s", text, p.Place(), p.text())
		case <-ticker.C:
			p.Do(chromedp.Navigate(address))
		}
	}
	p.look(shot)
}

// scan reads the barcode in an element from the pixels of the screen, as a scanner would.
func (p *phone) scan(selector string) string {
	p.t.Helper()
	sharp := look.Phone
	sharp.Density = 2 // as phones have at least
	p.Resize(sharp)
	defer p.Resize(look.Phone)
	screen, err := png.Decode(bytes.NewReader(p.Picture()))
	require.NoError(p.t, err)
	at := look.Value[[]int](p.Window, fmt.Sprintf(`(r => [r.left, r.top + scrollY, r.right, r.bottom + scrollY].map(v => Math.round(v * devicePixelRatio)))(document.querySelector(%q).getBoundingClientRect())`, selector))
	cut := image.NewGray(image.Rect(0, 0, at[2]-at[0], at[3]-at[1]))
	draw.Draw(cut, cut.Bounds(), screen, image.Pt(at[0], at[1]), draw.Src)
	return gs1128test.Scan(p.t, cut, false)
}

// tap touches what the selector finds, waits for the page that follows, and looks at it.
func (p *phone) tap(selector, shot string) {
	p.t.Helper()
	p.touch(selector)
	p.look(shot)
}

// touch is tap for a page of somebody else's, which is not looked at.
func (p *phone) touch(selector string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.Context, look.StepLimit)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Tap(selector)); err != nil {
		require.NoError(p.t, err, "tap %s at %s:\n%s", selector, p.Place(), p.text())
	}
}

// submit touches the button of the form that goes to a step of the link.
func (p *phone) submit(step, shot string) {
	p.t.Helper()
	p.tap(fmt.Sprintf(`form[action$="/%s"] button`, step), shot)
}

// leave touches the button of the form that goes to a step which leads to somebody else's page, and waits until that is there.
func (p *phone) leave(step, to string) {
	p.t.Helper()
	p.touch(fmt.Sprintf(`form[action$="/%s"] button`, step))
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(look.StepLimit)
	defer limit.Stop()
	for !strings.HasPrefix(p.Place(), to) || look.Value[string](p.Window, `document.readyState`) != "complete" {
		select {
		case <-limit.C:
			require.FailNow(p.t, "it does not go on", "from %s to %s", p.Place(), to)
		case <-ticker.C:
		}
	}
}

// hurry lets time pass so many times as fast in the pages that follow.
func (p *phone) hurry(times int) {
	p.t.Helper()
	script := fmt.Sprintf(`(() => {
		const times = %d, every = window.setInterval, now = Date.now, began = now()
		window.setInterval = (f, ms) => every(f, ms / times)
		Date.now = () => began + (now() - began) * times
	})()`, times)
	ctx, cancel := context.WithTimeout(p.Context, look.StepLimit)
	defer cancel()
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	require.NoError(p.t, err)
}

// fill types into fields by their names.
func (p *phone) fill(values ...string) {
	p.t.Helper()
	for i := 0; i < len(values); i += 2 {
		p.Do(chromedp.SendKeys(fmt.Sprintf(`[name=%q]`, values[i]), values[i+1]))
	}
}

// choose touches the label of a radio button.
func (p *phone) choose(name, value string) {
	p.t.Helper()
	p.Do(chromedp.Tap(fmt.Sprintf(`label:has(input[name=%q][value=%q])`, name, value)))
}

func (p *phone) text() string { return look.Value[string](p.Window, `document.body.innerText`) }

// await looks until the page is so. Without JavaScript it is loaded anew each time, as its reader would do.
func (p *phone) await(expression string) {
	p.t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(look.StepLimit)
	defer limit.Stop()
	for !look.Value[bool](p.Window, expression) {
		select {
		case <-limit.C:
			require.FailNow(p.t, "it did not become so", "%s at %s:\n%s", expression, p.Place(), p.text())
		case <-ticker.C:
			if !p.Scripted {
				p.Do(chromedp.Reload())
			}
		}
	}
}

// look checks the page that is shown and takes its picture. Some pages complain when they are left, so that is checked
// before the next step, by the look of it.
func (p *phone) look(shot string) {
	p.t.Helper()
	p.shown++
	picture := p.Picture() // before the checks, which change the window's size
	bad := p.Faults()
	known := false
	if p.sparing { // the same page was looked at on another way
		_, known = looked.LoadOrStore(fmt.Sprintln(shot, p.Scripted, look.Value[string](p.Window, `document.documentElement.lang + document.querySelector("h1")?.textContent`)), true)
	}
	if !known {
		bad = append(bad, p.Violations()...)
	}
	if p.status != 0 { // of which the browser complains as if a part of the page were missing
		bad = slices.DeleteFunc(bad, func(s string) bool {
			return strings.Contains(s, fmt.Sprintf("responded with a status of %d ", p.status))
		})
	}
	if !known && ofLink.MatchString(p.Place()) { // the phones' and the till's pages are for who works with them
		bad = append(bad, p.Cramped()...)
	}
	if len(bad) > 0 {
		p.t.Errorf("%s, %s: %s\n%s", shot, p.Place(), look.Value[string](p.Window, `document.title`), strings.Join(bad, "\n"))
	}
	require.NoError(p.t, os.WriteFile(p.file(shot, ".png"), picture, 0o644))
}

func (p *phone) file(shot, kind string) string {
	p.t.Helper()
	dir, err := album()
	require.NoError(p.t, err)
	return filepath.Join(dir, fmt.Sprintf("%s-%02d-%s%s", p.name, p.shown, shot, kind))
}

// document touches a link to a PDF, sees that the browser gets one, and fetches its bytes as the browser would.
func (p *phone) document(selector, shot string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.Context, look.StepLimit)
	defer cancel()
	back := p.Place()
	address := look.Value[string](p.Window, fmt.Sprintf(`document.querySelector(%q).href`, selector))
	got, err := chromedp.Run(ctx, chromedp.WaitEvent(network.ResponseReceived,
		func(e network.EventResponseReceived) bool { return e.Response.URL == address }, chromedp.Tap(selector)))
	require.NoError(p.t, err)
	require.EqualValues(p.t, http.StatusOK, got.Response.Status)
	require.Equal(p.t, "application/pdf", got.Response.MimeType)
	p.Do(chromedp.Navigate(back))

	cookies, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	require.NoError(p.t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(p.t, err)
	for _, c := range cookies.Cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer res.Body.Close()
	pdf, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.True(p.t, bytes.HasPrefix(pdf, []byte("%PDF-")), "%s gave %s", address, res.Status)
	p.shown++
	require.NoError(p.t, os.WriteFile(p.file(shot, ".pdf"), pdf, 0o644))
}
