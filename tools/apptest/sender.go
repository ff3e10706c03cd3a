package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
)

// Sender is a program of the tenant that uses the API. Safe for concurrent use.
type Sender struct {
	base, key string
	http      *http.Client
}

// NewSender makes a client of the API at a base URL.
func NewSender(base, key string) *Sender {
	return &Sender{base: base, key: key, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// Refused is an answer that says no.
type Refused struct {
	Status int
	Body   string
}

func (r *Refused) Error() string { return fmt.Sprintf("status %d: %s", r.Status, r.Body) }

// Do sends a request and decodes the answer, which must have the wanted status, into out. The error is *Refused when
// there was another answer.
func (s *Sender) Do(ctx context.Context, method, path string, body []byte, want int, out any) error {
	kind := "application/json"
	if path == "/v1/messages:batch" {
		kind = "application/x-ndjson"
	}
	data, _, err := s.send(ctx, method, path, kind, body, want)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(data, out)
}

func (s *Sender) send(ctx context.Context, method, path, kind string, body []byte, want int) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = &Refused{res.StatusCode, string(data)}
	}
	return data, res.Header, err
}

// Send sends one message. repeated: its key was known.
func (s *Sender) Send(ctx context.Context, d *message.Draft) (a api.Accepted, repeated bool, err error) {
	body, err := json.Marshal(d)
	if err != nil {
		return a, false, err
	}
	data, header, err := s.send(ctx, http.MethodPost, "/v1/messages", "application/json", body, http.StatusAccepted)
	if err != nil {
		return a, false, err
	}
	err = json.Unmarshal(data, &a)
	return a, header.Get("Idempotency-Replayed") == "true", err
}

// Batch sends many. The lines are in the order of the drafts.
func (s *Sender) Batch(ctx context.Context, drafts []message.Draft) ([]api.Line, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for i := range drafts {
		if err := enc.Encode(&drafts[i]); err != nil {
			return nil, err
		}
	}
	data, _, err := s.send(ctx, http.MethodPost, "/v1/messages:batch", "application/x-ndjson", body.Bytes(), http.StatusOK)
	if err != nil {
		return nil, err
	}
	var lines []api.Line
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var l api.Line
		if err := dec.Decode(&l); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	if len(lines) != len(drafts) {
		return nil, fmt.Errorf("%d lines answer %d", len(lines), len(drafts))
	}
	return lines, nil
}

// Message reads one message with its timeline.
func (s *Sender) Message(ctx context.Context, id string) (m api.Message, err error) {
	err = s.Do(ctx, http.MethodGet, "/v1/messages/"+id, nil, http.StatusOK, &m)
	return m, err
}

// Claim reads a claim.
func (s *Sender) Claim(ctx context.Context, number string) (c api.Claim, err error) {
	err = s.Do(ctx, http.MethodGet, "/v1/claims/"+url.PathEscape(number), nil, http.StatusOK, &c)
	return c, err
}

// Messages lists all messages, newest first, without their timelines.
func (s *Sender) Messages(ctx context.Context) (all []api.Message, err error) {
	cursor := ""
	for {
		var l api.List
		if err := s.Do(ctx, http.MethodGet, "/v1/messages?limit=100"+cursor, nil, http.StatusOK, &l); err != nil {
			return nil, err
		}
		all = append(all, l.Items...)
		if l.Next == "" {
			return all, nil
		}
		cursor = "&cursor=" + l.Next
	}
}

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = &Refused{res.StatusCode, string(data)}
	}
	return data, err
}
