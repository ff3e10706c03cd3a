package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// mail has what a message's claim is paid with sent by e-mail.
func (s *Server) mail(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	address, lang := strings.TrimSpace(r.PostForm.Get("address")), r.PostForm.Get("lang")
	if lang != "en" {
		lang = "ja"
	}
	shown := ""
	if parsed, ok := message.ParseAddress(address); ok {
		shown = message.MaskAddress(parsed)
	}
	if err := s.record(r.Context(), v, "message.mail", st.Head.No, shown); err != nil {
		return err
	}
	err = s.Mails.Order(r.Context(), v.Tenant, email.Order{Message: store.Ref{Tenant: v.Tenant.ID, Kind: store.Message, ID: id}, Address: address, Lang: lang, By: v.By()})
	to := "/messages/" + id.String()
	switch {
	case errors.Is(err, email.ErrAddress):
		return back(w, r, s.note(v, to, "メールアドレスを確認してください。", "Please check the address."))
	case errors.Is(err, email.ErrNoNumber):
		return back(w, r, s.note(v, to, "お支払いに使える番号が発行されていません。", "No number that can be paid with is issued."))
	case errors.Is(err, email.ErrUsedUp):
		return back(w, r, s.note(v, to, "本日のメール送信数の上限に達しました。", "There are as many mails as there may be in a day."))
	case errors.Is(err, email.ErrNoRelay):
		return errNotFound
	case err != nil:
		return err
	}
	return back(w, r, s.note(v, to, "お支払い番号のメール送信を受け付けました。", "The number will be sent by e-mail."))
}
