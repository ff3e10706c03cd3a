package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// The screens of what phones say: received messages (受信一覧) and the do-not-send list (送信停止リスト).

const phonesPage = 50

type receivedLine struct {
	inbound.Message
	Label string // of the carrier
}

type receivedPage struct {
	Messages []receivedLine
	Next     ulid.ULID
}

// before reads the cursor of a page.
func before(r *http.Request) (ulid.ULID, error) {
	text := r.URL.Query().Get("before")
	if text == "" {
		return ulid.ULID{}, nil
	}
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return id, errNotFound
	}
	return id, nil
}

// received lists the messages of the user's tenant; the operator's are those that are for no tenant.
func (s *Server) received(w http.ResponseWriter, r *http.Request, v *visit) error {
	at, err := before(r)
	if err != nil {
		return err
	}
	var p receivedPage
	all, next, err := s.Inbound.List(r.Context(), v.User.Tenant, inbound.Query{Before: at, Limit: phonesPage})
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	p.Next = next
	for _, m := range all {
		line := receivedLine{Message: m, Label: m.Carrier}
		if c, ok := s.Carriers.Carrier(m.Carrier); ok {
			line.Label = c.Label(v.Lang)
		}
		p.Messages = append(p.Messages, line)
	}
	return s.show(w, r, v, "received", p)
}

// stopSender puts the sender of a received message on the list.
func (s *Server) stopSender(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	m, err := s.Inbound.Get(r.Context(), v.Tenant.ID, id)
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	n, err := carrier.ParseNumber(m.Number)
	if err != nil {
		return back(w, r, s.note(v, "/received", "携帯電話番号ではないため登録できません。", "It is not a mobile number."))
	}
	if err := s.record(r.Context(), v, "donotsend.add", n.Masked(), ""); err != nil {
		return err
	}
	if err := s.DoNotSend.Add(r.Context(), v.Tenant.ID, []donotsend.Addition{{Number: n, Reason: donotsend.Request, By: v.By(), At: v.now}})[0].Err; err != nil {
		return err
	}
	return back(w, r, s.note(v, "/received", "送信停止リストに登録しました。", "It is on the do-not-send list."))
}

type doNotSendPage struct {
	Entries []donotsend.Entry
	Next    ulid.ULID
	Reasons []donotsend.Reason
	Faults  []string
}

func (s *Server) doNotSendPage(r *http.Request, v *visit, at ulid.ULID) (p doNotSendPage, err error) {
	p.Reasons = []donotsend.Reason{donotsend.Request, donotsend.WrongPerson}
	p.Entries, p.Next, err = s.DoNotSend.Page(r.Context(), v.Tenant.ID, donotsend.Query{Before: at, Limit: phonesPage})
	if errors.Is(err, store.ErrNotFound) {
		err = errNotFound
	}
	return p, err
}

func (s *Server) doNotSend(w http.ResponseWriter, r *http.Request, v *visit) error {
	at, err := before(r)
	if err != nil {
		return err
	}
	p, err := s.doNotSendPage(r, v, at)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "donotsend", p)
}

// doNotSendFaults shows what is wrong with what was typed or uploaded.
func (s *Server) doNotSendFaults(w http.ResponseWriter, r *http.Request, v *visit, ps message.Problems) error {
	p, err := s.doNotSendPage(r, v, ulid.ULID{})
	if err != nil {
		return err
	}
	for _, pr := range ps {
		p.Faults = append(p.Faults, pr.Text(v.Lang))
	}
	s.render(w, v, http.StatusUnprocessableEntity, "donotsend", p)
	return nil
}

func (s *Server) addDoNotSend(w http.ResponseWriter, r *http.Request, v *visit) error {
	n, err := carrier.ParseNumber(r.PostForm.Get("number"))
	var ne *carrier.NumberError
	if errors.As(err, &ne) {
		return s.doNotSendFaults(w, r, v, message.Problems{{Field: v.T("電話番号", "number"), Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()}})
	}
	a := donotsend.Addition{Number: n, Reason: donotsend.Reason(r.PostForm.Get("reason")), Note: strings.TrimSpace(r.PostForm.Get("note")), By: v.By(), At: v.now}
	if ps := a.Check(); len(ps) > 0 {
		return s.doNotSendFaults(w, r, v, ps)
	}
	if err := s.record(r.Context(), v, "donotsend.add", n.Masked(), ""); err != nil {
		return err
	}
	added := s.DoNotSend.Add(r.Context(), v.Tenant.ID, []donotsend.Addition{a})[0]
	switch {
	case added.Err != nil:
		return added.Err
	case added.Known:
		return back(w, r, s.note(v, "/do-not-send", "すでに登録されています。", "It is listed already."))
	}
	return back(w, r, s.note(v, "/do-not-send", "登録しました。", "It is listed."))
}

func (s *Server) removeDoNotSend(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.record(r.Context(), v, "donotsend.remove", id.String(), ""); err != nil {
		return err
	}
	err = s.DoNotSend.Remove(r.Context(), v.Tenant.ID, id, v.By())
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return back(w, r, s.note(v, "/do-not-send", "送信停止を解除しました。", "It is off the list."))
}

// importDoNotSend reads a file: the token stands before it in the form.
func (s *Server) importDoNotSend(w http.ResponseWriter, r *http.Request, v *visit) error {
	unreadable := &fail{http.StatusBadRequest, "送信された内容を読み取れません。", "What was sent cannot be read."}
	_ = http.NewResponseController(w).SetReadDeadline(clock.Now().Add(uploadTime)) // not all connections can
	r.Body = http.MaxBytesReader(w, r.Body, donotsend.MaxFile+maxForm)
	form, err := r.MultipartReader()
	if err != nil {
		return unreadable
	}
	token := ""
	for {
		part, err := form.NextPart()
		if err != nil {
			return unreadable
		}
		if part.FormName() == "csrf" {
			b, err := io.ReadAll(io.LimitReader(part, 1<<10))
			if err != nil {
				return unreadable
			}
			token = string(b)
			continue
		}
		if err := s.proven(v, token); err != nil {
			return err
		}
		additions, ps, err := donotsend.ReadCSV(part, v.By(), v.now)
		if err != nil {
			return unreadable
		}
		if len(ps) > 0 {
			return s.doNotSendFaults(w, r, v, ps)
		}
		return s.listAll(w, r, v, additions)
	}
}

func (s *Server) listAll(w http.ResponseWriter, r *http.Request, v *visit, additions []donotsend.Addition) error {
	if err := s.record(r.Context(), v, "donotsend.import", fmt.Sprint(len(additions)), ""); err != nil {
		return err
	}
	fresh := 0
	for _, a := range s.DoNotSend.Add(r.Context(), v.Tenant.ID, additions) {
		if a.Err != nil {
			return a.Err
		}
		if !a.Known {
			fresh++
		}
	}
	return back(w, r, s.note(v, "/do-not-send", fmt.Sprintf("%s件を登録しました（登録済み %s件）。", number(fresh), number(len(additions)-fresh)),
		fmt.Sprintf("%s listed, %s were already.", number(fresh), number(len(additions)-fresh))))
}

// exportDoNotSend gives out whole numbers.
func (s *Server) exportDoNotSend(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := s.record(r.Context(), v, "donotsend.export", "", ""); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := donotsend.Export(r.Context(), s.DoNotSend, v.Tenant.ID, &out); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="do-not-send.csv"`)
	_, _ = w.Write(out.Bytes()) // the browser went away
	return nil
}
