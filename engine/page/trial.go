package page

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/proto/samples"
)

// trialTime is what a trial may take in all: somebody waits for it. The module in the box takes about a second.
const trialTime = 20 * time.Second

// Try draws a page by a module, whatever the tenant has, and says why it cannot be shown: the module failed or refused it, or the
// host does. Nothing is kept.
func (p *Pages) Try(ctx context.Context, id tenant.ID, m *proto.Page, module string) (*HTML, error) {
	h, _, err := p.draw(ctx, id, m, module, true)
	return h, err
}

// TryDocument draws a PDF by a module as Try does a page.
func (p *Pages) TryDocument(ctx context.Context, id tenant.ID, d *proto.Document, module string) ([]byte, error) {
	return p.print(ctx, id, d, proto.DocumentForm_PDF, module)
}

// Trial has a module draw a sample of every view and of every document in both languages, as the tenant's, and says at which it failed
// first, or that it was too slow. What it says that it does not know (NOT_SUPPORTED) is the standard one's to draw, but for the landing
// page and the notice. Nothing is kept, and no recipient notices that a module failed here.
func (p *Pages) Trial(ctx context.Context, t *tenant.Tenant, module string) error {
	client := p.o.Renders.Render(module)
	if client == nil {
		return errDown
	}
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	failed := func(what fmt.Stringer, form, lang string, err error) error {
		var refused *refusal
		switch known := what == proto.View_LANDING || what == proto.View_INFO; {
		case err == nil, !known && errors.As(err, &refused) && refused.e.Class == proto.ErrorClass_NOT_SUPPORTED:
			return nil
		case ctx.Err() != nil:
			err = fmt.Errorf("not all was drawn in %v", trialTime)
		}
		return fmt.Errorf("%v%s, %s: %w", what, form, lang, err)
	}
	now := p.o.Now()
	for _, lang := range []string{"ja", "en"} {
		for n := proto.View_LANDING; proto.View_name[int32(n)] != ""; n++ {
			m, own := samples.Page(n, lang, now), View(t, n, lang)
			m.Brand, m.About = own.Brand, own.About
			_, _, err := p.ask(ctx, client, t.ID, NewModel(m).inert)
			if err = failed(n, "", lang, err); err != nil {
				return err
			}
		}
		for n := proto.DocumentKind_NOTICE; proto.DocumentKind_name[int32(n)] != ""; n++ {
			for _, form := range formsOf(n) {
				_, err := p.print(ctx, t.ID, SampleDocument(t, n, lang, now), form, module)
				if err = failed(n, " ("+form.String()+")", lang, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// SampleDocument is a document that looks as the tenant's do, and says that it is a sample.
func SampleDocument(t *tenant.Tenant, kind proto.DocumentKind, lang string, now time.Time) *proto.Document {
	d := samples.Document(kind, lang, now)
	d.Issuer, d.Logo = Issuer(t), t.Brand.LogoPNG()
	return d
}

// formsOf is what a document is drawn as.
func formsOf(kind proto.DocumentKind) []proto.DocumentForm {
	switch kind {
	case proto.DocumentKind_BARCODE:
		return []proto.DocumentForm{proto.DocumentForm_PNG}
	case proto.DocumentKind_PAYMENT_SHEET:
		return []proto.DocumentForm{proto.DocumentForm_PDF, proto.DocumentForm_PNG}
	}
	return []proto.DocumentForm{proto.DocumentForm_PDF}
}
