package page

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/plugins/proto"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

// faulty is a renderer that fails at one view or one document.
type faulty struct {
	proto.RenderClient
	view    proto.View
	kind    proto.DocumentKind
	form    proto.DocumentForm
	with    *proto.Error  // nil: with a page or a document that is none
	takes   time.Duration // for each
	picture []byte
}

func (f *faulty) RenderPage(ctx context.Context, in *proto.RenderPageRequest, _ ...grpc.CallOption) (*proto.RenderPageResponse, error) {
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if in.Page.View == f.view {
		return &proto.RenderPageResponse{Html: []byte("<script>"), Error: f.with}, nil
	}
	html, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

func (f *faulty) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest, _ ...grpc.CallOption) (*proto.RenderDocumentResponse, error) {
	if in.Document.Kind == f.kind && in.Form == f.form {
		return &proto.RenderDocumentResponse{Error: f.with}, nil
	}
	return &proto.RenderDocumentResponse{Pdf: []byte("%PDF-1.7"), Png: f.picture}, nil
}

// A module is chosen only if it draws everything; who chooses it is told what it does not, within trialTime.
func TestTrialFindsWhatAModuleDoesNotDraw(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 10, 10))))
	try := func(f *faulty) error {
		f.picture = b.Bytes()
		return New(Options{Renders: &renderer{client: f}, Now: time.Now}).Trial(t.Context(), water, "render/own")
	}
	unknown := &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "view"}
	require.NoError(t, try(&faulty{view: proto.View_CODE, kind: proto.DocumentKind_CERTIFICATE, with: unknown}), "the standard one draws what it does not know")
	require.ErrorContains(t, try(&faulty{view: proto.View_LANDING, with: unknown}), "LANDING, ja: renderer refused the page: NOT_SUPPORTED view")
	for n, name := range proto.View_name {
		if n == 0 {
			continue
		}
		require.ErrorContains(t, try(&faulty{view: proto.View(n)}), name+", ja: host refused the page: ")
	}
	for n, name := range proto.DocumentKind_name {
		for _, form := range formsOf(proto.DocumentKind(n)) {
			if n != 0 {
				require.ErrorContains(t, try(&faulty{kind: proto.DocumentKind(n), form: form}), name+" ("+form.String()+"), ja: renderer gave 0 bytes")
			}
		}
	}
	for takes, want := range map[time.Duration]string{time.Minute: "LANDING, ja: context deadline exceeded", time.Second: "not all was drawn in 20s"} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			require.ErrorContains(t, try(&faulty{takes: takes}), want)
			require.LessOrEqual(t, time.Since(began), trialTime)
		})
	}
}
