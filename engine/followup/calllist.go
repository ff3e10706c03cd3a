package followup

import (
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"strconv"
	"time"
)

type words struct{ ja, en string }

func (w words) in(lang string) string {
	if lang == "en" {
		return w.en
	}
	return w.ja
}

var listWords = map[List]words{
	Undelivered: {"不達", "not delivered"}, Unopened: {"未開封", "not opened"}, Unidentified: {"本人未確認", "not identified"},
	Unpaid: {"未払い", "unpaid"}, Promised: {"支払約束の期日前", "promise still holds"}, BrokenPromise: {"支払約束の期日経過", "promise broken"},
}

// Label names a list for people.
func (l List) Label(lang string) string { return listWords[l].in(lang) }

var phaseWords = map[message.Phase]words{
	message.NotDelivered: {"不達", "undelivered"}, message.Unknown: {"送達不明", "delivery unknown"}, message.Rejected: {"送信不可", "refused"},
	message.Expired: {"送信期限切れ", "lapsed"}, message.Doubtful: {"応答なし", "no response"},
}

// Reason says why a message is on the list.
func (it *Item) Reason(l List, now time.Time, lang string) string {
	switch l {
	case Undelivered:
		out := phaseWords[it.State.PhaseAt(now)].in(lang)
		if it.State.Reason != "" {
			out += " (" + it.State.Reason + ")"
		}
		return out
	case Promised, BrokenPromise:
		word := words{"お支払い予定日 ", "promised for "}
		if it.State.Promise.Word == message.PromisePaid {
			word = words{"お支払い済みとの申告・入金未確認 ", "said to be paid, no money seen, until "}
		}
		return word.in(lang) + it.State.Promise.By
	}
	return l.Label(lang)
}

// CallHeader is the first line of a call list.
func CallHeader(lang string) []string {
	if lang == "en" {
		return []string{"No.", "Phone number", "Reference", "List", "Reason", "SMS submissions", "Times sent again", "Last sent again", "Accepted", "Delivered", "Opened", "Identified", "Claim no.", "Amount", "Received", "Due"}
	}
	return []string{"No.", "電話番号", "会員情報", "リスト", "理由", "SMS送信回数", "再送回数", "最終再送日時", "SMS受付日時", "SMS送信日時", "期限付URL認証日時", "認証日時", "請求番号", "請求金額", "入金額", "支払期限"}
}

// CallRow is the line of a message. The number is whole: whoever asks for it is recorded by the caller.
func (it *Item) CallRow(l List, now time.Time, lang string) []string {
	number := ""
	if n, err := carrier.ParseNumber(it.SMS.Number); err == nil {
		number = n.National()
	}
	st := &it.State
	row := []string{st.Head.No, number, it.SMS.Reference, l.Label(lang), it.Reason(l, now, lang), strconv.Itoa(it.Submissions()), strconv.Itoa(it.Resends),
		moment(it.ResentAt), moment(st.AcceptedAt), moment(st.DeliveredAt), moment(st.OpenedAt), moment(st.IdentifiedAt), "", "", "", ""}
	if c := it.Claim; c != nil {
		copy(row[12:], []string{c.Number, strconv.FormatInt(c.Amount, 10), strconv.FormatInt(c.Received, 10), c.Due.In(message.Tokyo).Format("2006/01/02")})
	}
	return row
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(message.Tokyo).Format("2006/01/02 15:04")
}
