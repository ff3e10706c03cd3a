package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/uploads"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// noRooms stands for the rooms that plain messages do not need.
type noRooms struct{}

func (noRooms) Enroll(_ context.Context, _ *tenant.Tenant, ids []ulid.ULID, _ [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	return make([][]message.Answer, len(ids)), make([]message.Problems, len(ids)), nil
}
func (noRooms) Plan(context.Context, *tenant.Tenant, ulid.ULID, *message.Claim, string) (ulid.ULID, []store.Change, *message.Problem, error) {
	return ulid.ULID{}, nil, nil, errors.New("no claims here")
}
func (noRooms) Put([]intake.Link) {}
func (noRooms) Find(context.Context, tenant.ID, []ulid.ULID, bool) ([]api.Claim, error) {
	return nil, nil
}
func (noRooms) Get(context.Context, tenant.ID, string) (api.Claim, error) {
	return api.Claim{}, store.ErrNotFound
}
func (noRooms) Alerts(context.Context, tenant.ID, int) ([]api.Claim, error) { return nil, nil }
func (noRooms) Receipt(context.Context, *tenant.Tenant, string, string, string, string) ([]byte, string, *message.Problem, error) {
	return nil, "", nil, store.ErrNotFound
}
func (noRooms) Change(context.Context, *tenant.Tenant, string, api.ClaimChange, string) (api.Claim, *message.Problem, error) {
	return api.Claim{}, nil, store.ErrNotFound
}

// gate is a served API with uploads over a real store and intake, behind a proxy that can break connections.
type gate struct {
	t        testing.TB
	url      string
	keyFile  string
	cuts     atomic.Int32 // how many further PUTs are cut off in the middle
	puts     atomic.Int32
	uploads  *campaign.Campaigns
	intake   *intake.Intake
	store    *store.Store
	out, err bytes.Buffer
}

func openGate(t testing.TB) *gate {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	tenants, err := tenant.OpenDirectory(t.Context(), st.DirectoryLog())
	require.NoError(t, err)
	require.NoError(t, tenants.Apply(t.Context(), tenant.Tenant{
		ID: "mizu", Name: "〇〇県水道局", Allow: []string{"127.0.0.1"}, Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}},
	}))
	text, _, err := tenants.IssueKey(t.Context(), "mizu", "erp")
	require.NoError(t, err)
	g := &gate{t: t, keyFile: filepath.Join(dir, "api.key"), store: st}
	require.NoError(t, os.WriteFile(g.keyFile, []byte(text+"\n"), 0o600))
	carriers, err := carrier.Open(carrier.Box("conf/data/ranges.csv"))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	docs := document.New(st, nil)
	in, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: st, Tenants: tenants, Carriers: carriers, Identity: noRooms{}, Claims: noRooms{}, Documents: docs, Links: noRooms{}, Log: log})
	require.NoError(t, err)
	g.intake = in
	g.uploads, err = campaign.New(campaign.Options{Store: st, Tenants: tenants, Carriers: carriers, Intake: in, Log: log})
	require.NoError(t, err)
	server, err := api.New(api.Options{
		Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: in, Store: st, Claims: noRooms{}, Documents: docs, Log: log,
		Extra: map[string]api.Handler{uploads.Path: uploads.Handler(g.uploads, audit.New(st))},
	})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- server.Run(ctx, ln) }()
	go func() { done <- g.uploads.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	})
	to, err := url.Parse("http://" + ln.Addr().String())
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			g.puts.Add(1)
			if g.cuts.Add(-1) >= 0 {
				_, _ = io.CopyN(io.Discard, r.Body, 1000)
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g.url = front.URL
	return g
}

// sender is the command as a person without a terminal runs it.
func (g *gate) sender() *sender {
	g.t.Helper()
	key, err := readKey(g.keyFile, nil)
	require.NoError(g.t, err)
	base, client, err := client(g.url, "")
	require.NoError(g.t, err)
	g.out.Reset()
	g.err.Reset()
	return &sender{base: base, http: client, key: key, in: strings.NewReader(""), out: &g.out, err: &g.err, pause: 2 * time.Millisecond}
}

func (g *gate) file(text string) string {
	path := filepath.Join(g.t.TempDir(), "seikyu.csv")
	require.NoError(g.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (g *gate) messages() int {
	n, err := g.store.Count(context.Background(), tenant.Only("mizu"), store.Query{Kind: store.Message}, 1_000_000)
	require.NoError(g.t, err)
	return n
}

func rowsOf(n int) string {
	text := "電話番号,本文\r\n"
	for i := range n {
		text += fmt.Sprintf("0900001%04d,〇〇県水道局です。\r\n", i)
	}
	return text
}

func TestSendAcceptsAllRows(t *testing.T) {
	g := openGate(t)
	s := g.sender()
	s.yes, s.ja = true, true
	require.NoError(t, s.send(t.Context(), g.file(rowsOf(30))), "%s", &g.err)
	require.Contains(t, g.out.String(), "30行（正常 30、エラー 0、注意 0）")
	require.Contains(t, g.out.String(), "30件を受け付けました")
	require.Contains(t, g.err.String(), "送信中 100%")
	require.Equal(t, 30, g.messages())
}

// TestSendSaysWhatWasSaidOfTheUpload: a canary that does not arrive, a pause, a cancel end the command with what they are.
func TestSendSaysWhatWasSaidOfTheUpload(t *testing.T) {
	g := openGate(t)
	require.NoError(t, g.uploads.SetSeed(t.Context(), "mizu", "docomo", "090-0001-9999"))
	s := g.sender()
	s.yes, s.ja, s.canary = true, true, true
	done := make(chan error, 1)
	path := g.file(rowsOf(30))
	go func() { done <- s.send(t.Context(), path) }()
	mizu := tenant.Only("mizu")
	var st *campaign.State
	require.Eventually(t, func() bool {
		all, err := g.uploads.List(t.Context(), mizu, ulid.ULID{}, 1)
		if err != nil || len(all) == 0 || all[0].Canary == nil || all[0].Canary.Seeds == nil {
			return false
		}
		st = all[0]
		return true
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, g.intake.Cancel(t.Context(), "mizu", st.Canary.Seeds[0].Message, "user:hanako"))
	err := <-done
	var some *partly
	require.ErrorAs(t, err, &some)
	require.Contains(t, err.Error(), "カナリア送信で停止しました（docomo に届いていません）")
	require.Equal(t, 1, g.messages(), "only the seed")

	_, err = g.uploads.Cancel(t.Context(), mizu, st.ID, "user:hanako", "")
	require.NoError(t, err)
	_, err = s.follow(t.Context(), st.ID, campaign.Done)
	require.NoError(t, err)
}

func TestSendLeavesFaultyRowsStagedUnlessTold(t *testing.T) {
	g := openGate(t)
	path := g.file(rowsOf(3) + "03-1234-5678,x\r\n9000010009,x\r\n")
	s := g.sender()
	s.yes, s.faults = true, filepath.Join(t.TempDir(), "faults.csv")
	err := s.send(t.Context(), path)
	require.ErrorAs(t, err, new(*partly))
	require.ErrorContains(t, err, "stays staged")
	require.Zero(t, g.messages())
	require.Contains(t, g.out.String(), "5 rows (4 good, 1 faulty, 1 with warnings), encoding utf-8")
	require.Regexp(t, `5 +電話番号 +031\*\*\*\*78 +is a landline number`, g.out.String())
	saved, err := os.ReadFile(s.faults)
	require.NoError(t, err)
	require.Contains(t, string(saved), "zero_restored")
	require.NotContains(t, string(saved), "1234-5678")
	info, err := os.Stat(s.faults)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	s = g.sender()
	s.goodOnly = true
	err = s.send(t.Context(), path)
	require.ErrorContains(t, err, "the same file was uploaded before")
	s = g.sender()
	s.asks, s.in = true, strings.NewReader("y\n")
	s.goodOnly = true
	err = s.send(t.Context(), path)
	require.ErrorContains(t, err, "1 rows were not sent")
	require.Equal(t, 4, g.messages())
}

func TestDryRunChecksAndDrops(t *testing.T) {
	g := openGate(t)
	s := g.sender()
	s.dryRun = true
	require.NoError(t, s.send(t.Context(), g.file(rowsOf(3))))
	require.ErrorAs(t, s.send(t.Context(), g.file("電話番号,本文\r\n1,x\r\n")), new(*partly))
	require.ErrorContains(t, s.send(t.Context(), g.file("電話番号,血液型\r\n1,x\r\n")), "its columns are wrong")
	list, err := g.uploads.List(t.Context(), tenant.Only("mizu"), ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, campaign.Dropped, list[1].Phase)
	require.Zero(t, g.messages())
}

func TestSendGoesOnAfterBrokenConnections(t *testing.T) {
	g := openGate(t)
	text := "電話番号,本文,タイトル,文頭\r\n" + strings.Repeat("09000010001,x,t,"+strings.Repeat("文", 750)+"\r\n", 1400)
	path := g.file(text)
	g.cuts.Store(3)
	s := g.sender()
	s.yes = true
	require.NoError(t, s.send(t.Context(), path), "%s", &g.err)
	require.Equal(t, 1400, g.messages())
	require.GreaterOrEqual(t, g.puts.Load(), int32(3+4))
}

func TestSendResumesWhatAnEarlierRunBegan(t *testing.T) {
	g := openGate(t)
	text := "電話番号,本文,タイトル,文頭\r\n" + strings.Repeat("09000010001,x,t,"+strings.Repeat("文", 750)+"\r\n", 1200)
	path := g.file(text)
	ctx, cancel := context.WithCancel(t.Context())
	s := g.sender()
	s.err = writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "uploading") {
			cancel() // after the first part
		}
		return len(p), nil
	})
	require.ErrorIs(t, s.send(ctx, path), context.Canceled)
	s = g.sender()
	s.yes = true
	require.NoError(t, s.send(t.Context(), path))
	require.Contains(t, g.err.String(), "going on with upload")
	require.EqualValues(t, (len(text)+1<<20-1)>>20+1, g.puts.Load()+1, "no part is sent twice")
	require.Equal(t, 1200, g.messages())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("kk_x_y\n"), 0o640))
	_, err := readKey(path, nil)
	require.ErrorContains(t, err, "needs 0600")
	require.NoError(t, os.Chmod(path, 0o600))
	key, err := readKey(path, nil)
	require.NoError(t, err)
	require.Equal(t, "kk_x_y", key)
	key, err = readKey("-", strings.NewReader("kk_a_b\n"))
	require.NoError(t, err)
	require.Equal(t, "kk_a_b", key)
	_, err = readKey("-", strings.NewReader("password"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "password")
}

func TestKeyIsNotSentInPlainOverTheNetwork(t *testing.T) {
	for _, base := range []string{"http://api.example.jp", "http://192.0.2.1:8080", "ftp://localhost", "api.example.jp"} {
		_, _, err := client(base, "")
		require.Error(t, err, base)
	}
	for _, base := range []string{"https://api.example.jp/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"} {
		_, _, err := client(base, "")
		require.NoError(t, err, base)
	}
}
