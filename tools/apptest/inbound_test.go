package apptest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/phones"
	"github.com/kakitome/kakitome/engine/message"
)

// TestPhoneWritesStopAndGetsNothingMore goes from the handset over SMPP to the sender's list, and through a restart.
func TestPhoneWritesStopAndGetsNothingMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	send := func(i int, class string) error {
		_, _, err := sender.Send(ctx, &message.Draft{To: Number(i), Class: class, Text: "お知らせです"})
		return err
	}
	require.NoError(t, send(1, "notice"))

	long := "ご連絡ありがとうございます。明日の午後に窓口へ伺いますので、よろしくお願いいたします。何か必要な書類がありましたら、あらかじめ教えてください。助かります。"
	received := func(n int) (l phones.Received) {
		t.Helper()
		await(t, ctx, func() bool {
			l = phones.Received{}
			require.NoError(t, sender.Do(ctx, http.MethodGet, phones.ReceivedPath+"?numbers=true", nil, http.StatusOK, &l))
			return len(l.Items) == n && !l.Items[0].Waiting
		})
		return l
	}
	require.NoError(t, c.Write(ctx, 2, long))
	require.Equal(t, long, received(1).Items[0].Text)
	require.NoError(t, c.Write(ctx, 1, "ＳＴＯＰ"))
	last := received(2).Items[0]
	require.True(t, last.Stop)
	require.Equal(t, "+81"+Number(1)[1:], last.From)

	refused := func() {
		t.Helper()
		var no *Refused
		require.ErrorAs(t, send(1, "notice"), &no)
		require.Equal(t, http.StatusUnprocessableEntity, no.Status)
		require.Contains(t, no.Body, "do_not_send")
		require.NotContains(t, no.Body, Number(1))
	}
	refused()
	require.NoError(t, send(1, "otp"), "a code is asked for")
	require.NoError(t, send(2, "notice"), "another phone")

	require.NoError(t, c.Engine.Stop(30*time.Second))
	require.NoError(t, c.StartEngine(ctx))
	refused()
	var list phones.List
	require.NoError(t, sender.Do(ctx, http.MethodGet, phones.DoNotSendPath, nil, http.StatusOK, &list))
	require.Len(t, list.Items, 1)
	require.NoError(t, sender.Do(ctx, http.MethodDelete, phones.DoNotSendPath+"/"+list.Items[0].ID.String(), nil, http.StatusNoContent, nil))
	require.NoError(t, send(1, "notice"))
}
