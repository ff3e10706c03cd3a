package admin

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

func TestReceivedMessagesAndTheDoNotSendList(t *testing.T) {
	r := openRoom(t)
	const address = "0312345670"
	own := *r.tenant("mizu")
	own.Senders = append(slices.Clone(own.Senders), tenant.SenderProfile{Name: "own", Addresses: map[string]string{"docomo": address}})
	require.NoError(t, r.Directory.Apply(t.Context(), own))
	for _, m := range [][2]string{{"819000010001", "<hello>"}, {"819000010002", "STOP"}} {
		r.Inbound.TakePhones(t.Context(), "docomo", "docomo-1", []session.Incoming{{Command: pdu.CmdDeliverSM, SM: pdu.SM{
			Source: pdu.Address{TON: 1, Addr: []byte(m[0])}, Dest: pdu.Address{Addr: []byte(address)}, ShortMessage: []byte(m[1])}}})
	}
	all, _, err := r.Inbound.List(t.Context(), "mizu", inbound.Query{Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 2, "the address is mizu's alone")
	b := r.enter("admin@mizu")
	body := b.get("/received").body
	require.Contains(t, body, "&lt;hello&gt;")
	require.Contains(t, body, "090-****-0001")
	require.NotContains(t, body, "9000010001")
	require.Contains(t, body, "/received/"+all[1].ID.String()+"/stop")
	require.Contains(t, body, "NTTドコモ")
	require.NotContains(t, r.enter("admin@gasu").get("/received").body, "hello")
	require.Equal(t, http.StatusSeeOther, b.post("/received/"+all[1].ID.String()+"/stop").status)

	require.Equal(t, http.StatusSeeOther, b.post("/do-not-send", "number", "090-0001-0003", "reason", "wrong_person", "note", "窓口").status)
	for _, form := range [][]string{{"number", "0312345678", "reason", "request"}, {"number", "09000010004", "reason", "x"}} {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/do-not-send", form...).status)
	}
	body = b.get("/do-not-send").body
	for _, want := range []string{"090-****-0001", "090-****-0002", "停止の返信", "090-****-0003", "番号違い（別の方）", "窓口"} {
		require.Contains(t, body, want)
	}
	token := csrfPattern.FindStringSubmatch(body)[1]
	upload := func(token, text string) int {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		require.NoError(t, w.WriteField("csrf", token))
		f, err := w.CreateFormFile("file", "a.csv")
		require.NoError(t, err)
		_, err = f.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.base+"/do-not-send/import", &form)
		require.NoError(t, err)
		req.Header.Set("Content-Type", w.FormDataContentType())
		return b.do(req).status
	}
	require.Equal(t, http.StatusSeeOther, upload(token, "電話番号\n09000010005\n"))
	require.Equal(t, http.StatusUnprocessableEntity, upload(token, "電話番号\n110\n"))
	require.Equal(t, http.StatusForbidden, upload("x", "電話番号\n09000010006\n"))
	out := b.post("/do-not-send/export").body
	require.Contains(t, out, "09000010005,import")
	require.NotContains(t, out, "09000010006")

	entries, _, err := r.DoNotSend.Page(t.Context(), "mizu", donotsend.Query{Limit: 1})
	require.NoError(t, err)
	id := entries[0].ID.String()
	require.Equal(t, http.StatusNotFound, r.enter("admin@gasu").post("/do-not-send/"+id+"/remove").status)
	require.Equal(t, http.StatusSeeOther, b.post("/do-not-send/"+id+"/remove").status)
	require.NotContains(t, b.get("/do-not-send").body, "-0005")
	require.Equal(t, "donotsend.remove", r.actions("mizu")[0])
}
