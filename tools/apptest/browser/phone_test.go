// Package browser goes the recipient's way with a real browser: from the SMS on the handset page through identity to a
// paid claim and its receipt, on a screen of 390 by 844 pixels, with JavaScript and without. It is skipped where no
// Chromium is installed.
//
// At every step the page must fit the width, have one h1, controls that have a name, can be focused and are large enough
// to tap, and nothing in the console; no request may leave the programs of the test.
//
//	go test ./tools/apptest/browser -shots DIR        # writes a picture of every step
//	go test ./tools/apptest/browser -axe axe.min.js   # has every page checked by axe-core (npm pack axe-core) as well
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
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
)

var (
	shots = flag.String("shots", "", "directory that a picture of every step is written to")
	axe   = flag.String("axe", "", "file axe.min.js of the npm package axe-core, which then checks every page")
)

// Screen of the phone in CSS pixels, and device pixels for each.
const (
	width, height = 390, 844
	density       = 2
)

// stepLimit is how long one step may take, on a machine that has other things to do.
const stepLimit = 30 * time.Second

// chromium finds the browser, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium, chromium-browser or google-chrome is installed")
	return ""
}

// phone is a browser with an empty profile and the size of a phone. It is for one goroutine.
type phone struct {
	t        *testing.T
	name     string // of the pictures
	scripted bool   // JavaScript is on
	ctx      context.Context
	hosts    map[string]bool // that it may ask
	shown    int             // pages looked at

	mu  sync.Mutex // guards bad
	bad []string   // what the browser complained of since the last page
}

// newPhone starts a browser that may ask the programs at the addresses.
func newPhone(t *testing.T, name string, scripted bool, addresses ...string) *phone {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("headless", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", "ja"), chromedp.Flag("accept-lang", "ja"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	p := &phone{t: t, name: name, scripted: scripted, ctx: ctx, hosts: map[string]bool{}}
	for _, a := range addresses {
		p.hosts[host(t, a)] = true
	}
	require.NoError(t, chromedp.Listen(ctx, p.hear))
	setUp := func(ctx context.Context, target *chromedp.Target) error {
		for _, err := range []error{
			second(cdp.Call(ctx, target, network.Enable, network.EnableParams{})),
			second(cdp.Call(ctx, target, log.Enable, cdp.Empty{})),
			second(cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripted})),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}
	p.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(density), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait),
		chromedp.Func(setUp))
	return p
}

func second[T any](_ T, err error) error { return err }

func host(t *testing.T, address string) string {
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Host
}

// hear notes what must not be.
func (p *phone) hear(event any) {
	complain := func(format string, args ...any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bad = append(p.bad, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		own := err == nil && (u.Scheme == "data" || u.Scheme == "chrome-extension" || u.Scheme == "http" && p.hosts[u.Host])
		if !own {
			complain("request to %s", e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		complain("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			complain("console: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			complain("console.%s at %v", e.Type, e.StackTrace)
		}
	}
}

func (p *phone) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	// The browser lives as long as the context of the first call, which therefore must have no limit.
	if p.shown == 0 {
		require.NoError(p.t, chromedp.Do(p.ctx, steps...))
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...), "at %s", p.place())
}

func (p *phone) place() string {
	at, _ := chromedp.Run(p.ctx, chromedp.Location())
	return at
}

// open goes to an address as somebody who types it.
func (p *phone) open(address, shot string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
	p.look(shot)
}

// openUntil goes to an address until the page says so: what an agent tells is on its way for a while.
func (p *phone) openUntil(address, text, shot string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(stepLimit)
	defer limit.Stop()
	for !strings.Contains(p.text(), text) {
		select {
		case <-limit.C:
			require.FailNow(p.t, "the page never said so", "%s at %s:\n%s", text, p.place(), p.text())
		case <-ticker.C:
			p.do(chromedp.Navigate(address))
		}
	}
	p.look(shot)
}

// scan reads the barcode in an element from the pixels of the screen, as a scanner would.
func (p *phone) scan(selector string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err)
	screen, err := png.Decode(bytes.NewReader(shot))
	require.NoError(p.t, err)
	at := value[[]int](p, fmt.Sprintf(`(r => [r.left, r.top + scrollY, r.right, r.bottom + scrollY].map(v => Math.round(v * devicePixelRatio)))(document.querySelector(%q).getBoundingClientRect())`, selector))
	cut := image.NewGray(image.Rect(0, 0, at[2]-at[0], at[3]-at[1]))
	draw.Draw(cut, cut.Bounds(), screen, image.Pt(at[0], at[1]), draw.Src)
	return gs1128test.Scan(p.t, cut, false)
}

// tap touches what the selector finds and waits for the page that follows.
func (p *phone) tap(selector, shot string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Tap(selector))
	require.NoError(p.t, err, "tap %s at %s:\n%s", selector, p.place(), p.text())
	p.look(shot)
}

// submit touches the button of the form that goes to a step of the link.
func (p *phone) submit(step, shot string) {
	p.t.Helper()
	p.tap(fmt.Sprintf(`form[action$="/%s"] button`, step), shot)
}

// fill types into fields by their names.
func (p *phone) fill(values ...string) {
	p.t.Helper()
	for i := 0; i < len(values); i += 2 {
		p.do(chromedp.SendKeys(fmt.Sprintf(`[name=%q]`, values[i]), values[i+1]))
	}
}

// choose touches the label of a radio button.
func (p *phone) choose(name, value string) {
	p.t.Helper()
	p.do(chromedp.Tap(fmt.Sprintf(`label:has(input[name=%q][value=%q])`, name, value)))
}

func (p *phone) text() string { return value[string](p, `document.body.innerText`) }

// value is that of an expression in the page. The debugger may run it where the page may not run scripts.
func value[T any](p *phone, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil && strings.Contains(err.Error(), "navigated") { // a page without JavaScript loads itself anew now and then
		v, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	}
	require.NoError(p.t, err)
	return v
}

// await looks until the page is so. Without JavaScript it is loaded anew each time, as its reader would do.
func (p *phone) await(expression string) {
	p.t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(stepLimit)
	defer limit.Stop()
	for !value[bool](p, expression) {
		select {
		case <-limit.C:
			require.FailNow(p.t, "it did not become so", "%s at %s:\n%s", expression, p.place(), p.text())
		case <-ticker.C:
			if !p.scripted {
				p.do(chromedp.Reload())
			}
		}
	}
}

// checks are what every page must hold. It answers with what does not.
const checks = `(() => {
	const bad = [], root = document.documentElement
	if (window.innerWidth !== WIDTH) bad.push("the window is " + window.innerWidth + " wide")
	if (root.scrollWidth > WIDTH) {
		const wide = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > WIDTH + .5)
		bad.push("the page is " + root.scrollWidth + " wide: " + (wide ? wide.outerHTML.slice(0, 120) : ""))
	}
	const h1 = [...document.querySelectorAll("h1")].filter(e => e.checkVisibility()).length
	if (h1 !== 1) bad.push(h1 + " h1")
	if (!document.title.trim()) bad.push("no title")
	if (!root.lang) bad.push("no language")
	const before = document.activeElement
	for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), textarea, select, summary")) {
		if (e.disabled || !e.checkVisibility()) continue
		const what = e.outerHTML.slice(0, 120)
		e.focus({preventScroll: true})
		if (document.activeElement !== e) bad.push("cannot be focused: " + what)
		const labels = [...(e.labels ?? [])].map(l => l.innerText).join(" ")
		if (!(labels + (e.getAttribute("aria-label") ?? "") + e.innerText).trim()) bad.push("has no name: " + what)
		const box = (e.closest("label") ?? e).getBoundingClientRect()
		const inline = getComputedStyle(e).display === "inline" // WCAG 2.2 §2.5.8 leaves links in sentences out
		if (!inline && (box.width < 24 || box.height < 24)) bad.push("is " + box.width + " by " + box.height + ": " + what)
	}
	before?.focus?.({preventScroll: true})
	if (document.activeElement !== before) document.activeElement?.blur?.()
	return bad
})()`

// look checks the page that is shown and takes its picture. Some pages complain when they are left, so that is checked
// before the next step, by the look of it.
func (p *phone) look(shot string) {
	p.t.Helper()
	p.shown++
	bad := value[[]string](p, strings.ReplaceAll(checks, "WIDTH", fmt.Sprint(width)))
	p.mu.Lock()
	bad, p.bad = append(bad, p.bad...), nil
	p.mu.Unlock()
	if *axe != "" && p.scripted {
		bad = append(bad, p.violations()...)
	}
	if len(bad) > 0 {
		p.t.Errorf("%s, %s: %s\n%s", shot, p.place(), value[string](p, `document.title`), strings.Join(bad, "\n"))
	}
	if *shots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(p.file(shot, ".png"), picture, 0o644))
}

func (p *phone) file(shot, kind string) string {
	return filepath.Join(*shots, fmt.Sprintf("%s-%02d-%s%s", p.name, p.shown, shot, kind))
}

// violations asks axe-core.
func (p *phone) violations() []string {
	p.t.Helper()
	source, err := os.ReadFile(*axe)
	require.NoError(p.t, err)
	p.do(chromedp.Evaluate[chromedp.Void](string(source)))
	return value[[]string](p, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v =>
		v.nodes.map(n => "axe " + v.id + " (" + v.impact + "): " + n.html.slice(0, 160) + " " + n.any.concat(n.all).map(c => c.message).join("; ").slice(0, 200))))`)
}

// document touches a link to a PDF, sees that the browser gets one, and fetches its bytes as the browser would.
func (p *phone) document(selector, shot string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	back := p.place()
	address := value[string](p, fmt.Sprintf(`document.querySelector(%q).href`, selector))
	got, err := chromedp.Run(ctx, chromedp.WaitEvent(network.ResponseReceived,
		func(e network.EventResponseReceived) bool { return e.Response.URL == address }, chromedp.Tap(selector)))
	require.NoError(p.t, err)
	require.EqualValues(p.t, http.StatusOK, got.Response.Status)
	require.Equal(p.t, "application/pdf", got.Response.MimeType)
	p.do(chromedp.Navigate(back))

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
	if *shots != "" {
		require.NoError(p.t, os.WriteFile(p.file(shot, ".pdf"), pdf, 0o644))
	}
}
