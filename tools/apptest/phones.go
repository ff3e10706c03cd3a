package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kakitome/kakitome/engine/api/phones"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// Write lets the i-th phone write to the tenant's sender address. The error is that there is no network.
func (c *Country) Write(ctx context.Context, i int, text string) error {
	body, err := json.Marshal(smsc.Origin{From: "81" + Number(i)[1:], To: carriers[i%len(carriers)].source, Text: text})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.SMSCURL()+"/carriers/"+Carriers[i%len(Carriers)]+"/originate", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return errors.New(res.Status)
	}
	return nil
}

// Received counts what the tenant has of phones by text. What waits for a segment is not counted.
func (s *Sender) Received(ctx context.Context) (map[string]int, error) {
	texts := map[string]int{}
	cursor := ""
	for {
		var l phones.Received
		if err := s.Do(ctx, http.MethodGet, phones.ReceivedPath+"?limit=100"+cursor, nil, http.StatusOK, &l); err != nil {
			return nil, err
		}
		for _, m := range l.Items {
			if !m.Waiting {
				texts[m.Text]++
			}
		}
		if l.Next == "" {
			return texts, nil
		}
		cursor = "&cursor=" + l.Next
	}
}

// Phones is what the ledgers say of the messages that phones wrote.
type Phones struct {
	Written int `json:"written"`
	Taken   int `json:"taken"` // the engine answered each segment with ESME_ROK
	Lost    int `json:"lost"`  // of these: not in the sender's list; must be 0
	Twice   int `json:"twice"` // copies in the sender's list: one piece, and the engine ended between its commit and its answer
}

// phones waits until all that phones wrote is there, or, where the carriers forgot some, all that was taken, and judges it.
func (v *Verdict) phones(ctx context.Context, c *Country, s *Sender, t Terms) error {
	limited, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for {
		ledger, err := ReadLedger(c.File("ledger.ndjson"))
		if err != nil {
			return err
		}
		got, err := s.Received(ctx)
		if err != nil {
			return fmt.Errorf("what phones wrote: %w", err)
		}
		missing := ""
		for text, w := range ledger.Phones {
			if got[text] == 0 && (!t.Lossy || len(w.Taken) == w.Segments) {
				missing = text
			}
		}
		if missing == "" || limited.Err() != nil {
			v.writings(ledger.Phones, got, missing, t)
			return ctx.Err()
		}
		select {
		case <-limited.Done():
		case <-pace.C:
		}
	}
}

func (v *Verdict) writings(written map[string]*Written, got map[string]int, missing string, t Terms) {
	for text, w := range written {
		v.Phones.Written++
		taken := len(w.Taken) == w.Segments
		if taken {
			v.Phones.Taken++
		}
		switch n := got[text]; {
		case n == 0 && taken:
			v.Phones.Lost++
			v.broken("what a phone wrote was taken and is not there: %.20q", text)
		case n > 1 && w.Segments > 1:
			v.broken("what a phone wrote in %d segments is there %d times: %.20q", w.Segments, n, text)
		case n > 1:
			v.Phones.Twice += n - 1
		}
		delete(got, text)
	}
	if missing != "" && v.Phones.Lost == 0 {
		v.broken("what a phone wrote did not come within %v: %.20q", t.patience(), missing)
	}
	for text := range got {
		v.Foreign++
		v.broken("no phone wrote %.20q", text)
	}
	if most := t.Faults * t.WindowSum; most > 0 && v.Phones.Twice > most {
		v.broken("%d messages of phones are there twice by %d faults that cut windows of %d each", v.Phones.Twice, t.Faults, t.WindowSum)
	}
}
