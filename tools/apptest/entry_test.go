package apptest

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/recipient"
)

// An SMS with the one address of all recipients: whoever it is for is found there, reads what came by API and by CSV file, and answers.
func TestRecipientComesByTheSharedEntry(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := newCampaigns(t, ctx, Options{ReceiptDelay: 100 * time.Millisecond})
	c.edit(t, "suido.toml", func(def string) string { return def + "[entry]\non = true\n" })
	_, err := c.Command(ctx, "tenant", "apply", "-config", c.File("kakitome.toml"), c.File("suido.toml"))
	require.NoError(t, err)
	entry := c.LinksURL() + "/e/" + Tenant

	d := bill(Number(1), "2026-0001")
	d.Text = "〇〇県水道局です。" + entry
	d.Page.Survey = &message.Survey{Items: []message.SurveyItem{{Title: "ご連絡", Type: "radio", Choices: []string{"希望する", "希望しない"}, Required: true}}}
	a, _, err := c.sender.Send(ctx, d)
	require.NoError(t, err)
	file := "電話番号,本文,タイトル,会員情報,認証:生年月日,認証:氏名カナ,SMS認証\r\n" +
		Number(1) + ",〇〇県水道局です。" + entry + " ,検針のお知らせ,R-1,1980-01-01,スイドウ タロウ,有\r\n"
	path := "/v1/uploads/" + c.call(http.MethodPost, "/v1/uploads", map[string]any{"name": "a.csv", "size": len(file)}, 201).ID.String()
	_, _, err = c.sender.send(ctx, http.MethodPut, path+"?offset=0", "application/octet-stream", []byte(file), 200)
	require.NoError(t, err)
	c.until(path, func(st *campaign.State) bool { return st.Phase == campaign.Staged })
	c.call(http.MethodPost, path+"/release", map[string]any{}, 202)
	c.until(path, func(st *campaign.State) bool { return st.Phase == campaign.Done })

	p := &recipient.Person{Number: Number(1), SMSC: c.SMSCURL(), Browser: recipient.NewBrowser()}
	sms, err := p.Receive(ctx, "水道局", time.Time{})
	require.NoError(t, err)
	require.Contains(t, sms.Text, entry)
	all, err := c.sender.Messages(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, m := range all {
		afterSubmission(t, ctx, c.sender, m.ID)
	}
	ledger, err := recipient.Ledger(ctx, c.SMSCURL(), time.Time{})
	require.NoError(t, err)
	require.Len(t, ledger, 2)
	for _, m := range ledger {
		require.NotContains(t, m.Text, "/a/", "a text with the entry's address has no link")
	}

	require.NoError(t, p.Get(ctx, recipient.Link(sms.Text)))
	require.Contains(t, p.Shown.Header.Get("X-Robots-Tag"), "noindex")
	require.NoError(t, p.Submit(ctx, "open", nil))
	typed := url.Values{"phone": {Number(1)}, "birth_date": {"1980年1月2日"}, "kana_name": answers["kana_name"]}
	require.NoError(t, p.Submit(ctx, "identify", typed))
	require.Contains(t, p.Shown.Text, "認証番号の入力", "nobody learns that nobody was found")
	require.NoError(t, p.Submit(ctx, "again", nil))
	typed["birth_date"] = answers["birth_date"]
	require.NoError(t, p.Identify(ctx, typed))
	require.Contains(t, p.Shown.Text, "水道料金のお知らせ")
	require.Contains(t, p.Shown.Text, "検針のお知らせ")
	ledger, err = recipient.Ledger(ctx, c.SMSCURL(), time.Time{})
	require.NoError(t, err)
	require.Len(t, ledger, 3, "one code went out")

	require.NoError(t, p.Submit(ctx, "pick", url.Values{"message": {a.ID}}))
	require.Contains(t, p.Shown.Text, "いつもご利用ありがとうございます。")
	require.NoError(t, p.Submit(ctx, "answer", url.Values{"q0": {"希望する"}}))
	require.Contains(t, p.Shown.Text, "ご回答ありがとうございました")
	m, err := c.sender.Message(ctx, a.ID)
	require.NoError(t, err)
	require.True(t, m.OpenedAt != nil && m.IdentifiedAt != nil && m.AnsweredAt != nil)

	// The list outlives the program, and the other message was not touched.
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	require.NoError(t, p.Get(ctx, entry))
	other := all[0].ID
	if other == a.ID {
		other = all[1].ID
	}
	m, err = c.sender.Message(ctx, other)
	require.NoError(t, err)
	require.Nil(t, m.OpenedAt)
	require.NoError(t, p.Submit(ctx, "pick", url.Values{"message": {other}}))
	require.Contains(t, p.Shown.Text, "検針のお知らせ")
	m, err = c.sender.Message(ctx, other)
	require.NoError(t, err)
	require.True(t, m.OpenedAt != nil && m.IdentifiedAt != nil)
	for _, secret := range []string{"スイドウ", "ｽｲﾄﾞｳ", "昭和55年", Number(1), Number(1)[1:]} {
		require.NotContains(t, c.Engine.Log(), secret)
	}
}
