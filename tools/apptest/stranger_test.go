package apptest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/phones"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/recipient"
)

// Somebody gets what is for somebody else, says so on its page, and gets nothing more; the sender's system is told, also of what
// a restart has in between.
func TestWrongPersonGetsNothingMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hook := NewHook()
	there := httptest.NewServer(hook)
	defer there.Close()
	host := there.Listener.Addr().String()
	c := newCountry(t, Options{Egress: []string{host}})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	require.NoError(t, hook.Register(ctx, sender, "erp", "http://"+host+"/hook"))
	a, _, err := sender.Send(ctx, bill(Number(1), "2026-0001"))
	require.NoError(t, err)
	p := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Browser: recipient.NewBrowser()}
	require.NoError(t, p.Get(ctx, a.URL))
	require.Contains(t, p.Shown.Text, "お心当たりのない方")
	afterSubmission(t, ctx, sender, a.ID)
	await(t, ctx, func() bool { // pressed before anybody can have read, nothing happens
		require.NoError(t, p.Get(ctx, a.URL+"/stranger"))
		require.NoError(t, p.Submit(ctx, "stranger", nil))
		return strings.Contains(p.Shown.Text, "送信を停止しました")
	})
	send := func() error {
		_, _, err := sender.Send(ctx, &message.Draft{To: Number(1), Class: "notice", Text: "お知らせです"})
		return err
	}
	var no *Refused
	require.ErrorAs(t, send(), &no)
	require.Contains(t, no.Body, "do_not_send")

	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	require.ErrorAs(t, send(), &no)
	other := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Browser: recipient.NewBrowser()}
	require.NoError(t, other.Get(ctx, a.URL))
	require.Contains(t, other.Shown.Text, "送信を停止しました")
	m, err := sender.Message(ctx, a.ID)
	require.NoError(t, err)
	require.NotNil(t, m.DisownedAt)
	await(t, ctx, func() bool { return hook.has(a.ID, callback.MessageDisowned) })
	var list phones.List
	require.NoError(t, sender.Do(ctx, http.MethodGet, phones.DoNotSendPath, nil, http.StatusOK, &list))
	require.Len(t, list.Items, 1)
	require.EqualValues(t, "wrong_person", list.Items[0].Reason)
}
