package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// settingsOf is the form as it stands there when nothing is changed.
func settingsOf(b *browser) []string {
	return []string{"was", b.was, "name", "〇〇県水道局", "public", "1", "template.name", "bill", "template.text", "{name}様 〇〇県水道局からお支払いに関するお知らせです。{url}"}
}

func TestAdministratorSetsWhatATenantIsSetBy(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	before := *r.tenant("mizu")
	require.Contains(t, b.get("/settings").body, "送信しない時間帯")
	a := b.post("/settings", settingsOf(b)...)
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	require.Equal(t, before, *r.tenant("mizu"), "the form as it was opened changes nothing")
	require.NotContains(t, b.get("/brand").body, "お支払いのメニュー")

	b.get("/settings")
	a = b.post("/settings", "was", b.was, "name", "書留水道局", "name_en", "Kakitome Water", "brand.public.name", "書留県水道局", "brand.public.site", "https://example.jp/", "brand.public.never_asks", "暗証番号\r\n\r\nカード番号",
		"prepage.notice", "昨日（{yesterday}）現在\r\nご入金を確認できません。", "policy.identity.fields", "birth_date", "policy.identity.fields", "kana_name", "policy.identity.code", "1",
		"policy.code_digits", "4", "policy.split_name", "1", "policy.kana_level", "L3", "policy.birth_years", "60", "policy.max_segments", "3", "policy.token_length", "8", "policy.past_notices", "12", "policy.claim_menu", "1",
		"policy.stop_words", "不要", "policy.excluded_products", "住宅ローン\n和解契約", "policy.canary_minutes", "30", "paid_sms.when", "confirmed", "paid_sms.template", "thanks", "paid_sms.sender", "default",
		"template.name", "", "template.text", "", "template.name", "thanks", "template.text", "{amount}円のご入金を確認しました。")
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	now := r.tenant("mizu")
	require.Equal(t, tenant.Settings{Name: "書留水道局", NameEN: "Kakitome Water", Public: tenant.Public{Hidden: true, Name: "書留県水道局", Site: "https://example.jp/", NeverAsks: []string{"暗証番号", "カード番号"}},
		PrePage: tenant.PrePage{Notice: "昨日（{yesterday}）現在\nご入金を確認できません。"}, PaidSMS: tenant.PaidSMS{When: "confirmed", Template: "thanks", Sender: "default"},
		Templates: []tenant.Template{{Name: "thanks", Text: "{amount}円のご入金を確認しました。"}}, Identity: tenant.Chain{Fields: []string{"birth_date", "kana_name"}, Code: true},
		KanaLevel: "L3", CodeDigits: 4, BirthYears: 60, SplitName: true, MaxSegments: 3, TokenLength: 8, PastNotices: 12, ClaimMenu: true, StopWords: []string{"不要"}, Excluded: []string{"住宅ローン", "和解契約"}, Canary: 30}, now.Settings())
	require.Equal(t, before.Senders, now.Senders)
	require.Equal(t, before.Agents, now.Agents)
	require.Equal(t, before.Brand.Phone, now.Brand.Phone)
	audit := b.get("/audit").body
	require.Contains(t, audit, "設定変更")
	require.Contains(t, audit, "policy.code_digits: 0 → 4")
	form := b.get("/settings").body
	require.Contains(t, form, "書留県水道局")
	require.Contains(t, form, `name="policy.claim_menu" value="1" checked`)
	require.Contains(t, b.get("/brand").body, "お支払いのメニュー", "it is shown with the brand")
}

// How easily the chain is guessed stands beside it as it is saved, and is warned of above 1 in 1,000; the operator sees it of all tenants.
func TestHowEasilyTheChainIsGuessedIsShownWhereItIsSet(t *testing.T) {
	r := openRoom(t)
	b, operator := r.enter("admin@mizu"), r.enter("operator")
	const warned, field = "推測されやすい組み合わせです", "policy.identity.fields"
	a := b.get("/settings").body
	require.Contains(t, a, "必ず確認する項目は設定されていません")
	require.NotContains(t, a, warned)
	require.Contains(t, operator.get("/tenants").body, "項目なし（メッセージごと）")
	for _, c := range []struct {
		chain []string
		want  []string
		warns bool
	}{
		{[]string{field, "birth_date"}, []string{"約1,000人に1人"}, false},
		{[]string{field, "birth_date", "policy.birth_years", "5"}, []string{"約121人に1人"}, true},
		{[]string{field, "postcode"}, []string{"誰でも通過できます"}, true},
		{[]string{field, "postcode", "policy.identity.code", "1"}, []string{"約88,888人に1人", "誰でも通過できます"}, false},
		{[]string{"policy.identity.code", "1", "policy.code_digits", "4"}, []string{"約666人に1人"}, true},
		{[]string{field, "birth_date", field, "kana_name", "policy.identity.code", "1"}, []string{"約133,333,333,333人に1人", "約2,000,000人に1人"}, false},
		{[]string{field, "free", field, "of_old"}, []string{"誰でも通過できます", "計算に含まれていません：自由な質問、of_old"}, true},
	} {
		b.get("/settings")
		require.Equal(t, http.StatusSeeOther, b.post("/settings", append(settingsOf(b), c.chain...)...).status)
		shown := b.get("/settings").body
		for _, want := range c.want {
			require.Contains(t, shown, want, c.chain)
		}
		require.Equal(t, c.warns, strings.Contains(shown, warned), c.chain)
		tenants := operator.get("/tenants").body
		require.Contains(t, tenants, c.want[0], c.chain)
		require.Equal(t, c.warns, strings.Contains(tenants, "badge warn"), c.chain)
	}
	// a form that is refused says what is saved
	require.Contains(t, b.post("/settings", append(settingsOf(b), field, "birth_date", "policy.code_digits", "3")...).body, "計算に含まれていません：自由な質問")
}

func TestFaultsOfSettingsStandBesideTheirField(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	b.get("/settings")
	a := b.post("/settings", append(settingsOf(b), "policy.code_digits", "六")...)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "半角の数字で入力してください")
	a = b.post("/settings", append(settingsOf(b), "policy.code_digits", "3", "policy.token_length", "7", "brand.public.site", "http://example.jp", "paid_sms.when", "confirmed", "paid_sms.template", "bill",
		"policy.stop_words", "不要\nとてもとてもとてもとても長い返信の言葉です", "template.name", "Bad Name", "template.text", "x")...)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	for _, want := range []string{"3は指定できません。4〜8で指定してください", "7は指定できません。8〜16で指定してください", "https:// で始まるURL", "定型文&#34;bill&#34;に {url} があります", "2行目：", "&#34;Bad Name&#34;は使用できません"} {
		require.Contains(t, a.body, want)
	}
	require.Equal(t, http.StatusUnprocessableEntity, b.post("/settings", "was", b.was, "name", "").status)
	require.NotContains(t, r.actions("mizu"), "settings.set")
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").get("/settings").status)
}

func TestSecondOfTwoWhoSetIsTold(t *testing.T) {
	r := openRoom(t)
	one, two := r.enter("admin@mizu"), r.enter("admin@mizu")
	one.get("/settings")
	two.get("/settings")
	require.Equal(t, http.StatusSeeOther, one.post("/settings", append(settingsOf(one), "prepage.notice", "先の案内")...).status)
	mine := append(settingsOf(two), "prepage.notice", "後の案内", "policy.past_notices", "3")
	a := two.post("/settings", mine...)
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "ほかの方が設定を保存しました")
	require.Contains(t, a.body, "先の案内", "what is saved")
	require.Contains(t, a.body, "後の案内", "what was typed")
	require.Equal(t, "先の案内", r.tenant("mizu").PrePage.Notice)
	mine[1] = two.was
	require.Equal(t, http.StatusSeeOther, two.post("/settings", mine...).status, "once more, and knowing it")
	require.Equal(t, "後の案内", r.tenant("mizu").PrePage.Notice)
	require.Equal(t, 3, r.tenant("mizu").Policy.PastNotices)

	// a change of the branding is none of the settings, and loses nothing of them
	two.get("/brand")
	one.get("/settings")
	require.Equal(t, http.StatusSeeOther, one.post("/settings", append(settingsOf(one)[:4:4], "brand.public.name", "正式名称")...).status)
	require.Equal(t, http.StatusSeeOther, two.brandPost(nil, "do", "save", "phone", "000-111-2222").status)
	require.Equal(t, "正式名称", r.tenant("mizu").Brand.Public.Name)
}
