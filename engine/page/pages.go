package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
	Renders    Renders
	Module     string        // default DefaultModule
	CacheBytes int64         // default 64 MiB
	Timeout    time.Duration // of one page, default 1.5 s; a document has four times as long
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Now        func() time.Time
}

const (
	keepFor   = 10 * time.Minute // a renderer that was exchanged shows within this time
	retryIn   = 3 * time.Second  // after the renderer failed; plain pages meanwhile
	alarmNot  = time.Minute      // the same alarm is not logged more often
	renderOf  = "page"
	printOf   = "document"
	isDown    = "down"
	isRefused = "refused"
)

// Pages draws and keeps pages. Safe for concurrent use.
type Pages struct {
	o       Options
	cache   *cache
	metrics *metrics
	calls   singleflight.Group

	mu        sync.Mutex // guards what follows
	downUntil time.Time
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
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	c := newCache(o.CacheBytes)
	return &Pages{o: o, cache: c, metrics: newMetrics(o.Metrics, c)}
}

// Page draws the page for the tenant (empty: nobody's). It always gives one: the plain page where no renderer does.
func (p *Pages) Page(ctx context.Context, id tenant.ID, m *proto.Page) *HTML {
	model := marshal(m)
	if marked(model) {
		m = inert(m)
		model = marshal(m)
	}
	key := p.key(renderOf, id, model)
	if v, ok := p.cache.get(key, p.o.Now()); ok {
		p.metrics.hits.Inc()
		return v.(*HTML)
	}
	v, _, _ := p.calls.Do(string(key[:]), func() (any, error) {
		h, reason, err := p.draw(ctx, id, m)
		if err == nil {
			p.metrics.drawn.WithLabelValues(renderOf).Inc()
			p.cache.put(key, h, h.Len(), p.o.Now().Add(keepFor))
			return h, nil
		}
		p.metrics.plain.WithLabelValues(reason).Inc()
		p.raise(m.View, reason, err)
		if h, err = plain(m); err != nil {
			p.o.Log.Error("plain page refused", "view", m.View.String(), "err", err)
			if h, err = plain(&proto.Page{View: proto.View_FAULT, Lang: m.Lang, Brand: m.Brand}); err != nil {
				h, _ = plain(&proto.Page{View: proto.View_FAULT, Lang: m.Lang}) // of the host's own words alone
			}
		}
		if reason == isRefused { // it would only be refused again
			p.cache.put(key, h, h.Len(), p.o.Now().Add(retryIn))
		}
		return h, nil
	})
	return v.(*HTML)
}

// Draft shows how a draft will look once its recipient was identified, marked as a preview. methods are those that the
// tenant offers, as the recipient would see them.
func (p *Pages) Draft(ctx context.Context, t *tenant.Tenant, d *message.Draft, methods []*proto.MethodChoice, lang string) *HTML {
	m := View(t, proto.View_INFO, lang)
	m.Preview = true
	if d.Page != nil {
		SetContent(m, &message.Content{Page: *d.Page})
	}
	if d.Claim != nil {
		m.Claim, m.Methods = ClaimOf(d.Claim), methods
		if d.Claim.Promises || d.Class == string(message.Collection) {
			m.Promise = &proto.Promise{}
		}
	}
	if d.Link != nil && d.Link.ExpiresAt != nil {
		m.LinkExpires = timestamppb.New(*d.Link.ExpiresAt)
	}
	return p.Page(ctx, t.ID, m)
}

// Document draws a PDF for the tenant. The bytes are shared: they must not be changed.
func (p *Pages) Document(ctx context.Context, id tenant.ID, d *proto.Document) ([]byte, error) {
	key := p.key(printOf, id, marshal(d))
	if v, ok := p.cache.get(key, p.o.Now()); ok {
		p.metrics.hits.Inc()
		return v.([]byte), nil
	}
	v, err, _ := p.calls.Do(string(key[:]), func() (any, error) {
		pdf, err := p.print(ctx, id, d)
		if err != nil {
			p.metrics.failed.Inc()
			return nil, err
		}
		p.metrics.drawn.WithLabelValues(printOf).Inc()
		p.cache.put(key, pdf, len(pdf), p.o.Now().Add(keepFor))
		return pdf, nil
	})
	if err != nil {
		return nil, fmt.Errorf("draw a document: %w", err)
	}
	return v.([]byte), nil
}

var errDown = errors.New("renderer is down")

// draw asks the renderer. reason says whether it was down or its page refused.
func (p *Pages) draw(ctx context.Context, id tenant.ID, m *proto.Page) (h *HTML, reason string, err error) {
	client := p.o.Renders.Render(p.o.Module)
	if client == nil || p.isDown() {
		return nil, isDown, errDown
	}
	// Others may wait for the same page: whoever asked first may leave.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.Timeout)
	defer cancel()
	res, err := client.RenderPage(ctx, &proto.RenderPageRequest{Call: p.call(id), Page: m})
	if err != nil {
		p.mu.Lock()
		p.downUntil = p.o.Now().Add(retryIn)
		p.mu.Unlock()
		return nil, isDown, err
	}
	if e := res.Error; e != nil {
		return nil, isRefused, fmt.Errorf("renderer refused the page: %s %s %s", e.Class, printable(e.Code), printable(e.Field))
	}
	style, err := check(res.Html)
	if err == nil && m.MayDisown && slices.Contains(strangerViews, m.View) && !bytes.Contains(res.Html, []byte(linkMark+"/stranger")) {
		err = errors.New("no link to " + linkMark + "/stranger, for whom it is not for")
	}
	if err != nil {
		return nil, isRefused, fmt.Errorf("host refused the page: %w", err)
	}
	return split(res.Html, style), "", nil
}

func (p *Pages) print(ctx context.Context, id tenant.ID, d *proto.Document) ([]byte, error) {
	client := p.o.Renders.Render(p.o.Module)
	if client == nil {
		return nil, errDown
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*p.o.Timeout)
	defer cancel()
	res, err := client.RenderDocument(ctx, &proto.RenderDocumentRequest{Call: p.call(id), Document: d})
	switch {
	case err != nil:
		return nil, err
	case res.Error != nil:
		return nil, fmt.Errorf("renderer refused the document: %s %s %s", res.Error.Class, printable(res.Error.Code), printable(res.Error.Field))
	case len(res.Pdf) > MaxPDF || !bytes.HasPrefix(res.Pdf, []byte("%PDF-")):
		return nil, fmt.Errorf("renderer gave %d bytes that are no PDF of at most %d", len(res.Pdf), MaxPDF)
	}
	return res.Pdf, nil
}

func (p *Pages) call(id tenant.ID) *proto.Call {
	return &proto.Call{Tenant: string(id), Now: timestamppb.New(p.o.Now())}
}

// key is the digest of everything that the renderer is asked, the time aside.
func (p *Pages) key(kind string, id tenant.ID, model []byte) digest {
	head := kind + "\x00" + p.o.Module + "\x00" + string(id) + "\x00"
	return sha256.Sum256(append([]byte(head), model...))
}

func marshal(m pb.Message) []byte {
	b, err := pb.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("BUG: marshal a page: " + err.Error()) // a text that is not UTF-8: engine/intake refuses it
	}
	return b
}

func (p *Pages) isDown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Before(p.downUntil)
}

// raise logs that plain pages are shown: when why changes, and once a minute.
func (p *Pages) raise(view proto.View, reason string, err error) {
	if errors.Is(err, errDown) && p.o.Renders.Render(p.o.Module) != nil {
		return // said when it went down
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	if why := reason + err.Error(); why != p.alarm || now.Sub(p.alarmedAt) >= alarmNot {
		p.alarm, p.alarmedAt = why, now
		p.o.Log.Error("plain page shown", "plugin", p.o.Module, "view", view.String(), "reason", reason, "err", err)
	}
}
