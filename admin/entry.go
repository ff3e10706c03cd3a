package admin

import (
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/kakitome/kakitome/admin/signin"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The screens of signing in and of one's own account.

type signinPage struct {
	Login, Next, Fault string
	QR, Secret, Sealed string
	Must               bool
}

func (s *Server) signinForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.User != nil && v.session.Stage == signin.Full {
		return back(w, r, r.URL.Query().Get("next"))
	}
	v.User = nil // half signed in is not signed in
	s.render(w, v, http.StatusOK, "signin", signinPage{Next: r.URL.Query().Get("next")})
	return nil
}

func (s *Server) signin(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := signinPage{Login: r.PostForm.Get("login"), Next: r.PostForm.Get("next")}
	v.User = nil
	ses, err := s.door.Password(r.Context(), p.Login, r.PostForm.Get("password"), v.from)
	if err != nil {
		status, fault, err := s.entryFault(w, v, err)
		if err != nil {
			return err
		}
		p.Fault = fault
		s.render(w, v, status, "signin", p)
		return nil
	}
	s.enter(w, r, ses)
	switch ses.Stage {
	case signin.Code:
		return back(w, r, "/signin/code")
	case signin.Enrol:
		return back(w, r, "/signin/enrol")
	}
	s.met.signins.WithLabelValues("ok").Inc()
	return back(w, r, p.Next)
}

// entryFault says what a person may know of a failed step.
func (s *Server) entryFault(w http.ResponseWriter, v *visit, err error) (int, string, error) {
	var wait *signin.WaitError
	switch {
	case errors.As(err, &wait):
		s.met.signins.WithLabelValues("throttled").Inc()
		seconds := int(wait.For/time.Second) + 1
		w.Header().Set("Retry-After", number(seconds))
		return http.StatusTooManyRequests, v.T("試行回数が多いため、しばらくログインできません。約"+number(seconds)+"秒後にもう一度お試しください。",
			"Too many tries. Please wait about "+number(seconds)+" seconds."), nil
	case errors.Is(err, signin.ErrRefused):
		s.met.signins.WithLabelValues("refused").Inc()
		return http.StatusUnauthorized, v.T("ログインIDまたはパスワードが正しくありません。", "The login or the password is not right."), nil
	case errors.Is(err, signin.ErrBusy):
		s.met.signins.WithLabelValues("busy").Inc()
	case errors.Is(err, signin.ErrNoSession):
		return 0, "", errSignin
	default:
		s.met.signins.WithLabelValues("error").Inc()
	}
	return 0, "", err
}

func (s *Server) codeForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.session.Stage != signin.Code {
		return back(w, r, "/")
	}
	v.User = nil
	s.render(w, v, http.StatusOK, "code", signinPage{})
	return nil
}

func (s *Server) code(w http.ResponseWriter, r *http.Request, v *visit) error {
	ses, err := s.door.Code(r.Context(), v.session, r.PostForm.Get("code"), v.from)
	if err != nil {
		status, fault, err := s.entryFault(w, v, err)
		if err != nil {
			return err
		}
		if status == http.StatusUnauthorized {
			fault = v.T("認証コードが正しくありません。", "The code is not right.")
		}
		v.User = nil
		s.render(w, v, status, "code", signinPage{Fault: fault})
		return nil
	}
	s.met.signins.WithLabelValues("ok").Inc()
	s.enter(w, r, ses)
	return back(w, r, "/")
}

func (s *Server) enrolForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.session.Stage != signin.Enrol {
		return back(w, r, "/")
	}
	return s.showFactor(w, r, v, "enrol", "", "")
}

// showFactor shows a new second factor, or that of the form again with what was wrong.
func (s *Server) showFactor(w http.ResponseWriter, _ *http.Request, v *visit, name, sealed, fault string) error {
	f, err := s.door.Again(v.session, sealed)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if fault != "" {
		status = http.StatusUnprocessableEntity
	}
	p := signinPage{QR: base64.StdEncoding.EncodeToString(f.QR), Secret: f.Secret, Sealed: f.Sealed, Fault: fault, Must: s.door.MustHaveTOTP(v.User)}
	if name == "enrol" {
		v.User = nil
	}
	s.render(w, v, status, name, p)
	return nil
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.session.Stage != signin.Enrol {
		return back(w, r, "/")
	}
	return s.confirm(w, r, v, "enrol", "/")
}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request, v *visit, name, to string) error {
	sealed := r.PostForm.Get("sealed")
	ses, err := s.door.Confirm(r.Context(), v.session, sealed, r.PostForm.Get("code"), v.from)
	if err != nil {
		status, fault, err := s.entryFault(w, v, err)
		if err != nil {
			return err
		}
		if status == http.StatusUnauthorized {
			fault = v.T("認証コードが正しくありません。認証アプリに表示されている6桁の数字を入力してください。", "The code is not right. Type the six digits that the app shows.")
		}
		return s.showFactor(w, r, v, name, sealed, fault)
	}
	s.enter(w, r, ses)
	return back(w, r, s.note(v, to, "2段階認証を設定しました。", "The second factor is set up."))
}

func (s *Server) signout(w http.ResponseWriter, r *http.Request, v *visit) error {
	s.setCookie(w, r, s.cookieName(r), "", 0)
	if err := s.door.Leave(r.Context(), v.session, v.from); err != nil {
		return err
	}
	return back(w, r, "/signin")
}

type accountPage struct {
	HasTOTP, MustTOTP bool
	Phone             string // masked
	PasswordFault     string
	PhoneFault        string
	MinPassword       int
}

func (s *Server) accountPage(v *visit) accountPage {
	p := accountPage{HasTOTP: len(v.User.TOTP) > 0, MustTOTP: s.door.MustHaveTOTP(v.User), MinPassword: signin.MinPassword}
	if n, err := s.ownNumber(v.User); err == nil && !n.IsZero() {
		p.Phone = n.Masked()
	}
	return p
}

func (s *Server) account(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.show(w, r, v, "account", s.accountPage(v))
}

func (s *Server) changePassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := s.accountPage(v)
	if r.PostForm.Get("password") != r.PostForm.Get("again") {
		p.PasswordFault = v.T("新しいパスワードが2回とも同じになるように入力してください。", "The new password must be typed the same twice.")
		s.render(w, v, http.StatusUnprocessableEntity, "account", p)
		return nil
	}
	ses, err := s.door.ChangePassword(r.Context(), v.session, r.PostForm.Get("old"), r.PostForm.Get("password"), v.from)
	var ps message.Problems
	switch {
	case errors.As(err, &ps) && ps[0].Code == "refused":
		p.PasswordFault = v.T("ログインIDを含むパスワードは使用できません。", "The password must not contain the login.")
	case errors.As(err, &ps):
		p.PasswordFault = v.T("新しいパスワードは"+number(signin.MinPassword)+"文字以上"+number(signin.MaxPassword)+"文字以内で入力してください。",
			"The new password must have "+number(signin.MinPassword)+" to "+number(signin.MaxPassword)+" characters.")
	case err != nil:
		_, fault, err := s.entryFault(w, v, err)
		if err != nil {
			return err
		}
		if p.PasswordFault = fault; errors.Is(err, signin.ErrRefused) {
			p.PasswordFault = fault
		}
	}
	if errors.Is(err, signin.ErrRefused) {
		p.PasswordFault = v.T("現在のパスワードが正しくありません。", "The present password is not right.")
	}
	if p.PasswordFault != "" {
		s.render(w, v, http.StatusUnprocessableEntity, "account", p)
		return nil
	}
	s.enter(w, r, ses)
	return back(w, r, s.note(v, "/account", "パスワードを変更しました。ほかの端末ではログアウトされます。", "The password is changed. Other browsers are signed out."))
}

func (s *Server) totpForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showFactor(w, r, v, "totp", "", "")
}

func (s *Server) totp(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.confirm(w, r, v, "totp", "/account")
}

// accountClass is the retention class of users' own numbers; its keys are never destroyed.
const accountClass = "account"

// ownNumber is the user's number for test messages; zero: none.
func (s *Server) ownNumber(u *tenant.User) (carrier.Number, error) {
	if len(u.Phone) == 0 {
		return carrier.Number{}, nil
	}
	plain, err := s.Store.Open(u.Tenant, "phone/"+u.Login, u.Phone)
	if err != nil {
		return carrier.Number{}, err
	}
	return carrier.ParseNumber(string(plain))
}

func (s *Server) setPhone(w http.ResponseWriter, r *http.Request, v *visit) error {
	var phone []byte // sealed; empty: none
	if text := r.PostForm.Get("phone"); text != "" {
		n, err := carrier.ParseNumber(text)
		if err != nil {
			p := s.accountPage(v)
			p.PhoneFault = v.T("060・070・080・090で始まる11桁の携帯電話番号を入力してください。", "Type a mobile number of 11 digits.")
			s.render(w, v, http.StatusUnprocessableEntity, "account", p)
			return nil
		}
		if phone, err = s.Store.Seal(v.User.Tenant, accountClass, v.now, "phone/"+v.User.Login, []byte(n.E164())); err != nil {
			return err
		}
	}
	if err := s.record(r.Context(), v, "user.set", v.User.Login, "phone"); err != nil {
		return err
	}
	_, err := s.Directory.ChangeUser(r.Context(), v.User.Login, func(u *tenant.User) error { u.Phone = phone; return nil })
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, "/account", "テスト送信先を保存しました。", "The number for test messages is saved."))
}
