package admin

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// TestMessageThatIsSentAnewKeepsWhatItHad: documents, words of questions, methods, e-mail, promises, and the lines of its invoice.
func TestMessageThatIsSentAnewKeepsWhatItHad(t *testing.T) {
	r := openRoom(t)
	var pdf bytes.Buffer
	file := fpdf.New("P", "mm", "A4", "")
	file.AddPage()
	require.NoError(t, file.Output(&pdf))
	paper, err := r.Documents.Keep(t.Context(), "mizu", "billing", "検針票", pdf.Bytes())
	require.NoError(t, err)
	d := claimed("W-1")
	d.Recipient = &message.Recipient{RegisteredOn: "2020-04-01", Email: "taro@example.jp"}
	d.Page.Documents = []message.Attachment{{ID: paper, Title: "検針票"}}
	d.Page.Invoice = &message.Invoice{Number: "I-1", Date: "2026-11-01"}
	d.Claim.Lines = []message.Line{{Name: "水道料金", Quantity: 2, Unit: 3720, Amount: 7440}}
	d.Claim.Methods, d.Claim.Promises = []string{"card"}, true
	d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "free", Label: "ペットの名前", Value: "ポチ"}}}
	res := r.accept("mizu", message.ViaAPI, d)[0]
	b := r.enter("sender@mizu")
	form := b.get("/send?from=" + res.ID.String()).body
	for _, part := range []string{
		`<option value="` + paper + `" selected`, `name="document_title0" value="検針票"`, `value="ペットの名前"`, `name="claim_method" value="card" checked`, `name="email" type="text" inputmode="email" value="t***@e***.jp"`, `name="to" type="tel" inputmode="tel" value="090-****-` + d.To[len(d.To)-4:] + `"`, `name="claim_promises" value="1" checked`,
		`name="line_name0" value="水道料金"`, `name="line_quantity0" value="2"`, `name="line_unit0" value="3720"`, `value="2020-04-01"`,
	} {
		require.Contains(t, form, part)
	}
	require.NotContains(t, form, `name="claim_method" value="konbini_barcode" checked`)
	require.NotContains(t, form, "taro@example.jp")
	require.NotContains(t, form, strings.ReplaceAll(d.To, "-", ""))
	_, key, _ := strings.Cut(form, `name="key" value="`)
	a := b.post("/send", "key", key[:strings.IndexByte(key, '"')], "to", "090-0001-4321", "text", "再送です。{url}", "class", "billing", "link", "1", "title", "水道料金", "document0", paper, "document_title0", "検針票", "do", "send")
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	_, id, _ := strings.Cut(b.get("/messages").body, `href="/messages/`)
	st := r.state("mizu", id[:26])
	content, err := r.content(&visit{Tenant: r.tenant("mizu"), scope: tenant.Only("mizu")}, ulid.MustParse(id[:26]), &st.Head)
	require.NoError(t, err)
	require.Equal(t, []message.Attachment{{ID: paper, Title: "検針票"}}, content.Page.Documents)
}

// A sender sends to the number and the e-mail address of an earlier message without being shown them.
func TestMessageThatIsSentAnewHasItsNumberAndAddress(t *testing.T) {
	r := openRoom(t)
	d := claimed("W-1")
	d.Recipient = &message.Recipient{Email: "taro@example.jp"}
	res := r.accept("mizu", message.ViaAPI, d)[0]
	before := r.state("mizu", res.ID.String())
	was, err := r.sms(&visit{Tenant: r.tenant("mizu")}, res.ID, &before.Head)
	require.NoError(t, err)
	last4 := was.Number[len(was.Number)-4:]
	b := r.enter("sender@mizu")
	b.get("/send?from=" + res.ID.String())
	form := func(key, from, to, address, do string) answered {
		return b.post("/send", "key", key, "from", from, "to", to, "email", address, "text", "再送です。{url}", "class", "billing", "link", "1", "title", "水道料金",
			"claim_number", "W-1", "claim_amount", "7440", "claim_due", d.Claim.Due, "do", do)
	}
	preview := form("k0", res.ID.String(), "090-****-"+last4, "t***@e***.jp", "preview")
	require.Equal(t, http.StatusOK, preview.status, preview.body)
	require.Contains(t, preview.body, `name="from" value="`+res.ID.String()+`"`)
	require.NotContains(t, preview.body, was.Number[3:])
	sent := func(a answered) (message.SMS, message.Content) {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, a.status, a.body)
		id := ulid.MustParse(strings.TrimPrefix(a.header.Get("Location"), "/messages/")[:26])
		st := r.state("mizu", id.String())
		v := &visit{Tenant: r.tenant("mizu")}
		sms, err := r.sms(v, id, &st.Head)
		require.NoError(t, err)
		content, err := r.content(v, id, &st.Head)
		require.NoError(t, err)
		return sms, content
	}
	sms, content := sent(form("k1", res.ID.String(), "090-****-"+last4, "t***@e***.jp", "send"))
	require.Equal(t, []string{was.Number, "taro@example.jp"}, []string{sms.Number, content.Email})
	sms, content = sent(form("k2", res.ID.String(), "090-0001-7777", "hanako@example.jp", "send"))
	require.Equal(t, []string{"+819000017777", "hanako@example.jp"}, []string{sms.Number, content.Email})
	require.Equal(t, http.StatusUnprocessableEntity, form("k3", "", "090-****-"+last4, "", "send").status)
	theirs := r.accept("gasu", message.ViaAPI, claimed("W-1"))[0].ID.String()
	require.Equal(t, http.StatusNotFound, form("k4", theirs, "090-****-"+last4, "", "send").status)
}
