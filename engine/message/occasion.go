package message

import (
	"strings"
	"time"
)

// Occasion is a use of the trade whose words are ready: the SMS, and title, lead and closing of the page where the draft has none
// of its own. A draft names it as its template, by OccasionPrefix and Code, or by OccasionPrefix and the Japanese label.
//
// The words may have {company} and {phone} (the tenant's), {yesterday} (the day before the message may go out, 11月27日),
// {amount} and {due} (the claim's), which a draft's own vars replace. An SMS fits into one segment beside a company of ten
// characters and a link of 34.
type Occasion struct {
	Code    string
	LabelJA string
	LabelEN string
	Class   Class // of a draft that says none
	Text    string
	Title   string
	Lead    string
	Closing string
}

// OccasionPrefix stands before an occasion's code: no template of a tenant can have such a name.
const OccasionPrefix = "std:"

const (
	crossed = "なお、行き違いでご入金いただきました場合には、ご容赦ください。"
	askUs   = "ご不明な点は、{phone}までお問い合わせください。"
	greet   = "いつもご利用いただきありがとうございます。\n"
)

// Occasions are in the order in which they are offered. Codes never change. FEATURES A20, E13, E18
var Occasions = []Occasion{
	{"payment", "お支払いのご案内", "Payment", Billing, "{company}からお支払いのご案内です。ご確認ください。{url}", "お支払いのご案内",
		greet + "ご利用代金について、下記のとおりご案内いたします。内容をご確認のうえ、期限までにお支払いをお願いいたします。", crossed + "\n" + askUs},
	{"debit_failed", "口座引落不能", "Debit failed", Billing, "{company}です。口座引落ができませんでした。{url}", "口座振替のお知らせ",
		greet + "ご指定の口座から、ご利用代金を引き落とすことができませんでした。お手数ですが、下記の内容をご確認のうえ、お支払いの手続きをお願いいたします。", crossed + "\n" + askUs},
	{"slip_reissue", "払込書の再発行", "Slip reissued", Billing, "{company}です。払込書の再発行のご案内です。{url}", "払込書の再発行について",
		"ご依頼いただきました払込書に代わり、下記のとおりお支払いいただけます。お手元の払込書が見つかった場合も、二重にお支払いにならないようご注意ください。", askUs},
	{"meter_reading", "検針のお知らせ", "Meter reading", Notice, "{company}から検針結果のお知らせです。{url}", "検針のお知らせ",
		greet + "今回の検針結果とご使用量をお知らせいたします。", askUs},
	{"renewal", "契約更新", "Renewal", Notice, "{company}からご契約更新のご案内です。{url}", "ご契約更新のご案内",
		greet + "ご契約の更新時期が近づいてまいりました。下記の内容をご確認のうえ、お手続きをお願いいたします。", askUs},
	{"reminder", "お支払いの督促", "Reminder", Collection, "{company}からお支払いの確認のお願いです。{url}", "お支払いの確認のお願い",
		"毎度ご利用いただきましてありがとうございます。\nさて、{yesterday}現在で、お客様のご利用代金についてご入金の確認が取れておりません。つきましては、下記の内容をご確認のうえ、お支払いに関する手続きをお願いいたします。\n" + crossed, askUs},
	{"loan_reminder", "お支払いの督促（カード・ローン）", "Reminder (cards and loans)", Collection, "{company}からお支払いの確認のお願いです。{url}", "お支払いの確認のお願い",
		"毎度ご利用いただきましてありがとうございます。\nさて、{yesterday}現在で、お客様のご利用代金についてご入金の確認が取れておりません。つきましては、下記の内容をご確認のうえ、お支払いに関する手続きをお願いいたします。\n" + crossed,
		"・住宅ローン、和解契約等、一部のご契約はこのページの対象外のため表示されません。\n・このページの閲覧にかかる通信料は、お客様のご負担となります。\n・お支払いのご相談は、{phone}までご連絡ください。"},
	{"visit", "訪問日時", "Visit", Notice, "{company}からご訪問日時のお知らせです。{url}", "ご訪問日時のお知らせ",
		"下記の日時にお伺いいたします。ご都合が悪い場合は、お早めにご連絡ください。", askUs},
	{"repair", "修理費", "Repair", Billing, "{company}から修理費のご案内です。{url}", "修理費のご案内",
		"ご依頼いただきました修理の費用について、下記のとおりご案内いたします。内容をご確認のうえ、お支払いをお願いいたします。", crossed + "\n" + askUs},
	{"first_premium", "初回保険料", "First premium", Billing, "{company}から初回保険料のご案内です。{url}", "初回保険料のお支払いのご案内",
		"このたびはお申込みいただきありがとうございます。初回保険料について、下記のとおりご案内いたします。期限までにお支払いをお願いいたします。", crossed + "\n" + askUs},
	{"summons", "呼び出し", "Please call", Notice, "{company}からご連絡のお願いです。{url}", "ご連絡のお願い",
		"お伝えしたいことがございます。下記の内容をご確認のうえ、{phone}までご連絡をお願いいたします。", askUs},
	{"recruiting", "採用・派遣募集", "Jobs", Notice, "{company}からお仕事のご案内です。{url}", "お仕事のご案内",
		"ご登録いただいている方に、お仕事のご案内をお送りしています。下記の条件をご確認のうえ、ご希望をご回答ください。", askUs},
	{"inspection", "法定点検", "Inspection", Notice, "{company}から法定点検のお知らせです。{url}", "法定点検のお知らせ",
		"法令に基づく点検を、下記のとおり実施いたします。ご都合が悪い場合は、お早めにご連絡ください。", askUs},
	{"assignment", "債権譲渡の通知", "Assignment of a debt", LegalNotice, "{company}から債権譲渡に関する通知です。{url}", "債権譲渡通知",
		"下記のとおり、お客様に対する債権を譲渡いたしましたので、ご通知申し上げます。", askUs},
}

// FindOccasion finds the occasion that a draft's template names.
func FindOccasion(template string) (*Occasion, bool) {
	name, ok := strings.CutPrefix(template, OccasionPrefix)
	if !ok {
		return nil, false
	}
	for i := range Occasions {
		if o := &Occasions[i]; o.Code == name || o.LabelJA == name {
			return o, true
		}
	}
	return nil, false
}

// Name is what a draft names the occasion by.
func (o Occasion) Name() string { return OccasionPrefix + o.Code }

// Yesterday is the day before a time, as a text of an occasion says it.
func Yesterday(t time.Time) string { return t.In(Tokyo).AddDate(0, 0, -1).Format("1月2日") }
