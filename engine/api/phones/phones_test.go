package phones

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// room is the door of the API with these handlers, over a real store.
type room struct {
	t       *testing.T
	doc     *openapitest.Document
	in      *inbound.Inbound
	address string
	keys    map[tenant.ID]string
}

func openRoom(t *testing.T) *room {
	t.Helper()
	r := &room{t: t, doc: openapitest.Read(t, api.OpenAPI), keys: map[tenant.ID]string{}}
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	tenants, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	for id, address := range map[tenant.ID]string{"mizu": "0312345678", "gasu": "0312345679"} {
		require.NoError(t, tenants.Apply(t.Context(), tenant.Tenant{ID: id, Name: "〇〇局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
			Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": address}}}}))
		r.keys[id], _, err = tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	log, docs, list := slog.New(slog.DiscardHandler), document.New(s, nil), donotsend.New(s)
	take, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s, Tenants: tenants, Carriers: carriers, Identity: edge.Rooms{}, Claims: edge.Rooms{}, Documents: docs, Links: edge.Rooms{}, DoNotSend: list, Log: log})
	require.NoError(t, err)
	r.in = inbound.New(inbound.Options{Store: s, Directory: tenants, DoNotSend: list, Log: log})
	h := Handler(r.in, list, audit.New(s))
	server, err := api.New(api.Options{Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: take, Store: s, Claims: edge.Rooms{}, Documents: docs, Log: log,
		Extra: map[string]api.Handler{ReceivedPath: h, DoNotSendPath: h}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return r
}

// ask makes the request and holds the answer against the description of the path.
func (r *room) ask(id tenant.ID, status int, method, path, at, kind, body string, into any) []byte {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.address+at, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+r.keys[id])
	req.Header.Set("X-Forwarded-For", "192.0.2.10")
	if body != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, status, res.StatusCode, "%s %s: %s", method, at, got)
	described := strings.ToLower(method)
	if _, ok := r.doc.Paths[path][described]; !ok {
		for described = range r.doc.Paths[path] {
		}
	}
	r.doc.Answered(path, described, fmt.Sprint(status), res.Header, got)
	if into != nil {
		require.NoError(r.t, json.NewDecoder(bytes.NewReader(got)).Decode(into))
	}
	return got
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
