package intake

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// checkProducts refuses what names a product that the tenant keeps from pages (Policy.ExcludedProducts): in the title or the
// table of the page, in its invoice, or in a line of the claim. A lead or notice may name them: it says what is not shown.
func checkProducts(t *tenant.Tenant, p *plan) {
	products := t.Policy.ExcludedProducts
	if len(products) == 0 {
		return
	}
	plain := make([]string, len(products))
	for i, product := range products {
		plain[i] = productWord(product)
	}
	look := func(field, text string) {
		text = productWord(text)
		if i := slices.IndexFunc(plain, func(w string) bool { return strings.Contains(text, w) }); i >= 0 {
			p.bad(message.Problem{Field: field, Code: message.CodeExcluded, Value: products[i]})
		}
	}
	d := p.draft
	if pg := d.Page; pg != nil {
		look("page.title", pg.Title)
		for i, r := range pg.Rows {
			look(fmt.Sprintf("page.rows[%d].item", i), r.Item)
			look(fmt.Sprintf("page.rows[%d].value", i), r.Value)
		}
		if v := pg.Invoice; v != nil {
			look("page.invoice.subject", v.Subject)
			for i, l := range v.Lines {
				look(fmt.Sprintf("page.invoice.lines[%d].name", i), l.Name)
			}
		}
	}
	if d.Claim != nil {
		for i, l := range d.Claim.Lines {
			look(fmt.Sprintf("claim.lines[%d].name", i), l.Name)
		}
	}
}

// productWord drops differences of width, case and spaces: "住宅 ローン", "住宅ﾛｰﾝ".
func productWord(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(s))
}
