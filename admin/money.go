package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

// alertsMost is how many claims with open alerts are listed.
const alertsMost = 200

type alertsPage struct {
	Claims []payment.State
	Most   int
}

func (s *Server) alerts(w http.ResponseWriter, r *http.Request, v *visit) error {
	v.watch = interest{tenant: v.Tenant.ID, kinds: map[store.Kind]bool{store.Claim: true}}
	claims, err := s.Payments.Alerts(r.Context(), v.scope, alertsMost)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "alerts", alertsPage{claims, alertsMost})
}

// onClaim does one thing to a claim of the tenant and leads back to where it was asked for. The audit log has the detail and
// the masked reason.
func (s *Server) onClaim(w http.ResponseWriter, r *http.Request, v *visit, action, detail, ja, en string, do func(c *payment.State, reason string) error) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	c, err := s.Payments.Claim(r.Context(), v.scope, id)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, action, c.Number, strings.TrimSpace(detail+" "+message.Mask(r.PostForm.Get("reason")))); err != nil {
		return err
	}
	to := "/alerts"
	if msg, err := ulid.ParseStrict(r.PostForm.Get("message")); err == nil {
		to = "/messages/" + msg.String()
	}
	err = do(&c, r.PostForm.Get("reason"))
	var ps message.Problems
	if errors.As(err, &ps) && len(ps) > 0 {
		return back(w, r, s.note(v, to, "変更できませんでした："+problemText(ps[0], "ja"), "It could not be changed: "+problemText(ps[0], "en")))
	}
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, to, ja, en))
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request, v *visit) error {
	seen, err := strconv.Atoi(r.PostForm.Get("version"))
	if err != nil {
		seen = 0 // a page of an earlier version of the program: it is shown anew
	}
	return s.onClaim(w, r, v, "claim.resolve", "", "対応済みにしました。", "Marked as dealt with.", func(c *payment.State, reason string) error {
		_, err := s.Payments.Resolve(r.Context(), v.scope, c.Ref.ID, seen, message.Act{By: v.By(), Reason: reason})
		return err
	})
}

// countDeposit makes a transfer count that is in doubt: whoever looked found that it is another one.
func (s *Server) countDeposit(w http.ResponseWriter, r *http.Request, v *visit) error {
	deposit := r.PostForm.Get("deposit")
	return s.onClaim(w, r, v, "claim.count_deposit", message.Mask(deposit), "別の入金として計上しました。", "Counted as a transfer of its own.", func(c *payment.State, reason string) error {
		_, err := s.Payments.CountDeposit(r.Context(), v.scope, c.Ref.ID, deposit, message.Act{By: v.By(), Reason: reason})
		return err
	})
}

func (s *Server) settle(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onClaim(w, r, v, "claim.settle", "", "消込済みにしました。", "Marked as settled elsewhere.", func(c *payment.State, reason string) error {
		var remaining int64 // as it was shown; the form of a claim to which nothing had come says none
		if shown := r.PostForm.Get("rest"); shown != "" {
			var err error
			if remaining, err = strconv.ParseInt(shown, 10, 64); err != nil {
				return message.Problems{{Field: "remaining", Code: "pattern", Value: message.Mask(shown)}}
			}
		}
		_, err := s.Payments.Patch(r.Context(), v.Tenant, c.Number, payment.Patch{Settled: true, Remaining: &remaining, Reason: reason}, v.By())
		return err
	})
}

func (s *Server) withdraw(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onClaim(w, r, v, "claim.withdraw", "", "請求を取り下げました。", "The claim is withdrawn.", func(c *payment.State, reason string) error {
		_, err := s.Payments.Patch(r.Context(), v.Tenant, c.Number, payment.Patch{Withdrawn: true, Reason: reason}, v.By())
		return err
	})
}

// amend changes what a claim asks for. Fields that are left empty change nothing.
func (s *Server) amend(w http.ResponseWriter, r *http.Request, v *visit) error {
	fr := &formReader{f: r.PostForm, names: map[string]string{}}
	var patch payment.Patch
	var changes []string
	for _, x := range []struct {
		name string
		to   **int64
	}{{"amount", &patch.Amount}, {"tax", &patch.Tax}, {"tax_rate", &patch.TaxRate}} {
		if fr.text(x.name, x.name) != "" {
			yen := fr.yen(x.name, x.name)
			*x.to = &yen
			changes = append(changes, fmt.Sprintf("%s=%d", x.name, yen))
		}
	}
	if due := fr.time("due", "due", true); due != nil {
		day := message.Day(*due)
		patch.Due, changes = &day, append(changes, "due="+day)
	}
	return s.onClaim(w, r, v, "claim.amend", strings.Join(changes, " "), "請求内容を変更しました。", "The claim is amended.", func(c *payment.State, reason string) error {
		if len(fr.ps) > 0 {
			return fr.ps
		}
		patch.Reason = reason
		_, err := s.Payments.Patch(r.Context(), v.Tenant, c.Number, patch, v.By())
		return err
	})
}

// charge has a card charged that the customer registered with another claim. The key is made with the form: pressed twice it is one charge.
func (s *Server) charge(w http.ResponseWriter, r *http.Request, v *visit) error {
	card := strings.TrimSpace(r.PostForm.Get("card"))
	return s.onClaim(w, r, v, "claim.charge", "card="+message.Mask(card), "登録済みのカードに請求しました。", "The registered card is charged.", func(c *payment.State, reason string) error {
		_, err := s.Payments.Charge(r.Context(), v.Tenant, c.Number, payment.ChargeOptions{Card: card, Key: r.PostForm.Get("key"), Act: message.Act{By: v.By(), Reason: reason}})
		return err
	})
}

// receipt gives the receipt of a confirmed claim.
func (s *Server) receipt(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	c, err := s.Payments.Claim(r.Context(), v.scope, id)
	if err != nil {
		return err
	}
	paper := r.PostForm.Get("number")
	if err := s.record(r.Context(), v, "claim.receipt", c.Number, message.Mask(paper)); err != nil {
		return err
	}
	pdf, name, err := s.Payments.Receipt(r.Context(), v.Tenant, id, payment.ReceiptOptions{Number: paper, Lang: v.Lang, By: v.By()})
	if errors.Is(err, payment.ErrNotConfirmed) {
		return &fail{http.StatusConflict, "入金が確定（確報）するまで領収書は発行できません。", "There is no receipt before the payment is confirmed."}
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(pdf) // the browser went away
	return nil
}
