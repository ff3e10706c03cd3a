package retention

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// span is groups that are to be swept, the first and the last.
type span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// state is the content of the state file: what is still to be swept. A span stays until it is done; one that is begun is
// begun anew.
type state struct {
	Version int    `json:"version"`
	Spans   []span `json:"spans"`
	Reclaim bool   `json:"reclaim,omitempty"` // the log's space is still to be given back
}

func (s *state) groups() (n uint64) {
	for _, sp := range s.Spans {
		if sp.To >= sp.From {
			n += sp.To - sp.From + 1
		}
	}
	return n
}

func (r *Retention) load() (*state, error) {
	b, err := os.ReadFile(r.o.State)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{Version: 1}, nil
	}
	if err != nil {
		return &state{}, fmt.Errorf("what is to be swept: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil || s.Version != 1 {
		return &state{}, fmt.Errorf("%s cannot be read; without it space stays taken, and nothing else: move it away", r.o.State)
	}
	return &s, nil
}

// note adds spans that are not noted yet.
func (r *Retention) note(spans []span) error {
	s, err := r.load()
	if err != nil {
		return err
	}
	seen := map[span]bool{}
	for _, sp := range s.Spans {
		seen[sp] = true
	}
	for _, sp := range spans {
		if !seen[sp] && sp.From <= sp.To {
			s.Spans, seen[sp] = append(s.Spans, sp), true
		}
	}
	return r.save(s)
}

// oweReclaim notes that space is to be given back.
func (r *Retention) oweReclaim() error {
	s, err := r.load()
	if err != nil || s.Reclaim {
		return err
	}
	s.Reclaim = true
	return r.save(s)
}

// done takes a span out.
func (r *Retention) done(sp span) error {
	s, err := r.load()
	if err != nil {
		return err
	}
	for i := range s.Spans {
		if s.Spans[i] == sp {
			s.Spans = append(s.Spans[:i], s.Spans[i+1:]...)
			break
		}
	}
	return r.save(s)
}

// save replaces the file, synced.
func (r *Retention) save(s *state) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	r.metrics.pending.Set(float64(s.groups()))
	f, err := os.OpenFile(r.o.State+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(r.o.State+".new", r.o.State); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(r.o.State))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
