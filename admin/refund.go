package admin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

// refundPage asks what is given back, and then whether that is meant. The key is made with the question: however often its
// form is posted, it is one refund.
type refundPage struct {
	Claim    *payment.State
	Attempts []*payment.Attempt // with money to give back
	Labels   map[string]string
	Message  string // to go back to; empty: the list of alerts

	Attempt string // chosen
	Whole   bool
	Amount  string // as typed
	Reason  string
	Faults  []string

	Confirm bool // the last question
	Yen     int64
	Left    int64 // of the attempt, after it
	Key     string
}

func (s *Server) refundPage(r *http.Request, v *visit) (*refundPage, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	c, err := s.Payments.Claim(r.Context(), v.scope, id)
	if err != nil {
		return nil, err
	}
	p := &refundPage{Claim: &c, Attempts: s.Payments.Refundable(&c), Labels: map[string]string{}, Whole: true}
	for _, a := range c.Attempts {
		p.Labels[a.Method] = s.Payments.MethodLabel(a.Module, a.Method, v.Lang)
	}
	if msg, err := ulid.ParseStrict(r.FormValue("message")); err == nil {
		p.Message = msg.String()
	}
	if len(p.Attempts) > 0 {
		p.Attempt = p.Attempts[0].ID.String()
	}
	return p, nil
}

// back is where a refund was asked for.
func (p *refundPage) back() string {
	if p.Message == "" {
		return "/alerts"
	}
	return "/messages/" + p.Message
}

// refundForm asks what is to be given back.
func (s *Server) refundForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.refundPage(r, v)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "refund", p)
}

// refund asks whether what was typed is meant, and once that is said has it given back.
func (s *Server) refund(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.refundPage(r, v)
	if err != nil {
		return err
	}
	form := r.PostForm
	p.Attempt, p.Whole, p.Amount, p.Reason = form.Get("attempt"), form.Get("how") != "part", strings.TrimSpace(form.Get("amount")), strings.TrimSpace(form.Get("reason"))
	if form.Get("key") != "" {
		return s.orderRefund(w, r, v, p, form.Get("key"))
	}
	a := p.chosen()
	fault := func(ja, en string) { p.Faults = append(p.Faults, v.T(ja, en)) }
	switch {
	case a == nil:
		fault("返金できる入金がありません。返金処理中のものがないか確認してください。", "There is no payment that can be given back. A refund may be under way.")
	case p.Whole:
		p.Yen = a.Confirmed - a.Refunded
	default:
		var err error
		p.Yen, err = strconv.ParseInt(strings.ReplaceAll(p.Amount, ",", ""), 10, 64)
		if left := a.Confirmed - a.Refunded; err != nil || p.Yen < 1 || p.Yen > left {
			fault("返金額は1円から"+number(left)+"円までの数字で入力してください。", "The amount is 1 to "+number(left)+" yen.")
		}
	}
	if p.Reason == "" {
		fault("返金の理由を入力してください。", "Say why it is given back.")
	} else if message.Length(p.Reason) > 200 {
		fault("理由は200文字以内で入力してください。", "The reason has more than 200 characters.")
	}
	if len(p.Faults) > 0 {
		s.render(w, v, http.StatusUnprocessableEntity, "refund", p)
		return nil
	}
	p.Confirm, p.Key, p.Left = true, ulid.Make().String(), a.Confirmed-a.Refunded-p.Yen
	s.render(w, v, http.StatusOK, "refund", p)
	return nil
}

// chosen is the attempt that was chosen; nil: nothing of it can be given back.
func (p *refundPage) chosen() *payment.Attempt {
	for _, a := range p.Attempts {
		if a.ID.String() == p.Attempt {
			return a
		}
	}
	return nil
}

// orderRefund orders what was confirmed. The order is on record before the agent is asked.
func (s *Server) orderRefund(w http.ResponseWriter, r *http.Request, v *visit, p *refundPage, key string) error {
	attempt, err := ulid.ParseStrict(p.Attempt)
	yen, err2 := strconv.ParseInt(p.Amount, 10, 64)
	if err != nil || err2 != nil || yen < 1 {
		return &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	}
	if err := s.record(r.Context(), v, "claim.refund", p.Claim.Number, p.Amount+" "+message.Mask(p.Reason)); err != nil {
		return err
	}
	st, err := s.Payments.Refund(r.Context(), v.Tenant, p.Claim.Number, payment.RefundOptions{
		Attempt: attempt, Yen: yen, Key: key, Act: message.Act{By: v.By(), Reason: p.Reason},
	})
	var ps message.Problems
	if errors.As(err, &ps) && len(ps) > 0 {
		return back(w, r, s.note(v, p.back(), "返金できませんでした："+problemText(ps[0], "ja"), "It could not be given back: "+problemText(ps[0], "en")))
	}
	if err != nil {
		return err
	}
	if a := st.Attempt(attempt); a != nil && a.Refunding > 0 {
		return back(w, r, s.note(v, p.back(), "返金を依頼しました。決済代行の応答を確認しています。", "The refund was ordered; how it stands is being asked."))
	}
	return back(w, r, s.note(v, p.back(), number(yen)+"円を返金しました。", number(yen)+" yen were given back."))
}
