// Standard is the renderer in the box: the pages behind a link and the PDFs, in Japanese and English.
//
// It keeps nothing: a page or a document is a function of its model. Package page draws the views and states which
// form posts which control names; package document draws the PDFs; gs1128 is the barcode that a till reads; font is
// the typeface of the documents; wording says amounts, dates and texts in both languages. An instance has nothing to
// configure: what differs between tenants is in the model.
package main

import (
	"context"
	"runtime"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/document"
	"github.com/kakitome/kakitome/plugins/render/standard/page"
	"github.com/kakitome/kakitome/plugins/sdk"
)

func main() { sdk.Serve(module()) }

func module() sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name:         "standard",
			Vendor:       "Kakitome",
			Version:      "0.1.0",
			Kind:         proto.Kind_RENDER,
			ConfigSchema: `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false}`,
			Views:        page.Views(),
			Documents: []proto.DocumentKind{proto.DocumentKind_NOTICE, proto.DocumentKind_RECEIPT, proto.DocumentKind_CERTIFICATE,
				proto.DocumentKind_PAYMENT_SHEET, proto.DocumentKind_INVOICE, proto.DocumentKind_METER_READING, proto.DocumentKind_BARCODE},
		},
		Render: &renderer{drawing: make(chan struct{}, runtime.GOMAXPROCS(0))},
	}
}

// renderer serves the contract.
type renderer struct {
	proto.UnimplementedRenderServer
	// drawing holds a place for each document being drawn: each takes some 20 MB for a copy of the font and its
	// tables. Full: the call waits for a place until its deadline.
	drawing chan struct{}
}

// RenderPage draws one view.
func (r *renderer) RenderPage(_ context.Context, req *proto.RenderPageRequest) (*proto.RenderPageResponse, error) {
	html, refused := page.Render(req.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

// RenderDocument draws one PDF, or one image.
func (r *renderer) RenderDocument(ctx context.Context, req *proto.RenderDocumentRequest) (*proto.RenderDocumentResponse, error) {
	select {
	case r.drawing <- struct{}{}:
		defer func() { <-r.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if req.Form == proto.DocumentForm_PNG {
		png, refused := document.RenderPNG(req.Document)
		return &proto.RenderDocumentResponse{Png: png, Error: refused}, nil
	}
	pdf, refused := document.Render(req.Document)
	return &proto.RenderDocumentResponse{Pdf: pdf, Error: refused}, nil
}
