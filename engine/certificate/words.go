package certificate

import (
	"maps"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/store"
)

// kindName is a kind of stream as certificates write it. It is stored.
func kindName(k store.Kind) string {
	if k == store.Claim {
		return "claim"
	}
	return "message"
}

type word struct{ ja, en string }

func (w word) in(japanese bool) string {
	if japanese {
		return w.ja
	}
	return w.en
}

// stepWords say what happened, by the stream's kind and the event's type.
var stepWords = map[string]word{
	"message accepted": {"SMS受付", "Accepted"}, "message looked_up": {"キャリア確認", "Carrier looked up"},
	"message submitting": {"SMS送信依頼", "Submission recorded"}, "message submitted": {"SMS送信OK（携帯電話会社が受付）", "Taken by the carrier"},
	"message retrying": {"再送予定", "To be retried"}, "message in_doubt": {"応答なし（確認中）", "No response (in doubt)"},
	"message refused": {"送信不可", "Refused"}, "message delivered": {"SMS送信完了（端末に到達）", "Delivered to the handset"},
	"message undelivered": {"不達", "Not delivered"}, "message lapsed": {"有効期限切れ（未送信）", "Lapsed, not sent"},
	"message canceled": {"送信取消", "Canceled"}, "message revoked": {"URL無効化", "Link closed"},
	"message opened": {"期限付URL開封", "Link opened"}, "message tried": {"本人認証の入力", "Identity answer"},
	"message code_sent": {"認証番号送信", "One-time code sent"}, "message code_held": {"認証番号の送信見送り", "One-time code not sent"}, "message identified": {"本人認証完了", "Identified"},
	"message viewed": {"内容の閲覧", "Content viewed"}, "message answered": {"回答", "Answered"},
	"message locked": {"認証ロック", "Identification locked"}, "message unlocked": {"認証ロック解除", "Identification unlocked"},
	"message kept": {"内容の保存期間延長", "Content kept on"}, "message resent": {"別のSMSで再送", "Followed up by another SMS"}, "message promised": {"お支払いについての申告", "Word on the payment"},
	"message disowned": {"「お心当たりのない方」の申告", "Said to be for somebody else"}, "message link_moved": {"リンクの有効期限の変更", "End of the link changed"}, "message readmitted": {"「お心当たりのない方」の取消", "Not for somebody else after all"},
	"message mailed": {"お支払い番号のメール送信依頼", "Payment number asked for by e-mail"}, "message mail_sent": {"お支払い番号のメール送信", "Payment number sent by e-mail"},
	"message mail_failed": {"お支払い番号のメール送信不可", "Payment number not sent by e-mail"},
	"claim made":          {"請求登録", "Claim made"}, "claim joined": {"請求をメッセージに関連付け", "Claim carried by a message"},
	"claim amended": {"請求変更", "Claim amended"}, "claim withdrawn": {"請求取下げ", "Claim withdrawn"},
	"claim settled_elsewhere": {"消込（別の方法で入金）", "Settled elsewhere"}, "claim resolved": {"要対応の解決", "Alert resolved"},
	"claim attempt_started": {"決済手続き開始", "Payment begun"}, "claim attempt_unknown": {"決済代行の応答なし", "Agent did not answer"},
	"claim attempt_issued": {"決済番号発行", "Payment number issued"}, "claim provisional": {"入金（速報）", "Paid (provisional)"},
	"claim provisional_revoked": {"速報取消", "Provisional payment taken back"}, "claim confirmed": {"入金（確報）", "Paid (confirmed)"},
	"claim attempt_failed": {"決済不成立", "Payment failed"}, "claim attempt_canceled": {"決済取消", "Payment canceled"},
	"claim attempt_expired": {"決済期限切れ", "Payment expired"}, "claim receipt_issued": {"領収書発行", "Receipt issued"}, "claim receipt_reissued": {"領収書再発行", "Receipt reissued"}, "claim payer_told": {"入金のお知らせSMS", "Payer told by SMS"},
	"claim refunded": {"返金", "Money went back"}, "claim refund_asked": {"返金依頼", "Refund asked for"}, "claim refund_refused": {"返金不可", "Refund refused"},
	"claim account_registered": {"口座振替登録", "Account registered for direct debit"},
	"claim overdue":            {"支払期限の経過", "Overdue"},
	"claim deposited":          {"入金", "Transfer received"},
	"claim deposit_doubted":    {"重複の疑いがある入金（未計上）", "Transfer that may be counted already, not counted"},
	"claim receipt_kept":       {"領収書控え保存", "Copy of the receipt kept"},
}

// said is what an event says happened; empty: it is not known.
func said(kind, typ string, japanese bool) string { return stepWords[kind+" "+typ].in(japanese) }

// detailWords name the fields that the table of a PDF shows. All fields are in the file.
var detailWords = map[string]word{
	"carrier": {"携帯電話会社", "carrier"}, "part": {"分割", "part"}, "attempt": {"", ""}, "smsc_id": {"受付ID", "id"},
	"command_status": {"command_status", "command_status"}, "reason": {"理由", "reason"}, "state": {"状態", "state"}, "error": {"エラー", "error"},
	"by": {"操作", "by"}, "doubtful": {"機械の可能性", "maybe a machine"}, "step": {"段階", "step"}, "ok": {"一致", "matched"},
	"amount": {"金額", "amount"}, "yen": {"金額", "yen"}, "paid": {"入金額", "paid"}, "method": {"方法", "method"},
	"receipt_number": {"決済受付番号", "receipt number"}, "number": {"番号", "number"}, "class": {"種別", "class"}, "sender": {"送信元", "sender"},
}

// shortDetail is the part of an event's fields that fits into a table.
func shortDetail(e *proof.Event, japanese bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if w := detailWords[name].in(japanese); w != "" && len(parts) < 5 {
			parts = append(parts, w+" "+e.Fields[name])
		}
	}
	return strings.Join(parts, " / ")
}
