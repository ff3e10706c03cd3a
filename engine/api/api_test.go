package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func mustULID(t testing.TB, s string) ulid.ULID {
	t.Helper()
	id, err := ulid.ParseStrict(s)
	require.NoError(t, err)
	return id
}

// submitted plays dispatch and the carrier.
func submitted(t *testing.T, r *room, id string) {
	t.Helper()
	ev := func(typ message.Type, v any) store.NewEvent {
		return store.NewEvent{Type: byte(typ), Data: message.Encode(v)}
	}
	errs, err := r.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: mustULID(t, id)}, Expect: store.Any, Events: []store.NewEvent{
		ev(message.LookedUp, message.Lookup{Carrier: "docomo", By: "range"}),
		ev(message.Submitting, message.Submission{Part: 1, Attempt: 1, Bind: "docomo-1"}),
		ev(message.Submitted, message.Submission{Part: 1, Attempt: 1, SMSCID: "42"}),
		ev(message.Delivered, message.Report{Part: 1, Carrier: "docomo", State: "DELIVRD"}),
		ev(message.Opened, message.Opening{}), ev(message.Tried, message.Try{Step: "identity", OK: true}),
		ev(message.CodeSent, message.Code{Hash: []byte("secret-hash"), Until: time.Now()}), ev(message.Identified, nil), ev(message.Viewed, nil),
	}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
}

func TestMessageWhoseContentHasEndedSaysSo(t *testing.T) {
	r := openRoom(t)
	doc := openapitest.Read(t, OpenAPI)
	acc := r.send("mizu", `{"to":"090-0001-0001","text":"お知らせ {url}","reference":"C-0001","page":{"title":"お知らせ"}}`)
	submitted(t, r, acc.ID)
	_, err := r.Store.EraseKeys(time.Now().AddDate(0, 0, 1), "mizu", string(message.Notice))
	require.NoError(t, err)
	a := r.do(call{method: "GET", path: "/v1/messages/" + acc.ID + "?unmask=1"})
	require.Equal(t, 200, a.status)
	doc.Valid("Message", a.body)
	var m Message
	a.into(t, &m)
	require.True(t, m.Erased)
	require.WithinDuration(t, time.Now(), *m.ErasedAt, time.Minute)
	require.Equal(t, []any{"090-****-0001", message.Arrived, ""}, []any{m.To, m.Status, m.Reference})
	require.NotEmpty(t, m.Timeline)
	require.Contains(t, string(r.do(call{method: "GET", path: "/v1/messages"}).body), `"erased_at":"`)
}

func TestKeptMessageSaysUntilWhen(t *testing.T) {
	day := time.Date(2027, 3, 1, 0, 0, 0, 0, message.Tokyo)
	all, err := timeline([]store.Event{{Type: byte(message.Kept), Data: message.Encode(&message.Keeping{Day: day, SMS: []byte("sealed")})}})
	require.NoError(t, err)
	require.Equal(t, []Entry{{Of: "message", Event: "kept", Detail: map[string]string{"day": "2027-03-01"}}}, all)
}

func TestDocumentNamesEachEvent(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Entry struct {
					Properties struct{ Event struct{ Description string } }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(OpenAPI, &doc))
	said := strings.FieldsFunc(doc.Components.Schemas.Entry.Properties.Event.Description, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	named := 0
	for typ := range byte(100) {
		for _, name := range []string{message.Type(typ).String(), payment.Type(typ).String()} {
			if !strings.HasPrefix(name, "type ") {
				named++
				require.Contains(t, said, name)
			}
		}
	}
	require.Greater(t, named, 30)
}

func TestMessageIsShownWithItsTimelineAndMasked(t *testing.T) {
	r := openRoom(t)
	acc := r.send("mizu", `{"to":"090-0001-0001","text":"請求 {url}","reference":"C-0001","claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	require.Equal(t, "INV-1", acc.Claim)
	submitted(t, r, acc.ID)
	for _, path := range []string{acc.ID, acc.No} {
		a := r.do(call{method: "GET", path: "/v1/messages/" + path})
		require.Equal(t, 200, a.status)
		var m Message
		a.into(t, &m)
		require.Equal(t, []any{"090-****-0001", message.Arrived, "C-0001", "docomo", acc.URL}, []any{m.To, m.Status, m.Reference, m.Carrier, m.URL})
		require.NotNil(t, m.DeliveredAt)
		require.NotNil(t, m.ViewedAt)
		require.Equal(t, "open", m.Claim.Status)
		var events []string
		for _, e := range m.Timeline {
			events = append(events, e.Of+" "+e.Event)
		}
		require.Subset(t, events, []string{"message accepted", "claim made", "message delivered", "message code_sent", "message viewed"})
		require.NotContains(t, string(a.body), "secret")
		require.NotContains(t, string(a.body), "00010001")
		require.NotContains(t, string(a.body), "請求")
	}
	a := r.do(call{method: "GET", path: "/v1/messages/" + acc.ID + "?unmask=1"})
	require.Contains(t, string(a.body), `"to":"09000010001"`)
	entries, err := r.audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, []string{"message.unmask", acc.ID, home}, []string{entries[0].Action, entries[0].Target, entries[0].From})
	require.NotContains(t, r.logs.String(), "00010001")
	head := r.do(call{method: "HEAD", path: "/v1/messages/" + acc.ID})
	require.Equal(t, 200, head.status)
	require.Empty(t, head.body)
}

func TestTenantsAreApartInEveryCall(t *testing.T) {
	r := openRoom(t)
	acc := r.send("mizu", `{"to":"090-0001-0001","text":"請求","reference":"C-1","key":"k","claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	for _, c := range []call{
		{method: "GET", path: "/v1/messages/" + acc.ID}, {method: "GET", path: "/v1/messages/" + acc.No}, {method: "GET", path: "/v1/messages/" + acc.ID + "?unmask=1"},
		{method: "DELETE", path: "/v1/messages/" + acc.ID}, {method: "DELETE", path: "/v1/messages/" + acc.No},
		{method: "GET", path: "/v1/claims/INV-1"}, {method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"withdraw"}`},
	} {
		c.tenant = "gasu"
		require.Equal(t, 404, r.do(c).status, "%s %s", c.method, c.path)
	}
	for _, c := range []call{
		{method: "GET", path: "/v1/messages"}, {method: "GET", path: "/v1/messages?last4=0001&reference=C-1"},
		{method: "POST", path: "/v1/messages:search", body: `{"number":"09000010001"}`},
	} {
		c.tenant = "gasu"
		a := r.do(c)
		require.Equal(t, 200, a.status)
		require.JSONEq(t, `{"items":[]}`, string(a.body), c.path)
	}
	require.Equal(t, 400, r.do(call{method: "GET", path: "/v1/messages?cursor=" + acc.ID, tenant: "gasu"}).status)
	other := r.send("gasu", `{"to":"090-0001-0001","text":"請求","key":"k","claim":{"number":"INV-1","amount":999,"due":"2030-01-01"}}`)
	require.NotEqual(t, acc.ID, other.ID, "keys and claim numbers are a tenant's own")
	require.Equal(t, 200, r.do(call{method: "GET", path: "/v1/messages/" + acc.ID}).status)
}

func TestOnlyListedAddressesAreLetIn(t *testing.T) {
	r := openRoom(t)
	get := func(h map[string]string) int {
		return r.do(call{method: "GET", path: "/v1/messages", header: h}).status
	}
	for forwarded, want := range map[string]int{
		"192.0.2.1": 200, "::ffff:192.0.2.1": 200, "[::ffff:192.0.2.1]:4711": 200, "192.0.2.1:4711": 200, "2001:db8::1": 200, "[2001:db8::1]:99": 200,
		"198.51.100.1": 403, "::1": 403, "unknown": 403, "192.0.2.1, ": 403,
		"192.0.2.1, 198.51.100.1":            403, // the client wrote the first one itself
		"198.51.100.1, 192.0.2.1":            200,
		"198.51.100.1, 192.0.2.1, 127.0.0.1": 200,
		"127.0.0.1":                          403, // nobody but the proxy: not on the list
	} {
		require.Equal(t, want, get(map[string]string{"X-Forwarded-For": forwarded}), forwarded)
	}
	require.Equal(t, 403, get(map[string]string{"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=192.0.2.1"}), "only one header is believed")
	require.Equal(t, 403, get(map[string]string{"X-Forwarded-For": "", "X-Real-Ip": "192.0.2.1"}))

	empty := shop("mizu")
	empty.Allow = nil
	require.NoError(t, r.Tenants.Apply(t.Context(), empty))
	require.Equal(t, 403, get(nil), "an empty list admits nobody")
}

func TestForwardedHeaderOfTheOtherKind(t *testing.T) {
	r := openRoom(t, func(o *Options) { o.Config.ForwardedHeader = "Forwarded" })
	for forwarded, want := range map[string]int{
		`for=192.0.2.1;proto=https`: 200, `For="[2001:db8::1]:4711"`: 200, `for=192.0.2.1, for=198.51.100.1`: 403, `for=_hidden`: 403, `proto=https`: 403,
	} {
		require.Equal(t, want, r.do(call{method: "GET", path: "/v1/messages", header: map[string]string{"Forwarded": forwarded}}).status, forwarded)
	}
}

func TestWithoutATrustedProxyNoHeaderIsBelievedAndPlainHTTPIsRefused(t *testing.T) {
	r := openRoom(t, func(o *Options) { o.Config.TrustedProxies = []string{"203.0.113.0/24"} })
	a := r.do(call{method: "GET", path: "/v1/messages"})
	require.Equal(t, 403, a.status)
	require.Contains(t, string(a.body), "HTTPS is required")
	require.Equal(t, 403, r.do(call{method: "GET", path: "/openapi.json"}).status)
}

func TestTLSConnectionNeedsNoProxyAndItsHeadersAreNotBelieved(t *testing.T) {
	r := openRoom(t, func(o *Options) { o.Config.TrustedProxies = nil })
	donor := httptest.NewUnstartedServer(nil)
	donor.StartTLS()
	defer donor.Close()
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: donor.TLS.Certificates})
	require.NoError(t, err)
	second, err := New(r.Options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx, ln) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	get := func() int {
		req, err := http.NewRequest("GET", "https://"+ln.Addr().String()+"/v1/messages", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.keys["mizu"])
		req.Header.Set("X-Forwarded-For", home)
		res, err := donor.Client().Do(req)
		require.NoError(t, err)
		return res.StatusCode
	}
	require.Equal(t, 403, get(), "the forwarded address is on the list, the connection's is not")
	s := shop("mizu")
	s.Allow = []string{"127.0.0.1"}
	require.NoError(t, r.Tenants.Apply(t.Context(), s))
	require.Equal(t, 200, get())
}

func TestOnlyLiveKeysAreLetIn(t *testing.T) {
	r := openRoom(t)
	for _, auth := range []string{"", "Bearer", "Bearer ", "Basic " + r.keys["mizu"], r.keys["mizu"], "Bearer " + r.keys["mizu"] + "x", "Bearer kk__"} {
		a := r.do(call{method: "GET", path: "/v1/messages", header: map[string]string{"Authorization": auth}})
		require.Equal(t, 401, a.status, auth)
		require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
	}
	key, ok := r.Tenants.Now().CheckKey(r.keys["mizu"])
	require.True(t, ok)
	require.NoError(t, r.Tenants.RevokeKey(t.Context(), "mizu", key.ID))
	require.Equal(t, 401, r.do(call{method: "GET", path: "/v1/messages"}).status)
	require.NotContains(t, r.logs.String(), "kk_")
}

func TestHundredRequestsWithOneKeyMakeOneMessage(t *testing.T) {
	r := openRoom(t)
	bodies := make([]string, 100)
	replayed := make([]string, 100)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			a := r.do(call{method: "POST", path: "/v1/messages", body: bill, header: map[string]string{"Idempotency-Key": "order-1"}})
			bodies[i], replayed[i] = fmt.Sprint(a.status, string(a.body)), a.header.Get("Idempotency-Replayed")
		})
	}
	wg.Wait()
	first := 0
	for i := range bodies {
		require.Equal(t, bodies[0], bodies[i])
		require.True(t, strings.HasPrefix(bodies[i], "202"), bodies[i])
		if replayed[i] == "" {
			first++
		}
	}
	require.Equal(t, 1, first)
	var list List
	r.do(call{method: "GET", path: "/v1/messages"}).into(t, &list)
	require.Len(t, list.Items, 1)
	a := r.do(call{method: "POST", path: "/v1/messages", body: `{"to":"09000010001","text":"x","key":"order-2"}`, header: map[string]string{"Idempotency-Key": "order-1"}})
	require.Equal(t, 422, a.status)
}

func TestProblemsNameTheFieldInTheCallersLanguage(t *testing.T) {
	r := openRoom(t)
	for lang, want := range map[string][]string{
		"ja": {"入力内容に誤りがあります", "to：固定電話にはSMSを送信できません [031****78]"}, "": {"入力内容に誤りがあります", "to：固定"}, "fr": {"入力内容に誤りがあります", "to：固定"},
		"en-GB, ja;q=0.5": {"some fields are wrong", "to: is a landline number, which takes no SMS [031****78]"}, "ja;q=0, en;q=0.1": {"some fields are wrong", "landline"},
	} {
		a := r.do(call{method: "POST", path: "/v1/messages", body: `{"to":"03-1234-5678","text":"x"}`, header: map[string]string{"Accept-Language": lang, "X-Request-Id": "abc-1"}})
		require.Equal(t, 422, a.status)
		var p Problem
		a.into(t, &p)
		require.Equal(t, want[0], p.Title)
		require.Contains(t, p.Errors[0].Text, want[1])
		require.Equal(t, "urn:kakitome:problem:invalid", p.Type)
		require.Equal(t, "urn:kakitome:request:abc-1", p.Instance)
		require.Equal(t, "abc-1", a.header.Get("X-Request-Id"))
		require.NotContains(t, string(a.body), "1234-5678")
		require.NotContains(t, string(a.body), "12345678")
	}
}

func TestHostileBodiesAreRefusedByName(t *testing.T) {
	r := openRoom(t)
	for body, want := range map[string]struct {
		status int
		field  string
	}{
		`{"to":"09000010001","text":"x"} x`:          {400, "body"},
		`{"to":"09000010001","text":"x"}{}`:          {400, "body"},
		"{\"to\":\"09000010001\",\"text\":\"\xff\"}": {400, "body"},
		`[]`:                             {400, "body"},
		`"x"`:                            {400, "body"},
		strings.Repeat("[", 100_000):     {400, "body"},
		`null`:                           {422, "to"},
		`{"to":9000010001,"text":"x"}`:   {422, "to"},
		`{"to":"09000010001","txt":"x"}`: {422, "txt"},
		`{"to":"09000010001","text":"x","page":{"rows":[{"item":1}]}}`:                                      {422, "page.rows.item"},
		`{"to":"09000010001","text":"x","send_at":"tomorrow"}`:                                              {422, "send_at"},
		`{"to":"09000010001","text":"x","page":{"title":"x"},"link":{"expires_at":"2026-13-01T00:00:00Z"}}`: {422, "link.expires_at"},
		`{"to":"09000010001","text":"x","claim":{"number":"1","amount":1e30,"due":"2030-01-01"}}`:           {422, "claim.amount"},
		`{"to":"09000010001","text":"x","key":"あ"}`:                                                         {422, "key"},
		`{"to":"09000010001","text":"\u0000"}`:                                                              {422, "text"},
		`{"to":"09000010001","text":"x","window":{"from":"25:00","to":"26:00"}}`:                            {422, "window.from"},
	} {
		a := r.do(call{method: "POST", path: "/v1/messages", body: body, header: map[string]string{"Accept-Language": "en"}})
		require.Equal(t, want.status, a.status, "%.80s: %s", body, a.body)
		var p Problem
		a.into(t, &p)
		require.Equal(t, want.field, p.Errors[0].Field, "%.80s", body)
		require.NotContains(t, string(a.body), "9000010001")
	}
	for name, value := range map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/json; charset=shift_jis"} {
		require.Equal(t, 415, r.do(call{method: "POST", path: "/v1/messages", body: bill, header: map[string]string{name: value}}).status)
	}
	require.Equal(t, 202, r.do(call{method: "POST", path: "/v1/messages", body: bill, header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}}).status)
	require.Equal(t, 413, r.do(call{method: "POST", path: "/v1/messages", body: `{"text":"` + strings.Repeat("x", 600<<10) + `"}`}).status)
}

func TestManyFaultsMakeAShortAnswer(t *testing.T) {
	r := openRoom(t)
	many := `{"to":"09000010001","text":"x","page":{"title":"x","rows":[` + strings.TrimSuffix(strings.Repeat(`{"item":""},`, 5_000), ",") + `]}}`
	a := r.do(call{method: "POST", path: "/v1/messages", body: many})
	require.Equal(t, 422, a.status)
	require.Less(t, len(a.body), 30_000)
	var p Problem
	a.into(t, &p)
	require.Len(t, p.Errors, 101)
	require.Equal(t, "errors", p.Errors[100].Field)
	a, lines := r.batch(strings.Repeat(many+"\n", 5)+`{"to":"09000010001","text":"`+strings.Repeat("{", 400_000)+`"}`, nil)
	require.Len(t, lines, 6)
	require.Equal(t, 422, lines[5].Status)
	require.Less(t, len(a.body), 200_000)
}

func TestUntoldLengthIsBoundedToo(t *testing.T) {
	r := openRoom(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", r.keys["mizu"], home)
	piece := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat(" ", 64<<10))
	go func() {
		for range 64 {
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
		}
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "413")
}

// A client that dials a connection to have one at hand, and asks nothing, is told nothing when it ends.
func TestAConnectionWithoutARequestEndsWithoutAWord(t *testing.T) {
	r := openRoom(t)
	require.Equal(t, 401, r.do(call{method: "GET", path: "/v1/messages", header: map[string]string{"Authorization": ""}}).status) // the first answer of a process starts fasthttp's clock, which must not be in the bubble
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- r.http.ServeConn(conn) }()
		answer, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Empty(t, string(answer))
		<-served
	})
}

func (r *room) batch(body string, h map[string]string) (answer, []Line) {
	r.t.Helper()
	if h == nil {
		h = map[string]string{}
	}
	h["Content-Type"] = "application/x-ndjson"
	a := r.do(call{method: "POST", path: "/v1/messages:batch", body: body, header: h})
	var lines []Line
	for text := range bytes.Lines(a.body) {
		var l Line
		require.NoError(r.t, json.Unmarshal(text, &l), "%s", text)
		lines = append(lines, l)
	}
	return a, lines
}

func TestEachLineOfABatchStandsForItself(t *testing.T) {
	r := openRoom(t)
	var b strings.Builder
	for i := range 600 {
		fmt.Fprintf(&b, `{"to":"090000%d%04d","text":"お知らせ {url}","page":{"title":"x"}}`+"\r\n", 1+i%2, i)
	}
	b.WriteString("\n{\"to\":\"03-1234-5678\",\"text\":\"x\"}\n{bad\n" + `{"to":"09000010001","text":"last"}`)
	a, lines := r.batch(b.String(), map[string]string{"Idempotency-Key": "day-1"})
	require.Equal(t, 200, a.status)
	require.Len(t, lines, 603)
	urls := map[string]bool{}
	for i, l := range lines[:600] {
		require.Equal(t, i+1, l.Line)
		require.Equal(t, 202, l.Status)
		urls[l.Message.URL] = true
	}
	require.Len(t, urls, 600)
	require.Equal(t, []int{602, 422, 603, 400, 604, 202}, []int{lines[600].Line, lines[600].Status, lines[601].Line, lines[601].Status, lines[602].Line, lines[602].Status})
	require.Equal(t, "to", lines[600].Problem.Errors[0].Field)

	_, again := r.batch(b.String(), map[string]string{"Idempotency-Key": "day-1"})
	for i := range lines {
		require.Equal(t, lines[i].Message, again[i].Message, "line %d", i+1)
	}
	count, err := r.Store.Count(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Message}, 1000)
	require.NoError(t, err)
	require.Equal(t, 601, count)
	items, err := r.Store.Due(nil, "au/bulk", store.Cursor{}, time.Now().Add(time.Second), 1000)
	require.NoError(t, err)
	require.Len(t, items, 300)
}

func TestBatchEndsAtItsLimits(t *testing.T) {
	r := openRoom(t, func(o *Options) { o.Config.MaxBatchLines, o.Config.MaxBody = 3, 200 })
	one := `{"to":"09000010001","text":"x"}` + "\n"
	_, lines := r.batch(strings.Repeat(one, 5), nil)
	require.Len(t, lines, 4)
	require.Equal(t, []int{202, 202, 202, 413}, []int{lines[0].Status, lines[1].Status, lines[2].Status, lines[3].Status})
	_, lines = r.batch(one+strings.Repeat("x", 70_000)+"\n"+one, nil)
	require.Equal(t, []int{202, 413, 202}, []int{lines[0].Status, lines[1].Status, lines[2].Status})
	slow := shop("mizu")
	slow.Policy.RatePerSec = 2
	require.NoError(t, r.Tenants.Apply(t.Context(), slow))
	_, lines = r.batch(strings.Repeat(one, 3), nil)
	require.Equal(t, []int{202, 202, 429}, []int{lines[0].Status, lines[1].Status, lines[2].Status})
}

func TestListGoesOnByCursor(t *testing.T) {
	r := openRoom(t)
	var b strings.Builder
	for i := range 25 {
		fmt.Fprintf(&b, `{"to":"0900001%04d","text":"x","reference":"R-%d","class":"billing"}`+"\n", i, i%5)
	}
	_, lines := r.batch(b.String(), nil)
	require.Equal(t, 204, r.do(call{method: "DELETE", path: "/v1/messages/" + lines[7].Message.ID}).status)
	var got []string
	for cursor := ""; ; {
		var list List
		r.do(call{method: "GET", path: "/v1/messages?class=billing&limit=10&cursor=" + cursor}).into(t, &list)
		for _, m := range list.Items {
			got = append(got, m.ID)
			require.Empty(t, m.Timeline)
		}
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	require.Len(t, got, 25)
	unique := map[string]bool{}
	for _, id := range got {
		unique[id] = true
	}
	require.Len(t, unique, 25)
	for path, want := range map[string]int{
		"?status=canceled": 1, "?status=waiting&limit=100": 24, "?reference=R-3": 5, "?last4=0004": 1, "?last4=0004&reference=R-3": 0, "?class=ad": 0, "?via=api&carrier=docomo": 25, "?via=console": 0,
		"?to=2020-01-01T00:00:00Z": 0, "?from=2020-01-01T00:00:00%2B09:00": 25,
	} {
		var list List
		r.do(call{method: "GET", path: "/v1/messages" + path}).into(t, &list)
		require.Len(t, list.Items, want, path)
	}
	for path, field := range map[string]string{"?limit=101": "limit", "?limit=0": "limit", "?status=gone": "status", "?from=now": "from", "?cursor=x": "cursor", "?last4=12": "last4", "?color=red": "color", "?class=x": "class", "?limit=1&limit=2": "limit", "?via=fax": "via", "?claim=%3F": "claim"} {
		a := r.do(call{method: "GET", path: "/v1/messages" + path})
		require.Equal(t, 400, a.status, path)
		var p Problem
		a.into(t, &p)
		require.Equal(t, field, p.Errors[0].Field, path)
	}
}

func TestMessagesAreFoundByTheirClaim(t *testing.T) {
	r := openRoom(t)
	claimed := func(number string) string {
		return strings.TrimSuffix(bill, "}") + `,"claim":{"number":"` + number + `","amount":7440,"due":"2099-12-31"}}`
	}
	first, again := r.send("mizu", claimed("W-1")), r.send("mizu", claimed("W-1"))
	r.send("mizu", claimed("W-2"))
	r.send("gasu", claimed("W-1"))
	for _, c := range []call{{method: "GET", path: "/v1/messages?claim=W-1"}, {method: "POST", path: "/v1/messages:search", body: `{"claim":"W-1","class":"notice"}`}} {
		var list List
		r.do(c).into(t, &list)
		require.Len(t, list.Items, 2)
		require.Equal(t, again.ID, list.Items[0].ID)
		require.Equal(t, first.ID, list.Items[1].ID)
	}
	var none List
	r.do(call{method: "GET", path: "/v1/messages?claim=W-9"}).into(t, &none)
	require.Empty(t, none.Items)
}

func TestRateIsPerTenantAndSaysWhenToComeBack(t *testing.T) {
	r := openRoom(t)
	slow := shop("mizu")
	slow.Policy.RatePerSec = 1
	require.NoError(t, r.Tenants.Apply(t.Context(), slow))
	r.send("mizu", bill)
	a := r.do(call{method: "POST", path: "/v1/messages", body: bill})
	require.Equal(t, 429, a.status)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	r.send("gasu", bill)
}

func TestDuplicatesAndLimitsAreSaid(t *testing.T) {
	r := openRoom(t)
	guarded := shop("mizu")
	guarded.Policy.Duplicates = []tenant.Duplicate{{Class: "*", Minutes: 5}}
	guarded.Policy.Limits = []tenant.Limit{{PerDay: 2}}
	require.NoError(t, r.Tenants.Apply(t.Context(), guarded))
	body := `{"to":"09000010001","text":"x"}`
	first := r.send("mizu", body)
	var p Problem
	a := r.do(call{method: "POST", path: "/v1/messages", body: body})
	require.Equal(t, 409, a.status)
	a.into(t, &p)
	require.Equal(t, [2]string{"duplicate", first.ID}, [2]string{p.Errors[0].Code, p.Errors[0].Value})
	_, lines := r.batch(body+"\n"+`{"to":"09000020001","text":"x"}`+"\n"+`{"to":"09000020002","text":"x"}`+"\n", nil)
	require.Equal(t, []int{409, 202, 429}, []int{lines[0].Status, lines[1].Status, lines[2].Status})
	require.Equal(t, "daily_cap", lines[2].Problem.Errors[0].Code)
	a = r.do(call{method: "POST", path: "/v1/messages", body: `{"to":"09000020003","text":"x"}`})
	require.Equal(t, 429, a.status)
	require.NotEqual(t, "1", a.header.Get("Retry-After"), "not before tomorrow")
}

func TestStoreFailuresHaveTheirStatus(t *testing.T) {
	for err, want := range map[error]int{store.ErrBusy: 429, store.ErrFull: 507, store.ErrClosed: 503, store.ErrNotFound: 404, errors.New("x"): 503} {
		require.Equal(t, want, codes[storeCode(fmt.Errorf("wrapped: %w", err))].status)
	}
}

func TestLinkOnlyAndRevoke(t *testing.T) {
	r := openRoom(t)
	acc := r.send("mizu", `{"to":"080-1234-5678","send":false,"page":{"title":"x"}}`)
	require.Equal(t, message.LinkOnly, acc.Status)
	require.NotEmpty(t, acc.URL)
	require.Equal(t, 204, r.do(call{method: "DELETE", path: "/v1/messages/" + acc.No}).status)
	var m Message
	r.do(call{method: "GET", path: "/v1/messages/" + acc.ID}).into(t, &m)
	require.NotNil(t, m.RevokedAt)
	require.Equal(t, message.LinkOnly, m.Status)
}

func TestOtherRoomsHandlersStandBehindTheDoor(t *testing.T) {
	r := openRoom(t, func(o *Options) {
		o.Extra = map[string]Handler{"/v1/uploads": func(ctx *fasthttp.RequestCtx, c *Caller) {
			if string(ctx.Path()) == "/v1/uploads/panic" {
				panic("BUG: x")
			}
			c.Answer(ctx, 200, map[string]string{"tenant": string(c.Tenant.ID), "by": c.By()})
		}}
	})
	a := r.do(call{method: "GET", path: "/v1/uploads/1"})
	require.JSONEq(t, `{"tenant":"mizu","by":"key:erp"}`, string(a.body))
	require.Equal(t, 401, r.do(call{method: "GET", path: "/v1/uploads", header: map[string]string{"Authorization": ""}}).status)
	require.Equal(t, 404, r.do(call{method: "GET", path: "/v1/uploadsx"}).status)
	require.Equal(t, 500, r.do(call{method: "GET", path: "/v1/uploads/panic"}).status)
	require.Equal(t, 404, r.do(call{method: "GET", path: "/v1/messages/a/b"}).status)
	a = r.do(call{method: "PUT", path: "/v1/messages"})
	require.Equal(t, 405, a.status)
	require.Equal(t, "GET, HEAD, POST", a.header.Get("Allow"))
}

func TestBodyThatBreaksOffIsNotTaken(t *testing.T) {
	r := openRoom(t)
	for path, kind := range map[string]string{"/v1/documents": "application/pdf", "/v1/messages": "application/json"} {
		body := map[string]string{"/v1/documents": minimalPDF, "/v1/messages": bill}[path] + strings.Repeat("\n", 100<<10)
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: s.example.jp\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, r.keys["mizu"], home, kind, len(body)+1, body)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer res.Body.Close()
		var p Problem
		require.NoError(t, json.NewDecoder(res.Body).Decode(&p))
		require.Equal(t, 400, res.StatusCode, path)
		require.Equal(t, "incomplete", p.Errors[0].Code)
	}
}
