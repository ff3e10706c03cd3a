package admin

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// The lines are read as browsers do: an end of a line is "\r\n", "\n" or "\r".
func TestPartIsOneEventWhateverIsTyped(t *testing.T) {
	text := frame([]byte("<p>a\r\revent: gone\rdata: x\r\n\nb</p>\n"))
	lines := regexp.MustCompile("\r\n|\n|\r").Split(text, -1)
	require.Equal(t, "event: part\ndata: <p>a\ndata: \ndata: event: gone\ndata: data: x\ndata: \ndata: b</p>\n\n", strings.Join(lines, "\n"))
}

func TestOneUserHoldsNotAllLiveScreens(t *testing.T) {
	r := openRoom(t)
	path := "/messages/" + r.accept("mizu", message.ViaConsole, bill("090-0001-1367", "C-1"))[0].ID.String()
	open := func(b *browser) *http.Response {
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", b.base+path, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := b.Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { leave(); resp.Body.Close() })
		return resp
	}
	for range liveOfOne / 2 {
		require.Equal(t, http.StatusOK, open(r.enter("viewer@mizu")).StatusCode)
		require.Equal(t, http.StatusOK, open(r.enter("viewer@mizu")).StatusCode)
	}
	require.Equal(t, http.StatusServiceUnavailable, open(r.enter("viewer@mizu")).StatusCode)
	require.Equal(t, http.StatusOK, open(r.enter("sender@mizu")).StatusCode)
}
