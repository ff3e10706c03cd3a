package company

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/tools/till/ledger"
)

func TestClerkChoosesAmongThePayersBills(t *testing.T) {
	r := newRig(t, 0)
	bill := func(attempt string) ledger.View {
		body := strings.Replace(request(attempt, ledger.PayerNumber, soon), "{", `{"payer":"p1",`, 1)
		status, out := r.api("POST", "/v1/payments", body, nil)
		require.Equal(t, 201, status, out)
		var got struct{ Payment ledger.View }
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		return got.Payment
	}
	first, second := bill("a1"), bill("a2")
	_, page := r.get("/till?code=" + first.Voucher.PaymentNumber)
	require.Contains(t, page, "お支払いになるご請求の選択")
	require.Contains(t, page, "payment="+first.PaymentID)
	require.Contains(t, page, "payment="+second.PaymentID)
	_, page = r.get("/till?code=" + first.Voucher.PaymentNumber + "&payment=" + second.PaymentID)
	require.Contains(t, page, "お支払い内容の確認")
	way := r.form("/till/pay", url.Values{"number": {first.Voucher.PaymentNumber}, "payment_id": {second.PaymentID}, "store": {"konbini_b"}})
	require.Equal(t, "/till?paid="+second.PaymentID, way)
	_, page = r.get(way)
	require.Contains(t, page, "コンビニB")
	_, page = r.get("/till?code=" + first.Voucher.PaymentNumber)
	require.NotContains(t, page, "payment="+second.PaymentID)
	r.form("/till/pay", url.Values{"number": {first.Voucher.PaymentNumber}})
	_, page = r.get("/till?code=" + first.Voucher.PaymentNumber)
	require.Contains(t, page, "すでにお支払い済みです。")
	_, page = r.get("/till/list")
	require.Contains(t, page, "お客様専用番号")
}

func TestPayEasyIsPaidAtTheATM(t *testing.T) {
	r := newRig(t, 0)
	v := r.create("a1", ledger.PayEasy).Voucher
	at := fmt.Sprintf("/till?code=%s&institution=%s&confirmation=%s", v.PaymentNumber, v.Institution, v.ConfirmationNumber)
	_, page := r.get("/till/list")
	require.Contains(t, page, strings.ReplaceAll(at, "&", "&amp;"))
	_, page = r.get(at)
	require.Contains(t, page, v.Institution)
	way := r.form("/till/pay", url.Values{"number": {v.PaymentNumber}, "institution": {v.Institution}, "confirmation": {v.ConfirmationNumber}})
	_, page = r.get(way)
	require.Contains(t, page, "お支払いを受け付けました")
	require.Contains(t, page, "金融機関・ATM")
	_, page = r.get("/till?code=" + v.PaymentNumber + "&institution=00000&confirmation=1")
	require.Contains(t, page, "この番号のお支払いは登録されていません。")
}

func TestEachPageOfThePayerSaysWhatItIsFor(t *testing.T) {
	r := newRig(t, 0)
	for method, want := range map[ledger.Method][3]string{
		ledger.CardRecurring:       {"このカードは、次回以降のお支払いにも使うため登録されます。", "お支払いが完了しました", "カードをご利用いただけませんでした"},
		ledger.Wallet:              {"テストウォレットで支払う", "お支払いが完了しました", "ウォレットをご利用いただけませんでした"},
		ledger.AccountRegistration: {"口座の登録だけを行います。お支払いは行われません。", "口座を登録しました", "口座を登録できませんでした"},
	} {
		for i, outcome := range []string{"approved", "declined"} {
			v := r.create(string(method)+outcome, method)
			path := strings.TrimPrefix(v.RedirectURL, "http://till.example.jp")
			_, page := r.get(path)
			require.Contains(t, page, want[0])
			_, page = r.get(r.form(path, url.Values{"outcome": {outcome}}))
			require.Contains(t, page, want[1+i])
		}
	}
	_, page := r.get("/till/list")
	require.Contains(t, page, "口座登録済み")
	require.NotContains(t, page, "口座振替登録 確報")
}
