package admin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screen of what a tenant's administrators set themselves. What is the operator's is shown beside it.

// settingsPage is the form. Fields are named as in the definition's file, also in Fault.
type settingsPage struct {
	S       tenant.Settings
	Was     string // tag of the settings that the form is of
	Fault   map[string]string
	General []string // faults of no field that is shown
	// Changed is what somebody else saved meanwhile, where it is not what was typed.
	Changed []tenant.Difference
	Fields  []field        // questions of the identification that the form offers
	Chain   tenant.Chain   // what every message asks for, as saved
	Guess   identity.Guess // of Chain
	Senders []tenant.SenderProfile
	Methods []string // with the agents that take them
	Entry   string   // address of the shared entry page; empty: there is none
	Blank   []int    // rows for templates beside those that are there
	Labels  []tenant.LabelKind
	Limits  struct{ Notice, Label int }
}

const blankTemplates = 2

// Label names a question of the identification.
func (p *settingsPage) Label(code string) string {
	for _, f := range p.Fields {
		if f.Code == code {
			return f.Label
		}
	}
	return code
}

// LabelsSet reports whether the form has words of a kind.
func (p *settingsPage) LabelsSet(kind string) bool {
	return len(p.S.Labels[kind])+len(p.S.LabelsEN[kind]) > 0
}

func (s *Server) settingsPage(v *visit, set tenant.Settings, was string) *settingsPage {
	p := &settingsPage{S: set, Was: was, Fault: map[string]string{}, Senders: v.Tenant.Senders, Entry: s.entryAddress(v.Tenant)}
	p.Labels, p.Limits.Notice, p.Limits.Label = tenant.LabelKinds, tenant.MaxNotice, tenant.MaxLabel
	p.Chain, p.Guess = v.Tenant.Policy.Identity, s.Identity.ChainGuess(v.Tenant)
	for i := range blankTemplates {
		p.Blank = append(p.Blank, len(set.Templates)+i)
	}
	for _, f := range s.identityFields(v) {
		if !strings.Contains(f.Code, "/") { // a chain names no levels
			p.Fields = append(p.Fields, f)
		}
	}
	for _, name := range set.Identity.Fields { // of a module that is not there now
		if !slices.ContainsFunc(p.Fields, func(f field) bool { return f.Code == name }) {
			p.Fields = append(p.Fields, field{name, name})
		}
	}
	for _, m := range v.Tenant.Methods() {
		if a, ok := v.Tenant.AgentFor(m); ok {
			p.Methods = append(p.Methods, s.Payments.MethodLabel(a.Module, m, v.Lang)+v.T("（", " (")+a.Name+v.T("）", ")"))
		}
	}
	return p
}

func (s *Server) settings(w http.ResponseWriter, r *http.Request, v *visit) error {
	now := v.Tenant.Settings()
	return s.show(w, r, v, "settings", s.settingsPage(v, now, now.Tag()))
}

// setSettings saves the form. One that was opened before somebody else saved theirs is shown again, with what they changed.
func (s *Server) setSettings(w http.ResponseWriter, r *http.Request, v *visit) error {
	set, faults := settingsForm(v, r.PostForm)
	p := s.settingsPage(v, set, r.PostForm.Get("was"))
	p.Fault = faults
	if len(faults) > 0 {
		s.render(w, v, http.StatusUnprocessableEntity, "settings", p)
		return nil
	}
	err := s.Directory.SetSettings(r.Context(), v.Tenant.ID, p.Was, set, func(diff []tenant.Difference) error {
		lines := make([]string, len(diff))
		for i, d := range diff {
			lines[i] = d.Field + ": " + d.Was + " → " + d.Is
		}
		return s.record(r.Context(), v, "settings.set", string(v.Tenant.ID), strings.Join(lines, "\n"))
	})
	switch {
	case errors.Is(err, tenant.ErrStale):
		now := s.Directory.Now().Tenants[v.Tenant.ID].Settings()
		p.Changed, p.Was = set.Diff(&now), now.Tag()
		s.render(w, v, http.StatusConflict, "settings", p)
		return nil
	case p.fault(v, err):
		s.render(w, v, http.StatusUnprocessableEntity, "settings", p)
		return nil
	case err != nil:
		return err
	}
	return back(w, r, s.note(v, "/settings", "保存しました。", "Saved."))
}

// fault puts the faults of a definition where they belong and reports whether err is such.
func (p *settingsPage) fault(v *visit, err error) bool {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return false
	}
	shown := tenant.SettingFields()
	for _, err := range many.Unwrap() {
		var wrong *tenant.FieldError
		if !errors.As(err, &wrong) { // of the branding
			p.General = append(p.General, err.Error())
			continue
		}
		name, index, one := strings.Cut(wrong.Field, "[")
		text := wrong.Text(v.Lang)
		if one && name != "template" {
			n, _ := strconv.Atoi(strings.TrimSuffix(index, "]"))
			text = v.T(strconv.Itoa(n+1)+"行目：", "line "+strconv.Itoa(n+1)+" ") + text
		}
		switch {
		case name == "template":
			p.Fault[wrong.Field] = text // template[0].name, template[0].text
		case strings.HasPrefix(name, "label.") || strings.HasPrefix(name, "label_en."):
			p.Fault[name] = text // label.status.delivered
		case slices.Contains(shown, name):
			p.Fault[name] = text
		default:
			p.General = append(p.General, wrong.Field+": "+text)
		}
	}
	return true
}

// settingsForm reads the form. Empty numbers mean the default, empty templates are taken away.
func settingsForm(v *visit, f url.Values) (s tenant.Settings, faults map[string]string) {
	faults = map[string]string{}
	text := func(name string) string { return strings.TrimSpace(strings.ReplaceAll(f.Get(name), "\r\n", "\n")) }
	number := func(name string) int {
		if text(name) == "" {
			return 0
		}
		n, err := strconv.Atoi(text(name))
		if err != nil {
			faults[name] = v.T("半角の数字で入力してください", "must be a number")
		}
		return n
	}
	lines := func(name string) (all []string) {
		for line := range strings.Lines(text(name)) {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
		return all
	}
	labels := func(name string) (all tenant.Labels) {
		for _, k := range tenant.LabelKinds {
			for _, code := range k.Codes {
				word := text(name + "." + k.Name + "." + code)
				if word == "" {
					continue
				}
				if all[k.Name] == nil {
					if all == nil {
						all = tenant.Labels{}
					}
					all[k.Name] = map[string]string{}
				}
				all[k.Name][code] = word
			}
		}
		return all
	}
	on := func(name string) bool { return f.Get(name) != "" }
	s = tenant.Settings{
		Name: text("name"), NameEN: text("name_en"),
		Public:   tenant.Public{Hidden: !on("public"), Name: text("brand.public.name"), Site: text("brand.public.site"), NeverAsks: lines("brand.public.never_asks"), NeverAsksEN: lines("brand.public.never_asks_en")},
		PrePage:  tenant.PrePage{Notice: text("prepage.notice"), NoticeEN: text("prepage.notice_en"), Skip: on("prepage.skip")},
		PaidSMS:  tenant.PaidSMS{When: text("paid_sms.when"), Template: text("paid_sms.template"), Sender: text("paid_sms.sender")},
		Identity: tenant.Chain{Fields: f["policy.identity.fields"], Code: on("policy.identity.code")}, KanaLevel: text("policy.kana_level"), CodeDigits: number("policy.code_digits"),
		BirthYears: number("policy.birth_years"), SplitName: on("policy.split_name"), MaxSegments: number("policy.max_segments"), TokenLength: number("policy.token_length"),
		PastNotices: number("policy.past_notices"), ClaimMenu: on("policy.claim_menu"), StopWords: lines("policy.stop_words"), Excluded: lines("policy.excluded_products"), Canary: number("policy.canary_minutes"),
		Labels: labels("label"), LabelsEN: labels("label_en"),
	}
	for i := range f["template.name"] {
		t := tenant.Template{Name: strings.TrimSpace(f["template.name"][i])}
		if i < len(f["template.text"]) {
			t.Text = strings.TrimSpace(strings.ReplaceAll(f["template.text"][i], "\r\n", "\n"))
		}
		if t != (tenant.Template{}) {
			s.Templates = append(s.Templates, t)
		}
	}
	return s, faults
}

// settingWords name what administrators set, by the field of the definition's file.
var settingWords = map[string]words{
	"name": {"名称", "Name"}, "name_en": {"英語の名称", "Name in English"},
	"brand.public.hidden": {"公開ページを非公開にする", "No public page"}, "brand.public.name": {"正式名称", "Official name"}, "brand.public.site": {"公式サイト", "Official site"},
	"brand.public.never_asks": {"お伺いしないこと", "What is never asked for"}, "brand.public.never_asks_en": {"お伺いしないこと（英語）", "What is never asked for, in English"},
	"prepage.notice": {"認証前の案内文", "Notice before the questions"}, "prepage.notice_en": {"認証前の案内文（英語）", "Notice before the questions, in English"}, "prepage.skip": {"認証前のページを表示しない", "No page before the questions"},
	"policy.identity.fields": {"必ず確認する項目", "What every page asks for"}, "policy.identity.code": {"SMSの認証番号を必ず求める", "Every page asks for a code by SMS"},
	"policy.code_digits": {"認証番号の桁数", "Digits of a code"}, "policy.split_name": {"氏名を姓と名に分けて入力", "Name in two fields"}, "policy.kana_level": {"カナ氏名の照合", "How names in kana are compared"}, "policy.birth_years": {"受信者の生年の幅（年）", "Years over which birth dates lie"},
	"policy.max_segments": {"SMSの最大分割数", "SMS segments at most"}, "policy.token_length": {"URLの文字数", "Characters of a link"}, "policy.past_notices": {"過去のお知らせの表示件数", "Earlier notices shown"}, "policy.claim_menu": {"お支払いのメニューを先に表示", "A menu before a claim"},
	"policy.stop_words": {"配信停止の返信語", "Stop words"}, "policy.excluded_products": {"対象外の商品", "Products that are not sent"},
	"policy.canary_minutes": {"カナリア送信の待ち時間（分）", "Minutes that a canary waits"},
	"paid_sms.when":         {"送信のタイミング", "When it is sent"}, "paid_sms.template": {"入金のお知らせの定型文", "Template of the payment SMS"}, "paid_sms.sender": {"入金のお知らせの送信元", "Sender of the payment SMS"},
	"template": {"定型文", "Templates"}, "label": {"画面とCSVの表示名", "Words of screens and CSV files"}, "label_en": {"画面とCSVの表示名（英語）", "Words of screens and CSV files, in English"},
	"label.status": {"ステータス", "Status"}, "label.claim": {"決済状況", "State of a claim"}, "label.outcome": {"決済/回答", "Payment/answer"}, "label.access": {"アクセス", "Access"}, "label.submission": {"SMS送信依頼", "Submission"},
}

func settingWord(name, lang string) string {
	if w, ok := settingWords[name]; ok {
		return w.in(lang)
	}
	return name
}

// settingValue is a setting's value as a person reads it.
func settingValue(value, lang string) string {
	switch value {
	case "":
		return words{"（なし）", "(none)"}.in(lang)
	case "true":
		return words{"はい", "yes"}.in(lang)
	case "false":
		return words{"いいえ", "no"}.in(lang)
	case "0":
		return words{"標準", "the default"}.in(lang)
	}
	return value
}

// className names a class of Quiet and Retention, which know some more than messages have.
func className(name, lang string) string {
	if w, ok := map[string]words{"received": {"受信SMS", "Received"}, "money": {"請求・入金・領収書", "Claims, receipts"}, "webhook": {"決済代行からの通知", "Agents' notices"}}[name]; ok {
		return w.in(lang)
	}
	if w, ok := classWords[message.Class(name)]; ok {
		return w.in(lang)
	}
	return name
}

func dayWord(day, lang string) string {
	if lang == "en" {
		return day
	}
	if i := slices.Index(tenant.Days, day); i >= 0 {
		return []string{"日", "月", "火", "水", "木", "金", "土"}[i]
	}
	return "祝"
}
