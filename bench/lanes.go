package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/smsc"
	"github.com/kakitome/kakitome/tools/apptest"
)

// lanesCarrier takes all messages of lanes; its numbers are every fourth of the country's.
const lanesCarrier = "docomo"

// lanesCodes is how many codes are sent while the bulk goes out.
const lanesCodes = 200

// lanes shows the priority lane from outside: a bulk waits for one bind whose carrier is paused; then the carrier goes on,
// and codes for it are sent one at a time. The carrier's own ledger tells what it received between the acceptance of a
// code and the code itself: it must be less than the bind's window.
func lanes(ctx context.Context, s settings) (figures []figure, err error) {
	const rtt = 5 * time.Millisecond // of the carrier: with the window it bounds the rate, so that the bulk lasts
	st, err := newSite(ctx, apptest.Options{Window: s.Window, Latency: rtt})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	if err := st.hold(ctx, "pause"); err != nil {
		return nil, err
	}
	bulk := bare()
	bulk.Class = string(message.Billing)
	if _, err := st.send(ctx, load{name: "bulk", draft: bulk, batch: s.Batch, conns: 4, long: time.Hour, most: s.Bulk, skip: len(apptest.Carriers)}); err != nil {
		return nil, err
	}
	if err := st.hold(ctx, "resume"); err != nil {
		return nil, err
	}
	for { // the bulk has begun to flow
		if n, err := st.Metric(ctx, "kakitome_dispatch_submissions_total"); err != nil {
			return nil, err
		} else if n > float64(s.Window) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	accepted := map[string]time.Time{} // text of a code → when its 202 came
	var acks []time.Duration
	for i := range lanesCodes {
		text := fmt.Sprintf("認証番号は %06d です。", i)
		began := time.Now()
		if _, _, err := st.sender.Send(ctx, &message.Draft{To: apptest.Number(numbers - len(apptest.Carriers)), Class: string(message.OTP), Text: text}); err != nil {
			return nil, err
		}
		accepted[text] = time.Now()
		acks = append(acks, time.Since(began))
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second) // the last codes arrive
	left, err := st.Metric(ctx, "kakitome_dispatch_submissions_total")
	if err != nil {
		return nil, err
	}
	st.Close()
	before, waits, err := overtaken(st.File("ledger.ndjson"), accepted)
	if err != nil {
		return nil, err
	}
	if len(before) != lanesCodes {
		return nil, fmt.Errorf("%d of %d codes arrived", len(before), lanesCodes)
	}
	slices.Sort(before)
	slices.Sort(waits)
	slices.Sort(acks)
	return []figure{
		{"bulk that waited for the bind", float64(s.Bulk), "messages", ""},
		{"of it gone when the last code was", left, "messages", "less than all"},
		{"messages that the carrier received between a code's 202 and the code: p50", float64(before[len(before)/2]), "messages", ""},
		{"messages that the carrier received between a code's 202 and the code: most", float64(before[len(before)-1]), "messages", fmt.Sprintf("less than the window, %d", s.Window)},
		{"a code's 202 → at the carrier: p50", quantile(waits, 0.5), "ms", ""},
		{"a code's 202 → at the carrier: p99", quantile(waits, 0.99), "ms", ""},
		{"a code's request → its 202: p99", quantile(acks, 0.99), "ms", ""},
	}, nil
}

func (s *site) hold(ctx context.Context, what string) error {
	_, err := s.Command(ctx, "carrier", what, "-config", s.File("kakitome.toml"), lanesCarrier)
	return err
}

// overtaken reads a ledger: for each code, how many messages were received between its acceptance and itself, and how long
// that was.
func overtaken(path string, accepted map[string]time.Time) (before []int, waits []time.Duration, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	var bulk []time.Time // receptions, in order
	codes := map[string]time.Time{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Event string `json:"event"`
			smsc.Message
		}
		if json.Unmarshal(lines.Bytes(), &l) != nil || l.Event != "received" || l.Carrier != lanesCarrier {
			continue // the last line may be torn: the carriers were killed
		}
		if _, code := accepted[l.Text]; code {
			codes[l.Text] = l.Received
		} else {
			bulk = append(bulk, l.Received)
		}
	}
	for text, received := range codes {
		from, _ := slices.BinarySearchFunc(bulk, accepted[text], time.Time.Compare)
		to, _ := slices.BinarySearchFunc(bulk, received, time.Time.Compare)
		before = append(before, max(to-from, 0))
		waits = append(waits, max(received.Sub(accepted[text]), 0))
	}
	return before, waits, lines.Err()
}
