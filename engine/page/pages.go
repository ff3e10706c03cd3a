package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image/png"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// DefaultModule draws where nothing else is said.
const DefaultModule = "render/standard"

// Renders finds a renderer. plugins/host implements it. A nil client, or one whose calls fail, is a renderer that is
// down.
type Renders interface {
	Render(module string) proto.RenderClient
}

// Options of Pages. Renders is required.
type Options struct {
	Renders Renders
	Module  string // default DefaultModule
	// ModuleOf is what draws for a tenant; "", or nil: Module, which stands in for it where it fails.
	ModuleOf   func(tenant.ID) string
	CacheBytes int64         // default 64 MiB
	Timeout    time.Duration // of one page, default 1.5 s; a document has four times as long
	// Patience of who was not identified yet, default 200 ms; each of two modules has one half of it. The one in the box takes 1 ms, and
	// some tens where the machine is at its limit. Then another page stands in, and the module draws on for who comes next.
	Patience time.Duration
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time
}

const (
	keepFor   = 10 * time.Minute // then a page is stale: shown, and drawn again for who comes next
	retryIn   = 3 * time.Second  // after the renderer failed; plain pages until it has answered
	alarmNot  = time.Minute      // the same alarm is not logged more often
	renderOf  = "page"
	printOf   = "document"
	imageOf   = "image"
	isDown    = "down"
	isRefused = "refused"
	isLate    = "late"
	// maxFlights of one module are about what one in the box draws within the patience: whoever comes then would wait in vain.
	maxFlights = 128
)

// firstViews are seen before anybody was identified. They are the same for many.
var firstViews = []proto.View{proto.View_LANDING, proto.View_IDENTIFY, proto.View_LOCKED, proto.View_EXPIRED_VIEW, proto.View_GONE, proto.View_STOPPED, proto.View_STRANGER, proto.View_FAULT}

// Pages draws and keeps pages. Safe for concurrent use.
type Pages struct {
	o       Options
	cache   *cache
	metrics *metrics
	calls   singleflight.Group
	// renewals are the pages that are drawn behind, each within the Timeout of a module or two.
	renewals sync.WaitGroup

	mu      sync.Mutex // guards what follows
	faults  map[string]*fault
	flights map[digest]*flight
	flying  map[string]int // how many by module: one that hangs leaves the others theirs
}

// flight is a page that is being drawn, for all who come until it is there.
type flight struct {
	done  chan struct{} // closed when html is there, or none will be
	late  chan struct{} // closed when nobody waits for it any more
	html  *HTML
	plain func() *HTML // the host's own, drawn when the first needs it
}

// fault is what a module failed at last.
type fault struct {
	failed    bool      // it gave no answer to what it was asked last
	askedFrom time.Time // while failed: it is asked again then, for nobody who waits
	alarm     string
	alarmedAt time.Time
}

// New makes Pages with an empty cache.
func New(o Options) *Pages {
	if o.Module == "" {
		o.Module = DefaultModule
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 1500 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 200 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	c := newCache(o.CacheBytes)
	return &Pages{o: o, cache: c, metrics: newMetrics(o.Metrics, c), faults: map[string]*fault{}, flights: map[digest]*flight{}, flying: map[string]int{}}
}

// module is what draws for the tenant.
func (p *Pages) module(id tenant.ID) string {
	if p.o.ModuleOf != nil && id != "" {
		if m := p.o.ModuleOf(id); m != "" {
			return m
		}
	}
	return p.o.Module
}

// Model is a page as a renderer is asked for it: what many ask for is made once. Neither it nor its page is changed. Safe for
// concurrent use.
type Model struct {
	Page  *proto.Page
	inert *proto.Page // Page, without the host's placeholders in its texts
	sum   digest
	// found is under what it was looked for last, mostly the same.
	found atomic.Pointer[found]
}

type found struct {
	module string
	id     tenant.ID
	key    digest
}

// NewModel makes one of a page.
func NewModel(m *proto.Page) *Model {
	model := &Model{Page: m, inert: m}
	b := marshal(m)
	if marked(b) {
		model.inert = inert(m)
		b = marshal(model.inert)
	}
	model.sum = sha256.Sum256(b)
	return model
}

// Page draws the page as Draw does.
func (p *Pages) Page(ctx context.Context, id tenant.ID, m *proto.Page) *HTML {
	return p.Draw(ctx, id, NewModel(m))
}

// Draw draws the page for the tenant (empty: nobody's). It always gives one: the plain page where no renderer does, or none soon enough
// for somebody who was not identified yet.
func (p *Pages) Draw(ctx context.Context, id tenant.ID, model *Model) *HTML {
	m, module := model.inert, p.module(id)
	last := model.found.Load()
	if last == nil || last.module != module || last.id != id {
		last = &found{module, id, p.key(renderOf, module, id, model.sum)}
		model.found.Store(last)
	}
	key := last.key
	if v, ok, stale := p.cache.get(key, p.o.Now()); ok {
		p.metrics.hits.Inc()
		if stale { // whoever asks never waits for what was there already
			m = pb.CloneOf(m) // the caller may change it
			p.behind(func() { p.renew(id, m, module, key) })
		}
		return v.(*HTML)
	}
	if slices.Contains(firstViews, m.View) {
		return p.first(id, m, module, key, model.sum)
	}
	v, _, _ := p.calls.Do(string(key[:]), func() (any, error) { return p.drawOrPlain(ctx, id, m, module, key), nil })
	return v.(*HTML)
}

// first gives a page that was not kept to somebody who has no more than the patience, for the tenant's own module and then the standard
// one. Each draws on behind.
func (p *Pages) first(id tenant.ID, m *proto.Page, module string, key, sum digest) *HTML {
	patience := p.o.Patience
	if module != p.o.Module {
		patience /= 2
	}
	f, h := p.soon(id, m, module, key, patience)
	if h != nil {
		return h
	}
	if module != p.o.Module {
		key = p.key(renderOf, p.o.Module, id, sum)
		if v, ok, stale := p.cache.get(key, p.o.Now()); ok {
			if h = v.(*HTML); stale {
				m = pb.CloneOf(m)
				p.behind(func() { p.renew(id, m, p.o.Module, key) })
			}
		} else {
			f, h = p.soon(id, m, p.o.Module, key, patience)
		}
		if h != nil && !h.Plain {
			p.metrics.standIn.WithLabelValues(isLate).Inc()
		}
		if h != nil {
			return h
		}
	}
	p.metrics.plain.WithLabelValues(isLate).Inc()
	if f == nil {
		return p.own(m)
	}
	return f.plain()
}

// soon gives a page within the patience, or no page, and the flight that goes on; no flight: too many are under way.
func (p *Pages) soon(id tenant.ID, m *proto.Page, module string, key digest, patience time.Duration) (*flight, *HTML) {
	f := p.fly(id, m, module, key, patience)
	if f == nil {
		return nil, nil
	}
	select {
	case <-f.done:
		return f, f.html
	default:
	}
	select {
	case <-f.done:
		return f, f.html
	case <-f.late:
		return f, nil
	}
}

// fly finds the flight of a page, or begins it.
func (p *Pages) fly(id tenant.ID, m *proto.Page, module string, key digest, patience time.Duration) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flights[key]; f != nil || p.flying[module] >= maxFlights {
		return f
	}
	m = pb.CloneOf(m) // the caller may change it
	f := &flight{done: make(chan struct{}), late: make(chan struct{}), plain: sync.OnceValue(func() *HTML { return p.own(m) })}
	p.flights[key] = f
	p.flying[module]++
	late := time.AfterFunc(patience, func() { close(f.late) })
	p.behind(func() {
		defer func() {
			late.Stop()
			p.mu.Lock()
			delete(p.flights, key)
			p.flying[module]--
			p.mu.Unlock()
			close(f.done)
		}()
		f.html = p.drawOrPlain(context.Background(), id, m, module, key)
	})
	return f
}

// behind does what is drawn behind. A panic ends that alone: its value may hold what a recipient reads, and is said only when the runtime
// raised it.
func (p *Pages) behind(draw func()) {
	p.renewals.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				cause, ok := v.(runtime.Error)
				p.o.Log.Error("page drawn behind panicked", "runtime", ok, "err", cause, "stack", string(debug.Stack()))
			}
		}()
		draw()
	})
}

// drawOrPlain draws a page and keeps it; where no renderer does, it gives the host's own.
func (p *Pages) drawOrPlain(ctx context.Context, id tenant.ID, m *proto.Page, module string, key digest) *HTML {
	h, kept, reason, err := p.drawOrStandIn(ctx, id, m, module, false)
	if p.due(module) || err != nil && p.due(p.o.Module) { // nobody waits to see whether a renderer that failed is back
		m := pb.CloneOf(m)
		defer p.behind(func() { p.renew(id, m, module, key) })
	}
	if err == nil {
		p.cache.put(key, h, h.Len(), p.o.Now().Add(kept))
		return h
	}
	p.raise("plain page shown", p.o.Module, m.View, reason, err)
	p.metrics.plain.WithLabelValues(reason).Inc()
	h = p.own(m)
	if reason == isRefused { // it would only be refused again
		p.cache.put(key, h, h.Len(), p.o.Now().Add(retryIn))
	}
	return h
}

// own is the host's own page.
func (p *Pages) own(m *proto.Page) *HTML {
	h, err := plain(m)
	if err != nil {
		p.o.Log.Error("plain page refused", "view", m.View.String(), "err", err)
		if h, err = plain(&proto.Page{View: proto.View_FAULT, Lang: m.Lang, Brand: m.Brand}); err != nil {
			h, _ = plain(&proto.Page{View: proto.View_FAULT, Lang: m.Lang}) // of the host's own words alone
		}
	}
	return h
}

// Keep has a page drawn and kept before anybody asks for it, and says how many bytes of the cache it takes. 0: no renderer draws it now.
func (p *Pages) Keep(id tenant.ID, model *Model) int64 {
	module := p.module(id)
	key := p.key(renderOf, module, id, model.sum)
	kept, ok, stale := p.cache.get(key, p.o.Now())
	if !ok || stale {
		p.renew(id, model.inert, module, key)
		kept, ok, _ = p.cache.get(key, p.o.Now())
	}
	if !ok {
		return 0
	}
	return int64(kept.(*HTML).Len() + entryOverhead)
}

// CacheBytes is what all that is kept may take.
func (p *Pages) CacheBytes() int64 { return p.o.CacheBytes }

// renew draws a page for who comes next: one that is stale, or was drawn without a renderer that failed. One that cannot be drawn now
// stays as it was.
func (p *Pages) renew(id tenant.ID, m *proto.Page, module string, key digest) {
	h, kept, reason, err := p.drawOrStandIn(context.Background(), id, m, module, true)
	if err == nil {
		p.cache.put(key, h, h.Len(), p.o.Now().Add(kept))
		return
	}
	what := "plain page shown"
	if p.cache.stay(key, p.o.Now().Add(retryIn)) {
		what = "page drawn before shown"
	}
	p.raise(what, p.o.Module, m.View, reason, err)
}

// drawOrStandIn draws a page by the module, else by the one that stands in. It is to be kept for so long. reason and err are those of
// the last that was asked; that the tenant's own failed is said here.
func (p *Pages) drawOrStandIn(ctx context.Context, id tenant.ID, m *proto.Page, module string, again bool) (h *HTML, kept time.Duration, reason string, err error) {
	if h, reason, err = p.draw(ctx, id, m, module, again); err == nil {
		p.metrics.drawn.WithLabelValues(renderOf).Inc()
		return h, keepFor, "", nil
	}
	if module == p.o.Module {
		return nil, 0, reason, err
	}
	p.raise("page of another renderer shown", module, m.View, reason, err)
	why := reason
	if h, reason, err = p.draw(ctx, id, m, p.o.Module, again); err == nil {
		p.metrics.standIn.WithLabelValues(why).Inc()
	}
	return h, retryIn, reason, err
}

// Renewed waits for the pages that are being drawn behind.
func (p *Pages) Renewed() { p.renewals.Wait() }

// Draft shows how a draft will look once its recipient was identified, marked as a preview. methods are those that the
// tenant offers, as the recipient would see them.
func (p *Pages) Draft(ctx context.Context, t *tenant.Tenant, d *message.Draft, methods []*proto.MethodChoice, lang string) *HTML {
	m := View(t, proto.View_INFO, lang)
	m.Preview = true
	if d.Page != nil {
		SetContent(m, &message.Content{Page: *d.Page})
		for i, a := range d.Page.Documents {
			m.Documents = append(m.Documents, &proto.DocumentLink{Name: fmt.Sprintf("document-%d.pdf", i+1), Title: a.Title})
		}
	}
	if d.Claim != nil {
		m.Claim, m.Methods = ClaimOf(d.Claim), methods
		if d.Claim.Promises || d.Class == string(message.Collection) {
			m.Promise = &proto.Promise{}
		}
		m.ClaimMenu = t.Policy.ClaimMenu
	}
	if d.Link != nil && d.Link.ExpiresAt != nil {
		m.LinkExpires = timestamppb.New(*d.Link.ExpiresAt)
	}
	return p.Page(ctx, t.ID, m)
}

// Document draws a PDF for the tenant. The bytes are shared: they must not be changed.
func (p *Pages) Document(ctx context.Context, id tenant.ID, d *proto.Document) ([]byte, error) {
	return p.paper(ctx, id, d, proto.DocumentForm_PDF)
}

// Image draws a payment sheet or a barcode as a PNG, as Document does.
func (p *Pages) Image(ctx context.Context, id tenant.ID, d *proto.Document) ([]byte, error) {
	return p.paper(ctx, id, d, proto.DocumentForm_PNG)
}

func (p *Pages) paper(ctx context.Context, id tenant.ID, d *proto.Document, form proto.DocumentForm) ([]byte, error) {
	kind := printOf
	if form == proto.DocumentForm_PNG {
		kind = imageOf
	}
	module := p.module(id)
	key := p.key(kind, module, id, sha256.Sum256(marshal(d)))
	had, ok, stale := p.cache.get(key, p.o.Now())
	if ok && !stale {
		p.metrics.hits.Inc()
		return had.([]byte), nil
	}
	ctx = context.WithoutCancel(ctx) // as for a page
	v, err, _ := p.calls.Do(string(key[:]), func() (any, error) {
		paper, err := p.print(ctx, id, d, form, module)
		kept := keepFor
		if err != nil && module != p.o.Module {
			p.raisePaper("document of another renderer given", module, d.Kind, err)
			p.metrics.standIn.WithLabelValues(printOf).Inc()
			kept = retryIn
			paper, err = p.print(ctx, id, d, form, p.o.Module)
		}
		if err != nil {
			p.metrics.failed.Inc()
			if ok && p.cache.stay(key, p.o.Now().Add(retryIn)) {
				p.raisePaper("document drawn before given", p.o.Module, d.Kind, err)
				return had, nil
			}
			return nil, err
		}
		p.metrics.drawn.WithLabelValues(printOf).Inc()
		p.cache.put(key, paper, len(paper), p.o.Now().Add(kept))
		return paper, nil
	})
	if err != nil {
		return nil, fmt.Errorf("draw a document: %w", err)
	}
	return v.([]byte), nil
}

var errDown = errors.New("renderer is down")

// refusal is a renderer's own.
type refusal struct {
	what string
	e    *proto.Error
}

func (r *refusal) Error() string {
	return fmt.Sprintf("renderer refused the %s: %s %s %s", r.what, r.e.Class, printable(r.e.Code), printable(r.e.Field))
}

// draw asks the renderer; one that failed only if again, and that now and then. reason says whether it was down or its page refused.
func (p *Pages) draw(ctx context.Context, id tenant.ID, m *proto.Page, module string, again bool) (h *HTML, reason string, err error) {
	client := p.o.Renders.Render(module)
	if client == nil || !p.asks(module, again) {
		return nil, isDown, errDown
	}
	h, reason, err = p.ask(context.WithoutCancel(ctx), client, id, m) // others may wait for the same page: whoever asked first may leave
	p.mu.Lock()
	f := p.of(module)
	f.failed, f.askedFrom = reason == isDown, p.o.Now().Add(retryIn)
	p.mu.Unlock()
	return h, reason, err
}

// ask has a renderer draw the page and checks it.
func (p *Pages) ask(ctx context.Context, client proto.RenderClient, id tenant.ID, m *proto.Page) (h *HTML, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	res, err := client.RenderPage(ctx, &proto.RenderPageRequest{Call: p.call(id), Page: m})
	if err != nil {
		return nil, isDown, err
	}
	if res.Error != nil {
		return nil, isRefused, &refusal{"page", res.Error}
	}
	style, err := check(res.Html)
	if err == nil && m.MayDisown && slices.Contains(strangerViews, m.View) && !bytes.Contains(res.Html, []byte(linkMark+"/stranger")) {
		err = errors.New("no link to " + linkMark + "/stranger, for whom it is not for")
	}
	if err == nil && m.View == proto.View_CLAIM_MENU && !bytes.Contains(res.Html, []byte(linkMark+"/content")) {
		err = errors.New("no form to " + linkMark + "/content, behind the menu") // of a module that knows no such view
	}
	if err != nil {
		return nil, isRefused, fmt.Errorf("host refused the page: %w", err)
	}
	return split(res.Html, style), "", nil
}

func (p *Pages) print(ctx context.Context, id tenant.ID, d *proto.Document, form proto.DocumentForm, module string) ([]byte, error) {
	client := p.o.Renders.Render(module)
	if client == nil {
		return nil, errDown
	}
	ctx, cancel := context.WithTimeout(ctx, 4*p.o.Timeout)
	defer cancel()
	res, err := client.RenderDocument(ctx, &proto.RenderDocumentRequest{Call: p.call(id), Document: d, Form: form})
	switch {
	case err != nil:
		return nil, err
	case res.Error != nil:
		return nil, &refusal{"document", res.Error}
	case form == proto.DocumentForm_PNG:
		return res.Png, checkPNG(res.Png)
	case len(res.Pdf) > MaxPDF || !bytes.HasPrefix(res.Pdf, []byte("%PDF-")):
		return nil, fmt.Errorf("renderer gave %d bytes that are no PDF of at most %d", len(res.Pdf), MaxPDF)
	}
	return res.Pdf, nil
}

// maxPixels is more than a page of A4 at 300 dots an inch, some times over.
const maxPixels = 50_000_000

// checkPNG holds an image to what a browser that embeds it can take.
func checkPNG(b []byte) error {
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || len(b) > MaxPDF || c.Width*c.Height > maxPixels {
		return fmt.Errorf("renderer gave %d bytes that are no PNG of at most %d, or %d × %d pixels", len(b), MaxPDF, c.Width, c.Height)
	}
	return nil
}

func (p *Pages) call(id tenant.ID) *proto.Call {
	return &proto.Call{Tenant: string(id), Now: timestamppb.New(p.o.Now())}
}

// key is the digest of everything that the renderer is asked, the time aside: of whom, for whom, and of the digest of the model.
func (p *Pages) key(kind, module string, id tenant.ID, model digest) digest {
	b := make([]byte, 0, 128)
	for _, s := range []string{kind, module, string(id)} {
		b = append(append(b, s...), 0)
	}
	return sha256.Sum256(append(b, model[:]...))
}

func marshal(m pb.Message) []byte {
	b, err := pb.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("BUG: marshal a page: " + err.Error()) // a text that is not UTF-8: engine/intake refuses it
	}
	return b
}

// of is the fault of a module. The caller holds mu.
func (p *Pages) of(module string) *fault {
	f := p.faults[module]
	if f == nil {
		f = new(fault)
		p.faults[module] = f
	}
	return f
}

// asks reports whether the module is asked now: one that failed only again, and by one who then has retryIn for it.
func (p *Pages) asks(module string, again bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, now := p.of(module), p.o.Now()
	if !f.failed {
		return true
	}
	if !again || now.Before(f.askedFrom) {
		return false
	}
	f.askedFrom = now.Add(retryIn)
	return true
}

// due reports whether the module failed and is to be asked again.
func (p *Pages) due(module string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.of(module)
	return f.failed && !p.o.Now().Before(f.askedFrom)
}

// raise logs what is shown in place of a module's page: when why changes, and once a minute.
func (p *Pages) raise(what, module string, view proto.View, reason string, err error) {
	if errors.Is(err, errDown) && p.o.Renders.Render(module) != nil {
		return // said when it went down
	}
	if p.alarms(module, reason+err.Error()) {
		p.o.Log.Error(what, "plugin", module, "view", view.String(), "reason", reason, "err", err)
	}
}

// raisePaper logs what is given in place of a module's document.
func (p *Pages) raisePaper(what, module string, kind proto.DocumentKind, err error) {
	if p.alarms(module, kind.String()+err.Error()) {
		p.o.Log.Error(what, "plugin", module, "kind", kind.String(), "err", err)
	}
}

func (p *Pages) alarms(module, why string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, now := p.of(module), p.o.Now()
	if why == f.alarm && now.Sub(f.alarmedAt) < alarmNot {
		return false
	}
	f.alarm, f.alarmedAt = why, now
	return true
}
