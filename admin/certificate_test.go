package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
)

func TestCertificateOfDelivery(t *testing.T) {
	r := openRoom(t)
	draft := bill("090-0001-0001", "C-1")
	draft.Class = string(message.LegalNotice)
	legal := "/messages/" + r.accept("mizu", message.ViaConsole, draft)[0].ID.String()
	plain := "/messages/" + r.accept("mizu", message.ViaConsole, bill("090-0001-0002", "C-2"))[0].ID.String()
	b := r.enter("admin@mizu")
	require.Contains(t, b.get(legal).body, "配達証明書（PDF）")
	require.NotContains(t, b.get(plain).body, "配達証明書")
	require.NotContains(t, r.enter("sender@mizu").get(legal).body, "配達証明書（PDF）", "it has amounts")

	a := b.post(legal+"/certificate", "format", "pdf")
	require.Equal(t, http.StatusOK, a.status)
	require.True(t, strings.HasPrefix(a.body, "%PDF"))
	require.Equal(t, "certificate.make", r.actions("mizu")[0])
	a = b.post(legal+"/certificate", "format", "json")
	require.Contains(t, a.header.Get("Content-Disposition"), ".json")
	c, err := proof.Parse([]byte(a.body))
	require.NoError(t, err)
	report := proof.Verify(c, proof.Options{})
	require.Nil(t, report.Fault)
	require.NotZero(t, report.Open)
	require.Equal(t, http.StatusNotFound, b.post(plain+"/certificate", "format", "pdf").status)
	require.Equal(t, http.StatusNotFound, r.enter("admin@gasu").post(legal+"/certificate", "format", "pdf").status)
	require.Contains(t, b.get("/audit").body, "配達証明書の作成")
}
