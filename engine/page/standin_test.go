package page

import (
	"bytes"
	"image"
	"image/png"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// two is the standard renderer and one of a tenant's own.
type two struct{ standard, own *renderer }

func (r two) Render(module string) proto.RenderClient {
	if module == "render/own" {
		return r.own.client
	}
	return r.standard.client
}

// A tenant's own renderer draws its pages; where it is refused or down, the standard one stands in, the log says so once, and
// other tenants notice nothing.
func TestStandardRendererStandsInForATenantsOwn(t *testing.T) {
	renders := two{serve(t), serve(t)}
	log, now := &bytes.Buffer{}, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	p := New(Options{Renders: renders, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: prometheus.NewRegistry(), Patience: time.Minute, Now: func() time.Time { return now },
		ModuleOf: func(id tenant.ID) string { return map[tenant.ID]string{"water": "render/own"}[id] }})
	count := func(reason string) float64 {
		var m dto.Metric
		require.NoError(t, p.metrics.standIn.WithLabelValues(reason).Write(&m))
		return m.GetCounter().GetValue()
	}
	draw := func(id tenant.ID) *HTML { return p.Page(t.Context(), id, sample(proto.View_LANDING)) }
	require.False(t, draw("water").Plain)
	require.EqualValues(t, 1, renders.own.pages.Load())
	require.Zero(t, renders.standard.pages.Load())
	require.False(t, draw("gas").Plain)
	require.EqualValues(t, 1, renders.standard.pages.Load(), "who has none is drawn by the standard one")

	hostile := script(func(*proto.Page) (*proto.RenderPageResponse, error) {
		return &proto.RenderPageResponse{Html: []byte(around(`<img src="https://evil.example.com/x.png">`))}, nil
	})
	renders.own.script.Store(&hostile)
	now = now.Add(keepFor)
	for range 5 {
		h := draw("water")
		p.Renewed()
		require.False(t, h.Plain)
		require.NotContains(t, string(h.Append(nil, "/a/x", "f", "")), "evil")
		now = now.Add(retryIn)
	}
	require.EqualValues(t, 6, renders.own.pages.Load(), "it is asked again")
	require.Equal(t, 1, strings.Count(log.String(), "page of another renderer shown"), "said once a minute")
	require.Equal(t, 5.0, count(isRefused))
	_, err := p.Try(t.Context(), "water", sample(proto.View_LANDING), "render/own")
	require.ErrorContains(t, err, "host refused the page")

	renders.own.client, renders.standard.client = nil, nil
	now = now.Add(keepFor)
	require.False(t, draw("water").Plain, "with neither, what was drawn stays")
	p.Renewed()
	require.True(t, p.Page(t.Context(), "power", sample(proto.View_LANDING)).Plain, "and the host's own page is shown where nothing was")
}

// A renderer of a time before the menu refuses it, or draws what it draws for whatever it does not know.
func TestStandardRendererStandsInForAViewThatIsNotKnown(t *testing.T) {
	for _, old := range []script{
		func(*proto.Page) (*proto.RenderPageResponse, error) {
			return &proto.RenderPageResponse{Error: &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "view"}}, nil
		},
		func(*proto.Page) (*proto.RenderPageResponse, error) {
			return &proto.RenderPageResponse{Html: []byte(around(`<p>画面を表示できません</p>`))}, nil
		},
	} {
		renders := two{serve(t), serve(t)}
		renders.own.script.Store(&old)
		p := New(Options{Renders: renders, ModuleOf: func(tenant.ID) string { return "render/own" }})
		h := p.Page(t.Context(), "water", sample(proto.View_CLAIM_MENU))
		require.False(t, h.Plain)
		require.Contains(t, string(h.Append(nil, "/a/x", "f", "")), `action="/a/x/content"`)
	}
}

func TestDocumentsOfATenantsOwnRenderer(t *testing.T) {
	renders := two{serve(t), serve(t)}
	p := New(Options{Renders: renders, ModuleOf: func(tenant.ID) string { return "render/own" }})
	d := Notice(water, &message.Content{Page: message.Page{Title: "お知らせ"}}, nil, "ja", time.Unix(0, 0))
	renders.own.pdf, renders.standard.pdf = []byte("<html>"), []byte("%PDF-1.7 standard")
	pdf, err := p.Document(t.Context(), "water", d)
	require.NoError(t, err)
	require.Equal(t, "%PDF-1.7 standard", string(pdf))
}

func TestImageMustBeAPNG(t *testing.T) {
	r := serve(t)
	p := open(r, nil, nil)
	d := Barcode(water, &proto.Voucher{Barcode: "91"}, time.Unix(0, 0))
	for _, wrong := range [][]byte{nil, []byte("%PDF-1.7"), []byte("<svg/>")} {
		r.png = wrong
		_, err := p.Image(t.Context(), "water", d)
		require.ErrorContains(t, err, "no PNG")
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 10, 10))))
	r.png = b.Bytes()
	got, err := p.Image(t.Context(), "water", d)
	require.NoError(t, err)
	require.Equal(t, b.Bytes(), got)
	pdf, err := p.Document(t.Context(), "water", d)
	require.NoError(t, err)
	require.NotEqual(t, got, pdf, "an image and a PDF of one model are kept apart")
}

func TestLogoIsTheOnlyPictureOfOurOrigin(t *testing.T) {
	_, err := check([]byte(around(`<img src="/logos/0123456789abcdef01234567.png" alt="">`)))
	require.NoError(t, err)
	for _, src := range []string{"/logos/x.png", "/logos/0123456789abcdef01234567.svg", "//logos/0123456789abcdef01234567.png", "/a/SQND01gr", "https://x/logos/0123456789abcdef01234567.png"} {
		_, err := check([]byte(around(`<img src="` + src + `" alt="">`)))
		require.ErrorContains(t, err, "foreign resource", src)
	}
}
