package company

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
	"github.com/kakitome/kakitome/tools/till/notice"
	"github.com/kakitome/kakitome/tools/till/slip"
)

//go:embed pages
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"yen": yen,
	"at":  func(t time.Time) string { return t.In(slip.Japan).Format("2006/01/02 15:04:05") },
	"day": func(t time.Time) string {
		t = t.In(slip.Japan)
		return t.Format("2006年1月2日") + "（" + string([]rune("日月火水木金土")[t.Weekday()]) + "）"
	},
	"state":   func(s ledger.State) string { return states[s] },
	"method":  func(m ledger.Method) string { return methods[m] },
	"event":   func(e string) string { return eventNames[e] },
	"store":   storeName,
	"direct":  func(store string) bool { return ledger.Method(store).Redirects() },
	"result":  func(r string) string { return cmp.Or(results[r], r) },
	"digits":  groups,
	"seconds": span,
	"delays": func() []time.Duration {
		return []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute}
	},
	"clocks": func() []time.Duration {
		return []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
	},
}).ParseFS(files, "pages/*.html"))

var states = map[ledger.State]string{
	ledger.RequiresAction: "画面での手続き待ち",
	ledger.Awaiting:       "お支払い待ち",
	ledger.Provisional:    "速報",
	ledger.Confirmed:      "確報",
	ledger.Failed:         "利用不可",
	ledger.Registered:     "口座登録済み",
	ledger.Canceled:       "取消済み",
	ledger.Expired:        "期限切れ",
}

var methods = map[ledger.Method]string{
	ledger.KonbiniNumber:  "お支払番号",
	ledger.KonbiniBarcode: "バーコード",
	ledger.Card:           "カード",

	ledger.PayerNumber:         "お客様専用番号",
	ledger.PayEasy:             "ペイジー",
	ledger.CardRecurring:       "カード（継続）",
	ledger.Wallet:              "ウォレット",
	ledger.AccountRegistration: "口座振替登録",
}

var eventNames = map[string]string{
	ledger.EventProvisional: "速報",
	ledger.EventRevoked:     "速報取消",
	ledger.EventConfirmed:   "確報",
	ledger.EventCaptured:    "決済完了",
	ledger.EventDeclined:    "利用不可",
	ledger.EventRefunded:    "返金",
	ledger.EventAbandoned:   "手続き中止",
	ledger.EventRegistered:  "口座登録完了",
}

// results are those of notices that got no HTTP status.
var results = map[string]string{
	notice.NoAnswer: "応答なし",
	notice.BadURL:   "URLが正しくありません",
}

// refusals are what a clerk is told.
var refusals = map[string]string{
	ledger.CodeInvalid:           "入力内容をご確認ください。",
	ledger.CodeNotFound:          "該当するお支払いがありません。",
	ledger.CodeUnreadable:        "番号を読み取れません。お支払番号、またはバーコードの数字44桁を入力してください。",
	ledger.CodeCheckDigit:        "番号に誤りがあります（チェックデジット不一致）。もう一度ご入力ください。",
	ledger.CodeWrongCompany:      "当社のバーコードではないため、お取り扱いできません。",
	ledger.CodeUnknownNumber:     "この番号のお支払いは登録されていません。",
	ledger.CodeWrongConfirmation: "確認番号が一致しません。",
	ledger.CodeWrongAmount:       "バーコードの金額が請求内容と異なるため、お取り扱いできません。",
	ledger.CodeWrongDue:          "バーコードの支払期限が請求内容と異なるため、お取り扱いできません。",
	ledger.CodeCanceled:          "このお支払いは取り消されています。",
	ledger.CodeExpired:           "お支払い期限を過ぎているため、お取り扱いできません。",
	ledger.CodeStale:             "バーコードの表示期限を過ぎています。お客様の画面を最新の状態にしてください。",
	ledger.CodePaid:              "すでにお支払い済みです。",
	ledger.CodeNotOpen:           "すでに確報または取消になっています。",
	ledger.CodeConfirmed:         "確報済みのため、取り消せません。",
	ledger.CodeChoose:            "お支払いになるご請求をお選びください。",
}

var doneTexts = map[string]string{
	"revoked":   "速報を取り消しました。加盟店に速報取消を通知します。",
	"confirmed": "確報にしました。加盟店に通知します。",
	"fault":     "障害の設定を変更しました。",
	"clock":     "時計を変更しました。",
}

// page is what every page's layout needs.
type page struct {
	Title   string
	Tab     string
	Now     time.Time
	Ahead   string // how far the clock is ahead; empty: not
	Done    string
	Refused string
	Refresh int // seconds; 0: never
}

func (c *Company) page(r *http.Request, tab, title string) page {
	now, ahead := c.books.Clock()
	p := page{Title: title, Tab: tab, Now: now, Done: doneTexts[r.FormValue("done")]}
	if ahead > 0 {
		p.Ahead = span(ahead)
	}
	if code := r.FormValue("refused"); code != "" {
		p.Refused = refusalText(code)
	}
	return p
}

func refusalText(code string) string {
	return cmp.Or(refusals[code], "処理できませんでした。時間をおいてもう一度お試しください。")
}

// show writes one page. The whole page is made before its first byte is sent.
func (c *Company) show(w http.ResponseWriter, status int, name string, model any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, model); err != nil {
		c.opts.Log.Error("page not drawn", "page", name, "err", err)
		http.Error(w, "画面を表示できません。", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // an error means that the browser is gone
}

func style(w http.ResponseWriter, r *http.Request) {
	b, err := files.ReadFile("pages/style.css")
	if err != nil {
		panic("BUG: style.css is not embedded")
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=60")
	w.Write(b)
}

type registerModel struct {
	page
	Code, Store               string
	Stores                    []ledger.Store
	Barcode                   bool
	Bill                      *ledger.Record  // what was scanned
	Bills                     []ledger.Record // what is open under a payer's number
	PayEasy                   bool
	Institution, Confirmation string
	Paid                      *ledger.Record // what was paid just now
	Merchant                  string
	AskConfirm                bool
	Stamp                     bool
	Recent                    []ledger.Record
}

// registerPage is the till: ?code= shows what would be paid, ?paid= what was. It changes nothing.
func (c *Company) registerPage(w http.ResponseWriter, r *http.Request) {
	m := registerModel{page: c.page(r, "till", "レジ"), Code: strings.TrimSpace(r.FormValue("code")),
		Store: cmp.Or(r.FormValue("store"), ledger.Stores()[0].Code), Stores: ledger.Stores()}
	if id := r.FormValue("paid"); id != "" {
		if rec, err := c.books.Payment(id); err == nil {
			m.Paid, m.Merchant = &rec, c.merchants[rec.Merchant].Name
		}
	} else if bills, ok := c.books.Bills(m.Code); ok && r.FormValue("payment") == "" {
		if m.Bills = bills; len(bills) == 0 {
			m.Refused = refusalText(ledger.CodePaid)
		}
	} else if m.Code != "" {
		m.Institution, m.Confirmation = r.FormValue("institution"), r.FormValue("confirmation")
		rec, err := c.books.Look(ledger.Scan{Code: m.Code, Store: m.Store, Institution: m.Institution, Confirmation: m.Confirmation, Payment: r.FormValue("payment")}, c.waive(false))
		if err != nil {
			_, refusal := c.refusal(err)
			m.Refused = refusalText(refusal.Code)
		} else {
			m.Bill, m.Merchant = &rec, c.merchants[rec.Merchant].Name
			m.Barcode = rec.Method == ledger.KonbiniBarcode
			m.Stamp = slip.NeedsStamp(rec.Yen, rec.TaxYen)
			m.PayEasy = rec.Method == ledger.PayEasy
			if rec.Method == ledger.KonbiniNumber {
				m.Store = rec.Voucher.Stores[0].Code
			}
		}
	}
	m.Recent = c.books.Payments("", 6)
	c.show(w, http.StatusOK, "till", m)
}

type listModel struct {
	page
	Query     string
	Payments  []ledger.Record
	Merchants map[string]Merchant
	Open      int
	Auto      bool
	Revocable bool // a fault lets what is confirmed be revoked
	Today     string
}

const listed = 100

func (c *Company) listPage(w http.ResponseWriter, r *http.Request) {
	m := listModel{page: c.page(r, "list", "入金一覧"), Query: strings.TrimSpace(r.FormValue("q")), Merchants: c.merchants,
		Auto: r.FormValue("auto") == "1", Revocable: c.faults.Armed(fault.RevokeConfirmed)}
	if m.Auto {
		m.Refresh = 5
	}
	m.Today = m.Now.In(slip.Japan).Format(time.DateOnly)
	m.Payments = c.books.Payments(m.Query, listed)
	for _, p := range m.Payments {
		for _, t := range p.Takings {
			if t.Open() {
				m.Open++
			}
		}
	}
	c.show(w, http.StatusOK, "list", m)
}

type logModel struct {
	page
	Waiting, Tries []notice.Try
	Auto           bool
}

func (c *Company) logPage(w http.ResponseWriter, r *http.Request) {
	m := logModel{page: c.page(r, "log", "通知"), Auto: r.FormValue("auto") == "1"}
	if m.Auto {
		m.Refresh = 5
	}
	m.Waiting, m.Tries = c.sender.Status()
	c.show(w, http.StatusOK, "log", m)
}

type controlsModel struct {
	page
	Groups       []faultGroup
	ConfirmAfter time.Duration
}

type faultGroup struct {
	Title  string
	Faults []faultRow
}

type faultRow struct {
	fault.Setting
	Label, Effect string
}

var faultTexts = []struct {
	group string
	name  fault.Name
	label string
	what  string
}{
	{"加盟店APIの障害", fault.LostReply, "応答が届かない", "支払いを登録したあと、応答を返さずに接続を切ります。"},
	{"加盟店APIの障害", fault.SlowReply, "応答が遅い", "指定した時間だけ待ってから応答します。"},
	{"加盟店APIの障害", fault.ServerError, "サーバーエラー（500）", "何もせずに500を返します。"},
	{"加盟店APIの障害", fault.NoVoucher, "新しいバーコードを出さない", "表示期限が過ぎても、新しいバーコードの発行を断ります。"},
	{"加盟店APIの障害", fault.DeclineCharge, "登録カードが利用できない", "登録済みのカードへの請求を断ります。"},
	{"通知の障害", fault.DuplicateNotice, "二重に届く", "同じ通知を2回送ります。"},
	{"通知の障害", fault.OutOfOrder, "順序が逆になる", "指定した件数がたまるまで止め、後のものから送ります。"},
	{"通知の障害", fault.LateNotice, "遅れて届く", "指定した時間が過ぎてから送ります。ほかの通知が先に届きます。"},
	{"通知の障害", fault.ForgedSignature, "署名が正しくない", "1回目を誤った署名で送ります。再送は正しい署名です。"},
	{"レジの障害", fault.PayAfterCancel, "取消後に支払われる", "取り消した番号やカードでも支払いを受け付けます。"},
	{"レジの障害", fault.PayAfterExpiry, "期限後に支払われる", "期限を過ぎた支払いも受け付けます。"},
	{"レジの障害", fault.PayTwice, "二重に支払われる", "支払い済みでももう一度受け付けます。"},
	{"レジの障害", fault.RevokeConfirmed, "確報後に取り消される", "確報済みでも「入金一覧」から速報取消を送れます。"},
}

func (c *Company) controlsPage(w http.ResponseWriter, r *http.Request) {
	m := controlsModel{page: c.page(r, "controls", "障害と時計"), ConfirmAfter: c.opts.ConfirmAfter}
	left := map[fault.Name]fault.Setting{}
	for _, f := range c.faults.List() {
		left[f.Name] = f
	}
	for _, t := range faultTexts {
		if len(m.Groups) == 0 || m.Groups[len(m.Groups)-1].Title != t.group {
			m.Groups = append(m.Groups, faultGroup{Title: t.group})
		}
		g := &m.Groups[len(m.Groups)-1]
		g.Faults = append(g.Faults, faultRow{left[t.name], t.label, t.what})
	}
	c.show(w, http.StatusOK, "controls", m)
}

// yen writes 7440 as 7,440.
func yen(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func storeName(code string) string {
	for _, s := range ledger.Stores() {
		if s.Code == code {
			return s.LabelJA
		}
	}
	if code == ledger.Bank {
		return "金融機関・ATM"
	}
	return cmp.Or(methods[ledger.Method(code)], code)
}

// groups writes a number for people: a slip as the two lines printed under its bars, others
// in fours.
func groups(s string) string {
	if len(s) == slip.Length {
		return fmt.Sprintf("(%s)%s-%s\n%s-%s-%s-%s", s[:2], s[2:8], s[8:30], s[30:36], s[36:37], s[37:43], s[43:])
	}
	var out strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// span writes 26h as 1日2時間.
func span(d time.Duration) string {
	var out strings.Builder
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "日"}, {time.Hour, "時間"}, {time.Minute, "分"}, {time.Second, "秒"}} {
		if n := d / unit.size; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, unit.name)
			d -= n * unit.size
		}
	}
	return cmp.Or(out.String(), d.String())
}
