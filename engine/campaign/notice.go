package campaign

import (
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// NoticeData is the data of upload.… notices: the upload as it was when that happened. It has nothing of the file.
type NoticeData struct {
	ID       ulid.ULID `json:"id"`
	Phase    Phase     `json:"phase"`
	By       string    `json:"by,omitempty"`       // who said so; "engine" for a canary that arrived
	Reason   string    `json:"reason,omitempty"`   // of canceled, in their words
	Carriers []string  `json:"carriers,omitempty"` // of stopped: whose seed did not arrive
	Without  []string  `json:"dropped_carriers,omitempty"`
	Rows     int64     `json:"rows"`
	Accepted int64     `json:"accepted"` // so far
	Sequence int       `json:"sequence"` // rises within the upload
}

// Notices tells engine/callback of uploads: the source of streams of the kind Campaign.
type Notices struct{}

var noticeTypes = map[byte]string{
	evReleased: callback.UploadReleased, evWentOn: callback.UploadReleased, evDropCarr: callback.UploadReleased, evStopped: callback.UploadStopped,
	evPaused: callback.UploadPaused, evResumed: callback.UploadResumed, evCanceled: callback.UploadCanceled, evDone: callback.UploadDone, evSettled: callback.UploadDone,
}

// May implements callback.Source.
func (Notices) May(event byte) []string {
	if typ, ok := noticeTypes[event]; ok {
		return []string{typ}
	}
	return nil
}

// Tell implements callback.Source.
func (Notices) Tell(events []store.Event) ([]callback.Notice, error) {
	var s State
	var told []callback.Notice
	for _, e := range events {
		if err := s.apply(e); err != nil {
			return nil, err
		}
		typ, ok := noticeTypes[e.Type]
		switch {
		case !ok,
			e.Type == evDropCarr && s.Phase != Releasing, // others are still to be decided on
			e.Type == evSettled && s.Phase != Canceled:
			continue
		}
		d := NoticeData{ID: s.ID, Phase: s.Phase, Rows: s.Rows, Accepted: s.Accepted, Sequence: int(e.Seq) + 1, By: s.saidBy(e)}
		for _, w := range s.Without {
			d.Without = append(d.Without, w.Carrier)
		}
		switch e.Type {
		case evStopped:
			d.Carriers = s.Canary.Failed
		case evCanceled:
			d.Reason = s.Canceled.Reason
		}
		told = append(told, callback.Notice{Pos: callback.At(e.Seq, 0), Type: typ, At: e.At, Data: func(callback.Sealed, *tenant.Callback) (any, error) { return d, nil }})
	}
	return told, nil
}

// saidBy is who said what the event, already folded, is.
func (s *State) saidBy(e store.Event) string {
	switch e.Type {
	case evReleased:
		return s.ReleasedBy
	case evWentOn:
		return s.Canary.WentOn.By
	case evDropCarr:
		return s.Without[len(s.Without)-1].By
	case evPaused:
		return s.Paused.By
	case evResumed:
		return s.resumedBy
	case evCanceled:
		return s.Canceled.By
	}
	return ""
}
