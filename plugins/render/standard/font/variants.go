package font

import (
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Kanji outside of the Basic Multilingual Plane, each behind the form of it that is inside: what JIS X 0213 calls its 関連字,
// and of 戸籍統一文字, whose 正字 is before its 異体字, what stands in family names.
const (
	ofJIS = `
		丈𠀋 倆𠈓 儼𠑊 剣𠝏 叱𠮟 土𡈽 埣𡉻 壚𡉴 壗𡋤 野𡌛 宇𡧃 岸𡶜 岪𡶒 嶧𡵸 嶢𡸳 嶮𡸴 鹿𢈘 廻𢌞 徳𢛳 懣𢡛
		掎𢰤 擣𢭏 撈𢭐 撿𢮦 晩𣆶 舂𣇃 栲𣑥 橈𣓤 橋𣘺 栃𣜜 爵𣝣 欟𣠤 欛𣠽 泰𣳾 涅𣵀 添𣷹 濶𤄃 畝𤰖 瞼𥇥 睨𥆩
		瞞𥈞 碕𥔎 竈𥧄 籅𥫣 簗𥱋 粼𥻘 塩𦣪 脛𦙾 脇𦚰 臍𦜝 艾𦫿 蔭𦹥 旧𦾔 襷𧜎 謳𧦅 渓𧮾 豅𧯇 蹈𨂻 辛𨐌 邃𨗉
		鋏𨦇 鏘𨪙 鑵𨫝 隴𨻫 蔭𨼲 鶏𨿸 饒𩜙 齟𪗱 齬𪘚 齧𪘂`
	ofNames = `今𫝆 原𠩤 吉𠮷`
)

var variants = sync.OnceValue(func() map[rune]rune {
	m := map[rune]rune{}
	for _, pair := range strings.Fields(ofJIS + " " + ofNames) {
		inside, n := utf8.DecodeRuneInString(pair)
		outside, _ := utf8.DecodeRuneInString(pair[n:])
		m[outside] = inside
	}
	return m
})

// common is the form of a character that is inside of the Basic Multilingual Plane; itself where there is none. A compatibility
// ideograph has the one that Unicode decomposes it to (U+2F80F: 兔).
func common(r rune) rune {
	if c, ok := variants()[r]; ok {
		return c
	}
	if c, n := utf8.DecodeRuneInString(norm.NFC.String(string(r))); n < utf8.UTFMax {
		return c
	}
	return r
}
