package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPreviewWarnsOfAnAmountThatNothingTakes(t *testing.T) {
	r := openRoom(t)
	b := r.enter("sender@mizu")
	form := []string{"key", "k1", "to", "090-0001-0001", "text", "〇〇県水道局です。{url}", "class", "billing", "link", "1", "title", "ご請求", "claim_number", "W-1", "claim_amount", "350000", "claim_due", "2030-12-31", "claim_method", "konbini_barcode", "do", "preview"}
	a := b.post("/send", form...)
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.body, "この金額（350000円）を支払える決済方法が選ばれていません（1件の上限 300000円）")
	require.NotContains(t, b.post("/send", append(form, "claim_method", "card")...).body, "支払える決済方法が選ばれていません")
}
