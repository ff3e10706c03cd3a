package intake

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestExcludedProductsAreRefused(t *testing.T) {
	r := openRoom(t)
	s := shop("mizu")
	s.Policy.ExcludedProducts = []string{"住宅ローン", "和解契約"}
	require.NoError(t, r.Tenants.Apply(t.Context(), s))
	with := func(change func(*message.Draft)) message.Draft {
		d := bill()
		page := *d.Page
		d.Page = &page
		change(&d)
		return d
	}
	for name, c := range map[string]struct {
		draft message.Draft
		field string // "": it is taken
		value string
	}{
		"title": {with(func(d *message.Draft) { d.Page.Title = "住宅 ﾛｰﾝのお支払い" }), "page.title", "住宅ローン"},
		"row":   {with(func(d *message.Draft) { d.Page.Rows = []message.Row{{Item: "ご契約", Value: "第3号和解契約"}} }), "page.rows[0].value", "和解契約"},
		"invoice": {with(func(d *message.Draft) {
			d.Page.Invoice = &message.Invoice{Number: "1", Date: "2026-11-01", Subject: "住宅ローン"}
		}), "page.invoice.subject", "住宅ローン"},
		"line": {with(func(d *message.Draft) {
			d.Claim = &message.Claim{Number: "M-1", Amount: 1000, Due: "2026-12-31", Lines: []message.Line{{Name: "和解契約 第2回", Quantity: 1, Unit: 1000, Amount: 1000}}}
		}), "claim.lines[0].name", "和解契約"},
		"said in lead": {with(func(d *message.Draft) {
			d.Page.Lead = "住宅ローンや和解契約は対象外のため表示されません。"
		}), "", ""},
		"other": {with(func(d *message.Draft) { d.Page.Title = "住宅設備のお支払い" }), "", ""},
	} {
		problems := r.accept(t, c.draft)[0].Problems
		if c.field == "" {
			require.Empty(t, problems, name)
			continue
		}
		require.Contains(t, problems, message.Problem{Field: c.field, Code: message.CodeExcluded, Value: c.value}, name)
		require.Equal(t, c.field+"：対象外に設定された商品が含まれています ["+c.value+"]", problems[len(problems)-1].Text("ja"), name)
	}
}
