package admin

import (
	"net/http"
	"strings"

	paysheet "github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/plugins/proto"
)

// sheetMethods are the ways to have numbers issued for the sheets of many claims.
func (s *Server) sheetMethods(v *visit) (offers []sheetOffer) {
	if s.Sheets == nil {
		return nil
	}
	for _, code := range v.Tenant.Methods() {
		a, ok := v.Tenant.AgentFor(code)
		if !ok {
			continue
		}
		switch s.Payments.MethodKind(a.Module, code) {
		case proto.MethodKind_KONBINI_BARCODE, proto.MethodKind_PAYER_NUMBER: // whose numbers are not of one chain of stores
			offers = append(offers, sheetOffer{code, s.Payments.MethodLabel(a.Module, code, v.Lang)})
		}
	}
	return offers
}

// uploadSheets streams the payment sheets of an upload's claims as a ZIP: nothing of it is kept.
func (s *Server) uploadSheets(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil || s.Sheets == nil {
		return errNotFound
	}
	if _, err := s.Campaigns.State(r.Context(), v.scope, id); err != nil {
		return err
	}
	done, err := s.turn(v)
	if err != nil {
		return err
	}
	defer done()
	claims, err := s.Sheets.OfUpload(r.Context(), v.Tenant, id)
	if err != nil {
		return err
	}
	if len(claims) == 0 {
		return back(w, r, s.note(v, "/uploads/"+id.String(), "このアップロードには請求がありません。", "This upload has no claims."))
	}
	o := paysheet.Order{Lang: v.Lang, By: v.By()}
	o.Method, o.Store, _ = strings.Cut(r.PostForm.Get("method"), "/")
	if err := s.record(r.Context(), v, "upload.sheets", id.String(), o.Method); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="sheets_`+id.String()+`.zip"`)
	if _, err := s.Sheets.Bundle(r.Context(), v.Tenant, claims, 0, o, w); err != nil {
		if r.Context().Err() == nil {
			s.Log.Error("bundle of payment sheets cut off", "tenant", v.Tenant.ID, "campaign", id, "err", err)
		}
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
	return nil
}
