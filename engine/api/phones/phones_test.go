package phones

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// room is a site with these handlers.
type room struct {
	*edge.Site
	t  *testing.T
	in *inbound.Inbound
}

func openRoom(t *testing.T) *room {
	t.Helper()
	r := &room{Site: edge.Open(t), t: t}
	r.in = inbound.New(inbound.Options{Store: r.Store, Directory: r.Tenants, DoNotSend: r.DoNotSend, Log: slog.New(slog.DiscardHandler)})
	h := Handler(r.in, r.DoNotSend, r.Audit)
	r.Serve(map[string]api.Handler{ReceivedPath: h, DoNotSendPath: h})
	return r
}

func (r *room) ask(id tenant.ID, status int, method, path, at, kind, body string, into any) []byte {
	r.t.Helper()
	a := r.Ask(status, edge.Call{Method: method, Path: path, At: at, Body: body, Type: kind, Tenant: id})
	if into != nil {
		a.Into(r.t, into)
	}
	return a.Body
}

func TestReceivedMessagesAndTheListByAPI(t *testing.T) {
	r := openRoom(t)
	const js, file = "application/json", "text/csv"
	const one, entry, export = ReceivedPath + "/{id}", DoNotSendPath + "/{id}", DoNotSendPath + "/list.csv"
	for _, text := range []string{"hello", "STOP"} {
		r.in.TakePhones(t.Context(), "docomo", "docomo-1", []session.Incoming{{Command: pdu.CmdDeliverSM, SM: pdu.SM{
			Source: pdu.Address{TON: 1, Addr: []byte("819000010001")}, Dest: pdu.Address{Addr: []byte("0312345678")}, ShortMessage: []byte(text)}}})
	}
	var page Received
	r.ask("mizu", 200, "GET", ReceivedPath, ReceivedPath+"?limit=1", js, "", &page)
	require.Equal(t, [2]string{"STOP", "090-****-0001"}, [2]string{page.Items[0].Text, page.Items[0].From})
	next := page.Next
	page = Received{}
	r.ask("mizu", 200, "GET", ReceivedPath, ReceivedPath+"?numbers=true&cursor="+next, js, "", &page)
	require.Equal(t, [2]string{"hello", "+819000010001"}, [2]string{page.Items[0].Text, page.Items[0].From})
	require.Empty(t, page.Next)
	id := page.Items[0].ID.String()
	var m Message
	r.ask("mizu", 200, "GET", one, ReceivedPath+"/"+id, js, "", &m)
	require.Equal(t, "090-****-0001", m.From)
	r.ask("gasu", 404, "GET", one, ReceivedPath+"/"+id, js, "", nil)
	r.ask("gasu", 200, "GET", ReceivedPath, ReceivedPath, js, "", &page)
	r.ask("mizu", 404, "GET", one, ReceivedPath+"/x", js, "", nil)
	for _, q := range []string{"?limit=0", "?cursor=x", "?numbers=x", "?number=09000010001", "?cursor=" + ulid.Make().String()} {
		r.ask("mizu", 400, "GET", ReceivedPath, ReceivedPath+q, js, "", nil)
	}
	r.ask("mizu", 405, "POST", ReceivedPath, ReceivedPath, js, "{}", nil)

	var list List
	r.ask("mizu", 200, "GET", DoNotSendPath, DoNotSendPath+"?numbers=1", js, "", &list)
	require.Equal(t, [2]string{"+819000010001", "stop"}, [2]string{list.Items[0].Number, string(list.Items[0].Reason)})
	var e Entry
	r.ask("mizu", 201, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"090-0001-0002","note":"窓口"}`, &e)
	require.Equal(t, [3]string{"090-****-0002", "request", "key:erp"}, [3]string{e.Number, string(e.Reason), e.By})
	r.ask("mizu", 200, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"09000010002"}`, nil)
	r.ask("mizu", 422, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"0312345678"}`, nil)
	r.ask("mizu", 422, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"09000010003","reason":"x"}`, nil)
	r.ask("mizu", 415, "POST", DoNotSendPath, DoNotSendPath, "text/plain", "x", nil)
	r.ask("mizu", 413, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"`+strings.Repeat("0", maxJSON)+`"}`, nil)
	var done Imported
	r.ask("mizu", 200, "POST", DoNotSendPath, DoNotSendPath, file, "number\n09000010002\n09000010004\n", &done)
	require.Equal(t, Imported{Added: 1, Known: 1}, done)
	r.ask("mizu", 422, "POST", DoNotSendPath, DoNotSendPath, file, "number\n09000010005\n110\n", nil)
	csv := string(r.ask("mizu", 200, "GET", export, export, js, "", nil))
	require.Equal(t, 4, strings.Count(csv, "\r\n"), csv)
	require.Contains(t, csv, "09000010004,import")
	require.NotContains(t, csv, "09000010005", "a file with a fault adds nothing")
	r.ask("mizu", 405, "POST", export, export, js, "{}", nil)
	r.ask("gasu", 404, "DELETE", entry, DoNotSendPath+"/"+e.ID.String(), js, "", nil)
	r.ask("mizu", 204, "DELETE", entry, DoNotSendPath+"/"+e.ID.String(), js, "", nil)
	r.ask("mizu", 201, "POST", DoNotSendPath, DoNotSendPath, js, `{"number":"09000010002"}`, nil)
}
