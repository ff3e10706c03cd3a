package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api/uploads"
	uploaded "github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/smpp/smsc"
	"github.com/kakitome/kakitome/tools/apptest"
)

const (
	// uploadPart is how many bytes of the file a request has.
	uploadPart = 4 << 20
	// lateAfter is when what was said of a campaign has to have taken effect.
	lateAfter = time.Second
	// quietFor is how long nothing has to reach the carriers until they are taken for quiet.
	quietFor = 3 * time.Second
)

// word is something that was said of a campaign by the API while it was sent.
type word struct{ asked, answered time.Time }

// campaign uploads a file in parts, as a sender does, and releases it; when a third has reached the carriers it is paused,
// then resumed, and when another third has, it is canceled. The carriers' own ledger tells what they received after each
// answer: nothing later than lateAfter.
func campaign(ctx context.Context, s settings) (figures []figure, err error) {
	const rtt = 5 * time.Millisecond // of the carriers
	st, err := newSite(ctx, apptest.Options{Window: s.Window, Latency: rtt})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	began := time.Now()
	path, err := st.upload(ctx, s.Rows)
	if err != nil {
		return nil, err
	}
	staged := time.Since(began)
	began = time.Now()
	if _, err := st.say(ctx, path+"/release", fasthttp.StatusAccepted); err != nil {
		return nil, err
	}
	if _, err := st.arrived(ctx, s.Rows/3); err != nil {
		return nil, err
	}
	sending := time.Since(began)
	pause, err := st.say(ctx, path+"/pause", fasthttp.StatusOK)
	if err != nil {
		return nil, err
	}
	held, err := st.quiet(ctx)
	if err != nil {
		return nil, err
	}
	if held >= s.Rows {
		return nil, fmt.Errorf("all %d rows were sent before the pause: ask for more", s.Rows)
	}
	resume, err := st.say(ctx, path+"/resume", fasthttp.StatusOK)
	if err != nil {
		return nil, err
	}
	if _, err := st.arrived(ctx, held+(s.Rows-held)/2); err != nil {
		return nil, err
	}
	cancel, err := st.say(ctx, path+"/cancel", fasthttp.StatusOK)
	if err != nil {
		return nil, err
	}
	state, err := st.until(ctx, path, func(state *uploaded.State) bool { return state.Phase == uploaded.Canceled })
	if err != nil {
		return nil, err
	}
	settled := time.Since(cancel.answered)
	total, err := st.quiet(ctx)
	if err != nil {
		return nil, err
	}
	if total >= s.Rows {
		return nil, fmt.Errorf("all %d rows were sent before the cancel: ask for more", s.Rows)
	}
	st.Close()
	at, twice, err := receptions(st.File("ledger.ndjson"))
	if err != nil {
		return nil, err
	}
	if len(at) != total {
		return nil, fmt.Errorf("%d messages are in the carriers' ledger, %d were counted", len(at), total)
	}
	paused, canceled := after(at, pause.answered, resume.asked), after(at, cancel.answered, time.Now())
	first := after(at, resume.asked, cancel.answered)
	if len(first.waits) == 0 {
		return nil, errors.New("nothing was sent between resume and cancel")
	}
	return []figure{
		{"rows of the file, all taken", float64(s.Rows), "rows", ""},
		{"uploaded and checked in", staged.Seconds(), "s", ""},
		{"release → a third at the carriers", sending.Seconds(), "s", ""},
		{"at the carriers when the pause was answered", float64(paused.before), "messages", ""},
		{"the pause's request → its answer", millis(pause.answered.Sub(pause.asked)), "ms", ""},
		{"after the pause's answer", float64(len(paused.waits)), "messages", ""},
		{"the pause's answer → the last message at a carrier", millis(paused.last()), "ms", "under 1,000"},
		{"later than 1 s after the pause's answer", float64(paused.late()), "messages", "0"},
		{"the resume's request → the first message at a carrier", millis(first.waits[0]), "ms", ""},
		{"at the carriers when the cancel was answered", float64(canceled.before), "messages", ""},
		{"the cancel's request → its answer", millis(cancel.answered.Sub(cancel.asked)), "ms", ""},
		{"after the cancel's answer", float64(len(canceled.waits)), "messages", ""},
		{"the cancel's answer → the last message at a carrier", millis(canceled.last()), "ms", "under 1,000"},
		{"later than 1 s after the cancel's answer", float64(canceled.late()), "messages", "0"},
		{"the cancel's answer → each row has its outcome", settled.Seconds(), "s", ""},
		{"rows that were accepted and ended by the cancel", float64(state.Sweep.Ended), "messages", ""},
		{"rows that were accepted, neither sent nor ended", float64(state.Accepted - state.Sweep.Ended - int64(total)), "messages", "0"},
		{"numbers that got it twice", float64(twice), "", "0"},
	}, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// upload sends a file of rows with a link and a page each, and returns the path of the upload once all rows are staged.
func (s *site) upload(ctx context.Context, rows int) (path string, err error) {
	var file bytes.Buffer
	file.WriteString("電話番号,本文,タイトル,会員情報\r\n")
	for i := range rows {
		fmt.Fprintf(&file, "%s,〇〇県水道局のお知らせ {url},水道料金のお知らせ,R-%d\r\n", apptest.Number(i%numbers), i)
	}
	size := int64(file.Len())
	body, err := json.Marshal(uploads.Begin{Name: "campaign.csv", Size: &size})
	if err != nil {
		return "", err
	}
	var state uploaded.State
	if err := s.sender.Do(ctx, http.MethodPost, uploads.Path, body, http.StatusCreated, &state); err != nil {
		return "", err
	}
	path = uploads.Path + "/" + state.ID.String()
	for offset := int64(0); offset < size; {
		if err := s.sender.Do(ctx, http.MethodPut, fmt.Sprintf("%s?offset=%d", path, offset), file.Next(uploadPart), http.StatusOK, &state); err != nil {
			return "", err
		}
		offset = state.Offset
	}
	staged, err := s.until(ctx, path, func(state *uploaded.State) bool { return state.Phase == uploaded.Staged || state.Over() })
	if err != nil {
		return "", err
	}
	if staged.Phase != uploaded.Staged || staged.Good != int64(rows) || staged.Rows != int64(rows) {
		return "", fmt.Errorf("the file is %s %s: %d of %d rows are good, of %d", staged.Phase, staged.Reason, staged.Good, staged.Rows, rows)
	}
	return path, nil
}

// until waits for a state of an upload.
func (s *site) until(ctx context.Context, path string, so func(*uploaded.State) bool) (*uploaded.State, error) {
	for {
		var state uploaded.State
		if err := s.sender.Do(ctx, http.MethodGet, path, nil, http.StatusOK, &state); err != nil || so(&state) {
			return &state, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// say posts to a path without a body, and tells when.
func (s *site) say(ctx context.Context, path string, want int) (w word, err error) {
	w.asked = time.Now()
	err = s.sender.Do(ctx, http.MethodPost, path, nil, want, nil)
	w.answered = time.Now()
	return w, err
}

// counted is how many messages the carriers have.
func (s *site) counted(ctx context.Context) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.SMSCURL()+"/counts", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var all map[string]smsc.Counts
	err = json.NewDecoder(res.Body).Decode(&all)
	for _, c := range all {
		n += int(c.Messages)
	}
	return n, err
}

// arrived waits until the carriers have at least so many messages.
func (s *site) arrived(ctx context.Context, least int) (n int, err error) {
	for {
		if n, err = s.counted(ctx); err != nil || n >= least {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// quiet waits until nothing has reached the carriers for quietFor, and returns how many messages they have.
func (s *site) quiet(ctx context.Context) (n int, err error) {
	for since := time.Now(); time.Since(since) < quietFor; time.Sleep(50 * time.Millisecond) {
		now, err := s.counted(ctx)
		if err != nil {
			return n, err
		}
		if now != n {
			n, since = now, time.Now()
		}
	}
	return n, nil
}

// receptions reads a ledger: when each message was received, in order, and how many numbers received more than one.
func receptions(path string) (at []time.Time, twice int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	got := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Event string `json:"event"`
			smsc.Message
		}
		if json.Unmarshal(lines.Bytes(), &l) != nil || l.Event != "received" {
			continue // the last line may be torn: the carriers were killed
		}
		at = append(at, l.Received)
		if got[l.Dest]++; got[l.Dest] == 2 {
			twice++
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at, twice, lines.Err()
}

// following is what was received after a time.
type following struct {
	before int             // messages
	waits  []time.Duration // of those after it, in order
}

// after looks at sorted receptions behind from, until to.
func after(at []time.Time, from, to time.Time) (f following) {
	f.before, _ = slices.BinarySearchFunc(at, from, time.Time.Compare)
	for _, t := range at[f.before:] {
		if t.Before(to) {
			f.waits = append(f.waits, t.Sub(from))
		}
	}
	return f
}

func (f following) last() time.Duration {
	if len(f.waits) == 0 {
		return 0
	}
	return f.waits[len(f.waits)-1]
}

func (f following) late() int {
	i, _ := slices.BinarySearch(f.waits, lateAfter+1)
	return len(f.waits) - i
}
