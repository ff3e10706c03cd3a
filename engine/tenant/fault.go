package tenant

import "fmt"

// FieldError is a fault of one field of a definition, which is named as in the file.
type FieldError struct {
	Field  string
	format string // English, with the verbs of args; faultWords has the Japanese
	args   []any
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Text("en") }

// Text says what is wrong, without the field's name. lang is "ja" or "en".
func (e *FieldError) Text(lang string) string {
	if ja, ok := faultWords[e.format]; ok && lang == "ja" {
		return fmt.Sprintf(ja, e.args...)
	}
	return fmt.Sprintf(e.format, e.args...)
}

// faultWords are the Japanese of faults. A fault of Quiet, Duplicate, Limit or Retention ("%v") and of a registration number is
// the operator's to read, in English.
var faultWords = map[string]string{
	"%d fields, at most %d":                                "%d項目が指定されています。%d項目までです",
	"%q is no name of a field":                             "%qという項目名はありません",
	"%q stands twice":                                      "%qが重複しています",
	"class %q stands there twice":                          "種別%qが重複しています",
	"class %q is given twice":                              "種別%qが重複しています",
	"there is no sender %q":                                "送信元%qは登録されていません",
	"sender %q stands there twice":                         "送信元%qが重複しています",
	"%q must be %q or %q, or empty for none":               "%qは指定できません（%q、%q、または送信しない場合は空欄）",
	"there is no template %q":                              "定型文%qは登録されていません",
	"has %d characters, %d are allowed":                    "%d文字あります。%d文字以内で入力してください",
	"has %d characters, 1 to %d are allowed":               "%d文字あります。1〜%d文字で入力してください",
	"has %d characters, 1 to 40 are allowed":               "%d文字あります。1〜40文字で入力してください",
	"has %d characters, 1 to 20 are allowed":               "%d文字あります。1〜20文字で入力してください",
	"must be an https address of at most %d characters":    "https:// で始まるURL（%d文字以内）を入力してください",
	"has %d entries, %d are allowed":                       "%d件あります。%d件以内にしてください",
	"%d must be 1 to %d; 0 is the default of %d":           "%dは指定できません。1〜%dで指定してください（0は標準の%d）",
	"%q must be 2 to 32 of a-z, 0-9 and \"-\", and not %q": "%qは使用できません。半角の英小文字・数字と - で2〜32文字にしてください（%qは不可）",
	"is the tenant itself":                                 "自分自身は指定できません",
	"%q is no address or network":                          "%qはIPアドレスまたはネットワークではありません",
	"%q is no host":                                        "%qはホスト名ではありません",
	"%q must be L1, L2 or L3":                              "%qは指定できません（L1、L2、L3のいずれか）",
	"%d must be 4 to 8":                                    "%dは指定できません。4〜8で指定してください",
	"%d must be 1 to 100":                                  "%dは指定できません。1〜100で指定してください",
	"%d must be 1 to 10,000,000":                           "%dは指定できません。1〜10,000,000で指定してください",
	"%d must be 1 to 10":                                   "%dは指定できません。1〜10で指定してください",
	"%d must be 0 to 24":                                   "%dは指定できません。0〜24で指定してください",
	"%d must be 8 to 16":                                   "%dは指定できません。8〜16で指定してください",
	"%d must not be negative":                              "%dは指定できません。0以上で指定してください",
	"%q must be 1 to 32 of a-z, 0-9, \"_\" and \"-\"":      "%qは使用できません。半角の英小文字・数字と _ - で1〜32文字にしてください",
	"%q stands there twice":                                "%qが重複しています",
	"%q must be 3 to 15 digits":                            "%qは使用できません。3〜15桁の数字にしてください",
	"there are no labels of the kind %q":                   "表示名の種類%qはありません",
	"there is no such code":                                "このコードはありません",
	"must be one line, without space around it":            "前後に空白のない1行で入力してください",
	"is required":                                          "入力してください",
	"%q must begin with payment/":                          "%qは指定できません（payment/ で始まる名前）",
	"template %q has {url}, and this message has no page of its own: use {link}": "定型文%qに {url} があります。このSMSには専用のページがないため、{link} を使用してください",
}
