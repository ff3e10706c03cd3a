package intake

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestPagesAskWhatTheirTenantsPolicySays(t *testing.T) {
	r := openRoom(t)
	s := shop("mizu")
	s.Policy.Identity = tenant.Chain{Fields: []string{"birth_date", "customer_number"}, Code: true}
	require.NoError(t, r.Tenants.Apply(t.Context(), s))
	asks := func(fields ...string) message.Draft {
		d := bill()
		d.Identity = &message.Identity{}
		for _, f := range fields {
			d.Identity.Items = append(d.Identity.Items, message.IdentityItem{Field: f, Value: "19980101"})
		}
		return d
	}
	missing := func(field string) message.Problem {
		return message.Problem{Field: "identity.items", Code: "required", Value: field, Detail: "every page of this tenant asks for it"}
	}
	for _, c := range []struct {
		draft message.Draft
		want  message.Problems
	}{
		{bill(), message.Problems{missing("birth_date"), missing("customer_number")}},
		{asks("postcode", "birth_date"), message.Problems{missing("customer_number")}},
		{asks("customer_number", "birth_date", "postcode"), nil},
	} {
		res := r.accept(t, c.draft)[0]
		require.Equal(t, c.want, res.Problems)
		if c.want == nil {
			require.True(t, r.state(t, res.ID).Head.Code, "a code follows, though the message says nothing of it")
		}
	}
	plain := bill()
	plain.Page, plain.Text = nil, "断水のお知らせ"
	res := r.accept(t, plain)[0]
	require.True(t, res.Accepted(), "what has no page asks nothing: %v", res.Problems)
	results, err := r.Accept(t.Context(), Request{Tenant: "gasu", Via: message.ViaAPI, By: "key:erp", Drafts: []message.Draft{bill()}})
	require.NoError(t, err)
	require.True(t, results[0].Accepted(), "another tenant's policy is its own")
}

// TestNameNeedsAnIdentityCheck: page.addressee is shown to nobody who only has the link.
func TestNameNeedsAnIdentityCheck(t *testing.T) {
	r := openRoom(t)
	d := message.Draft{To: "090-0001-0001", Class: "notice", Text: "{url}", Page: &message.Page{Title: "お知らせ", Addressee: "書留 太郎", Period: "31年2～3月分"}}
	res := r.accept(t, d)[0]
	require.False(t, res.Accepted())
	require.Equal(t, "page.addressee", res.Problems[0].Field)
	require.Contains(t, res.Problems[0].Text("ja"), "本人認証")
	d.Identity = &message.Identity{Code: true}
	require.True(t, r.accept(t, d)[0].Accepted())
}
