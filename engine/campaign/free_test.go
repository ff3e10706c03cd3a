package campaign

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestColumnOfAQuestionInTheSendersWords(t *testing.T) {
	for header, want := range map[string]string{"自由認証:ペットの名前": "ペットの名前", "自由認証： 出身校 ": "出身校", "identity:free:First school": "First school"} {
		col, ok := parseHeader(header, nil)
		require.True(t, ok, header)
		require.Equal(t, columnFree, col.kind)
		require.Equal(t, want, col.name)
	}
	_, ok := parseHeader("自由認証:", nil)
	require.False(t, ok)
}

func TestColumnOfAModulesField(t *testing.T) {
	for header, want := range map[string][2]string{"認証:oidc": {"oidc"}, "認証：oidc/name_birthdate": {"oidc", "name_birthdate"}, "identity: member_no": {"member_no"}} {
		col, ok := parseHeader(header, nil)
		require.True(t, ok, header)
		require.Equal(t, column{kind: columnModule, name: want[0], level: want[1]}, col)
	}
	for _, header := range []string{"認証:", "認証:会員番号", "認証:oidc/", "認証:oidc/a/b", "identity:Oidc"} {
		_, ok := parseHeader(header, nil)
		require.False(t, ok, header)
	}
	col, _ := parseHeader("認証:生年月日", nil)
	require.Equal(t, columnAnswer, col.kind)
	r := one(t, []string{"電話番号", "タイトル", "認証:oidc/name_birthdate"}, []string{"09000010001", "お知らせ", "山田 太郎;1998-01-01"})
	require.Empty(t, r.faults)
	require.Equal(t, []message.IdentityItem{{Field: "oidc", Level: "name_birthdate", Value: "山田 太郎;1998-01-01"}}, r.draft.Identity.Items)
}
