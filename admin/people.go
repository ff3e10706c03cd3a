package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screens of users, API keys, the audit log and the tenants.

type usersPage struct {
	Users        []*tenant.User
	Roles        []tenant.Role
	Login, Name  string // of the form
	Role         tenant.Role
	Fault        string
	Shown, Fresh string // login and password, shown once
}

var tenantRoles = []tenant.Role{tenant.RoleAdmin, tenant.RoleSender, tenant.RoleViewer}

func (s *Server) usersPage(v *visit) usersPage {
	return usersPage{Users: s.Directory.Now().UsersOf(v.Tenant.ID), Roles: tenantRoles, Role: tenant.RoleSender}
}

func (s *Server) users(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.show(w, r, v, "users", s.usersPage(v))
}

func (s *Server) addUser(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := s.usersPage(v)
	p.Login, p.Name, p.Role = strings.ToLower(strings.TrimSpace(r.PostForm.Get("login"))), strings.TrimSpace(r.PostForm.Get("name")), tenant.Role(r.PostForm.Get("role"))
	switch {
	case !tenant.ValidLogin(p.Login):
		p.Fault = v.T("ログインIDは半角の英小文字・数字と . _ @ - で、3〜64文字にしてください。先頭は英小文字か数字にしてください。", "A login has 3 to 64 of a-z, 0-9, ., _, @ and -, and begins with a letter or digit.")
	case p.Name == "" || utf8.RuneCountInString(p.Name) > 40:
		p.Fault = v.T("氏名を40文字以内で入力してください。", "A name has 1 to 40 characters.")
	case !slices.Contains(tenantRoles, p.Role):
		p.Fault = v.T("権限を選択してください。", "Choose a role.")
	case v.snap.Users[p.Login] != nil:
		p.Fault = v.T("このログインIDは使用できません。別のIDを指定してください。", "This login cannot be used. Choose another.")
	}
	if p.Fault != "" {
		s.render(w, v, http.StatusUnprocessableEntity, "users", p)
		return nil
	}
	password := tenant.NewPassword()
	if err := s.record(r.Context(), v, "user.add", p.Login, string(p.Role)); err != nil {
		return err
	}
	u := tenant.User{Login: p.Login, Tenant: v.Tenant.ID, Name: p.Name, Role: p.Role, Password: tenant.HashPassword(password)}
	if err := s.Directory.AddUser(r.Context(), u); err != nil {
		return err
	}
	p = s.usersPage(v)
	p.Shown, p.Fresh = u.Login, password
	s.render(w, v, http.StatusOK, "users", p)
	return nil
}

// changeUser disables, enables, re-roles a user of the tenant or gives a new password.
func (s *Server) changeUser(w http.ResponseWriter, r *http.Request, v *visit) error {
	old := v.snap.Users[r.PathValue("login")]
	if old == nil || old.Tenant != v.Tenant.ID {
		return errNotFound
	}
	do, role, fresh := r.PostForm.Get("do"), old.Role, ""
	own := old.Login == v.User.Login
	var change func(*tenant.User)
	switch {
	case do == "disable" && !own:
		change = func(u *tenant.User) { u.Disabled = true }
	case do == "enable" && !own:
		change = func(u *tenant.User) { u.Disabled = false }
	case do == "role" && !own && slices.Contains(tenantRoles, tenant.Role(r.PostForm.Get("role"))):
		role = tenant.Role(r.PostForm.Get("role"))
		change = func(u *tenant.User) { u.Role = role }
	case do == "password" && !own:
		fresh = tenant.NewPassword()
		hash := tenant.HashPassword(fresh)
		change = func(u *tenant.User) { u.Password = hash }
	case do == "totp" && !own:
		change = func(u *tenant.User) { u.TOTP = nil }
	case own:
		return &fail{http.StatusUnprocessableEntity, "ご自身のアカウントは変更できません。別のテナント管理者に依頼してください。", "You cannot change your own account here. Ask another administrator."}
	default:
		return errNotFound
	}
	if err := s.record(r.Context(), v, "user."+do, old.Login, string(role)); err != nil {
		return err
	}
	if _, err := s.Directory.ChangeUser(r.Context(), old.Login, func(u *tenant.User) error { change(u); return nil }); err != nil {
		return err
	}
	if fresh != "" {
		p := s.usersPage(v)
		p.Shown, p.Fresh = old.Login, fresh
		s.render(w, v, http.StatusOK, "users", p)
		return nil
	}
	return back(w, r, s.note(v, "/users", "変更しました。", "Changed."))
}

type keysPage struct {
	Keys     []*tenant.APIKey
	Allow    []string
	Senders  []tenant.SenderProfile
	Carriers []field // in order
	Fault    string
	Fresh    string // shown once
}

func (s *Server) keysPage(v *visit) keysPage {
	p := keysPage{Keys: s.Directory.Now().KeysOf(v.Tenant.ID), Allow: v.Tenant.Allow, Senders: v.Tenant.Senders}
	for _, c := range s.Carriers.Carriers() {
		p.Carriers = append(p.Carriers, field{c.Name, c.Label(v.Lang)})
	}
	return p
}

func (s *Server) keys(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.show(w, r, v, "keys", s.keysPage(v))
}

func (s *Server) issueKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	fault := ""
	switch {
	case !tenant.ValidKeyName(name):
		fault = v.T("名前は半角の英小文字・数字と _ - で、32文字以内にしてください。先頭は英小文字か数字にしてください。", "A name has up to 32 of a-z, 0-9, _ and -, and begins with a letter or digit.")
	case v.snap.HasKey(v.Tenant.ID, name):
		fault = v.T("この名前のAPIキーは使用中です。別の名前を指定してください。", "A key of this name is in use. Choose another name.")
	}
	if fault != "" {
		p := s.keysPage(v)
		p.Fault = fault
		s.render(w, v, http.StatusUnprocessableEntity, "keys", p)
		return nil
	}
	if err := s.record(r.Context(), v, "key.issue", name, ""); err != nil {
		return err
	}
	text, _, err := s.Directory.IssueKey(r.Context(), v.Tenant.ID, name)
	if err != nil {
		return err
	}
	p := s.keysPage(v)
	p.Fresh = text
	s.render(w, v, http.StatusOK, "keys", p)
	return nil
}

func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("id")
	if k := v.snap.Keys[id]; k == nil || k.Tenant != v.Tenant.ID {
		return errNotFound
	}
	if err := s.record(r.Context(), v, "key.revoke", id, ""); err != nil {
		return err
	}
	if err := s.Directory.RevokeKey(r.Context(), v.Tenant.ID, id); err != nil {
		return err
	}
	return back(w, r, s.note(v, "/keys", "APIキーを無効にしました。", "The key is revoked."))
}

type auditPage struct {
	Day        time.Time
	Value      string // YYYY-MM-DD
	Prev, Next string
	Entries    []audit.Entry
}

// auditScope is where a visit's audit log lies: the tenant's, or the operator's own.
func (s *Server) auditScope(v *visit) tenant.Scope { return tenant.Only(v.User.Tenant) }

func (s *Server) audit(w http.ResponseWriter, r *http.Request, v *visit) error {
	day := auditDay(v, r.URL.Query().Get("day"))
	p := auditPage{Day: day, Value: day.Format(time.DateOnly), Prev: day.AddDate(0, 0, -1).Format(time.DateOnly)}
	if next := day.AddDate(0, 0, 1); !next.After(v.now) {
		p.Next = next.Format(time.DateOnly)
	}
	var err error
	if p.Entries, err = s.Audit.Day(r.Context(), s.auditScope(v), v.User.Tenant, day); err != nil {
		return err
	}
	return s.show(w, r, v, "audit", p)
}

type tenantLine struct {
	*tenant.Tenant
	Entry       string // address of the shared entry page; empty: there is none
	Users, Keys int
	Senders     int
	Guess       identity.Guess // of what every message asks for
}

// entryAddress is the address of the tenant's shared entry page; empty: there is none.
func (s *Server) entryAddress(t *tenant.Tenant) string {
	base, err := url.Parse(s.LinkBase)
	if err != nil || base.Host == "" || !t.Entry.On {
		return ""
	}
	return base.Scheme + "://" + t.EntryAddress(base.Host)
}

func (s *Server) tenants(w http.ResponseWriter, r *http.Request, v *visit) error {
	var lines []tenantLine
	for _, id := range v.snap.IDs() {
		t := v.snap.Tenants[id]
		l := tenantLine{Tenant: t, Users: len(v.snap.UsersOf(id)), Senders: len(t.Senders), Guess: s.Identity.ChainGuess(t), Entry: s.entryAddress(t)}
		for _, k := range v.snap.KeysOf(id) {
			if k.Revoked.IsZero() {
				l.Keys++
			}
		}
		lines = append(lines, l)
	}
	return s.show(w, r, v, "tenants", lines)
}

// problemText says what is wrong with a field, without the path that programs need.
func problemText(p message.Problem, lang string) string {
	p.Field, p.Value = "", "" // both stand there already
	text := p.Text(lang)
	return strings.TrimLeft(text, "：: ")
}
