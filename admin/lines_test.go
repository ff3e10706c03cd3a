package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinesOfAClaimInTheForm: 空室管理費 without tax, and what is wrong said at its field.
func TestLinesOfAClaimInTheForm(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	form := func(more ...string) string {
		return b.post("/send", append([]string{"key", "k1", "to", "090-0001-0001", "text", "〇〇管理です。{url}", "class", "billing", "link", "1", "title", "ご請求", "do", "preview",
			"claim_number", "K-1", "claim_amount", "11,000", "claim_tax", "1,000", "claim_due", "2030-12-31"}, more...)...).body
	}
	good := form("line_name0", "空室管理費", "line_unit0", "10,000円", "line_rate0", "10")
	require.Contains(t, good, `name="line_name0" value="空室管理費"`)
	require.Contains(t, good, "送信内容の確認")
	bad := form("line_name0", "空室管理費", "line_unit0", "1万円", "line_name4", "手数料", "line_quantity4", "0", "line_unit4", "1")
	require.NotContains(t, bad, "送信内容の確認")
	require.Contains(t, bad, `name="line_unit0" value="1万円" inputmode="numeric" placeholder="単価（円）" aria-label="単価（円） 1" aria-invalid="true"`)
	require.Contains(t, bad, `name="line_quantity4" value="0" inputmode="numeric" placeholder="数量" aria-label="数量 5" aria-invalid="true"`)
	rated := form("claim_rate", "10")
	require.Contains(t, rated, "送信内容の確認")
	require.Contains(t, rated, `name="claim_rate" value="10"`)
	rated = form("claim_rate", "8")
	require.Contains(t, rated, `<option value="8" selected>8%`)
	require.Contains(t, rated, "税率ごとに一度だけ端数処理した税額と一致しません")
	require.Contains(t, form("claim_rate", "10", "line_name0", "空室管理費", "line_unit0", "10,000"), "明細があるときは、税率は明細ごとに指定してください")
	sum := form("line_name0", "空室管理費", "line_unit0", "9,000")
	require.Contains(t, sum, "請求金額から消費税額を引いた額（税抜の明細）とも一致しません")
}
