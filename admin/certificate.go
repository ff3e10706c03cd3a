package admin

import (
	"errors"
	"net/http"

	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/store"
)

// certificate gives the certificate of delivery of a message, as a PDF or as the file that verifies.
func (s *Server) certificate(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	if s.Certificates == nil || !s.Certificates.Certifies(st.Head.Class) {
		return errNotFound
	}
	pdf, content := r.PostFormValue("format") != "json", r.PostFormValue("content") != ""
	if err := s.record(r.Context(), v, certificate.Action, st.Head.No, certificate.Detail(pdf, content)); err != nil {
		return err
	}
	c, err := s.Certificates.Make(r.Context(), v.scope, store.Ref{Tenant: v.Tenant.ID, Kind: store.Message, ID: id}, content)
	if errors.Is(err, certificate.ErrClass) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	body, kind, ending := []byte(nil), "application/json", ".json"
	if pdf {
		kind, ending = "application/pdf", ".pdf"
		body, err = s.Certificates.PDF(r.Context(), v.Tenant.ID, c, v.Lang)
	} else {
		body, err = c.Encode()
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+certificate.Filename(c)+ending+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(body) // the browser went away
	return nil
}
