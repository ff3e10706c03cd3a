package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The way of a message from the bytes of a request to its answer: in batches of 1,000 and alone, as bare text and with a
// link, two identity items and a page of 1 KB (the forms of bench), over a store that only counts what it is given and
// over the real one. An operation is a message. cpu-ns/op is user and system time of the whole process, which is what to
// compare on a machine that others use too; run with -benchmem.

// countingStore seals, hashes and numbers as the real one does, and forgets what it is told to commit.
type countingStore struct {
	*store.Store
	committed atomic.Int64
}

func (s *countingStore) Commit(_ context.Context, txs ...store.Tx) ([]error, error) {
	s.committed.Add(int64(len(txs)))
	return make([]error, len(txs)), nil
}

// hashingIdentity is engine/identity without a module: the answers are hashed as they are.
type hashingIdentity struct{ store *store.Store }

func (e hashingIdentity) Enroll(_ context.Context, t *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	answers := make([][]message.Answer, len(ids))
	for i := range items {
		for _, it := range items[i] {
			sum, err := e.store.Keyed(t.ID, "identity/"+ids[i].String()+"/"+it.Field, it.Value)
			if err != nil {
				return nil, nil, err
			}
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Hash: sum[:], OneIn: 1_000_000})
		}
	}
	return answers, make([]message.Problems, len(ids)), nil
}

var benchDrafts = []struct {
	name  string
	draft message.Draft
}{
	{"bare", message.Draft{Text: "〇〇県水道局です。本日の断水は15時までです。"}},
	{"page", message.Draft{
		Text:     "〇〇県水道局のお知らせ {url}",
		Identity: &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "1980-04-01"}, {Field: "customer_number", Value: "00-0-000000"}}},
		Page: &message.Page{
			Title: "水道料金のお知らせ", Lead: strings.Repeat("いつもご利用ありがとうございます。", 14),
			Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "9月～10月"}, {Item: "ご使用量", Value: "44立方メートル"}},
		},
	}},
}

// benchBodies gives bodies of so many messages, each with a key, number and reference of its own.
type benchBodies struct {
	form    []byte // of one message
	key, to int    // offsets
	refer   int
	next    int
}

func newBenchBodies(b *testing.B, d message.Draft) *benchBodies {
	d.Key, d.To, d.Reference = "KKKKKKKKKKKK", "NNNNNNNNNNN", "RRRRRRRRRRRR"
	text, err := json.Marshal(d)
	require.NoError(b, err)
	at := func(s string) int { return bytes.Index(text, []byte(s)) }
	return &benchBodies{form: append(text, '\n'), key: at(d.Key), to: at(d.To), refer: at(d.Reference)}
}

func (f *benchBodies) append(dst []byte, messages int) []byte {
	for range messages {
		f.next++
		at := len(dst)
		dst = append(dst, f.form...)
		var digits [12]byte
		for i, n := len(digits)-1, f.next; i >= 0; i, n = i-1, n/10 {
			digits[i] = '0' + byte(n%10)
		}
		copy(dst[at+f.key:], digits[:])
		copy(dst[at+f.refer:], digits[:])
		copy(dst[at+f.to:], "0900001")
		copy(dst[at+f.to+7:], digits[8:])
	}
	return dst
}

func benchRoom(b *testing.B, counting bool) *room {
	return openRoom(b, func(o *Options) {
		carriers, err := carrier.Open(carrier.Box("../../conf/data/ranges.csv"))
		require.NoError(b, err)
		of := intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: o.Store, Tenants: o.Tenants, Carriers: carriers, Identity: hashingIdentity{o.Store}, Claims: o.Claims.(*claimsEdge), Documents: o.Documents.(*document.Documents), Links: noLinks{}}
		if counting {
			of.Store = &countingStore{Store: o.Store}
		}
		o.Intake, err = intake.New(of)
		require.NoError(b, err)
	})
}

func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkAccept(b *testing.B) {
	for _, counting := range []bool{true, false} {
		over := map[bool]string{true: "counted", false: "stored"}[counting]
		for _, size := range []int{1000, 1} {
			if size == 1 && !counting {
				continue // a sync each
			}
			for _, d := range benchDrafts {
				b.Run(fmt.Sprintf("%s/batch=%d/%s", over, size, d.name), func(b *testing.B) { benchAccept(b, counting, size, d.draft) })
			}
		}
	}
}

func benchAccept(b *testing.B, counting bool, size int, d message.Draft) {
	r := benchRoom(b, counting)
	bodies := newBenchBodies(b, d)
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI("/v1/messages")
	req.Header.SetContentType("application/json")
	if size > 1 {
		req.SetRequestURI(batchPath)
		req.Header.SetContentType("application/x-ndjson")
	}
	req.Header.Set("Authorization", "Bearer "+r.keys["mizu"])
	req.Header.Set("X-Forwarded-For", home)
	var ctx fasthttp.RequestCtx
	var body []byte
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime()
	for sent := 0; sent < b.N; sent += size {
		n := min(size, b.N-sent)
		body = bodies.append(body[:0], n)
		req.SetBodyRaw(body)
		ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
		r.serve(&ctx)
		if got := bytes.Count(ctx.Response.Body(), []byte(`"status":"waiting"`)); got != n {
			b.Fatalf("%d of %d accepted: %d %.300s", got, n, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
}

// BenchmarkRequest is one message a request over a loopback connection that stays open, with a client that costs little.
func BenchmarkRequest(b *testing.B) {
	r := benchRoom(b, true)
	bodies := newBenchBodies(b, benchDrafts[0].draft)
	conn, err := net.Dial("tcp4", strings.TrimPrefix(r.url, "http://"))
	require.NoError(b, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	body := bodies.append(nil, 1)
	head := fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n", r.keys["mizu"], home, len(body))
	out, res := []byte(nil), fasthttp.Response{}
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime()
	for range b.N {
		out = bodies.append(append(out[:0], head...), 1)
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		if err := res.Read(in); err != nil || res.StatusCode() != fasthttp.StatusAccepted {
			b.Fatalf("%v: %d %.300s", err, res.StatusCode(), res.Body())
		}
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
}
