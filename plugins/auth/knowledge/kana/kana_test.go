package kana

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Real spellings of names: what is registered, what is typed, at each level.
func TestSpellingsOfOneName(t *testing.T) {
	for _, c := range []struct {
		want  string
		level Level
		as    []string
	}{
		{"ヤマダハナコ", Width, []string{"ヤマダ ハナコ", "ヤマダ　ハナコ", "やまだ　はなこ", "ﾔﾏﾀﾞ ﾊﾅｺ", "ﾔﾏﾀﾞﾊﾅｺ", "ヤマダハナコ", " ヤマダ\tハナコ\n", "やまだハナコ", "ヤマタ゛ハナコ", "ﾔﾏﾀ゛ﾊﾅｺ", "ヤマダ\u200bハナコ", "ヤマダ　　ハナコ\u00a0", "ヤマタ\u3099ハナコ", "ヤマダ - ハナコ", "\ufeffヤマダハナコ"}},
		{"パパスグル", Width, []string{"ﾊﾟﾊﾟ ｽｸﾞﾙ", "ハ゜ハ゜スク゛ル", "ぱぱすぐる", "ハ\u309aハ\u309aスク\u3099ル", "ハ゜ ハ ゜スク ゛ル"}},
		{"サトータロー", Width, []string{"サトー タロー", "サト- タロ-", "サト－タロ－", "サト‐タロ‐", "サト−タロ−", "サト―タロ―", "サト—タロ—", "サト–タロ–", "ｻﾄｰ ﾀﾛｰ", "さとーたろー", "サト~タロ〜", "サト─タロ━"}},
		{"ヴァンヴー", Width, []string{"ヴァン ヴー", "ｳﾞｧﾝ ｳﾞｰ", "ゔぁんゔー", "ウ゛ァン ウ゛ー"}},
		{"ショウジユウキ", Width, []string{"ショウジ ユウキ", "ｼｮｳｼﾞ ﾕｳｷ", "しょうじ　ゆうき"}},
		{"シヨウジユウキ", Small, []string{"ショウジ ユウキ", "シヨウジ ユウキ", "ｼﾖｳｼﾞ ﾕｳｷ", "しょうじゆうき", "ショウジユゥキ"}},
		{"ハツトリキヨウコ", Small, []string{"ハットリ キョウコ", "ﾊﾂﾄﾘ ｷﾖｳｺ", "はっとり　きょうこ", "ﾊｯﾄﾘｷｮｳｺ", "ハツトリキョウコ"}},
		{"ミツケンイチ", Small, []string{"ミッ ケンイチ", "ミツ ヶンイチ", "ﾐﾂｹﾝｲﾁ"}},
		{"カワグチマリ", Small, []string{"ヵワグチマリ", "ゕわぐちまり", "カヮグチマリ", "ｶﾜｸﾞﾁ ﾏﾘ"}},
		{"フイリツプス", Small, []string{"フィリップス", "ﾌｨﾘｯﾌﾟｽ", "ふぃりっぷす"}},
		{"ムクル", Small, []string{"ムㇰル", "ムクㇽ"}},
		{"ミスズ", Width, []string{"みすゞ", "ミスヾ", "ミスズ", "みすず", "ミスス゛"}},
		{"ナナコ", Width, []string{"なゝこ", "ナヽコ", "ななこ"}},
		{"マイケル・ジョン", Width, []string{"マイケル・ジョン", "ﾏｲｹﾙ･ｼﾞｮﾝ", "まいける・じょん"}},
		{"マイケルジヨン", Reading, []string{"マイケル・ジョン", "マイケル ジョン", "ﾏｲｹﾙ･ｼﾞﾖﾝ", "マイケル･ヂョン"}},
		{"サトタロ", Reading, []string{"サトー タロー", "サト- タロ", "ｻﾄｰﾀﾛｰ"}},
		{"バン", Reading, []string{"ヴァン", "バン", "ヷン", "ｳﾞｧﾝ", "ゔぁん", "ヴアン"}},
		{"ビビアンベラボブ", Reading, []string{"ヴィヴィアン ヴェラ ヴォヴ", "ビビアン ベラ ボブ", "ヸヸアンヹラヺブ"}},
		{"レビユ", Reading, []string{"レヴュー", "レビュー", "ﾚﾋﾞﾕｰ"}},
		{"アズマジンイチ", Reading, []string{"アヅマ ジンイチ", "アズマ ヂンイチ", "あづまぢんいち", "ｱﾂﾞﾏ ﾁﾞﾝｲﾁ"}},
		{"イノウエカオリ", Reading, []string{"ヰノウエ カヲリ", "イノウヱ カオリ", "いのうえ　かをり", "ｲﾉｳｴ ｶｦﾘ"}},
		{"カ)マルマル", Width, []string{"カ)マルマル", "カ）マルマル", "ｶ)ﾏﾙﾏﾙ", "か）まるまる"}},
		{"JOHNスミス", Width, []string{"Ｊｏｈｎ スミス", "john すみす", "JOHN ｽﾐｽ"}},
		{"A-1ビル", Width, []string{"Ａ－１ビル", "a-1 ﾋﾞﾙ"}},
	} {
		for _, as := range c.as {
			got, err := Canonical(as, c.level)
			require.NoError(t, err, as)
			require.Equal(t, c.want, got, as)
		}
	}
}

func TestWhatALevelKeepsApart(t *testing.T) {
	for _, c := range []struct {
		level Level
		a, b  string
	}{
		{Width, "ショウジ", "シヨウジ"},
		{Width, "サトー", "サト"},
		{Small, "アヅマ", "アズマ"},
		{Small, "ヴァン", "バン"},
		{Small, "サトウ", "サトー"},
		{Small, "カオリ", "カヲリ"},
		{Reading, "ハルカ", "バルカ"},
		{Reading, "ヤマダ", "ヤマタ"},
		{Reading, "ヒロシ", "ヒロコ"},
	} {
		a, err := Canonical(c.a, c.level)
		require.NoError(t, err)
		b, err := Canonical(c.b, c.level)
		require.NoError(t, err)
		require.NotEqual(t, a, b)
	}
}

func TestWhatIsNoKanaIsRefused(t *testing.T) {
	for in, want := range map[string]error{
		"":                           ErrEmpty,
		" 　\t":                       ErrEmpty,
		"-":                          ErrEmpty,
		"abc":                        ErrEmpty,
		"YAMADA TARO":                ErrEmpty,
		"19980101":                   ErrEmpty,
		"ー":                          ErrEmpty,
		"・":                          ErrEmpty,
		"山田花子":                       ErrNotKana,
		"ヤマダ花子":                      ErrNotKana,
		"ヤマダ,ハナコ":                    ErrNotKana,
		"ヤマダ😀":                       ErrNotKana,
		"ア゛":                         ErrNotKana,
		"゛ヤマダ":                       ErrNotKana,
		"ゝヤマダ":                       ErrNotKana,
		"ヤマダ\x00":                    ErrNotKana,
		"ヤマダ\xff":                    ErrNotKana,
		"Jürgen":                     ErrNotKana,
		strings.Repeat("ア", 101):     ErrTooLong,
		strings.Repeat(" ", 100_000): ErrTooLong,
	} {
		_, err := Canonical(in, Small)
		require.ErrorIs(t, err, want, "%q", in)
	}
	_, err := Canonical("ーー・", Reading)
	require.ErrorIs(t, err, ErrEmpty)
}
