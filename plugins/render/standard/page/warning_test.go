package page

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// warnings are what a page says to be careful of, and what stands between that and the button that goes on.
func warnings(t *testing.T, page []byte) (all []string, before string) {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	require.NoError(t, err)
	listed := false
	for n := range doc.Descendants() {
		switch {
		case n.DataAtom == atom.Div && strings.Contains(attr(n, "class"), "warn"):
			require.False(t, listed, "one list")
			listed = true
			for li := range n.Descendants() {
				if li.DataAtom == atom.Li {
					all = append(all, strings.TrimSpace(text(li)))
				}
			}
		case n.DataAtom == atom.P && listed && n.Parent.DataAtom == atom.Form && before == "":
			before = strings.TrimSpace(text(n))
		case n.DataAtom == atom.Button && listed:
			return all, before
		}
	}
	require.Fail(t, "no list, or no button after it")
	return nil, ""
}

// Before a number is issued or another page is led to, the payer reads what that means for the way to pay that was chosen: FEATURES E19.
func TestPayerIsWarnedBeforeGoingOn(t *testing.T) {
	const (
		goOn     = "お間違いなければ、引き続きお支払い手続きにお進みください。"
		issues   = "次に進むと、コンビニエンスストアでのお支払いに使う番号またはバーコードを発行します。発行だけではお支払いは完了しません。"
		byDue    = "発行後は、お支払い期限までに店舗でお支払いください。期限を過ぎるとお支払いいただけません。"
		once     = "バーコードは、発行後、再度発行することはできません。"
		leads    = "次に進むと、決済会社のページへ移動する手続きに入ります。"
		comeBack = "お手続きの途中で画面を閉じたときは、もう一度SMSのURLを開いて状態をご確認ください。"
		already  = "すでにお支払い済みの場合や、別の方法でお支払いになる場合は、進まないでください。"
	)
	for name, want := range map[string][]string{
		"05-checkout-number":    {issues, byDue, already},
		"05-checkout-barcode":   {issues, byDue, already},
		"05-checkout-once":      {issues, byDue, once, already},
		"05-checkout-card":      {leads, comeBack, already},
		"05-checkout-recurring": {leads, comeBack, "今回のお支払いとあわせて、カードが次回以降のお支払いに登録されます。", already},
		"05-checkout-account":   {leads, comeBack, "口座振替の登録のみを行います。登録だけでは、今回のお支払いは完了しません。", already},
		"05-checkout-transfer":  {"次に進むと、お振込先の口座を表示します。表示だけではお支払いは完了しません。", "お支払い期限までにお振込みください。", already},
		"05-checkout-pay-easy": {"次に進むと、ATMやインターネットバンキングで入力する番号を発行します。発行だけではお支払いは完了しません。",
			"発行後は、お支払い期限までにお支払いください。期限を過ぎるとお支払いいただけません。", "番号は、発行後、再度発行することはできません。", already},
	} {
		sample := everyView()[name]
		got, before := warnings(t, render(t, sample, "ja"))
		require.Equal(t, want, got, name)
		require.Equal(t, goOn, before, name)
		english, before := warnings(t, render(t, sample, "en"))
		require.Len(t, english, len(want), name)
		require.Equal(t, "If everything is right, please go on.", before, name)
	}
}
