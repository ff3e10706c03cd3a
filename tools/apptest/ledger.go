package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/kakitome/kakitome/smpp/smsc"
)

// Ledger is what the carriers wrote into their file.
type Ledger struct {
	Received map[string][]smsc.Message   // whole messages, by number as people write it
	Pieces   map[string]map[int][]string // texts of submissions by number and segment, from 1; a message of one is segment 1
	Phones   map[string]*Written         // messages from phones, by text
}

// Written is a message that a phone wrote.
type Written struct {
	Segments int
	Taken    map[int]bool // segments that the engine answered with ESME_ROK
}

// ReadLedger reads the carriers' file.
func ReadLedger(name string) (*Ledger, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	l := &Ledger{Received: map[string][]smsc.Message{}, Pieces: map[string]map[int][]string{}, Phones: map[string]*Written{}}
	for line := range bytes.Lines(data) {
		var m struct {
			Event    string
			Part, Of int
			smsc.Message
		}
		if err := json.Unmarshal(line, &m); err != nil {
			// A carrier that was killed while it wrote leaves half a line, of which nothing was answered; the next one goes on
			// behind it.
			whole := bytes.LastIndex(line, []byte(`{"event":`))
			if whole <= 0 && !bytes.HasSuffix(line, []byte("\n")) {
				continue
			}
			if whole <= 0 || json.Unmarshal(line[whole:], &m) != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		switch m.Event {
		case "received":
			number := numberOf(&m.Message)
			l.Received[number] = append(l.Received[number], m.Message)
			if len(m.IDs) == 0 {
				l.piece(number, 1, m.Text)
			}
		case "part":
			l.piece(numberOf(&m.Message), m.Part, m.Text)
		case "phone":
			l.Phones[m.Text] = &Written{Segments: m.Of, Taken: map[int]bool{}}
		case "taken":
			if w := l.Phones[m.Text]; w != nil {
				w.Taken[m.Part] = true
			}
		}
	}
	return l, nil
}

func numberOf(m *smsc.Message) string { return "0" + strings.TrimPrefix(m.Dest, "81") }

func (l *Ledger) piece(number string, part int, text string) {
	if l.Pieces[number] == nil {
		l.Pieces[number] = map[int][]string{}
	}
	l.Pieces[number][part] = append(l.Pieces[number][part], text)
}

// copies are the submissions of one message that a carrier has, by segment.
type copies map[int][]string

// text is that of the first copies.
func (c copies) text() string {
	text := ""
	for part := 1; len(c[part]) > 0; part++ {
		text += c[part][0]
	}
	return text
}

// whole reports whether the carrier has each of n segments.
func (c copies) whole(n int) bool {
	for part := range n {
		if len(c[part+1]) == 0 {
			return false
		}
	}
	return true
}
