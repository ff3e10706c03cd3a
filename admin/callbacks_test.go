package admin

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/message"
)

// echo is receivers that give the challenge back; one is dead, one takes nothing else.
type echo struct{}

const downURL = "https://down.example.com/hook"

func (echo) CheckURL(address string) error {
	if address == "http://10.0.0.1/" {
		return &egress.RefusedError{Why: "private"}
	}
	return nil
}

var challengePattern = regexp.MustCompile(`"challenge":"([A-Z0-9]+)"`)

func (echo) Post(_ context.Context, address string, _ http.Header, body []byte) (egress.Reply, error) {
	if address == "https://dead.example.com/" {
		return egress.Reply{}, errors.New("no connection")
	}
	if m := challengePattern.FindSubmatch(body); m != nil {
		return egress.Reply{Status: 200, Body: m[1]}, nil
	}
	if address == downURL {
		return egress.Reply{Status: 503}, nil
	}
	return egress.Reply{Status: 200}, nil
}

func TestCallbacksAreManagedAtTheConsole(t *testing.T) {
	r := openRoom(t)
	res := r.accept("mizu", message.ViaConsole, bill("090-0001-0001", "C-1"))[0]
	b := r.enter("admin@mizu")
	require.Contains(t, b.get("/callbacks").body, "コールバックはまだありません")
	for url, word := range map[string]string{"https://dead.example.com/": "確認のリクエストに応答がありません", "http://10.0.0.1/": "インターネット上の https"} {
		a := b.post("/callbacks", "name", "erp", "url", url)
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		require.Contains(t, a.body, word)
	}
	a := b.post("/callbacks", "name", "erp", "url", "https://erp.example.com/hook", "events", "message.delivered, claim.*", "numbers", "1")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, "whsec_")
	cb, ok := r.Directory.Now().Tenants["mizu"].Callback("erp")
	require.True(t, ok)
	require.Equal(t, []string{"message.delivered", "claim.*"}, cb.Events)
	require.True(t, cb.Numbers)
	body := b.get("/callbacks").body
	require.Contains(t, body, "https://erp.example.com/hook")
	require.NotContains(t, body, "whsec_", "it was shown once")

	require.Contains(t, b.post("/callbacks/erp", "do", "secret").body, "whsec_")
	for _, form := range [][]string{{"do", "test"}, {"do", "pause"}, {"do", "resume"}, {"do", "replay", "message", res.ID.String()}, {"do", "replay", "message", res.No}, {"do", "replay", "from", "2026-01-01"}} {
		require.Equal(t, http.StatusSeeOther, b.post("/callbacks/erp", form...).status, form)
	}
	for _, form := range [][]string{{"do", "replay", "message", "0"}, {"do", "replay"}, {"do", "replay", "from", "2999-01-01"}} {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/callbacks/erp", form...).status, form)
	}
	require.Equal(t, http.StatusNotFound, b.post("/callbacks/erp", "do", "x").status)
	other := r.enter("admin@gasu")
	require.Equal(t, http.StatusNotFound, other.post("/callbacks/erp", "do", "remove").status)
	require.NotContains(t, other.get("/callbacks").body, "erp.example.com")
	require.Equal(t, http.StatusSeeOther, b.post("/callbacks/erp", "do", "remove").status)
	_, ok = r.Directory.Now().Tenants["mizu"].Callback("erp")
	require.False(t, ok)
	require.Equal(t, "callback.remove", r.actions("mizu")[0])
	require.Contains(t, b.get("/audit").body, "コールバックの削除")
}
