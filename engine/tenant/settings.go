package tenant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Settings are what a tenant's own administrators set, at the console. They stand in the definition, so that a file that is applied
// later sets them too. The rest of it is the operator's: addresses and hosts, senders, agents, limits, retention.
type Settings struct {
	Name        string
	NameEN      string
	Public      Public
	PrePage     PrePage
	PaidSMS     PaidSMS
	Templates   []Template
	Identity    Chain
	KanaLevel   string
	CodeDigits  int
	BirthYears  int
	SplitName   bool
	MaxSegments int
	TokenLength int
	PastNotices int
	ClaimMenu   bool
	StopWords   []string
	Excluded    []string // products
	Canary      int      // minutes
	Labels      Labels
	LabelsEN    Labels
}

// Settings returns those of the definition.
func (t *Tenant) Settings() Settings {
	p := &t.Policy
	return Settings{t.Name, t.NameEN, t.Brand.Public, t.PrePage, t.PaidSMS, t.Templates, p.Identity, p.KanaLevel, p.CodeDigits, p.BirthYears,
		p.SplitName, p.MaxSegments, p.TokenLength, p.PastNotices, p.ClaimMenu, p.StopWords, p.ExcludedProducts, p.CanaryMinutes, t.Labels, t.LabelsEN}
}

// With returns the definition with other settings.
func (t *Tenant) With(s Settings) *Tenant {
	n := *t
	p := &n.Policy
	n.Name, n.NameEN, n.Brand.Public, n.PrePage, n.PaidSMS, n.Templates = s.Name, s.NameEN, s.Public, s.PrePage, s.PaidSMS, s.Templates
	p.Identity, p.KanaLevel, p.CodeDigits, p.BirthYears, p.SplitName = s.Identity, s.KanaLevel, s.CodeDigits, s.BirthYears, s.SplitName
	p.MaxSegments, p.TokenLength, p.PastNotices, p.StopWords, p.CanaryMinutes = s.MaxSegments, s.TokenLength, s.PastNotices, s.StopWords, s.Canary
	p.ExcludedProducts, p.ClaimMenu = s.Excluded, s.ClaimMenu
	n.Labels, n.LabelsEN = s.Labels, s.LabelsEN
	return &n
}

// SetSettings changes a tenant's settings. was is the Tag of those that the change was made from: ErrStale when they are others by
// now. record is called with what changes just before it does, never for a change that is refused; its error refuses it.
// Errors besides: those of Validate.
func (d *Directory) SetSettings(ctx context.Context, id ID, was string, next Settings, record func([]Difference) error) error {
	return d.change(ctx, TenantApplied, func(s *Snapshot) (any, error) {
		old := s.Tenants[id]
		if old == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", id)
		}
		now := old.Settings()
		if now.Tag() != was {
			return nil, ErrStale
		}
		t := old.With(next)
		if errs := t.Validate(); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		return t, record(now.Diff(&next))
	})
}

// Tag is the same for the same settings and no others.
func (s *Settings) Tag() string { return tagOf(s) }

// Tag is the same for brands that look the same and no others. The public page is of the settings.
func (b Brand) Tag() string {
	if b.Logo != nil {
		b.Logo = &Logo{Name: b.Logo.Name}
	}
	b.Public = Public{}
	return tagOf(b)
}

func tagOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("BUG: tag of settings: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12])
}

// Difference is one field in which settings differ, named as in the definition's file.
type Difference struct{ Field, Was, Is string }

// Diff lists the fields in which next differs, in the order of the form.
func (s *Settings) Diff(next *Settings) (all []Difference) {
	was, is := s.fields(), next.fields()
	for i, f := range is {
		if was[i].Value != f.Value {
			all = append(all, Difference{f.Name, was[i].Value, f.Value})
		}
	}
	return all
}

type setting struct{ Name, Value string }

// fields are the settings as text.
func (s *Settings) fields() []setting {
	number, yes, lines := strconv.Itoa, strconv.FormatBool, func(all []string) string { return strings.Join(all, "\n") }
	var templates []string
	for _, t := range s.Templates {
		templates = append(templates, t.Name+": "+t.Text)
	}
	return []setting{
		{"name", s.Name}, {"name_en", s.NameEN},
		{"brand.public.hidden", yes(s.Public.Hidden)}, {"brand.public.name", s.Public.Name}, {"brand.public.site", s.Public.Site},
		{"brand.public.never_asks", lines(s.Public.NeverAsks)}, {"brand.public.never_asks_en", lines(s.Public.NeverAsksEN)},
		{"prepage.notice", s.PrePage.Notice}, {"prepage.notice_en", s.PrePage.NoticeEN}, {"prepage.skip", yes(s.PrePage.Skip)},
		{"policy.identity.fields", lines(s.Identity.Fields)}, {"policy.identity.code", yes(s.Identity.Code)},
		{"policy.code_digits", number(s.CodeDigits)}, {"policy.split_name", yes(s.SplitName)}, {"policy.kana_level", s.KanaLevel}, {"policy.birth_years", number(s.BirthYears)},
		{"policy.max_segments", number(s.MaxSegments)}, {"policy.token_length", number(s.TokenLength)}, {"policy.past_notices", number(s.PastNotices)}, {"policy.claim_menu", yes(s.ClaimMenu)},
		{"policy.stop_words", lines(s.StopWords)}, {"policy.excluded_products", lines(s.Excluded)}, {"policy.canary_minutes", number(s.Canary)},
		{"paid_sms.when", s.PaidSMS.When}, {"paid_sms.template", s.PaidSMS.Template}, {"paid_sms.sender", s.PaidSMS.Sender},
		{"template", lines(templates)}, {"label", lines(s.Labels.lines())}, {"label_en", lines(s.LabelsEN.lines())},
	}
}

// SettingFields are the names of all settings, as in the definition's file, in the order of the form.
func SettingFields() (names []string) {
	for _, f := range (&Settings{}).fields() {
		names = append(names, f.Name)
	}
	return names
}
