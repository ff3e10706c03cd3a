// Package look opens pages in a real browser, as people see them, and says what is wrong with them. It is for tests, and skips
// them where no Chromium is installed.
//
// A page must fit its window, have one h1, a title, a language, controls that have a name, can be focused and are large enough to
// tap, and nothing in the console, and no request may leave the hosts that were named (Faults). axe-core must find nothing, where
// `make axe` has installed it, as .ci/run does; elsewhere the log of the test says that it did not look (Violations). A page for phones must
// fit 320 pixels, and twice the size of text (Cramped).
package look

import (
	"context"
	"fmt"
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
)

// StepLimit is how long one step may take, on a machine that has other things to do.
const StepLimit = 30 * time.Second

// Screen is what a window is shown on, in CSS pixels.
type Screen struct {
	Width, Height int
	Density       float64 // device pixels for each
	Touch         bool
}

// Phone and Desk are the screens that pages are made for. Layout does not change with the density: one pixel for each is drawn in a
// fraction of the time.
var (
	Phone = Screen{390, 844, 1, true}
	Desk  = Screen{1280, 900, 1, false}
)

// Chromium finds the browser, or skips the test. The one without windows takes two thirds of the time.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium-headless-shell, chromium, chromium-browser or google-chrome is installed")
	return ""
}

// axe is the source of axe-core; empty: it is not installed. Tests run in the directory of their package.
var axe = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		source, err := os.ReadFile(filepath.Join(dir, "tools/look/node_modules/axe-core/axe.min.js"))
		if err == nil {
			return string(source)
		}
		dir = filepath.Dir(dir)
	}
	return ""
})

// Window is a window of the browser with a profile of its own, empty at first. It is for one goroutine, and ends with its test.
type Window struct {
	t        testing.TB
	Scripted bool // JavaScript is on
	Context  context.Context
	screen   Screen
	hosts    map[string]bool // that it may ask
	began    bool
	unjudged bool // it was said that axe-core is not installed

	mu  sync.Mutex // guards bad
	bad []string   // what the browser complained of since Faults
}

// agent is that of a person's browser: headless ones say so, and are taken for machines.
const agent = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"

// browser is the one of all windows that are open: to start one takes longer than most of what is done with it. It begins with the
// first window and ends with the last.
var browser struct {
	mu      sync.Mutex // guards what follows
	windows int
	context context.Context
	end     func()
}

// hold gives the browser's context until the test ends.
func hold(t testing.TB) context.Context {
	t.Helper()
	path := Chromium(t)
	browser.mu.Lock()
	defer browser.mu.Unlock()
	if browser.windows == 0 {
		dir, err := os.MkdirTemp("", "look")
		require.NoError(t, err)
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(dir),
			chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("headless", true), chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
			chromedp.Flag("user-agent", agent), chromedp.Flag("lang", "ja"), chromedp.Flag("accept-lang", "ja"))
		alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(alloc)
		browser.context, browser.end = ctx, func() { cancel(); stop(); _ = os.RemoveAll(dir) }
		if err := chromedp.Do(ctx); err != nil {
			browser.end()
			require.NoError(t, err)
		}
	}
	browser.windows++
	t.Cleanup(func() {
		browser.mu.Lock()
		defer browser.mu.Unlock()
		if browser.windows--; browser.windows == 0 {
			browser.end()
		}
	})
	return browser.context
}

// Open opens a window that may ask the programs at the addresses (URLs).
func Open(t testing.TB, screen Screen, scripted bool, addresses ...string) *Window {
	t.Helper()
	ctx, cancel := chromedp.NewContext(hold(t), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	w := &Window{t: t, Scripted: scripted, Context: ctx, hosts: map[string]bool{}}
	for _, a := range addresses {
		u, err := url.Parse(a)
		require.NoError(t, err)
		w.hosts[u.Host] = true
	}
	require.NoError(t, chromedp.Listen(ctx, w.hear))
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
	w.Do(chromedp.Func(setUp))
	w.Resize(screen)
	return w
}

func second[T any](_ T, err error) error { return err }

// Resize shows the page on another screen.
func (w *Window) Resize(s Screen) {
	w.t.Helper()
	w.screen = s
	o := []chromedp.EmulateViewportOption{chromedp.EmulateScale(s.Density)}
	if s.Touch {
		o = append(o, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	w.Do(chromedp.EmulateViewport(int64(s.Width), int64(s.Height), o...))
}

// hear notes what must not be.
func (w *Window) hear(event any) {
	complain := func(format string, args ...any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bad = append(w.bad, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		own := err == nil && (u.Scheme == "data" || u.Scheme == "chrome-extension" || u.Scheme == "http" && w.hosts[u.Host])
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

// Do takes steps.
func (w *Window) Do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	// The window lives as long as the context of the first call, which therefore must have no limit.
	if !w.began {
		w.began = true
		require.NoError(w.t, chromedp.Do(w.Context, steps...))
		return
	}
	ctx, cancel := context.WithTimeout(w.Context, StepLimit)
	defer cancel()
	require.NoError(w.t, chromedp.Do(ctx, steps...), "at %s", w.Place())
}

// Go loads an address.
func (w *Window) Go(address string) {
	w.t.Helper()
	w.Do(chromedp.Navigate(address))
}

// Place is the address of the page.
func (w *Window) Place() string {
	at, _ := chromedp.Run(w.Context, chromedp.Location())
	return at
}

// Picture is a PNG of the whole page.
func (w *Window) Picture() []byte {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.Context, StepLimit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(w.t, err)
	return png
}

// Value is that of an expression in the page. The debugger may run it where the page may not run scripts.
func Value[T any](w *Window, expression string) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.Context, StepLimit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil && strings.Contains(err.Error(), "navigated") { // a page without JavaScript loads itself anew now and then
		v, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	}
	require.NoError(w.t, err)
	return v
}

// checks are what every page must hold. It answers with what does not.
const checks = `(() => {
	const bad = [], root = document.documentElement
	if (window.innerWidth !== WIDTH) bad.push("the window is " + window.innerWidth + " wide")
	bad.push(...WIDE)
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
		if (box.width <= 1 && box.height <= 1) continue // for screen readers, until the keyboard comes to it
		const inline = getComputedStyle(e).display === "inline" // WCAG 2.2 §2.5.8 leaves links in sentences out
		if (!inline && (box.width < 24 || box.height < 24)) bad.push("is " + box.width + " by " + box.height + ": " + what)
	}
	before?.focus?.({preventScroll: true})
	if (document.activeElement !== before) document.activeElement?.blur?.()
	return bad
})()`

// Faults is what is wrong with the page, and what the browser complained of since the last call.
func (w *Window) Faults() []string {
	w.t.Helper()
	bad := Value[[]string](w, strings.NewReplacer("WIDTH", fmt.Sprint(w.screen.Width), "WIDE", wide(w.screen.Width)).Replace(checks))
	w.mu.Lock()
	bad, w.bad = append(bad, w.bad...), nil
	w.mu.Unlock()
	return bad
}

// Violations is what axe-core finds, frames left out. Where scripts may not run it cannot look; where it is not installed it does
// not, and the log says so, once for a window.
func (w *Window) Violations() []string {
	w.t.Helper()
	if !w.Scripted {
		return nil
	}
	source := axe()
	if source == "" {
		if !w.unjudged {
			w.unjudged = true
			w.t.Log("axe-core is not installed (make axe): these pages were looked at without it")
		}
		return nil
	}
	w.Do(chromedp.Evaluate[chromedp.Void](source))
	return Value[[]string](w, `axe.run(document, {resultTypes: ["violations"], iframes: false}).then(r => r.violations.flatMap(v =>
			v.nodes.map(n => "axe " + v.id + " (" + v.impact + "): " + n.html.slice(0, 160) + " " + n.any.concat(n.all).map(c => c.message).join("; ").slice(0, 200))))`)
}

// Cramped is what does not fit a window of 320 pixels (WCAG 2.2 §1.4.10), and what does not at twice the size of text (§1.4.4).
// The page is afterwards as it was.
func (w *Window) Cramped() (bad []string) {
	w.t.Helper()
	was := w.screen
	small := was
	small.Width = 320
	w.Resize(small)
	for _, f := range Value[[]string](w, wide(small.Width)) {
		bad = append(bad, "at 320 pixels "+f)
	}
	w.Resize(was)
	for _, f := range Value[[]string](w, `(() => {
		const root = document.documentElement, size = root.style.fontSize
		root.style.fontSize = "200%"
		const bad = `+wide(was.Width)+`
		root.style.fontSize = size
		return bad
	})()`) {
		bad = append(bad, "with text of 200 % "+f)
	}
	return bad
}

// wide is an expression: what of the page is wider than its window.
func wide(width int) string {
	return strings.ReplaceAll(`(() => {
		if (document.documentElement.scrollWidth <= WIDTH) return []
		const wide = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > WIDTH + .5)
		return ["the page is " + document.documentElement.scrollWidth + " wide: " + (wide ? wide.outerHTML.slice(0, 120) : "")]
	})()`, "WIDTH", fmt.Sprint(width))
}
