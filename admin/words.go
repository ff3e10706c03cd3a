package admin

import (
	"cmp"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
)

type words struct{ ja, en string }

func (w words) in(lang string) string {
	if lang == "en" {
		return w.en
	}
	return w.ja
}

// Status codes of a message as the list shows it: the phase of its SMS, and how far its recipient came. Codes are stable
// (searches, exports); the words are chosen here and nowhere else.
const (
	statusOpened     = "opened"
	statusIdentified = "identified"
	statusAnswered   = "answered"
	statusPaying     = "paying"
	statusPaid       = "paid"
	statusRevoked    = "revoked"
	statusDisowned   = "disowned"
)

// statusCodes lists them in the order in which they are reached.
var statusCodes = []string{
	string(message.Waiting), string(message.LinkOnly), string(message.Sending), string(message.Doubtful), string(message.Confirming), string(message.Arrived),
	statusOpened, statusIdentified, statusAnswered, statusPaying, statusPaid,
	string(message.NotDelivered), string(message.Unknown), string(message.Rejected), string(message.Expired), string(message.Withdrawn), statusRevoked, statusDisowned,
}

var statusWords = map[string]words{
	string(message.Waiting):      {"SMS受付完了", "Accepted"},
	string(message.LinkOnly):     {"URL発行済み", "Link made"},
	string(message.Sending):      {"SMS送信中", "Sending"},
	string(message.Doubtful):     {"送信結果確認中", "Result being checked"},
	string(message.Confirming):   {"送達確認中", "Awaiting delivery receipt"},
	string(message.Arrived):      {"SMS送信完了", "Delivered"},
	string(message.NotDelivered): {"不達", "Undelivered"},
	string(message.Unknown):      {"送達不明", "Delivery unknown"},
	string(message.Rejected):     {"送信不可", "Refused"},
	string(message.Expired):      {"送信期限切れ", "Lapsed"},
	string(message.Withdrawn):    {"送信取消", "Canceled"},
	statusOpened:                 {"期限付URLアクセス済", "Link opened"},
	statusIdentified:             {"認証済", "Identified"},
	statusAnswered:               {"回答済み", "Answered"},
	statusPaying:                 {"決済手続き中", "Payment in progress"},
	statusPaid:                   {"決済手続き完了", "Payment completed"},
	statusRevoked:                {"URL無効化", "Link revoked"},
	statusDisowned:               {"番号違いの申告", "Wrong person"},
}

// tones colour a status: quiet, busy, good, done, bad, warn.
var tones = map[string]string{
	string(message.Waiting): "quiet", string(message.LinkOnly): "quiet", string(message.Sending): "busy", string(message.Doubtful): "warn",
	string(message.Confirming): "busy", string(message.Arrived): "good", string(message.NotDelivered): "bad", string(message.Unknown): "warn",
	string(message.Rejected): "bad", string(message.Expired): "warn", string(message.Withdrawn): "quiet", statusOpened: "good",
	statusIdentified: "good", statusAnswered: "done", statusPaying: "busy", statusPaid: "done", statusRevoked: "quiet",
	statusDisowned: "bad",
}

// statusOf is the status of a message at a time. claim may be nil.
func statusOf(st *message.State, claim *payment.State, now time.Time) string {
	if claim != nil {
		switch claim.PhaseAt(now) {
		case payment.Accepted, payment.Paid:
			return statusPaid
		case payment.InProgress, payment.AwaitingMoney:
			return statusPaying
		}
	}
	phase := st.PhaseAt(now)
	switch {
	case !st.DisownedAt.IsZero():
		return statusDisowned
	case !st.AnsweredAt.IsZero():
		return statusAnswered
	case !st.RevokedAt.IsZero() && phase != message.Withdrawn:
		return statusRevoked
	case !st.IdentifiedAt.IsZero():
		return statusIdentified
	case opened(st):
		return statusOpened
	}
	return string(phase)
}

var classWords = map[message.Class]words{
	message.Notice: {"お知らせ", "Notice"}, message.Billing: {"請求", "Billing"}, message.Collection: {"督促", "Collection"},
	message.OTP: {"認証番号", "One-time code"}, message.LegalNotice: {"法定通知", "Legal notice"}, message.Ad: {"広告", "Advertisement"},
}

// viaWords are 送信種別.
var viaWords = map[message.Via]words{
	message.ViaConsole: {"個別", "Single"}, message.ViaFile: {"一括", "Bulk"}, message.ViaAPI: {"API", "API"}, message.ViaEngine: {"自動", "Automatic"}, message.ViaCanary: {"カナリア", "Canary"},
	message.ViaResend: {"再送", "Follow-up"},
}

var roleWords = map[string]words{
	"operator": {"運用者", "Operator"}, "admin": {"テナント管理者", "Administrator"}, "sender": {"送信担当", "Sender"}, "viewer": {"閲覧のみ", "Viewer"},
}

// opened reports whether a person opened the link, as far as that can be told.
func opened(st *message.State) bool { return !st.OpenedAt.IsZero() && st.DoubtfulOpening == "" }

// ownWords are those of tenant.LabelKinds that stand neither in statusWords nor with payment.
var ownWords = map[string]words{
	tenant.LabelOutcome + "." + tenant.OutcomeAnswered: {"回答済み", "Answered"},
	tenant.LabelAccess + "." + tenant.AccessNone:       {"アクセス無し", "Not opened"},
	tenant.LabelAccess + "." + tenant.AccessOpened:     {"アクセス済み", "Opened"},
	tenant.LabelSubmission + "." + tenant.SubmissionOK: {"SMS送信OK", "OK"},
}

// usualWord is the word of a code that a tenant may put its own in place of.
func usualWord(kind, code, lang string) string {
	if w, ok := ownWords[kind+"."+code]; ok {
		return w.in(lang)
	}
	switch kind {
	case tenant.LabelStatus:
		return statusWords[code].in(lang)
	case tenant.LabelClaim:
		return payment.ConsoleLabel(payment.Phase(code), lang)
	}
	return payment.ColumnLabel(payment.Phase(code), lang)
}

// label is the word of a code as the visit's tenant wants it read.
func (v *visit) label(kind, code string) string {
	return cmp.Or(v.Tenant.Label(kind, code, v.Lang), usualWord(kind, code, v.Lang))
}

// StatusWord is the word of a message's status; ClaimWord is that of a claim's phase.
func (v *visit) StatusWord(code string) string { return v.label(tenant.LabelStatus, code) }
func (v *visit) ClaimWord(phase payment.Phase) string {
	return v.label(tenant.LabelClaim, string(phase))
}

// accessWord is the column アクセス.
func (v *visit) accessWord(st *message.State) string {
	switch {
	case st.Head.Token == "":
		return "----"
	case !opened(st):
		return v.label(tenant.LabelAccess, tenant.AccessNone)
	}
	return v.label(tenant.LabelAccess, tenant.AccessOpened)
}

// outcomeWord is the column 決済/回答.
func (v *visit) outcomeWord(st *message.State, claim *payment.State) string {
	out := "----"
	if claim != nil {
		out = v.label(tenant.LabelOutcome, string(claim.PhaseAt(v.now)))
	}
	if !st.AnsweredAt.IsZero() {
		answered := v.label(tenant.LabelOutcome, tenant.OutcomeAnswered)
		if out == "----" {
			return answered
		}
		return out + " / " + answered
	}
	return out
}

// whoWord is who did something, without the prefix that programs need.
func whoWord(by, lang string) string {
	kind, name, _ := strings.Cut(by, ":")
	switch {
	case kind == "user":
		return name
	case kind == "key":
		return words{"APIキー ", "API key "}.in(lang) + name
	case by == "operator":
		return roleWords["operator"].in(lang)
	case by == "payer":
		return words{"お客様", "the payer"}.in(lang)
	case by == "phone": // a stop word
		return words{"受信者の返信", "reply"}.in(lang)
	case by == donotsend.ByLink:
		return words{"URLの「お心当たりのない方」", "the link's page"}.in(lang)
	case by == "unknown": // a login that nobody has
		return words{"不明", "unknown"}.in(lang)
	}
	return by
}

// eventWords name the steps of a message in the table of events.
var eventWords = map[message.Type]words{
	message.Accepted: {"受付", "Accepted"}, message.LookedUp: {"キャリア確認", "Carrier looked up"}, message.Submitting: {"SMS送信依頼", "Submitting"},
	message.Submitted: {"SMS送信OK", "Submitted"}, message.Retrying: {"再送待ち", "To be retried"}, message.InDoubt: {"応答なし", "No response"},
	message.Refused: {"送信不可", "Refused"}, message.Delivered: {"送達", "Delivered"}, message.Undelivered: {"不達", "Undelivered"},
	message.Lapsed: {"送信期限切れ", "Lapsed"}, message.Canceled: {"送信取消", "Canceled"}, message.Revoked: {"URL無効化", "Link revoked"},
	message.Opened: {"URLアクセス", "Link opened"}, message.Tried: {"認証入力", "Identification tried"}, message.CodeSent: {"認証番号送信", "Code sent"},
	message.Identified: {"認証", "Identified"}, message.Viewed: {"ページ閲覧", "Page viewed"}, message.Answered: {"回答", "Answered"},
	message.Locked: {"認証ロック", "Locked"}, message.Unlocked: {"ロック解除", "Unlocked"}, message.Kept: {"保存延長", "Kept beyond its term"},
	message.Resent: {"再送", "Followed up"}, message.Promised: {"支払予定の申告", "Promise to pay"},
	message.CodeHeld: {"認証番号の送信見送り", "Code not sent"},
	message.Disowned: {"「お心当たりのない方」の申告", "Said to be for somebody else"}, message.Readmitted: {"番号違いの申告を取消", "Not for somebody else after all"},
	message.LinkMoved: {"URLの有効期限の変更", "End of the link changed"},
	message.Mailed:    {"メール送信依頼", "Sent by e-mail: asked for"}, message.MailSent: {"メール送信", "E-mail sent"}, message.MailFailed: {"メール送信不可", "E-mail failed"},
}

// claimEventWords name the steps of a claim.
var claimEventWords = map[payment.Type]words{
	payment.Made: {"請求登録", "Claim made"}, payment.Joined: {"請求に紐付け", "Joined a claim"}, payment.Amended: {"請求内容変更", "Claim amended"},
	payment.Withdrawn: {"請求取下げ", "Claim withdrawn"}, payment.Settled: {"消込", "Settled elsewhere"}, payment.Resolved: {"要対応を完了", "Alerts resolved"},
	payment.Started: {"決済手続き開始", "Payment started"}, payment.Unknown: {"決済代行の応答なし", "Agent did not answer"}, payment.Issued: {"発番", "Number issued"},
	payment.Provisional: {"速報", "Provisional notice"}, payment.Revoked: {"速報取消", "Provisional notice revoked"}, payment.Confirmed: {"確報", "Confirmed"},
	payment.Failed: {"決済失敗", "Payment failed"}, payment.Canceled: {"決済取消", "Payment canceled"}, payment.Expired: {"決済期限切れ", "Payment expired"},
	payment.ReceiptIssued: {"領収書発行", "Receipt issued"}, payment.ReceiptKept: {"領収書保管", "Receipt kept"}, payment.ReceiptCopied: {"領収書再発行", "Receipt reissued"}, payment.PayerTold: {"入金のお知らせSMS", "Payer told by SMS"},
	payment.Refunded: {"返金", "Refunded"}, payment.RefundAsked: {"返金依頼", "Refund asked for"}, payment.RefundRefused: {"返金不可", "Refund refused"}, payment.Deposited: {"入金", "Deposit"},
	payment.Registered: {"口座振替登録", "Registered for direct debit"}, payment.WentOverdue: {"支払期限の経過", "Overdue"},
	payment.Doubted: {"重複の疑いがある入金（未計上）", "Deposit that may be counted already, not counted"},
}

// reasonWords say why a message was not sent or not delivered; a word that is missing is shown as it is.
var reasonWords = map[string]words{
	"changed_hands": {"登録日以降に契約者が変わった番号", "the number changed hands since it was registered"}, "not_in_service": {"使われていない番号", "the number is not in service"},
	"lookup_failed": {"番号の確認待ち", "the number could not be looked up yet"},
	"no_sender":     {"承認済みの送信元なし", "no approved sender"}, "do_not_send": {"送信停止リストの番号", "on the do-not-send list"}, "unknown_carrier": {"携帯電話会社不明", "carrier unknown"}, "permanent": {"携帯電話会社が拒否", "refused by the carrier"},
	"too_many_segments": {"携帯電話会社の分割数の上限を超える本文", "longer than the carrier takes"},
	"retries_spent":     {"再送回数の上限", "retries used up"}, "temporary": {"携帯電話会社が一時的に受付不可", "carrier could not take it then"},
	"validity": {"送信期限の経過", "its validity ended"}, "paid_meanwhile": {"送信前に入金あり・請求終了", "paid or settled before it was sent"}, "in_doubt": {"応答なし", "no response"},
	message.ReasonCampaignCanceled: {"一括送信の取消", "its upload was canceled"}, message.ReasonCarrierDropped: {"カナリア送信の結果により、この携帯電話会社への送信を除外", "its upload goes on without this carrier"},
	"seed_moved": {"テスト番号の携帯電話会社が変わっています", "the seed number has moved to another carrier"}, "no_seed": {"テスト番号が登録されていません", "no seed number"}, "past": {"送信期限の経過", "its validity ended"},
	"text_unencodable": {"送信できない文字を含む本文", "text that cannot be encoded"}, "unencodable": {"送信できない文字を含む本文", "text that cannot be encoded"},
}

// detailWords are the codes within the steps of a message and a claim; one that is missing is shown as it is.
var detailWords = map[string]words{
	"range": {"電話番号の帯域による判定", "by number range"}, "ported": {"番号ポータビリティ情報による判定", "by portability data"}, "module": {"番号照会による判定", "by number lookup"},
	"early": {"送信直後のアクセス", "right after sending"}, "scanner": {"自動巡回プログラム", "a scanner"},
	"identity": {"本人情報", "identification"}, "code": {"認証番号（SMS）", "one-time code"},
	"create": {"決済の申込み", "our request"}, "get": {"決済代行への照会", "our query"}, "cancel": {"取消依頼", "our cancel"}, "renew": {"バーコードの更新", "shown anew"}, "refund": {"返金依頼", "our refund"}, "report": {"決済代行のファイル", "the agent's file"}, "notice": {"決済代行からの通知", "the agent's notice"}, "host": {"期限の経過", "our clock"},
	"obsolete": {"お支払いの手続きが終了", "the number can no longer be paid"}, "refused": {"メールサーバーが拒否", "refused by the mail relay"}, "gave_up": {"再送回数の上限", "given up after a day"}, "erased": {"保存期間の終了", "its content has ended"},
	message.PromisePaid: {"お支払い済みとの申告", "says it is paid"}, message.PromisePay: {"支払予定", "will pay"},
	string(message.DoubtResend): {"再送", "sent again"}, string(message.DoubtWait): {"送達通知を待ってから再送", "a receipt is awaited, then sent again"}, string(message.DoubtFail): {"再送しない", "not sent again"},
}

func detailWord(code, lang string) string {
	if w, ok := detailWords[code]; ok {
		return w.in(lang)
	}
	return code
}

func reasonWord(code, lang string) string {
	if w, ok := reasonWords[code]; ok {
		return w.in(lang)
	}
	return code
}

var uploadWords = map[campaign.Phase]words{
	campaign.Receiving: {"受信中", "Receiving"}, campaign.Checking: {"確認中", "Checking"}, campaign.Staged: {"送信開始待ち", "Ready"}, campaign.Releasing: {"受付処理中", "Releasing"},
	campaign.Probing: {"カナリア送信中", "Canary under way"}, campaign.Stopped: {"カナリア送信で停止", "Stopped by the canary"}, campaign.Canceling: {"取消処理中", "Being canceled"}, campaign.Canceled: {"取消済み", "Canceled"},
	campaign.Done: {"受付完了", "Done"}, campaign.Dropped: {"破棄", "Dropped"}, campaign.Failed: {"取込不可", "Failed"},
}

var moduleWords = map[string]words{
	string(host.Starting): {"起動中", "starting"}, string(host.Running): {"稼働中", "running"}, string(host.BackingOff): {"再起動待ち", "backing off"},
	string(host.Quarantined): {"停止（異常終了の繰り返し）", "quarantined"}, string(host.Stopped): {"停止", "stopped"},
}

var failWords = map[campaign.Reason]words{
	campaign.ReasonDigest:  {"ファイルの内容が途中で変わったため取り込めませんでした。", "The content is not what was declared."},
	campaign.ReasonHeader:  {"1行目の列名を確認してください。", "Please check the names of the columns in the first line."},
	campaign.ReasonEmpty:   {"データの行がありません。", "There is no row."},
	campaign.ReasonNotCSV:  {"CSVファイルとして読み取れません。", "This cannot be read as CSV."},
	campaign.ReasonTooMany: {"行数が上限を超えています。ファイルを分けてください。", "There are too many rows. Please split the file."},
	campaign.ReasonErased:  {"保存期間が終了したため、送信できません。", "The content was erased at the end of its term."},
	campaign.ReasonTenant:  {"テナントが見つかりません。", "The tenant is gone."},
}

// waitWords say why an upload does not get on.
var waitWords = map[string]words{
	"busy":        {"システムが混み合っているため、処理を待っています。", "Waiting: the system is busy."},
	"full":        {"サーバーの空き容量が不足しているため、処理を待っています。運用担当者にご連絡ください。", "Waiting: the server is short of disk space. Please tell the operator."},
	"limit":       {"送信件数の上限（1日または1秒あたり）に達したため、残りの行の受付を待っています。上限の範囲で自動的に続行します。", "Waiting: the limit of messages a day or a second is reached. The remaining rows follow by themselves."},
	"unavailable": {"一時的に処理できないため、しばらくしてから自動的に再試行します。", "Waiting: something does not answer. It is tried again."},
}

// stopWords name why a number is on the do-not-send list.
var stopWords = map[donotsend.Reason]words{
	donotsend.Stop: {"停止の返信", "stop word"}, donotsend.Request: {"本人の申し出", "asked for"},
	donotsend.WrongPerson: {"番号違い（別の方）", "another person's number"}, donotsend.Import: {"取り込み", "imported"},
}

// notTakenWords say why a callback's receiver did not take a notice.
var notTakenWords = map[string]words{
	"timeout": {"時間内に応答がありません", "no answer in time"}, "connection": {"接続できません", "no connection"}, "tls": {"TLS証明書を確認できません", "its TLS certificate is not accepted"},
	"refused_address": {"許可されていない接続先です", "its address is not allowed"}, "http": {"HTTPエラー", "HTTP error"},
}

func notTakenWord(why, lang string) string {
	if w, ok := notTakenWords[why]; ok {
		return w.in(lang)
	}
	return why
}

// refusalWords say why a message of a run was not accepted; reasonWords have the others.
var refusalWords = map[string]words{
	message.CodeOpenPayment: {"支払える番号を発行済み", "a number is out"}, "conflict": {"入金済み・消込・取下げ", "paid, settled or withdrawn"}, "past": {"期限が過去", "date in the past"},
	"duplicate": {"直前に送信済み", "sent a short time ago"}, "required": {"内容の不足", "something is missing"}, "mismatch": {"ページのないSMS", "no page to lead to"}, "too_long": {"文字数超過", "too long"},
	"unapproved": {"承認済みの送信元なし", "no approved sender"}, "unknown": {"設定の不足", "not set up"}, "unavailable": {"決済代行会社の応答なし", "no answer of the payment agent"}, "pattern": {"形式の誤り", "wrong form"}, "range": {"範囲外", "out of range"},
}

func refusalWord(code, lang string) string {
	if w, ok := refusalWords[code]; ok {
		return w.in(lang)
	}
	return reasonWord(code, lang)
}

// actionWords name what the audit log has; one that is missing is shown as it is.
var actionWords = map[string]words{
	"signin.ok": {"ログイン", "signed in"}, "signin.refused": {"ログイン失敗", "sign-in refused"}, "signout": {"ログアウト", "signed out"},
	"message.unmask": {"電話番号の表示を開始", "numbers shown"}, "message.mask": {"電話番号の表示を終了", "numbers masked"}, "message.unmasked_view": {"電話番号の閲覧", "whole numbers viewed"},
	"message.send": {"個別送信", "message sent"}, "message.cancel": {"送信取消", "message canceled"}, "message.revoke": {"URL無効化", "link revoked"}, "message.unlock": {"認証ロック解除", "identification unlocked"}, "message.mail": {"お支払い番号のメール送信", "number sent by e-mail"}, "message.expiry": {"URLの有効期限の変更", "end of the link changed"}, "message.answers": {"アンケート回答の閲覧", "answers viewed"}, "message.resend": {"再送", "sent again"},
	"document.upload": {"書類の登録", "document uploaded"}, "document.view": {"書類の閲覧", "document viewed"}, "document.remove": {"書類の削除", "document removed"},
	"message.readmit": {"番号違いの申告を取消", "wrong person taken back"},
	"message.page":    {"ページの確認", "page previewed"}, "message.resend_form": {"再送フォームの表示", "resend form opened"}, "messages.search": {"電話番号での検索", "searched by number"}, "results.export": {"送信結果のCSV出力", "results exported"}, "answers.view": {"アンケート集計の閲覧", "answers viewed"}, "answers.read": {"アンケート回答の取得", "answers read"}, "answers.export": {"アンケート回答のCSV出力", "answers exported"},
	"audit.export": {"操作履歴のCSV出力", "audit log exported"}, "upload.begin": {"アップロード", "upload begun"}, "upload.release": {"一括送信の開始", "upload released"}, "upload.drop": {"アップロードの破棄", "upload dropped"},
	"upload.pause": {"一括送信の一時停止", "upload paused"}, "upload.resume": {"一括送信の再開", "upload resumed"}, "upload.cancel": {"一括送信の取消", "upload canceled"}, "upload.retry_canary": {"カナリア送信の再試行", "canary tried again"}, "upload.continue": {"カナリア停止後の送信継続", "went on after the canary"}, "upload.drop_carrier": {"携帯電話会社の除外", "carrier dropped"},
	"followup.start": {"リストへの再送", "list sent again"}, "followup.stop": {"再送の停止", "run stopped"}, "followup.calls": {"電話連絡リストのCSV出力", "call list exported"}, "followup.unmask": {"フォローの電話番号の閲覧", "numbers of a list viewed"},
	"seed.set": {"テスト番号の登録", "seed number set"}, "seed.remove": {"テスト番号の削除", "seed number removed"},
	"upload.sheets": {"支払シートの一括ダウンロード", "payment sheets of an upload downloaded"}, "upload.faults": {"エラー一覧のCSV出力", "findings exported"}, "claim.resolve": {"要対応を完了", "alerts resolved"}, "claim.count_deposit": {"重複の疑いがある入金を計上", "deposit in doubt counted"}, "claim.settle": {"消込", "claim settled"}, "claim.charge": {"登録済みカードへの請求", "registered card charged"}, "claim.amend": {"請求内容の変更", "claim amended"}, "claim.withdraw": {"請求取下げ", "claim withdrawn"}, "certificate.make": {"配達証明書の作成", "certificate of delivery made"}, "claim.receipt": {"領収書のダウンロード", "receipt downloaded"}, "claim.refund": {"返金", "refund ordered"}, "report.read": {"確報ファイルの取り込み", "file of an agent read"}, "reconciliation.export": {"入金照合のCSV出力", "reconciliation exported"}, "reconciliation.view": {"入金照合の閲覧", "reconciliation viewed"},
	"brand.set": {"ブランド変更", "branding changed"}, "settings.set": {"設定変更", "settings changed"}, "claim.sheet": {"支払シートのURL発行", "payment sheet's address given"}, "claim.sheet_revoke": {"支払シートのURL無効化", "payment sheets' addresses ended"},
	"user.add": {"ユーザー追加", "user added"}, "user.set": {"アカウント変更", "account changed"}, "user.role": {"権限変更", "role changed"}, "user.password": {"パスワード再発行", "password reissued"}, "user.totp": {"2段階認証解除", "second factor removed"},
	"user.disable": {"ユーザー停止", "user disabled"}, "user.enable": {"ユーザー再開", "user enabled"}, "key.issue": {"APIキー発行", "key issued"}, "key.revoke": {"APIキー無効化", "key revoked"},
	"callback.set": {"コールバックの設定", "callback set"}, "callback.pause": {"コールバックの一時停止", "callback paused"}, "callback.resume": {"コールバックの再開", "callback resumed"},
	"callback.secret": {"署名鍵の変更", "signing secret replaced"}, "callback.test": {"テスト通知", "test notice"}, "callback.replay": {"再通知", "notices told again"}, "callback.remove": {"コールバックの削除", "callback removed"},
	"donotsend.add": {"送信停止の登録", "number listed"}, "donotsend.remove": {"送信停止の解除", "number taken off the list"}, "donotsend.import": {"送信停止リストの取り込み", "do-not-send list imported"},
	"donotsend.export": {"送信停止リストのCSV出力", "do-not-send list exported"}, "donotsend.unmask": {"送信停止リストの番号の閲覧", "numbers of the list viewed"}, "received.unmask": {"受信元の番号の閲覧", "numbers of received messages viewed"},
	"apikey.issue": {"APIキー発行", "key issued"}, "apikey.revoke": {"APIキー無効化", "key revoked"}, "upload.findings.export": {"エラー一覧のCSV出力", "findings exported"}, "tenant.apply": {"テナント設定変更", "tenant changed"},
	"carrier.hold": {"携帯電話会社の停止・再開", "carrier held or resumed"}, "carrier.try": {"試験送信", "trial SMS"}, "config.reload": {"設定の再読み込み", "configuration reloaded"},
}

func actionWord(code, lang string) string {
	if w, ok := actionWords[code]; ok {
		return w.in(lang)
	}
	return code
}

// fieldWord names a question of the identification: the sender's own label where there is one.
func fieldWord(code, label, lang string) string {
	if label != "" {
		return label
	}
	for _, f := range identityFields {
		if f.Code == code {
			return f.in(lang)
		}
	}
	return code
}

// verdictTones colour how ours and the agent's compare.
var verdictTones = map[payment.Verdict]string{payment.Agrees: "done", payment.OnlyOurs: "warn", payment.OnlyTheirs: "bad", payment.Differs: "bad"}

var payTones = map[payment.Phase]string{
	payment.Unpaid: "quiet", payment.InProgress: "busy", payment.AwaitingMoney: "busy", payment.Accepted: "good", payment.PartlyPaid: "warn",
	payment.Paid: "done", payment.PartRefunded: "warn", payment.AllRefunded: "quiet", payment.SettledElse: "done", payment.IsWithdrawn: "quiet", payment.Overdue: "bad", payment.IsRegistered: "good",
}
