package web

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// offer has the tenant take these methods.
func (w *world) offer(methods ...string) {
	w.t.Helper()
	t := *w.water()
	t.Agents = []tenant.Agent{{Name: "till", Module: "payment/till", Methods: methods}}
	w.must(w.tenants.Apply(w.t.Context(), t))
}

func (w *world) claim(m *sent) payment.State {
	w.t.Helper()
	c, err := w.payments.Claim(w.ctx(), tenant.Only("water"), m.head.Claim)
	w.must(err)
	return c
}

// choose goes from the notice to what follows a method.
func (b *browser) choose(method string) {
	b.t.Helper()
	b.submit("checkout", url.Values{"method": {method}})
	b.submit("pay", url.Values{"method": {method}})
}

// deposit is money that came in for the claim's first attempt.
func (w *world) deposit(m *sent, id string, yen int64) {
	w.t.Helper()
	data, err := json.Marshal(payment.Deposit{Attempt: w.claim(m).Attempts[0].ID, ID: id, Yen: yen, Paid: w.now()})
	w.must(err)
	w.commit(store.Tx{{Ref: store.Ref{Tenant: "water", Kind: store.Claim, ID: m.head.Claim}, Expect: store.Any,
		Events: []store.NewEvent{{Type: byte(payment.Deposited), At: w.now(), Data: data}}}})
}

func TestPartOfATransferShowsTheAccountAndTheRest(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("transfer")
	w.modules.voucher = &proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Branch: "本店", Kind: "普通", Number: "1234567", Holder: "スイドウキョク"}}
	m := w.send(draft{claim: bill(w, "A-1")})
	b := w.opened(m)
	b.submit("checkout", url.Values{"method": {"transfer"}})
	b.says("お振込先の口座を表示します")
	b.submit("pay", url.Values{"method": {"transfer"}})
	b.says("1234567", "次の口座へのお振込み")
	w.deposit(m, "s1", 1000)
	b.get(w.path(m))
	b.says("ご入金を一部確認しました", "残りのお支払い金額", "6,440円", "1,000円", "1234567", "/mail")
	require.NotContains(t, b.shown.body, "/cancel", "money is there")
	require.True(t, b.waits())
	w.deposit(m, "s2", w.claim(m).Amount)
	b.get(w.path(m))
	b.says("お支払情報（確定）", "ご請求額より 1,000円 多くご入金いただいています")
	now := w.claim(m)
	j := now.JSON(w.now())
	require.Equal(t, int64(1000), j.Overpaid, "the sender is told")
	require.Equal(t, payment.Overpaid, j.Alerts[0].Code)
}

// A part came to the account, and the rest was settled at the counter: the page asks for no method any more.
func TestPageOfAClaimWhoseRestWasSettledAsksForNothing(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("transfer")
	m := w.send(draft{claim: bill(w, "A-1")})
	b := w.opened(m)
	b.choose("transfer")
	w.deposit(m, "s1", 1000)
	remaining := int64(6440)
	_, err := w.payments.Patch(t.Context(), w.water(), "A-1", payment.Patch{Settled: true, Remaining: &remaining}, "user:hanako")
	require.NoError(t, err)
	b.get(w.path(m))
	b.says("お支払い状況", "お支払い済み")
	require.NotContains(t, b.shown.body, "/checkout")
	require.NotContains(t, b.shown.body, "お支払い方法をお選びください")
}

// What has a payment behind it and can be paid no more offers no method, not that of the payment either.
func TestNoMethodIsOfferedWhereNothingCanBePaid(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("transfer")
	w.modules.voucher = &proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Branch: "本店", Kind: "普通", Number: "1234567", Holder: "スイドウキョク"}}
	m := w.send(draft{claim: bill(w, "A-1"), expires: 60 * 24 * time.Hour, until: 90 * 24 * time.Hour})
	w.opened(m).choose("transfer")
	w.deposit(m, "s1", 1000)
	w.pass(22 * 24 * time.Hour) // the claim is overdue, the link is not
	b := w.opened(m)
	b.says("残りのお支払い金額", "6,440円")
	require.NotContains(t, b.shown.body, "/checkout")
}

func TestRegistrationOfAnAccountIsSaidToBeNoPayment(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("account", "card")
	m := w.send(draft{claim: bill(w, "A-1")})
	b := w.opened(m)
	b.says("口座の登録のみです。今回のお支払いは行われません")
	b.submit("checkout", url.Values{"method": {"account"}})
	b.says("口座振替のお申し込み内容の確認", "口座振替のお申し込みに進む")
	b.submit("pay", url.Values{"method": {"account"}})
	b.says("口座振替のお申し込みページへの移動", "pay.example.jp")
	w.modules.mu.Lock()
	for _, p := range w.modules.payments {
		p.State = proto.PaymentState_REGISTERED
	}
	w.modules.mu.Unlock()
	b.submit("state", nil)
	b.says("口座振替の登録を受け付けました", "今回お金は動いていません", "このご請求は、お引き落としの対象ではありません", "クレジットカード")
	require.NotContains(t, b.shown.body, "receipt.pdf")
	require.NotContains(t, b.shown.body, `value="account"`, "it is registered once")
	require.Equal(t, payment.Unpaid, w.claim(m).Phase)
	b.submit("checkout", nil)
	b.says("お支払い方法が選択されていません", "口座振替の登録を受け付けました")
	b.submit("checkout", url.Values{"method": {"card"}})
	b.submit("pay", url.Values{"method": {"card"}})
	b.says("決済会社のページへの移動", "口座振替のお申し込み", "受け付けました（")
	w.modules.pay(w, proto.PaymentState_CONFIRMED)
	w.pass(time.Minute)
	b.submit("state", nil)
	b.says("お支払情報（確定）")

	c := bill(w, "A-2")
	c.Debit = true
	m = w.send(draft{claim: c})
	b = w.opened(m)
	b.choose("account")
	w.modules.mu.Lock()
	for _, p := range w.modules.payments {
		p.State = proto.PaymentState_REGISTERED
	}
	w.modules.mu.Unlock()
	b.submit("state", nil)
	b.says("口座振替の登録を受け付けました", "ご登録の口座からお引き落としします", "ほかの方法でのお支払いは必要ありません")
	require.NotContains(t, b.shown.body, "/checkout")
	require.Equal(t, payment.IsRegistered, w.claim(m).Phase)
}

func TestPayEasyShowsItsThreeNumbers(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("pay_easy")
	w.modules.voucher = &proto.Voucher{Institution: "99081", PaymentNumber: "6123456789012345", ConfirmationNumber: "123456"}
	b := w.opened(w.send(draft{claim: bill(w, "A-1")}))
	b.choose("pay_easy")
	b.says("ペイジーでのお支払い", "収納機関番号", "99081", "お客様番号（納付番号）", "6123456789012345", "確認番号", "123456", "インターネットバンキング")
	require.NotContains(t, b.shown.body, "sheet.pdf")
	require.NotContains(t, b.shown.body, "レジで")
}

func TestWalletLeadsToTheCompanysPage(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("wallet")
	b := w.opened(w.send(draft{claim: bill(w, "A-1")}))
	b.choose("wallet")
	b.says("ウォレットのアプリまたはページで", "決済会社のページへ進む")
}

func TestPayersNumberTakesHisOtherBillsAlong(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.offer("payer_number", "card")
	w.modules.voucher = &proto.Voucher{PaymentNumber: "7123456789012"}
	first, second := w.send(draft{claim: bill(w, "A-1"), reference: "C-1"}), w.send(draft{claim: bill(w, "A-2"), reference: "C-1"})
	other, nobody := w.send(draft{claim: bill(w, "B-1"), reference: "C-2"}), w.send(draft{claim: bill(w, "D-1")})
	paying := w.send(draft{claim: bill(w, "A-3"), reference: "C-1"})
	w.opened(paying).choose("card")
	b := w.opened(first)
	b.choose("payer_number")
	b.says("お客様専用のお支払い番号", "7123456789012", "次回からのお支払いにもそのままお使いいただけます")
	for m, want := range map[*sent]payment.Phase{first: payment.AwaitingMoney, second: payment.AwaitingMoney, other: payment.Unpaid, nobody: payment.Unpaid, paying: payment.InProgress} {
		require.Equal(t, want, w.claim(m).Phase, w.claim(m).Number)
	}
	w.opened(nobody).choose("payer_number")
	w.modules.mu.Lock()
	defer w.modules.mu.Unlock()
	key := func(i int) string { return w.modules.payers[i] }
	require.Len(t, w.modules.payers, 4)
	require.Empty(t, key(0), "of a card nobody needs to know")
	require.Regexp(t, "^[0-9a-f]{32}$", key(1))
	require.Equal(t, key(1), key(2))
	require.NotEqual(t, key(1), key(3), "without a reference each claim is its own")
}

func TestNumberByMail(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	m := w.send(draft{items: questions, claim: bill(w, "A-1"), email: "hanako@example.jp"})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	action := strings.TrimSuffix(w.path(m), "/") + "/mail"
	_, token := b.form("checkout")
	b.post(action, url.Values{"form": {token}, "address": {"taro@example.jp"}})
	require.Empty(t, w.state(m).Mails, "there is no number yet")
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	b.says("番号をメールで受け取る", "ご登録のアドレス h***@e***.jp")
	require.NotContains(t, b.shown.body, "hanako")
	b.submit("mail", url.Values{"address": {"taro@example.jp\r\nBcc: all@example.jp"}})
	b.says("メールアドレスの形式をご確認ください", `aria-invalid="true"`)
	require.Empty(t, w.state(m).Mails)
	b.submit("mail", url.Values{"address": {" ｔａｒｏ＠example.jp"}})
	b.says("t***@e***.jp へのメール送信を承りました")
	require.NotContains(t, b.shown.body, "taro@")
	b.get(w.path(m))
	b.says("t***@e***.jp へ送信しました")
	b.submit("mail", nil)
	b.says("h***@e***.jp へのメール送信を承りました")
	b.submit("mail", url.Values{"address": {"jiro@example.jp"}})
	require.Len(t, w.state(m).Mails, 3)
	b.says("本日はこれ以上メールを送信できません")
	require.NotContains(t, b.shown.body, "/mail\"")
	_, token = b.form("state")
	b.post(action, url.Values{"form": {token}, "address": {"shiro@example.jp"}})
	require.Len(t, w.state(m).Mails, 3)
	for _, e := range w.events(m) {
		require.NotContains(t, string(e.Data), "taro")
	}
	require.NotContains(t, w.logged(), "taro")

	w.modules.pay(w, proto.PaymentState_PROVISIONAL)
	w.pass(2 * time.Minute)
	b.submit("state", nil)
	require.NotContains(t, b.shown.body, "/mail", "what is paid is not sent")
}

// The button says what it is about, and who cannot choose another way later is told that there is one number.
func TestConfirmationSaysTheAmountAndThatItIsIssuedOnce(t *testing.T) {
	const once = "発行後、再度発行することはできません"
	for _, plain := range []bool{false, true} {
		w := newWorld(t, DefaultConfig())
		w.modules.plain.Store(plain)
		for _, methods := range [][]string{{"konbini_number"}, {"pay_easy"}, {"konbini_number", "card"}, {"payer_number"}, {"transfer"}, {"card"}} {
			w.offer(methods...)
			b := w.opened(w.send(draft{claim: bill(w, strings.ReplaceAll(strings.Join(methods, "-"), "_", "-"))}))
			b.submit("checkout", url.Values{"method": methods[:1]})
			b.says("7,440円のお支払い手続きに進む")
			single := len(methods) == 1 && (methods[0] == "konbini_number" || methods[0] == "pay_easy")
			require.Equal(t, single, strings.Contains(b.shown.body, once), methods)
			b.submit("pay", url.Values{"method": methods[:1], "store": {"cvs1"}})
			require.Equal(t, single, strings.Contains(b.shown.body, once), methods)
			require.Equal(t, len(methods) > 1 || methods[0] == "card", strings.Contains(b.shown.body, "/cancel"), methods)
		}
	}
}
