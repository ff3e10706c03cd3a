package sheet

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Faults is the file of a bundle that says which claims have no sheet in it, and why; not there where all have one.
const Faults = "faults.csv"

// Bundled says what a bundle holds.
type Bundled struct{ Sheets, Faults int }

// OfUpload are the claims of an upload's messages, each once, in the order of their numbers.
func (s *Sheets) OfUpload(ctx context.Context, t *tenant.Tenant, upload ulid.ULID) (claims []ulid.ULID, err error) {
	terms, err := intake.Filter{Campaign: upload}.Terms(s.Store, t.ID)
	if err != nil {
		return nil, fmt.Errorf("claims of upload %s: %w", upload, err)
	}
	scope, seen, numbers := tenant.Only(t.ID), map[ulid.ULID]bool{{}: true}, map[ulid.ULID]string{}
	q := store.Query{Kind: store.Message, Terms: terms, Limit: 500}
	var into store.Streams
	for {
		refs, err := s.Store.Search(ctx, scope, q)
		if err != nil {
			return nil, fmt.Errorf("claims of upload %s: %w", upload, err)
		}
		streams, err := s.Store.LoadInto(ctx, scope, refs, &into)
		if err != nil {
			return nil, fmt.Errorf("claims of upload %s: %w", upload, err)
		}
		for _, events := range streams {
			if len(events) == 0 {
				continue
			}
			st, err := stored.State(events[:1])
			if err != nil {
				return nil, fmt.Errorf("claims of upload %s: %w", upload, err)
			}
			id := st.Head.Claim
			if seen[id] {
				continue
			}
			seen[id] = true
			c, err := s.Claims.Claim(ctx, scope, id)
			if err != nil {
				return nil, fmt.Errorf("claims of upload %s: %w", upload, err)
			}
			claims, numbers[id] = append(claims, id), c.Number
		}
		if len(refs) < q.Limit {
			slices.SortFunc(claims, func(a, b ulid.ULID) int { return strings.Compare(numbers[a], numbers[b]) })
			return claims, nil
		}
		q.Before = refs[len(refs)-1].ID
	}
}

// OfNumbers are the claims of numbers, in their order; missing are the places of those that there is none of.
func (s *Sheets) OfNumbers(ctx context.Context, t *tenant.Tenant, numbers []string) (claims []ulid.ULID, missing []int, err error) {
	for i, number := range numbers {
		c, err := s.Claims.ByNumber(ctx, tenant.Only(t.ID), number)
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing = append(missing, i)
		case err != nil:
			return nil, nil, err
		default:
			claims = append(claims, c.Ref.ID)
		}
	}
	return claims, missing, nil
}

// Bundle writes the sheets of claims as a ZIP: 00001_<claim number>.pdf and so on, and Faults. A number or barcode is issued
// where there is none, as by Make; what was issued before is printed again, so that a bundle that broke off is asked for once
// more. from is how many claims came before these, of which files are numbered on. One sheet is in memory at a time. It ends with an error of ctx, of the store, or of w, and leaves no whole ZIP then.
func (s *Sheets) Bundle(ctx context.Context, t *tenant.Tenant, claims []ulid.ULID, from int, o Order, w io.Writer) (done Bundled, err error) {
	z := zip.NewWriter(w)
	var faults [][]string
	for i, id := range claims {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		number, body, why, err := s.one(ctx, t, id, o)
		if err != nil {
			return done, fmt.Errorf("sheet of claim %s: %w", id, err)
		}
		if why != nil {
			faults = append(faults, []string{fmt.Sprint(from + i + 1), number, why.Code, message.Cell(reason(*why, o.Lang))})
			continue
		}
		f, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%05d_%s.pdf", from+i+1, number), Method: zip.Store, Modified: s.Now()}) // a PDF is compressed
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			return done, err
		}
		done.Sheets++
	}
	if done.Faults = len(faults); done.Faults > 0 {
		f, err := z.Create(Faults)
		if err != nil {
			return done, err
		}
		head := []string{"row", "claim", "code", "reason"}
		if o.Lang != "en" {
			head = []string{"順番", "請求番号", "コード", "理由"}
		}
		if _, err = io.WriteString(f, "\ufeff"); err == nil {
			out := csv.NewWriter(f)
			out.UseCRLF = true
			err = out.WriteAll(slices.Insert(faults, 0, head))
		}
		if err != nil {
			return done, err
		}
	}
	return done, z.Close()
}

// one draws a claim's sheet, or says why there is none.
func (s *Sheets) one(ctx context.Context, t *tenant.Tenant, id ulid.ULID, o Order) (number string, pdf []byte, why *message.Problem, err error) {
	c, v, ps, err := s.ready(ctx, t, func() (payment.State, error) { return s.Claims.Claim(ctx, tenant.Only(t.ID), id) }, o)
	switch {
	case errors.Is(err, payment.ErrUnavailable), errors.Is(err, payment.ErrSettling):
		return c.Number, nil, &message.Problem{Field: "method", Code: "unavailable", Detail: "the payment agent has not answered yet; ask again"}, nil
	case err != nil:
		return c.Number, nil, nil, err
	case len(ps) > 0:
		return c.Number, nil, &ps[0], nil
	}
	d, err := s.document(ctx, t, &c, v, o.Lang)
	if err != nil {
		return c.Number, nil, nil, err
	}
	pdf, err = s.Pages.Document(ctx, t.ID, d)
	return c.Number, pdf, nil, err
}

func reason(p message.Problem, lang string) string {
	if lang == "" {
		lang = "ja"
	}
	p.Field = ""
	text := []rune(p.Text(lang))
	for len(text) > 0 && (text[0] == '：' || text[0] == ':' || text[0] == ' ') {
		text = text[1:]
	}
	return string(text)
}
