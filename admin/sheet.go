package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/payment"
	paysheet "github.com/kakitome/kakitome/engine/sheet"
)

// sheetOffer is a way to have a number issued: a method, at a store where it has some.
type sheetOffer struct{ Value, Label string }

// sheetOffers are the ways to have a number issued for a claim's payment sheet. none: nothing can be paid on paper now.
func (s *Server) sheetOffers(v *visit, c *payment.State) (offers []sheetOffer) {
	if s.Sheets == nil || c.Received > 0 || c.WithdrawnBy != nil || c.SettledBy != nil || v.now.After(c.Due) {
		return nil
	}
	for _, m := range s.Sheets.Offers(v.Tenant, c) {
		label := v.T(m.LabelJa, m.LabelEn)
		if len(m.Stores) == 0 {
			offers = append(offers, sheetOffer{m.Code, label})
		}
		for _, st := range m.Stores {
			offers = append(offers, sheetOffer{m.Code + "/" + st.Code, label + " " + v.T(st.LabelJa, st.LabelEn)})
		}
	}
	return offers
}

type sheetPage struct {
	Address paysheet.Address
	Message string
}

// sheetURL gives the addresses of a claim's payment sheet. They are shown here and kept nowhere.
func (s *Server) sheetURL(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, to, err := s.sheetClaim(r, v)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "claim.sheet", c.Number, ""); err != nil {
		return err
	}
	o := paysheet.Order{Lang: r.PostForm.Get("lang"), By: v.By()}
	o.Method, o.Store, _ = strings.Cut(r.PostForm.Get("method"), "/")
	a, ps, err := s.Sheets.Make(r.Context(), v.Tenant, c.Number, o)
	switch {
	case errors.Is(err, payment.ErrUnavailable), errors.Is(err, payment.ErrSettling):
		return back(w, r, s.note(v, to, "決済代行会社の応答がありません。少し待ってからもう一度お試しください。", "The payment agent has not answered. Please try again in a moment."))
	case err != nil:
		return err
	case len(ps) > 0:
		return back(w, r, s.note(v, to, "支払シートを発行できませんでした："+problemText(ps[0], "ja"), "There is no payment sheet: "+problemText(ps[0], "en")))
	}
	s.render(w, v, http.StatusOK, "sheet", sheetPage{a, r.PostForm.Get("message")})
	return nil
}

func (s *Server) revokeSheets(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, to, err := s.sheetClaim(r, v)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "claim.sheet_revoke", c.Number, ""); err != nil {
		return err
	}
	if err := s.Sheets.Revoke(r.Context(), v.Tenant, c.Number, v.By()); err != nil {
		return err
	}
	return back(w, r, s.note(v, to, "これまでに発行した支払シートのURLを無効にしました。", "The addresses of payment sheets given until now no longer work."))
}

// sheetClaim finds the claim, and where the form came from.
func (s *Server) sheetClaim(r *http.Request, v *visit) (c payment.State, to string, err error) {
	id, err := pathID(r)
	if err != nil || s.Sheets == nil {
		return c, "", errors.Join(err, errNotFound)
	}
	to = "/messages"
	if msg, err := ulid.ParseStrict(r.PostForm.Get("message")); err == nil {
		to = "/messages/" + msg.String()
	}
	c, err = s.Payments.Claim(r.Context(), v.scope, id)
	return c, to, err
}
