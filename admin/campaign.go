package admin

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
)

// canaryOf says whether the upload can have a canary, and which seeds are missing.
func (s *Server) canaryOf(v *visit, p *uploadPage) (err error) {
	if p.Seeds, err = s.Campaigns.Seeds(v.Tenant); err != nil {
		return err
	}
	for _, c := range s.Carriers.Carriers() {
		if p.Carriers[c.Name] == 0 {
			continue
		}
		if _, ok := v.Tenant.Seed(c.Name); !ok {
			p.Missing = append(p.Missing, c.Label(v.Lang))
		}
	}
	return nil
}

// Label is a carrier as people know it.
func (p *uploadPage) Label(name string) string { return cmp.Or(p.labels[name], name) }

// Arrived is the part of the seeds that was delivered, in hundredths.
func (p *uploadPage) Arrived() int64 {
	n := 0
	for _, seed := range p.Canary.Seeds {
		if seed.Phase == message.Arrived {
			n++
		}
	}
	return percent(int64(n), int64(len(p.Canary.Seeds)))
}

func (s *Server) pauseUpload(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.pause", func(id ulid.ULID) error {
		_, err := s.Campaigns.Pause(r.Context(), v.scope, id, v.By())
		return err
	})
}

func (s *Server) resumeUpload(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.resume", func(id ulid.ULID) error {
		_, err := s.Campaigns.Resume(r.Context(), v.scope, id, v.By())
		return err
	})
}

func (s *Server) cancelUpload(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.cancel", func(id ulid.ULID) error {
		_, err := s.Campaigns.Cancel(r.Context(), v.scope, id, v.By(), strings.TrimSpace(r.PostForm.Get("reason")))
		return err
	})
}

func (s *Server) retryCanary(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.retry_canary", func(id ulid.ULID) error {
		_, err := s.Campaigns.RetryCanary(r.Context(), v.scope, id, v.By())
		return err
	})
}

func (s *Server) continueUpload(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.continue", func(id ulid.ULID) error {
		_, err := s.Campaigns.GoOn(r.Context(), v.scope, id, v.By())
		return err
	})
}

func (s *Server) dropCarrier(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.onUpload(w, r, v, "upload.drop_carrier", func(id ulid.ULID) error {
		_, err := s.Campaigns.DropCarrier(r.Context(), v.scope, id, v.By(), r.PostForm.Get("carrier"))
		return err
	})
}

type seedRow struct{ Carrier, Label, Masked string }

type seedsPage struct {
	Rows    []seedRow
	Minutes int
	Fault   string
	Of      string // the carrier that Fault is about
}

func (s *Server) seedsPage(v *visit) (*seedsPage, error) {
	have, err := s.Campaigns.Seeds(v.Tenant)
	if err != nil {
		return nil, err
	}
	p := &seedsPage{Minutes: int(v.Tenant.Policy.CanaryTime().Minutes())}
	for _, c := range s.Carriers.Carriers() {
		row := seedRow{Carrier: c.Name, Label: c.Label(v.Lang)}
		for _, h := range have {
			if h.Carrier == c.Name {
				row.Masked = h.Masked
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return p, nil
}

// seeds shows the tenant's own phones to which a campaign can be sent first.
func (s *Server) seeds(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := s.seedsPage(v)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "seeds", p)
}

func (s *Server) setSeed(w http.ResponseWriter, r *http.Request, v *visit) error {
	name, number := r.PostForm.Get("carrier"), r.PostForm.Get("number")
	if r.PostForm.Get("do") == "remove" {
		number = ""
	} else if number == "" {
		return back(w, r, "/seeds")
	}
	if _, ok := s.Carriers.Carrier(name); !ok {
		return errNotFound
	}
	action := "seed.set"
	if number == "" {
		action = "seed.remove"
	} else if _, err := s.Campaigns.CheckSeed(name, number); err != nil {
		p, failed := s.seedsPage(v)
		if failed != nil {
			return failed
		}
		p.Of, p.Fault = name, v.T("この携帯電話会社の携帯電話番号を入力してください。", "Type a mobile number of this carrier.")
		s.render(w, v, http.StatusUnprocessableEntity, "seeds", p)
		return nil
	}
	if err := s.record(r.Context(), v, action, name, ""); err != nil {
		return err
	}
	err := s.Campaigns.SetSeed(r.Context(), v.Tenant.ID, name, number)
	var ps message.Problems
	if errors.As(err, &ps) {
		return errNotFound // changed between the check and here
	}
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, "/seeds", "テスト番号を保存しました。", "The seed numbers are saved."))
}

// Ending says how far messages of an upload are ended, in hundredths.
func (p *uploadPage) Ending() int64 {
	if p.Sweep == nil {
		return 0
	}
	if p.Phase == campaign.Canceled || p.Sweep.Over {
		return 100
	}
	return percent(p.Sweep.Looked, p.Sweep.Of)
}

// Pausable reports whether there may be something left to pause or cancel.
func (p *uploadPage) Pausable() bool {
	return p.Phase == campaign.Releasing || p.Phase == campaign.Done && p.Accepted > 0 && !(p.Counted && p.Submitted == p.Looked && p.Paused == nil)
}
