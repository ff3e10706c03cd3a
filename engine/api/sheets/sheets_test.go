package sheets

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// scripted is engine/sheet, whose own tests are with the link server: what it answers is in the claim's number.
type scripted struct{ orders []sheet.Order }

func (s *scripted) Make(_ context.Context, t *tenant.Tenant, number string, o sheet.Order) (sheet.Address, message.Problems, error) {
	if t.ID != "mizu" {
		return sheet.Address{}, nil, store.ErrNotFound
	}
	s.orders = append(s.orders, o)
	switch number {
	case "PAID":
		return sheet.Address{}, message.Problems{{Field: "claim", Code: "conflict", Detail: "money was received already"}}, nil
	case "NEW":
		return sheet.Address{}, message.Problems{{Field: "method", Code: "required", Detail: "no number or barcode was issued for the claim yet"}}, nil
	case "SLOW":
		return sheet.Address{}, nil, payment.ErrSettling
	case "NONE":
		return sheet.Address{}, nil, store.ErrNotFound
	}
	at := "https://s.example.jp/sheets/x/"
	return sheet.Address{Claim: number, PDF: at + "sheet.pdf", PNG: at + "sheet.png", Barcode: at + "barcode.png", Expires: time.Unix(1_800_000_000, 0).UTC()}, nil, nil
}

func (s *scripted) OfUpload(_ context.Context, t *tenant.Tenant, _ ulid.ULID) ([]ulid.ULID, error) {
	if t.ID != "mizu" {
		return nil, nil
	}
	return make([]ulid.ULID, maxSheets+5), nil
}

func (s *scripted) OfNumbers(_ context.Context, _ *tenant.Tenant, numbers []string) (claims []ulid.ULID, missing []int, err error) {
	for i, n := range numbers {
		if n == "NONE" {
			missing = append(missing, i)
		}
	}
	return make([]ulid.ULID, len(numbers)-len(missing)), missing, nil
}

func (s *scripted) Bundle(_ context.Context, _ *tenant.Tenant, claims []ulid.ULID, from int, o sheet.Order, w io.Writer) (sheet.Bundled, error) {
	if o.Method == "DOWN" {
		return sheet.Bundled{}, store.ErrClosed
	}
	s.orders = append(s.orders, o)
	_, err := fmt.Fprintf(w, "%d from %d", len(claims), from)
	return sheet.Bundled{Sheets: len(claims)}, err
}

func (s *scripted) Revoke(_ context.Context, t *tenant.Tenant, number, _ string) error {
	if t.ID != "mizu" || number == "NONE" {
		return store.ErrNotFound
	}
	return nil
}

func TestPaymentSheetsByAPI(t *testing.T) {
	doc, keys := openapitest.Read(t, api.OpenAPI), map[tenant.ID]string{}
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	tenants, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	for _, id := range []tenant.ID{"mizu", "gasu"} {
		require.NoError(t, tenants.Apply(t.Context(), tenant.Tenant{ID: id, Name: "〇〇局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"}}))
		keys[id], _, err = tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	docs, log, rooms := document.New(s, nil), audit.New(s), edge.Rooms{}
	take, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s, Tenants: tenants, Carriers: carriers, Identity: rooms, Claims: rooms, Documents: docs, Links: rooms})
	require.NoError(t, err)
	made := &scripted{}
	server, err := api.New(api.Options{Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: take, Store: s, Claims: rooms, Documents: docs,
		Extra: map[string]api.Handler{Path: Handler(made, log)}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	const from = "192.0.2.10"
	ask := func(id tenant.ID, status int, method, at, body, from string) string {
		t.Helper()
		path := Path + "/{number}"
		if at == "" || at[0] == '?' {
			path = Path
		} else {
			at = "/" + at
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+Path+at, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+keys[id])
		req.Header.Set("X-Forwarded-For", from)
		if body != "" {
			req.Header.Set("Content-Type", map[bool]string{true: "application/json", false: "text/plain"}[body != "plain"])
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, status, res.StatusCode, "%s: %s", at, got)
		described := strings.ToLower(method)
		if method == "GET" {
			described = "post"
		}
		doc.Answered(path, described, fmt.Sprint(status), res.Header, got)
		return string(got) + res.Header.Get(next)
	}
	body := ask("mizu", 201, "POST", "INV-1", `{"method":"konbini_barcode","store":"","lang":"en","expires_at":"2026-12-01T00:00:00+09:00"}`, from)
	require.Contains(t, body, "barcode.png")
	require.Equal(t, "key:erp", made.orders[0].By)
	require.Equal(t, "en", made.orders[0].Lang)
	ask("mizu", 409, "POST", "PAID", `{}`, from)
	require.Contains(t, ask("mizu", 422, "POST", "NEW", `{}`, from), "まだ番号またはバーコードが発番されていません")
	ask("mizu", 422, "POST", "INV-1", `{"lang":"fr"}`, from)
	ask("mizu", 503, "POST", "SLOW", `{}`, from)
	ask("mizu", 404, "POST", "NONE", `{}`, from)
	ask("gasu", 404, "POST", "INV-1", `{}`, from)
	ask("mizu", 404, "POST", "a/b", `{}`, from)
	ask("mizu", 400, "POST", "INV-1", `{`, from)
	ask("mizu", 400, "POST", "INV-1?x=1", `{}`, from)
	ask("mizu", 415, "POST", "INV-1", `plain`, from)
	ask("mizu", 413, "POST", "INV-1", `{"method":"`+strings.Repeat("x", maxBody)+`"}`, from)
	ask("mizu", 405, "GET", "INV-1", "", from)
	ask("mizu", 204, "DELETE", "INV-1", "", from)
	ask("mizu", 404, "DELETE", "NONE", "", from)
	ask("gasu", 404, "DELETE", "INV-1", "", from)
	ask("mizu", 400, "DELETE", "INV-1?x=1", "", from)
	const upload = `{"campaign":"01ARZ3NDEKTSV4RRFFQ69G5FAV"`
	require.Equal(t, "200 from 0200", ask("mizu", 200, "POST", "", upload+`,"method":"konbini_barcode"}`, from), "and the next is from 200 on")
	require.Equal(t, "konbini_barcode", made.orders[len(made.orders)-1].Method)
	require.Equal(t, "5 from 200", ask("mizu", 200, "POST", "", upload+`,"from":200,"lang":"en"}`, from))
	require.Equal(t, "2 from 0", ask("mizu", 200, "POST", "", `{"claims":["A-1","A-2"]}`, from))
	require.Contains(t, ask("mizu", 422, "POST", "", `{"claims":["A-1","NONE"]}`, from), `"field":"claims[1]"`)
	ask("gasu", 422, "POST", "", upload+`}`, from)
	for _, body := range []string{`{}`, upload + `,"claims":["A-1"]}`, `{"campaign":"x"}`, upload + `,"from":205}`, upload + `,"from":-1}`, upload + `,"lang":"fr"}`, `{"claims":["` + strings.Repeat(`x","`, maxSheets) + `x"]}`} {
		ask("mizu", 422, "POST", "", body, from)
	}
	ask("mizu", 503, "POST", "", upload+`,"method":"DOWN"}`, from)
	ask("mizu", 400, "POST", "", `{`, from)
	ask("mizu", 400, "POST", "?x=1", `{}`, from)
	ask("mizu", 415, "POST", "", `plain`, from)
	ask("mizu", 413, "POST", "", `{"method":"`+strings.Repeat("x", maxRequest)+`"}`, from)
	ask("mizu", 405, "GET", "", "", from)
	keys["none"] = "kk_x_y"
	ask("mizu", 403, "POST", "", "", "198.51.100.1")
	ask("none", 401, "POST", "", "", from)
	for _, method := range []string{"POST", "DELETE"} {
		ask("mizu", 403, method, "INV-1", "", "198.51.100.1")
		ask("none", 401, method, "INV-1", "", from)
	}
	require.Empty(t, doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "429", "503", "507"))

	entries, err := log.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	var done []string
	for _, e := range entries {
		if e.Target == "INV-1" {
			done = append(done, e.Action)
		}
	}
	require.Subset(t, done, []string{"claim.sheet", "claim.sheet_revoke"})
}
