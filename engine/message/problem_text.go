package message

import (
	"fmt"
	"strings"
)

// CodeGuessable as the Code of a warning: one in Got gets in who knows nothing of the person; one in Limit or fewer is advised.
const CodeGuessable = "guessable"

// CodeOpenPayment as the Code of a problem: something is out that the payer could pay beside what would be made next.
const CodeOpenPayment = "open_payment"

// CodeExcluded as the Code of a problem: it names a product, Value, of which the tenant sends nothing.
const CodeExcluded = "excluded"

// CodeUnpayable as the Code of a warning: no payment method that is offered takes Got yen; Limit is the most that one takes.
const CodeUnpayable = "unpayable"

// Text says the problem in the language ("ja", else English). A code that says no more than that there is one leaves the
// words to the detail.
func (p Problem) Text(lang string) string {
	var b strings.Builder
	said := true
	if lang == "ja" {
		b.WriteString(p.Field + "：")
		switch p.Code {
		case "required":
			b.WriteString("必須です")
		case "too_long":
			fmt.Fprintf(&b, "%d文字以内で入力してください（現在 %d文字）", p.Limit, p.Got)
		case "too_short":
			fmt.Fprintf(&b, "%d以上必要です（現在 %d）", p.Limit, p.Got)
		case "too_many":
			fmt.Fprintf(&b, "%d件以内にしてください（現在 %d件）", p.Limit, p.Got)
		case "pattern":
			b.WriteString("形式が正しくありません")
		case "unknown":
			b.WriteString("登録されていない値です")
		case "range":
			b.WriteString("指定できる範囲を超えています")
		case "mismatch":
			b.WriteString("内容が一致しません")
		case "past":
			b.WriteString("過去の日時は指定できません")
		case "unavailable":
			b.WriteString("決済代行会社から応答がありません。しばらくしてから、もう一度お試しください")
		case CodeExcluded:
			b.WriteString("対象外に設定された商品が含まれています")
		case CodeUnpayable:
			fmt.Fprintf(&b, "この金額（%d円）を支払える決済方法が選ばれていません（1件の上限 %d円）。ページからはお支払いいただけません", p.Got, p.Limit)
		case CodeGuessable:
			fmt.Fprintf(&b, "推測されやすい組み合わせです（URLだけを知る第三者の約%d人に1人が認証を通過できます。%d人に1人以下を推奨します）", p.Got, p.Limit)
		default:
			if said = p.Detail == ""; said {
				b.WriteString("受け付けできません")
			}
		}
	} else {
		b.WriteString(p.Field + ": ")
		switch p.Code {
		case "required":
			b.WriteString("is required")
		case "too_long":
			fmt.Fprintf(&b, "has %d characters, the limit is %d", p.Got, p.Limit)
		case "too_short":
			fmt.Fprintf(&b, "has %d, at least %d are needed", p.Got, p.Limit)
		case "too_many":
			fmt.Fprintf(&b, "has %d, the limit is %d", p.Got, p.Limit)
		case "pattern":
			b.WriteString("has the wrong form")
		case "unknown":
			b.WriteString("is not known")
		case "range":
			b.WriteString("is out of range")
		case "mismatch":
			b.WriteString("does not agree")
		case "past":
			b.WriteString("is in the past")
		case CodeExcluded:
			b.WriteString("names a product that is not sent")
		case CodeUnpayable:
			fmt.Fprintf(&b, "no payment method that is offered takes %d yen (the most is %d): it cannot be paid on the page", p.Got, p.Limit)
		case CodeGuessable:
			fmt.Fprintf(&b, "is easily guessed: about 1 in %d who have the link alone gets in, 1 in %d or fewer is advised", p.Got, p.Limit)
		default:
			if said = p.Detail == ""; said {
				b.WriteString("is refused (" + p.Code + ")")
			}
		}
	}
	switch {
	case !said:
		b.WriteString(detail(p.Detail, lang))
	case p.Detail != "":
		b.WriteString(" (" + detail(p.Detail, lang) + ")")
	}
	if p.Value != "" {
		b.WriteString(" [" + p.Value + "]")
	}
	return b.String()
}

// detailJA has the Japanese of each fixed Detail; one that is missing is shown as it is.
var detailJA = map[string]string{
	"1 to 128 printable ASCII characters without spaces":  "空白を含まない半角英数記号1〜128文字",
	"a message that is not sent needs a page or a claim":  "SMSを送信しない場合はページまたは請求が必要です",
	"give text or template, not both":                     "本文とテンプレートはどちらか一方を指定してください",
	"must be later than window.from":                      "開始時刻より後にしてください",
	"must be later than send_at":                          "送信日時より後にしてください",
	"must be later than now":                              "現在より後の日時にしてください",
	"ja or en":                                            "ja または en",
	"no mails are sent here":                              "メール送信が設定されていません",
	"no number that can be paid with is issued":           "お支払いに使える番号が発行されていません",
	"as many mails as there may be in a day":              "1日のメール送信数の上限に達しました",
	"its link was closed":                                 "URLは無効になっています",
	"it has no link of its own":                           "固有のURLがありません",
	"it asks for no identification":                       "本人認証のないメッセージです",
	"there is no receipt before the payment is confirmed": "入金が確定（確報）するまで領収書は発行できません",
	"HH:MM, 00:00 to 23:59":                               "HH:MM（00:00〜23:59）",
	"a name is shown only behind an identity check: ask something, or a one-time code": "お名前は本人認証の後にのみ表示されます。認証項目またはSMSの認証番号を設定してください",
	"there is no page or claim to protect":                                             "認証の対象となるページまたは請求がありません",
	"asked twice":                                                                      "同じ項目が重複しています",
	"a text item has no choices":                                                       "テキスト入力に選択肢は指定できません",
	"1 to 40 of A-Z, a-z, 0-9 and -":                                                   "半角英数字とハイフンで1〜40文字",
	"yen, 1 to 9,999,999":                                                              "1円〜9,999,999円",
	"yen, included in the amount":                                                      "請求金額に含まれる税額を円で指定してください",
	"YYYY-MM-DD":                                                                       "YYYY-MM-DD",
	"one e-mail address":                                                               "メールアドレスを1件入力してください",
	"quantity × unit":                                                                  "数量×単価と一致しません",
	"the lines add up to the amount":                                                   "明細の合計が請求金額と一致しません",
	"an invoice has lines of its own or those of the claim":                            "請求書の明細、または請求の明細を指定してください",
	"the sum of the lines, 0 to 999,999,999 yen":                                       "明細の合計は0円〜999,999,999円にしてください",
	"no line has this rate of tax, or it stands twice":                                 "この税率の明細がないか、税率が重複しています",
	"yen, included in the lines of this rate":                                          "この税率の明細に含まれる税額を円で指定してください",
	"the tax of each rate of the lines":                                                "明細にあるすべての税率の税額を指定してください",
	"every page of this tenant asks for it":                                            "この契約では必ず認証に使う項目です",
	"percent, one of 10, 8":                                                            "税率は 10 または 8 を指定してください",
	"give both from and to":                                                            "期間の開始日と終了日を両方指定してください",
	"must not be before from":                                                          "開始日以降の日付を指定してください",
	"up to 9 digits, and 3 behind a point":                                             "整数9桁・小数3桁以内の数値を指定してください",
	"the lines add up to the amount, or with the tax stated to it":                     "明細の合計が、請求金額（税込の明細）とも、請求金額から消費税額を引いた額（税抜の明細）とも一致しません",
	"only without lines: a line states its own":                                        "明細があるときは、税率は明細ごとに指定してください",
	"the tax of the rates stated, rounded once for each":                               "税率ごとに一度だけ端数処理した税額と一致しません",
	// engine/identity and its modules
	"no other question stands beside one that another page answers":     "外部の本人確認とほかの質問は併用できません",
	"this question has no words of its own":                             "質問の文言（label）を指定してください",
	"no kana in it: a name in katakana is needed":                       "カナがありません。お名前はカタカナで指定してください",
	"a character that is neither kana, letter, digit nor one of ()./&'": "カナ・英数字・記号（()./&'）以外の文字があります",
	"longer than 100 characters":                                        "100文字を超えています",
	"not a date: a year, a month and a day are needed":                  "日付として読み取れません。年・月・日を指定してください",
	"the year needs four digits or an era":                              "年は西暦4桁か元号で指定してください",
	"no such day in the calendar":                                       "暦にない日付です",
	"outside of the era that is named":                                  "元号の期間外の日付です",
	"before 1868-01-25 or in the future":                                "1868年1月25日より前か、未来の日付です",
	"longer than 40 characters":                                         "40文字を超えています",
	"the two calendars say different years":                             "西暦と和暦の年が一致しません",
	"empty":                                                             "空です",
	"longer than 256 bytes":                                             "256バイトを超えています",
	"a character that has no place in it":                               "使用できない文字があります",
	"not a Japanese mobile number":                                      "日本の携帯電話番号ではありません",
	"a postcode has seven digits":                                       "郵便番号は7桁の数字です",
	"how the answers to a question of your own are spread is not known: it counts as nothing": "自由な質問への回答の推測されやすさは分からないため、計算に含めていません",
	// verifications
	"4 to 8 digits":                "4〜8桁の数字で指定してください",
	"1 to 60 minutes":              "1〜60分で指定してください",
	"{code} must stand in it once": "{code} を1か所だけ指定してください",
	"{code}, {minutes} and {name} are put in, nothing else":        "差し込めるのは {code}、{minutes}、{name} だけです",
	"the code was used before":                                     "この認証番号はすでに使用されています",
	"no more codes to this number today":                           "この番号へ本日送信できる認証番号の上限に達しました",
	"no more codes to this number in this hour":                    "この番号へ1時間に送信できる認証番号の上限に達しました",
	"no more codes to numbers of this prefix today, in Asia/Tokyo": "この番号帯へ本日送信できる認証番号の上限に達しました",
	"no more codes by this API key today, in Asia/Tokyo":           "このAPIキーで本日送信できる認証番号の上限に達しました",
	"no more codes today, in Asia/Tokyo":                           "本日送信できる認証番号の上限に達しました",
	// engine/api
	"there is no such parameter": "このパラメーターはありません",
	"there is no such field":     "この項目はありません",
	"only with refund":           "refund のときだけ指定できます",
	"a number does not belong into a URL; use POST /v1/messages:search": "電話番号はURLに含められません。POST /v1/messages:search を使用してください",
	"a time as 2026-11-22T09:00:00+09:00 is expected":                   "2026-11-22T09:00:00+09:00 の形式で指定してください",
	"not UTF-8":                                      "UTF-8ではありません",
	"something follows the JSON value":               "JSONの後に余分なデータがあります",
	"the body did not come in time or whole":         "データを最後まで受信できませんでした",
	"the Idempotency-Key header says another":        "Idempotency-Keyヘッダーと一致しません",
	"it was sent, and has no link to revoke":         "送信済みで、無効にするURLもありません",
	"not on the tenant's list of addresses":          "許可された接続元ではありません",
	"HTTPS is required":                              "HTTPSで接続してください",
	"only with amend":                                "amend のときだけ指定できます",
	"only with resolve":                              "resolve のときだけ指定できます",
	"only with settle":                               "settle のときだけ指定できます",
	"only with refund or charge":                     "refund または charge のときだけ指定できます",
	"only with charge":                               "charge のときだけ指定できます",
	"one of amend, settle, withdraw, refund, charge": "amend、settle、withdraw、refund、charge のいずれかを指定してください",
	"it was begun to be paid too often within a day": "1日の決済手続きの回数が上限に達しています",
	"the payment agent refused this charge; order it anew with another key":                            "決済代行会社がこの請求を受け付けませんでした。別のキーで改めて指示してください",
	"the claim is debited from an account":                                                             "この請求は登録口座から引き落とされます",
	"the claim is past its due date":                                                                   "この請求は支払期限を過ぎています",
	"no card is registered with this claim":                                                            "この請求で登録されたカードはありません",
	"the card was registered by another customer: the messages of both claims need the same reference": "ほかのお客様が登録したカードです。両方の請求のメッセージに同じ会員情報が必要です",
	"the agent that has the card is no longer used":                                                    "カードを登録した決済代行会社は、現在使用されていません",
	"the agent charges no registered cards":                                                            "この決済代行会社では、登録済みカードへの請求ができません",
	"yen that the card takes":                                                                          "カードで支払える金額（円）",
	"only with amend or refund":                                                                        "amend または refund のときだけ指定できます",
	"its module reads no reports":                                                                      "この決済代行会社のモジュールは入金ファイルを読み取れません",
	"1 to 100":                                                                                         "1〜100",
	"bytes":                                                                                            "バイト",
	"identity":                                                                                         "圧縮せずに送信してください",
	"JSON string does not fit":                                                                         "文字列は指定できません",
	"JSON number does not fit":                                                                         "この数値は指定できません",
	"JSON bool does not fit":                                                                           "真偽値は指定できません",
	"JSON array does not fit":                                                                          "配列は指定できません",
	"JSON object does not fit":                                                                         "オブジェクトは指定できません",
	"charset utf-8":                                                                                    "文字コードはUTF-8です",
	// engine/callback
	"1 to 32 of a-z, 0-9, _ and -": "半角の英小文字・数字・「_」「-」で1〜32文字",
	"an https address of the public internet, without user, password and fragment": "インターネット上の https のアドレスを、ユーザー名・パスワード・フラグメントなしで指定してください",
	"the address gave no answer to the challenge":                                  "確認のリクエストに応答がありません",
	"the address did not answer the challenge with 200":                            "確認のリクエストに200で応答していません",
	"the address did not give the challenge back":                                  "確認の文字列がそのまま返されていません",
	"a secret is whsec_ and the base64 of 24 to 64 bytes":                          "whsec_ に続けて24〜64バイトのBase64を指定してください",
	"a secret is replaced by its own request":                                      "署名鍵の変更は専用の操作で行ってください",
	"must be in the past":                                                          "過去の日時を指定してください",
	"give from or message or claim":                                                "from、message、claim のいずれか一つを指定してください",
	// engine/intake
	"the number is on the do-not-send list":                                "この番号は送信停止リストに登録されています",
	"a message like this one was accepted for the number a short time ago": "同じ内容のメッセージを直前に受け付けています",
	"no more messages today, in Asia/Tokyo":                                "本日の送信上限数に達しました",
	"too many messages in a second":                                        "1秒あたりの送信上限数を超えています",
	"stop, request, wrong_person or import":                                "stop、request、wrong_person、import のいずれかを指定してください",
	"the head line names the columns":                                      "1行目には列名を指定してください",
	"a column \"number\"":                                                  "「電話番号」の列が必要です",
	"quotes do not fit":                                                    "引用符の対応が正しくありません",
	"neither UTF-8 nor Shift_JIS":                                          "文字コードはUTF-8またはShift_JISにしてください",
	"is a landline number, which takes no SMS":                             "固定電話にはSMSを送信できません",
	"is a 050 number, which takes no SMS":                                  "050番号にはSMSを送信できません",
	"is a 020 number of machines or pagers":                                "020番号（M2M・ポケベル）にはSMSを送信できません",
	"is a service number, not a mobile number":                             "携帯電話番号ではありません（フリーダイヤル等の番号です）",
	"is not a number of Japan":                                             "海外の電話番号には送信できません",
	"is not a mobile number of 11 digits (060, 070, 080 or 090)":           "060・070・080・090で始まる11桁の携帯電話番号を指定してください",
	"no carrier is known for this number":                                  "この番号の携帯電話会社が確認できません",
	"the sender profile has no address that this carrier approved":         "この携帯電話会社で承認済みの送信元がありません",
	"the carrier does not permit the form of this sender address":          "この携帯電話会社では使用できない形式の送信元です",
	"there is no such sender profile":                                      "この送信元プロファイルは登録されていません",
	"there is no such template":                                            "このテンプレートは登録されていません",
	"the template needs it":                                                "テンプレートで使用する値です",
	"the template does not use it":                                         "テンプレートで使用されていません",
	"there is no page or claim to link to":                                 "URLの差し込み先となるページまたは請求がありません",
	"{url} may stand once":                                                 "{url} は1か所だけ指定してください",
	"holds another URL beside the link":                                    "差し込みURLのほかにもURLが含まれています",
	"its recipient does not find it at the shared entry page":              "共通入口ページではこのメッセージを表示できません。認証項目をお名前（カナ）と生年月日（と宛先の電話番号）だけにしてください",
	"counted as SMS does, with the link in":                                "URLを含むSMSの文字数です",
	"short messages":                                                       "SMSの通数",
	"is ignored: the message is not sent":                                  "SMSを送信しないため使用されません",
	"must be in the future":                                                "未来の日時を指定してください",
	"at most 60 days ahead":                                                "60日以内の日時を指定してください",
	"at most 7 days after send_at":                                         "送信日時から7日以内にしてください",
	"at most 400 days after send_at":                                       "送信日時から400日以内にしてください",
	"not before 1980":                                                      "1980年以降の日付を指定してください",
	"must not be in the future":                                            "未来の日付は指定できません",
	"nobody is asked whether the number changed hands":                     "契約者変更の確認は行われません（番号照会が設定されていません）",
	"never opens before valid_until":                                       "有効期限までに送信できる時間帯がありません",
	"the day has passed":                                                   "期日を過ぎています",
	"the link ends before the claim is due":                                "支払期日より前にURLの有効期限が切れます",
	"the tenant has no such payment method":                                "この支払方法は契約されていません",
	"the tenant has no payment method":                                     "支払方法が登録されていません",
	"there is no such document":                                            "このファイルは登録されていません",
	"either campaign or claims":                                            "campaign と claims のどちらか一方を指定してください",
	"a message whose link still works, the one of the number, shows it":    "有効なURLのページ（値はSMSのNo.）で表示中のため、削除できません",
	"the document's retention is over: upload it again":                    "このファイルは保存期間を過ぎています。もう一度アップロードしてください",
	"the message has left its list":                                        "このメッセージは再送の対象ではなくなりました",
	"the key was used for another message":                                 "同じキーが別の内容で使用されています",
	"the key was used for another order":                                   "同じキーが別の内容で使用されています",
	"a code is not sent with a page or a claim":                            "認証コードにページや請求を付けることはできません",
	// engine/payment
	"a number is out that may still be paid":                 "まだ支払える番号が発行されています",
	"codes and test messages are not sent again":             "認証番号とテスト送信は再送できません",
	"whoever has the link says that it is for somebody else": "番号違いの申告があったため送信できません",
	"it was canceled, or its link was closed":                "取り消されたか、URLが無効にされています",
	"another message has taken its place":                    "新しいURLで再送済みです。再送後のSMSから操作してください",
	"nothing is to be paid any more":                         "入金・消込・取下げにより、お支払いの対象ではなくなりました",
	"there is no account for the rest":                       "一部入金済みで、残りの金額をお振り込みいただける口座がありません",
	"its account is another claim's by now":                  "振込先の口座は、すでに別の請求で使用されています",
	"its account is shown no longer: give another due date":  "一部入金済みで、振込先の口座の表示が終了しています。新しい支払期限を指定してください",
	"its newest SMS is on its way":                           "直近のSMSが送信中です",
	"its content has ended with its term":                    "保存期間の終了により内容が消去されています",
	"the claim was settled or withdrawn":                     "この請求は消込済み、または取り消されています",
	"the claim was paid already":                             "この請求は支払済みです",
	"money was received already":                             "この請求はすでに入金されています",
	"what remains has changed meanwhile":                     "画面を開いたあとに入金の状況が変わりました。残額を確認してください",
	"a part is not confirmed yet":                            "入金の一部がまだ速報です。確報になってから消し込んでください",
	"yen that remain, with what is settled":                  "消込の残額（円）",
	"the number is in use for another amount":                "同じ請求番号が別の金額で登録されています",
	"the number is in use with another due date":             "同じ請求番号が別の支払期限で登録されています",

	"the tax of the claim, whose lines are without it":                       "請求の明細（税抜）にかかる消費税額と一致しません",
	"the tax of the claim's rates, rounded once for each":                    "税率ごとに一度だけ端数処理した請求の税額と一致しません",
	"state one of: amount, tax or due; settled; withdrawn":                   "金額・税額・支払期限の変更、消込、取り消しのいずれか一つを指定してください",
	"1 to 64 printable ASCII characters without spaces":                      "空白を含まない半角英数記号1〜64文字",
	"yen that is left of the payment":                                        "返金できる残りの金額（円）を超えています",
	"it was the key of another refund":                                       "このキーは別の返金で使用されています",
	"the payment agent refused this refund; order it anew with another key":  "決済代行会社がこの返金を受け付けませんでした。別のキーで改めて指示してください",
	"no confirmed money is there to be given back":                           "返金できる確定済みの入金がありません",
	"several attempts have money: name one":                                  "入金のある決済が複数あります。どれか一つを指定してください",
	"the claim has changed since it was shown":                               "画面の表示後に請求の状況が変わりました。内容を確認して、もう一度操作してください",
	"an earlier order is not settled yet":                                    "先に指示した返金の結果がまだ確定していません",
	"money of this method is not given back through the agent":               "この支払方法は決済代行会社を通じた返金ができません",
	"larger than 8 MiB":                                                      "8MB（8,388,608バイト）を超えています",
	"neither a payment nor a deposit":                                        "決済・入金のどちらの内容もありません",
	"a deposit without its id or time, or of an amount that is out of range": "入金の識別番号・日時・金額のいずれかがないか、正しくありません",
	"it may be one that counts already, or another of that day and amount":   "計上済みの入金と同じものか、同じ日・同じ金額の別の入金か、確認が必要です",
	// engine/sheet
	"no number or barcode was issued for the claim yet":                 "まだ番号またはバーコードが発番されていません。支払方法を指定してください",
	"no such method with a number or barcode for this claim":            "この請求で番号・バーコードを発番できる支払方法ではありません",
	"no such store of this method":                                      "この支払方法で利用できる店舗ではありません",
	"it is for the payer's screen alone, and changes every few minutes": "お客様の画面でのみ表示でき、数分ごとに変わるため、用紙や画像にはできません",
	"the payer has begun to pay in another way":                         "別の支払方法で手続きが始まっています",
	"the claim has changed meanwhile":                                   "請求の内容が変更されました",
	"the payment agent refused":                                         "決済代行会社で受け付けられませんでした",
	"the payment agent has not answered yet; ask again":                 "決済代行会社の応答がありません。時間をおいて再度お試しください",
	"not after the claim is due":                                        "支払期限より後は指定できません",
	// engine/document
	"larger than 5 MiB":                "5MB（5,242,880バイト）を超えています",
	"not a complete PDF":               "PDFとして読み取れません",
	"has streams that inflate too far": "圧縮されたデータが大きすぎます",
	"is encrypted":                     "暗号化されています",
	// engine/campaign, engine/api/uploads
	"1 to 255 bytes":                     "1〜255バイト",
	"64 hexadecimal digits":              "16進数64桁",
	"comes from the row":                 "行ごとに指定する項目です",
	"parts; send larger ones":            "1回に送るデータを大きくしてください",
	"tries":                              "カナリア送信をやり直せる回数",
	"the bytes that are on disk":         "保存済みのバイト数と一致しません",
	"the same file is in another upload": "同じファイルがすでにアップロードされています",
	"the tenant has no seed number at a carrier of the rows": "カナリア送信用のテスト番号が登録されていない携帯電話会社があります",
	"is none of the carriers whose seed did not arrive":      "カナリア送信で停止した携帯電話会社ではありません",
	"the number is not this carrier's":                       "この携帯電話会社の番号ではありません",
	"1 to 1,440 minutes":                                     "1〜1,440分で指定してください",
	"there are faulty rows":                                  "エラーのある行があります",
	"there is no good row":                                   "送信できる行がありません",
}

// detailForms have those that name what was found or would do, between start and end.
var detailForms = []struct{ start, end, ja string }{
	{"holds the character ", "", "使用できない文字が含まれています：%s"},
	{"one of ", "", "%s のいずれか"},
	{"percent, one of ", "", "%s（％）のいずれか"},
	{"the lines taxed at ", " percent come to less than nothing", "税率%s％の明細の合計が0円未満です"},
	{"JSON ", " does not fit", "この値（%s）は指定できません"},
	{"holds active content (", ")", "実行される内容（%s）が含まれています"},
	{"has an object stream that ", "", "中を確認できないデータが含まれています"},
	{"the payment agent refused: ", "", "決済代行会社で受け付けられませんでした（%s）"},
	{"what is said of the payment cannot be: ", "", "決済の内容が正しくありません（%s）"},
}

func detail(d, lang string) string {
	if lang != "ja" {
		return d
	}
	if ja, ok := detailJA[d]; ok {
		return ja
	}
	for _, f := range detailForms {
		rest, ok := strings.CutPrefix(d, f.start)
		if !ok {
			continue
		}
		if rest, ok = strings.CutSuffix(rest, f.end); ok {
			return strings.ReplaceAll(f.ja, "%s", strings.ReplaceAll(rest, ", ", "、"))
		}
	}
	return d
}
