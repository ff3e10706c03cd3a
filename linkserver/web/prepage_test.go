package web

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestTenantsNoticeStandsBeforeTheQuestions(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	water := *w.water()
	water.PrePage = tenant.PrePage{Notice: "昨日現在でご入金の確認が取れておりません。", NoticeEN: "We have not seen your payment yet."}
	w.must(w.tenants.Apply(t.Context(), water))
	m := w.send(draft{items: questions})
	b := w.newBrowser()
	b.get(w.path(m))
	b.says("昨日現在でご入金の確認が取れておりません。", "認証画面へ")
	b.get(w.path(m) + "?lang=en")
	b.says("We have not seen your payment yet.", "Continue")

	water.PrePage.Notice = "行き違いの際はご容赦ください。"
	w.must(w.tenants.Apply(t.Context(), water))
	b.get(w.path(m) + "?lang=ja")
	b.says("行き違いの際はご容赦ください。")
}

func TestQuestionsComeAtOnceWhereTheTenantWantsNoPageBefore(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	water := *w.water()
	water.PrePage.Skip = true
	w.must(w.tenants.Apply(t.Context(), water))
	m := w.send(draft{items: questions})
	b := w.newBrowser()
	b.get(w.path(m))
	b.says("ご本人の確認", "生年月日", "お客様番号")
	require.Zero(t, w.count(m, message.Opened), "a GET changes nothing")
	b.submit("identify", nil)
	require.Equal(t, 1, w.count(m, message.Opened))
	require.Zero(t, w.count(m, message.Tried), "an empty form is no try")
	b.submit("identify", rightAnswers())
	require.Equal(t, 1, w.count(m, message.Identified))

	plain := w.newBrowser()
	plain.get(w.path(w.send(draft{})))
	plain.says("内容を表示する")
	code := w.newBrowser()
	code.get(w.path(w.send(draft{code: true})))
	code.says("認証画面へ")
}
