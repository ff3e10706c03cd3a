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
		`<option value="` + paper + `" selected`, `name="document_title0" value="検針票"`, `value="ペットの名前"`, `name="claim_method" value="card" checked`, `value="taro@example.jp"`, `name="claim_promises" value="1" checked`,
		`name="line_name0" value="水道料金"`, `name="line_quantity0" value="2"`, `name="line_unit0" value="3720"`, `value="2020-04-01"`,
	} {
		require.Contains(t, form, part)
	}
	require.NotContains(t, form, `name="claim_method" value="konbini_barcode" checked`)
	_, key, _ := strings.Cut(form, `name="key" value="`)
	a := b.post("/send", "key", key[:strings.IndexByte(key, '"')], "to", "090-0001-4321", "text", "再送です。{url}", "class", "billing", "link", "1", "title", "水道料金", "document0", paper, "document_title0", "検針票", "do", "send")
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	_, id, _ := strings.Cut(b.get("/messages").body, `href="/messages/`)
	st := r.state("mizu", id[:26])
	content, err := r.content(&visit{Tenant: r.tenant("mizu"), scope: tenant.Only("mizu")}, ulid.MustParse(id[:26]), &st.Head)
	require.NoError(t, err)
	require.Equal(t, []message.Attachment{{ID: paper, Title: "検針票"}}, content.Page.Documents)
}
