package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/admin/signin"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// visit is one request: who asks, for whom, in which language.
type visit struct {
	Lang     string // "ja", "en"
	User     *tenant.User
	Tenant   *tenant.Tenant // nil: the operator, or nobody
	Path     string
	CSRF     string
	Unmasked bool // numbers are shown whole
	Notice   string

	session signin.Session
	snap    *tenant.Snapshot
	scope   tenant.Scope // of the tenant; of nothing for the operator
	from    netip.Addr
	live    bool // asked again for an open screen
	watch   interest
	now     time.Time
	shown   string // of an open screen: what numbers were audited as shown
}

// T chooses the language.
func (v *visit) T(ja, en string) string {
	if v.Lang == "en" {
		return en
	}
	return ja
}

// By is the visit's person in events and in the audit log.
func (v *visit) By() string { return "user:" + v.User.Login }

// Is reports whether the user has one of the roles: templates hide what route.go would refuse.
func (v *visit) Is(roles ...tenant.Role) bool {
	return v.User != nil && slices.Contains(roles, v.User.Role)
}

// SeesMoney reports whether amounts of claims are shown: to those who need a second factor for it. signin.MustHaveTOTP
func (v *visit) SeesMoney() bool { return v.Is(tenant.RoleAdmin) }

// May reports whether the user's role is allowed the route.
func (v *visit) May(method, path string) bool {
	return v.User != nil && slices.ContainsFunc(routes, func(r route) bool {
		return r.method == method && r.path == path && slices.Contains(r.roles, v.User.Role)
	})
}

// fail is an answer that says what went wrong, to a person.
type fail struct {
	status int
	ja, en string
}

func (f *fail) Error() string { return f.en }

var (
	errNotFound  = &fail{http.StatusNotFound, "ページが見つかりません。削除されたか、URLが正しくない可能性があります。", "There is no such page. It may have been removed, or the address is wrong."}
	errPlain     = &fail{http.StatusForbidden, "HTTPSで接続してください。暗号化されていない接続では利用できません。", "Please connect by HTTPS. The console is not to be had by a connection that is not encrypted."}
	errForbidden = &fail{http.StatusForbidden, "この操作を行う権限がありません。必要な場合は、管理者または運用担当者にお問い合わせください。", "Your role does not allow this. If you need it, please ask your administrator or the operator."}
	errForged    = &fail{http.StatusForbidden, "画面の有効期限が切れたか、別のサイトからの送信です。前の画面に戻って再読み込みし、もう一度お試しください。", "The form has expired or came from another site. Go back, reload and try again."}
	errTooBig    = &fail{http.StatusRequestEntityTooLarge, "送信された内容が大きすぎます。", "What was sent is too large."}
	errBusy      = &fail{http.StatusServiceUnavailable, "ただいま混み合っています。少し待ってからもう一度お試しください。", "The system is busy. Please try again in a moment."}
)

const cookieName = "kakitome-console"

func (s *Server) cookieName(r *http.Request) string {
	if s.secure(r) {
		return "__Host-" + cookieName
	}
	return cookieName
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, name, value string, age time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(age.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// enter gives the browser a session.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, ses signin.Session) {
	s.setCookie(w, r, s.cookieName(r), s.door.Cookie(ses), signin.Life)
}

// handle is the way of every request but those for static files.
func (s *Server) handle(rt route, w http.ResponseWriter, r *http.Request) {
	v := &visit{Lang: language(r), Path: r.URL.Path, from: s.client(r), snap: s.Directory.Now(), now: s.Now()}
	err := s.admit(rt, w, r, v)
	if err == nil && strings.Contains(r.Header.Get("Accept"), "text/event-stream") && r.Method == http.MethodGet && v.User != nil {
		s.live(rt, w, r, v)
		return
	}
	if err == nil {
		err = rt.serve(s, w, r, v)
	}
	s.answer(w, r, v, err)
}

// admit decides whether the request gets to its handler.
func (s *Server) admit(rt route, w http.ResponseWriter, r *http.Request, v *visit) error {
	if !s.secure(r) && !v.from.IsLoopback() && !s.Simulated {
		s.refusedPlain(r)
		return errPlain
	}
	c, err := r.Cookie(s.cookieName(r))
	if err == nil {
		ses, u, renew, err := s.door.Resume(r.Context(), c.Value)
		switch {
		case err == nil:
			v.session, v.CSRF = ses, s.door.CSRF(ses)
			v.settle(u)
			v.Unmasked = u.Role == tenant.RoleAdmin && s.door.Unmasked(ses)
			if renew && r.Header.Get("Accept") != "text/event-stream" {
				s.enter(w, r, ses)
			}
		case !errors.Is(err, signin.ErrNoSession):
			return err
		}
	}
	if rt.roles == nil {
		if r.Method != http.MethodPost {
			return nil
		}
		if err := s.readForm(rt, w, r); err != nil {
			return err
		}
		return s.sameOrigin(r)
	}
	switch {
	case v.User == nil:
		return errSignin
	case v.session.Stage != signin.Full && !rt.step:
		return errSignin
	case !slices.Contains(rt.roles, v.User.Role):
		return errForbidden
	case v.User.Tenant != tenant.OperatorID && v.Tenant == nil:
		return errForbidden
	}
	if r.Method != http.MethodPost {
		return nil
	}
	if err := s.sameOrigin(r); err != nil {
		return err
	}
	if rt.raw {
		return nil
	}
	if err := s.readForm(rt, w, r); err != nil {
		return err
	}
	// A form takes as long as its sender likes: who it is and what he may is looked at again.
	snap := s.Directory.Now()
	if !s.door.Alive(v.session) {
		return errSignin
	}
	v.snap = snap
	v.settle(snap.Users[v.User.Login])
	return s.proven(v, r.PostForm.Get("csrf"))
}

// settle says who asks, and for whom.
func (v *visit) settle(u *tenant.User) {
	v.User = u
	if u.Tenant != tenant.OperatorID {
		v.Tenant, v.scope = v.snap.Tenants[u.Tenant], tenant.Only(u.Tenant)
	}
}

// proven checks the token of a form.
func (s *Server) proven(v *visit, token string) error {
	if !s.door.CheckCSRF(v.session, token) {
		return errForged
	}
	return nil
}

func (s *Server) readForm(rt route, w http.ResponseWriter, r *http.Request) error {
	limit := rt.body
	if limit == 0 {
		limit = maxForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	err := r.ParseForm()
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return errTooBig
	case err != nil:
		return &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	}
	return nil
}

// sameOrigin refuses a form that another site posts. Browsers since 2020 say Sec-Fetch-Site, all say Origin.
func (s *Server) sameOrigin(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return errForged
	}
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err != nil || u.Host != r.Host {
			return errForged
		}
	}
	return nil
}

// errSignin sends the browser to the sign-in.
var errSignin = errors.New("sign in first")

// answer ends a request that failed.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	var f *fail
	switch {
	case err == nil:
		s.met.requests.WithLabelValues("ok").Inc()
		return
	case errors.Is(err, errSignin):
		s.met.requests.WithLabelValues("redirect").Inc()
		to := "/signin"
		switch {
		case v.User != nil && v.session.Stage == signin.Code:
			to = "/signin/code"
		case v.User != nil && v.session.Stage == signin.Enrol:
			to = "/signin/enrol"
		case r.Method == http.MethodGet && r.URL.Path != "/":
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	case errors.As(err, &f):
	case errors.Is(err, store.ErrNotFound):
		f = errNotFound
	case errors.Is(err, store.ErrBusy) || errors.Is(err, signin.ErrBusy) || errors.Is(err, store.ErrClosed):
		f = errBusy
	case errors.Is(err, store.ErrFull):
		f = &fail{http.StatusInsufficientStorage, "サーバーの空き容量が不足しているため受け付けできません。運用担当者にご連絡ください。", "The server is short of disk space. Please tell the operator."}
	case errors.Is(err, store.ErrErased):
		f = &fail{http.StatusGone, "保存期間が過ぎたため内容は消去されました。", "The content was erased at the end of its term."}
	case errors.Is(err, context.Canceled):
		return // the browser went away
	default:
		f = &fail{http.StatusInternalServerError, "処理中に問題が発生しました。時間をおいてもう一度お試しください。", "Something went wrong. Please try again later."}
	}
	kind := "refused"
	if f.status >= 500 {
		kind = "error"
		s.Log.Error("console request failed", "path", r.URL.Path, "tenant", tenantOf(v), "err", err)
	}
	s.met.requests.WithLabelValues(kind).Inc()
	s.render(w, v, f.status, "error", map[string]any{"Status": f.status, "Text": v.T(f.ja, f.en)})
}

func tenantOf(v *visit) tenant.ID {
	if v.User == nil {
		return ""
	}
	return v.User.Tenant
}

// language is what the browser chose: by the switch, else Japanese unless it asks for English first.
func language(r *http.Request) string {
	if c, err := r.Cookie("lang"); err == nil && (c.Value == "ja" || c.Value == "en") {
		return c.Value
	}
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(first)), "en") {
		return "en"
	}
	return "ja"
}

// setLang remembers a language.
func (s *Server) setLang(w http.ResponseWriter, r *http.Request, v *visit) error {
	lang := r.PostForm.Get("lang")
	if lang != "ja" && lang != "en" {
		return errNotFound
	}
	s.setCookie(w, r, "lang", lang, 365*24*time.Hour)
	return back(w, r, r.PostForm.Get("next"))
}

// back leads to a page of ours, or to the first page.
func back(w http.ResponseWriter, r *http.Request, to string) error {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// record puts what is about to be done into the audit log of the visit's tenant. What it fails for must not be done: also what
// came in so slowly that the session ended meanwhile.
func (s *Server) record(ctx context.Context, v *visit, action, target, detail string) error {
	if !s.door.Alive(v.session) {
		return errSignin
	}
	return s.recordDone(ctx, v, action, target, detail)
}

// recordDone is record for what is done already, whoever is still signed in.
func (s *Server) recordDone(ctx context.Context, v *visit, action, target, detail string) error {
	return s.Audit.Record(ctx, v.User.Tenant, audit.Entry{By: v.By(), From: v.from.String(), Action: action, Target: target, Detail: detail})
}

// pathID reads the id of the path.
func pathID(r *http.Request) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(r.PathValue("id"))
	if err != nil {
		return ulid.ULID{}, errNotFound
	}
	return id, nil
}

// note is a notice that the next page shows once: sealed, so that nobody can put words into our mouth by a link.
func (s *Server) note(v *visit, to, ja, en string) string {
	plain, _ := json.Marshal(map[string]any{"t": v.T(ja, en), "u": v.User.Login, "e": v.now.Add(time.Minute).Unix()})
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return to + sep + "note=" + s.door.Seal("note", plain)
}

func (s *Server) readNote(v *visit, text string) string {
	plain, ok := s.door.Open("note", text)
	var n struct {
		T, U string
		E    int64
	}
	if !ok || json.Unmarshal(plain, &n) != nil || v.User == nil || n.U != v.User.Login || v.now.Unix() > n.E {
		return ""
	}
	return n.T
}
