package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestListIsSentAgainByOneAction(t *testing.T) {
	r := openRoom(t)
	r.fill()
	b := r.enter("sender@mizu")
	var body string
	require.Eventually(t, func() bool {
		body = b.get("/follow-ups?list=undelivered").body
		return strings.Contains(body, "不達 (UNDELIV)") && strings.Contains(body, "携帯電話会社が拒否")
	}, time.Minute, 20*time.Millisecond)
	require.NotContains(t, body, "電話連絡リスト", "whole numbers are for administrators")
	require.Contains(t, body, `<option value="template:std:reminder">`)
	require.Equal(t, 422, b.post("/follow-ups", "list", "undelivered", "key", "k1", "words", "text", "text", "").status)
	past := b.post("/follow-ups", "list", "undelivered", "key", "k1", "words", "same", "due", "2020-01-01")
	require.Equal(t, 422, past.status)
	require.Contains(t, past.body, "新しい支払期限：過去の日時は指定できません")
	require.Contains(t, past.body, `name="due" value="2020-01-01"`)
	for range 2 { // pressed twice
		require.Equal(t, 303, b.post("/follow-ups", "list", "undelivered", "key", "k1", "words", "text", "text", "〇〇県水道局からの再度のお知らせです。{url}").status)
	}
	require.Eventually(t, func() bool { return strings.Contains(b.get("/follow-ups").body, ">完了<") }, time.Minute, 20*time.Millisecond)
	body = b.get("/follow-ups?list=undelivered").body
	require.Equal(t, 1, strings.Count(body, ">完了<"))
	require.NotContains(t, body, "不達 (UNDELIV)", "it is on its way again")

	calls := r.enter("admin@mizu").post("/follow-ups/calls", "list", "unidentified")
	require.Equal(t, 200, calls.status)
	require.Contains(t, calls.body, "本人未確認")
	require.Contains(t, calls.body, "090000")
	require.Equal(t, 403, b.post("/follow-ups/calls", "list", "unidentified").status)
	require.Equal(t, 404, b.get("/follow-ups?class=x").status)
	require.Equal(t, 404, b.get("/follow-ups?max_resent=x").status)
	body = b.get("/follow-ups?list=unidentified&max_resent=2&not_since=2026-11-01").body
	require.Contains(t, body, `<input type="hidden" name="max_resent" value="2">`, "what is sent again is what is shown")
	require.Contains(t, body, `<input type="hidden" name="not_since" value="2026-11-01">`)
}
