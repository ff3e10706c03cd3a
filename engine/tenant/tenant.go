package tenant

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// OperatorID is the tenant of the operator's own users. No message belongs to it.
const OperatorID ID = "operator"

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,31}$`)

// Tenant is what an operator defines with `kakitome tenant apply FILE`. The TOML and JSON names are the same.
type Tenant struct {
	ID        ID              `json:"id" toml:"id"`                               // 2 to 32 of a-z, 0-9, "-"
	Parent    ID              `json:"parent,omitempty" toml:"parent,omitempty"`   // the owner above it; empty: none
	Name      string          `json:"name" toml:"name"`                           // as the recipient knows it, at most 40 characters
	NameEN    string          `json:"name_en,omitempty" toml:"name_en,omitempty"` // at most 80
	Allow     []string        `json:"allow" toml:"allow"`                         // networks that may use the API (CIDR or address); empty admits nobody
	Brand     Brand           `json:"brand" toml:"brand"`
	Issuer    Issuer          `json:"issuer" toml:"issuer"`
	LinkHost  string          `json:"link_host,omitempty" toml:"link_host,omitempty"` // own host for links; empty: the engine's
	Senders   []SenderProfile `json:"senders" toml:"sender"`
	Templates []Template      `json:"templates,omitempty" toml:"template,omitempty"`
	Agents    []Agent         `json:"agents,omitempty" toml:"agent,omitempty"`
	// Former are contracts that are no longer in the definition: nothing new is paid by them, but what was begun goes on, by their
	// hooks and configurations. Apply keeps them.
	Former    []FormerAgent `json:"former,omitempty" toml:"-"`
	Entry     Entry         `json:"entry,omitzero" toml:"entry"`
	PrePage   PrePage       `json:"prepage,omitzero" toml:"prepage"`
	PaidSMS   PaidSMS       `json:"paid_sms,omitzero" toml:"paid_sms"`
	Labels    Labels        `json:"labels,omitempty" toml:"label,omitempty"`
	LabelsEN  Labels        `json:"labels_en,omitempty" toml:"label_en,omitempty"`
	Policy    Policy        `json:"policy" toml:"policy"`
	Callbacks []Callback    `json:"callbacks,omitempty" toml:"callback,omitempty"`
	Seeds     []Seed        `json:"seeds,omitempty" toml:"-"`
	// SeedNumbers are plain numbers by carrier; read by `tenant apply`, which sets Seeds, and never stored.
	SeedNumbers map[string]string `json:"-" toml:"seed,omitempty"`
}

// Brand is how the tenant looks to its recipients.
type Brand struct {
	Color string `json:"color,omitempty" toml:"color,omitempty"` // #rrggbb; default #1a4f8b
	Phone string `json:"phone" toml:"phone"`                     // contact shown on every page
	Hours string `json:"hours,omitempty" toml:"hours,omitempty"` // 受付時間
	Note  string `json:"note,omitempty" toml:"note,omitempty"`
	// HoursEN and NoteEN stand on English pages; empty: the Japanese ones do.
	HoursEN string `json:"hours_en,omitempty" toml:"hours_en,omitempty"`
	NoteEN  string `json:"note_en,omitempty" toml:"note_en,omitempty"`

	Public Public `json:"public,omitzero" toml:"public"`
	// Logo is set by the console, or of LogoFile; without one the logo that was stays.
	Logo *Logo `json:"logo,omitempty" toml:"-"`
	// Renderer is the module that draws pages and documents; empty: the standard one, which stands in for it where it fails.
	Renderer string `json:"renderer,omitempty" toml:"renderer,omitempty"`
	// LogoFile names a PNG or JPEG file; read by `tenant apply`, which sets Logo, and never stored.
	LogoFile string `json:"-" toml:"logo_file,omitempty"`
}

// HoursIn are the hours in a language, "ja" or "en".
func (b *Brand) HoursIn(lang string) string { return inLang(lang, b.Hours, b.HoursEN) }

// NoteIn is the note in a language, "ja" or "en".
func (b *Brand) NoteIn(lang string) string { return inLang(lang, b.Note, b.NoteEN) }

func inLang(lang, ja, en string) string {
	if lang == "en" && en != "" {
		return en
	}
	return ja
}

// PrePage is the page before the questions, with the button 認証画面へ.
type PrePage struct {
	Notice   string `json:"notice,omitempty" toml:"notice,omitempty"` // what stands above the button, at most 600 characters
	NoticeEN string `json:"notice_en,omitempty" toml:"notice_en,omitempty"`
	// Skip shows the questions at once. A link that asks none begins with its button all the same.
	Skip bool `json:"skip,omitempty" toml:"skip,omitempty"`
}

// Limits of what a tenant is called and of a PrePage's notice, in characters.
const (
	MaxName   = 40
	MaxNameEN = 80
	MaxNotice = 600
)

// length counts characters as their readers do: grapheme clusters, as message.Length has them.
func length(s string) int { return uniseg.GraphemeClusterCount(s) }

// Issuer is who signs receipts.
type Issuer struct {
	Name         string `json:"name,omitempty" toml:"name,omitempty"` // default the tenant's name
	Address      string `json:"address,omitempty" toml:"address,omitempty"`
	Phone        string `json:"phone,omitempty" toml:"phone,omitempty"`
	Registration string `json:"registration,omitempty" toml:"registration,omitempty"` // T + 13 digits: 適格請求書発行事業者; empty: 受領証
	// Individual: the issuer has no corporate number (個人事業者, 人格のない社団等), so that the registration number has no check digit.
	Individual bool `json:"individual,omitempty" toml:"individual,omitempty"`
}

// SenderProfile is one approved sender: an address for each carrier that approved one.
type SenderProfile struct {
	Name      string            `json:"name" toml:"name"`           // "default", "otp"
	Addresses map[string]string `json:"addresses" toml:"addresses"` // carrier → approved source address
}

// Template is a text with {url} and the sender's {names}.
type Template struct {
	Name string `json:"name" toml:"name"`
	Text string `json:"text" toml:"text"`
}

// Agent is a contract with a payment agent.
type Agent struct {
	Name    string   `json:"name" toml:"name"`          // instance, unique in the tenant: "sandbox"
	Module  string   `json:"module" toml:"module"`      // "payment/sandbox"
	Methods []string `json:"methods" toml:"methods"`    // codes that it takes for this tenant, in the order shown
	Hook    string   `json:"hook,omitempty" toml:"-"`   // 128 random bits in hex: the path of its webhooks; minted when first applied
	Config  []byte   `json:"config,omitempty" toml:"-"` // sealed JSON of the instance
	// ConfigFile names a 0600 file with the instance's JSON; read by `tenant apply`, never stored.
	ConfigFile string `json:"-" toml:"config_file,omitempty"`
}

// FormerAgent is a contract that was taken out of the definition, or whose module was changed.
type FormerAgent struct {
	Agent
	Removed time.Time `json:"removed"`
}

// is reports whether both are one contract: what a payment that was begun is asked for by.
func (a *Agent) is(b *Agent) bool { return a.Name == b.Name && a.Module == b.Module }

// Policy is what the tenant chose within what the operator allows. Zero values mean the defaults.
type Policy struct {
	KanaLevel   string `json:"kana_level,omitempty" toml:"kana_level,omitempty"`       // L1, L2 (default), L3
	CodeDigits  int    `json:"code_digits,omitempty" toml:"code_digits,omitempty"`     // 4 to 8, default 6
	BirthYears  int    `json:"birth_years,omitempty" toml:"birth_years,omitempty"`     // over how many years the recipients' birth dates lie, 1 to 100; 0: over all. How easily a chain is guessed is worked out by it
	CodesPerDay int    `json:"codes_per_day,omitempty" toml:"codes_per_day,omitempty"` // one-time codes a day in Asia/Tokyo, 1 to 10,000,000; default 10,000. From four fifths on it is told
	// Of these codes, those that the API sends (/v1/verifications): for one of the tenant's keys, default four fifths of
	// codes_per_day, so that whoever misuses a key leaves the pages theirs; and to numbers of one prefix (090-123…), default a
	// fiftieth, at least 20.
	CodesPerKey    int  `json:"codes_per_key,omitempty" toml:"codes_per_key,omitempty"`
	CodesPerPrefix int  `json:"codes_per_prefix,omitempty" toml:"codes_per_prefix,omitempty"`
	MaxSegments    int  `json:"max_segments,omitempty" toml:"max_segments,omitempty"` // SMS segments a message may have, default 1, at most 10
	RatePerSec     int  `json:"rate_per_sec,omitempty" toml:"rate_per_sec,omitempty"` // API messages a second; 0: no limit of its own
	SplitName      bool `json:"split_name,omitempty" toml:"split_name,omitempty"`     // a name is asked as family name and given name, side by side
	TokenLength    int  `json:"token_length,omitempty" toml:"token_length,omitempty"` // 8 to 16, default 10
	// Identity is asked for by every page and claim.
	Identity Chain `json:"identity,omitzero" toml:"identity,omitempty"`
	// PastNotices is how many earlier notices to the same customer (the same reference, at the same number) stand behind the page
	// of a later one, for who identified: 0 to 24, default none.
	PastNotices int `json:"past_notices,omitempty" toml:"past_notices,omitempty"`
	// ClaimMenu puts a menu before the content of a claim that is to be paid, for who identified: 「すでにお支払い済み」 and promises, the
	// amount and the methods, documents, the contact.
	ClaimMenu bool `json:"claim_menu,omitempty" toml:"claim_menu,omitempty"`
	// Quiet adds hours and days at which classes are not sent to those of the law and of the operator.
	Quiet []Quiet `json:"quiet,omitempty" toml:"quiet,omitempty"`
	// Duplicates hold back messages like another to the same number. Where nothing is said, collection is held for an hour.
	Duplicates []Duplicate `json:"duplicate,omitempty" toml:"duplicate,omitempty"`
	// Limits bound what is accepted for all senders or for one.
	Limits []Limit `json:"limit,omitempty" toml:"limit,omitempty"`
	// StopWords put the number of whoever sends one of them on the do-not-send list, besides those that always do: STOP, 停止,
	// 配信停止, 解除, ストップ.
	StopWords []string `json:"stop_words,omitempty" toml:"stop_words,omitempty"`
	// ExcludedProducts are the tenant's products of which nothing may be sent: a message whose page or claim names one is refused.
	// At most 50, of 40 characters.
	ExcludedProducts []string `json:"excluded_products,omitempty" toml:"excluded_products,omitempty"`
	// CanaryMinutes is how long a campaign waits for its seeds to be delivered, 1 to 1,440. Default 10.
	CanaryMinutes int `json:"canary_minutes,omitempty" toml:"canary_minutes,omitempty"`
	// Retention keeps content of a class longer or shorter than the operator does.
	Retention []Retention `json:"retention,omitempty" toml:"retention,omitempty"`
	// OptionalTOTP lets people in who see unmasked numbers or money without a second factor. For rehearsals.
	OptionalTOTP bool `json:"optional_totp,omitempty" toml:"optional_totp,omitempty"`
}

// Digits is the length of a one-time code.
func (p Policy) Digits() int {
	if p.CodeDigits == 0 {
		return 6
	}
	return p.CodeDigits
}

// DailyCodes is how many one-time codes can be asked for in a day.
func (p Policy) DailyCodes() int {
	if p.CodesPerDay == 0 {
		return 10_000
	}
	return p.CodesPerDay
}

// KeyCodes is how many of them one API key can ask for.
func (p Policy) KeyCodes() int {
	if p.CodesPerKey == 0 {
		return p.DailyCodes() - p.DailyCodes()/5
	}
	return p.CodesPerKey
}

// PrefixCodes is how many of them can be asked for by API to numbers of one prefix.
func (p Policy) PrefixCodes() int {
	if p.CodesPerPrefix == 0 {
		return max(p.DailyCodes()/50, 20)
	}
	return p.CodesPerPrefix
}

// Segments is the number of SMS segments that a message may have.
func (p Policy) Segments() int { return max(p.MaxSegments, 1) }

// Token is the length of a link token.
func (p Policy) Token() int {
	if p.TokenLength == 0 {
		return 10
	}
	return p.TokenLength
}

// Sender returns the profile of the name; an empty name is "default".
func (t *Tenant) Sender(name string) (SenderProfile, bool) {
	if name == "" {
		name = "default"
	}
	for _, s := range t.Senders {
		if s.Name == name {
			return s, true
		}
	}
	return SenderProfile{}, false
}

// Template returns the text of a template.
func (t *Tenant) Template(name string) (string, bool) {
	for _, tp := range t.Templates {
		if tp.Name == name {
			return tp.Text, true
		}
	}
	return "", false
}

// AgentFor returns the first agent that takes the method.
func (t *Tenant) AgentFor(method string) (Agent, bool) {
	for _, a := range t.Agents {
		for _, m := range a.Methods {
			if m == method {
				return a, true
			}
		}
	}
	return Agent{}, false
}

// Agent returns the agent of the name.
func (t *Tenant) Agent(name string) (Agent, bool) {
	for _, a := range t.Agents {
		if a.Name == name {
			return a, true
		}
	}
	return Agent{}, false
}

// AgentEver returns the agent of the name, or the former one that was removed last.
func (t *Tenant) AgentEver(name string) (Agent, bool) {
	if a, ok := t.Agent(name); ok {
		return a, true
	}
	for _, f := range slices.Backward(t.Former) {
		if f.Name == name {
			return f.Agent, true
		}
	}
	return Agent{}, false
}

// Replaced lists the former agents whose name no agent has now, each name once, that removed last first.
func (t *Tenant) Replaced() (all []Agent) {
	for _, f := range slices.Backward(t.Former) {
		same := func(a Agent) bool { return a.Name == f.Name }
		if !slices.ContainsFunc(t.Agents, same) && !slices.ContainsFunc(all, same) {
			all = append(all, f.Agent)
		}
	}
	return all
}

// Methods lists the payment methods of all agents, in order, each once.
func (t *Tenant) Methods() []string {
	var all []string
	seen := map[string]bool{}
	for _, a := range t.Agents {
		for _, m := range a.Methods {
			if !seen[m] {
				seen[m] = true
				all = append(all, m)
			}
		}
	}
	return all
}

// Admits reports whether the address may use the API. IPv4-mapped addresses count as IPv4.
func (t *Tenant) Admits(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, a := range t.Allow {
		if p, err := parsePrefix(a); err == nil && p.Contains(addr) {
			return true
		}
	}
	return false
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

var (
	colorPattern        = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	registrationPattern = regexp.MustCompile(`^T[0-9]{13}$`)
	namePattern         = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	addressPattern      = regexp.MustCompile(`^[0-9]{3,15}$`)
	hostPattern         = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$`)
)

// Validate reports all faults of a definition, each a *FieldError, or a *BrandError.
func (t *Tenant) Validate() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, format, args})
	}
	if !idPattern.MatchString(string(t.ID)) || t.ID == OperatorID {
		bad("id", "%q must be 2 to 32 of a-z, 0-9 and \"-\", and not %q", t.ID, OperatorID)
	}
	if t.Parent == t.ID && t.ID != "" {
		bad("parent", "is the tenant itself")
	}
	if n := length(t.Name); n == 0 || n > MaxName {
		bad("name", "has %d characters, 1 to %d are allowed", n, MaxName)
	}
	if n := length(t.NameEN); n > MaxNameEN {
		bad("name_en", "has %d characters, %d are allowed", n, MaxNameEN)
	}
	for i, a := range t.Allow {
		if _, err := parsePrefix(a); err != nil {
			bad(fmt.Sprintf("allow[%d]", i), "%q is no address or network", a)
		}
	}
	errs = append(errs, t.Brand.Validate()...)
	if why := t.Issuer.fault(); why != "" {
		bad("issuer.registration", "%q %s", t.Issuer.Registration, why)
	}
	if t.LinkHost != "" && !hostPattern.MatchString(t.LinkHost) {
		bad("link_host", "%q is no host", t.LinkHost)
	}
	for field, notice := range map[string]string{"prepage.notice": t.PrePage.Notice, "prepage.notice_en": t.PrePage.NoticeEN} {
		if n := length(notice); n > MaxNotice {
			bad(field, "has %d characters, %d are allowed", n, MaxNotice)
		}
	}
	t.validatePublic(bad)
	t.validateLists(bad)
	p := t.Policy
	if p.KanaLevel != "" && p.KanaLevel != "L1" && p.KanaLevel != "L2" && p.KanaLevel != "L3" {
		bad("policy.kana_level", "%q must be L1, L2 or L3", p.KanaLevel)
	}
	if p.CodeDigits != 0 && (p.CodeDigits < 4 || p.CodeDigits > 8) {
		bad("policy.code_digits", "%d must be 4 to 8", p.CodeDigits)
	}
	if p.BirthYears < 0 || p.BirthYears > 100 {
		bad("policy.birth_years", "%d must be 1 to 100", p.BirthYears)
	}
	for field, n := range map[string]int{"codes_per_day": p.CodesPerDay, "codes_per_key": p.CodesPerKey, "codes_per_prefix": p.CodesPerPrefix} {
		if n < 0 || n > 10_000_000 {
			bad("policy."+field, "%d must be 1 to 10,000,000", n)
		}
	}
	if p.MaxSegments < 0 || p.MaxSegments > 10 {
		bad("policy.max_segments", "%d must be 1 to 10", p.MaxSegments)
	}
	if p.PastNotices < 0 || p.PastNotices > 24 {
		bad("policy.past_notices", "%d must be 0 to 24", p.PastNotices)
	}
	if p.RatePerSec < 0 {
		bad("policy.rate_per_sec", "%d must not be negative", p.RatePerSec)
	}
	p.Identity.validate(bad)
	t.validatePaidSMS(bad)
	t.Labels.validate("label", bad)
	t.LabelsEN.validate("label_en", bad)
	t.validateGuards(bad)
	t.validateCanary(bad)
	t.validateRetention(bad)
	for i, w := range p.StopWords {
		if n := length(w); n == 0 || n > 20 {
			bad(fmt.Sprintf("policy.stop_words[%d]", i), "has %d characters, 1 to 20 are allowed", n)
		}
	}
	if n := len(p.ExcludedProducts); n > 50 {
		bad("policy.excluded_products", "has %d entries, %d are allowed", n, 50)
	}
	for i, w := range p.ExcludedProducts {
		if n := length(w); strings.TrimSpace(w) == "" || n > 40 {
			bad(fmt.Sprintf("policy.excluded_products[%d]", i), "has %d characters, 1 to 40 are allowed", n)
		}
	}
	for i, q := range p.Quiet {
		if err := q.Validate(); err != nil {
			bad(fmt.Sprintf("policy.quiet[%d]", i), "%v", err)
		}
	}
	if p.TokenLength != 0 && (p.TokenLength < 8 || p.TokenLength > 16) {
		bad("policy.token_length", "%d must be 8 to 16", p.TokenLength)
	}
	return errs
}

func (t *Tenant) validateLists(bad func(field, format string, args ...any)) {
	seen := map[string]bool{}
	once := func(field, name string) {
		if !namePattern.MatchString(name) {
			bad(field, "%q must be 1 to 32 of a-z, 0-9, \"_\" and \"-\"", name)
		}
		kind := strings.SplitN(field, "[", 2)[0]
		if seen[kind+name] {
			bad(field, "%q stands there twice", name)
		}
		seen[kind+name] = true
	}
	for i, s := range t.Senders {
		once(fmt.Sprintf("sender[%d].name", i), s.Name)
		for carrier, a := range s.Addresses {
			if !addressPattern.MatchString(a) {
				bad(fmt.Sprintf("sender[%d].addresses.%s", i, carrier), "%q must be 3 to 15 digits", a)
			}
		}
	}
	for i, tp := range t.Templates {
		once(fmt.Sprintf("template[%d].name", i), tp.Name)
		if tp.Text == "" {
			bad(fmt.Sprintf("template[%d].text", i), "is required")
		}
	}
	for i, a := range t.Agents {
		once(fmt.Sprintf("agent[%d].name", i), a.Name)
		if !strings.HasPrefix(a.Module, "payment/") {
			bad(fmt.Sprintf("agent[%d].module", i), "%q must begin with payment/", a.Module)
		}
		if len(a.Methods) == 0 {
			bad(fmt.Sprintf("agent[%d].methods", i), "is required")
		}
	}
}

// Role is what a user may do.
type Role string

const (
	RoleOperator Role = "operator" // the engine: all tenants' state, no recipient's content
	RoleAdmin    Role = "admin"    // the tenant: users, keys, unmasked numbers, money
	RoleSender   Role = "sender"   // sends, uploads, cancels
	RoleViewer   Role = "viewer"   // sees lists with masked numbers
)

// Roles lists them, the most powerful first.
var Roles = []Role{RoleOperator, RoleAdmin, RoleSender, RoleViewer}

// User is a person at the console.
type User struct {
	Login    string    `json:"login"` // unique over all tenants: 3 to 64 of a-z, 0-9, ".", "_", "@", "-"
	Tenant   ID        `json:"tenant"`
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Password string    `json:"password"`        // argon2id
	TOTP     []byte    `json:"totp,omitempty"`  // sealed secret; empty: none
	Phone    []byte    `json:"phone,omitempty"` // sealed number of their own, for test messages to themselves; empty: none
	Lang     string    `json:"lang,omitempty"`  // ja (default), en
	Disabled bool      `json:"disabled,omitempty"`
	Since    time.Time `json:"since"`
}

// APIKey lets a program in. Its text "kk_<ID>_<43 characters>" is shown once.
type APIKey struct {
	ID      string    `json:"id"` // 10 characters of Crockford base32
	Tenant  ID        `json:"tenant"`
	Name    string    `json:"name"`
	Hash    []byte    `json:"hash"` // SHA-256 of the secret part
	Since   time.Time `json:"since"`
	Revoked time.Time `json:"revoked,omitzero"`
}
