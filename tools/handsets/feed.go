package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/kakitome/kakitome/smpp/smsc"
)

// feed brings what the carriers of tools/smsc delivered into the book.
type feed struct {
	base *url.URL
	book *book
	log  *slog.Logger
}

// run follows the carriers until ctx ends.
func (f *feed) run(ctx context.Context) {
	for last := ""; ctx.Err() == nil; {
		err := f.follow(ctx)
		f.book.setUp(false)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last { // once per reason
			f.log.Warn("carriers are away", "err", err)
			last = text
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// recall enters what reached phones in earlier runs of tools/smsc, from the file of its ledger. A file that is not there
// has nothing to tell; a last line that is still being written comes again by the stream.
func (f *feed) recall(ledger string) error {
	data, err := os.ReadFile(ledger)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recall earlier messages: %w", err)
	}
	for line := range bytes.Lines(data) {
		var m smsc.Message
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return fmt.Errorf("recall earlier messages: %s: %w", ledger, err)
		}
		f.enter(&m)
	}
	return nil
}

// follow opens the stream, then reads the ledger, so that nothing falls
// between; what is seen twice is entered once.
func (f *feed) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.get(ctx, "/messages/stream")
	if err != nil {
		return err
	}
	defer stream.Close()
	ledger, err := f.get(ctx, "/ledger")
	if err != nil {
		return err
	}
	dec := json.NewDecoder(ledger)
	for {
		var m smsc.Message
		if err := dec.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			_ = ledger.Close()
			return fmt.Errorf("read ledger: %w", err)
		}
		f.enter(&m)
	}
	_ = ledger.Close()
	f.book.setUp(true)
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var m smsc.Message
		if err := json.Unmarshal(data, &m); err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		f.enter(&m)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	return fmt.Errorf("read stream: %w", io.ErrUnexpectedEOF)
}

// enter takes what reached a phone; the ledger also holds what did not.
func (f *feed) enter(m *smsc.Message) {
	if m.State == "DELIVRD" {
		f.book.add(m.Dest, m.Carrier, message{ID: m.Carrier + "/" + m.ID, Address: m.Source, Text: m.Text, At: m.StateAt})
	}
}

func (f *feed) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// reply gives a message written on a phone to its carrier.
func (f *feed) reply(ctx context.Context, p *phone, to, text string) error {
	body, err := json.Marshal(smsc.Origin{From: p.Number, To: to, Text: text})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	target := f.base.JoinPath("carriers", url.PathEscape(p.Carrier), "originate")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("carrier: %s: %s", resp.Status, strings.TrimSpace(string(why)))
	}
	f.book.add(p.Number, "", message{Address: to, Text: text, At: time.Now(), Out: true})
	return nil
}
