package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/tools/apptest"
)

// tenMillion seeds a store with finished and queued messages, each as intake and dispatch would have left it, by the store's
// own Commit; then an engine starts on it, after a kill. Searches, and row 2 again, beside row 2 with an empty store.
func tenMillion(ctx context.Context, s settings) (figures []figure, err error) {
	add := func(name string, value float64, unit, reach string) {
		figures = append(figures, figure{name, value, unit, reach})
	}
	row2 := load{name: "2 bare SMS, batch", draft: bare(), batch: s.Batch, conns: 4, long: s.Long}
	empty, err := row(ctx, s, row2, plainEngine, false, add)
	if err != nil {
		return nil, err
	}
	st, err := newSite(ctx, apptest.Options{Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	if err := st.Engine.Stop(time.Minute); err != nil {
		return nil, err
	}
	took, err := st.seed(ctx, s.Stored, s.Queued, time.Now().Add(24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	add("finished messages stored", float64(s.Stored), "messages", "")
	add("queued messages stored", float64(s.Queued), "messages", "")
	add("seeding by the store's Commit, synced", float64(s.Stored+s.Queued)/took.Seconds(), "messages/s", "")
	add("data directory", float64(diskUse(st.Data()))/(1<<30), "GiB", "")
	if err := st.StartEngine(ctx); err != nil {
		return nil, err
	}
	st.Engine.Kill()
	began := time.Now()
	if err := st.StartEngine(ctx); err != nil {
		return nil, err
	}
	ready := time.Since(began)
	st.next.Store(numbers / 2)
	if _, err := st.send(ctx, load{name: "first", draft: bare(), batch: 1, conns: 1, long: time.Minute, most: 1}); err != nil {
		return nil, err
	}
	add("restart after a kill: ready", ready.Seconds(), "s", "")
	add("restart after a kill: the first 202", time.Since(began).Seconds(), "s", "under 5")
	if err := st.searches(ctx, s.Stored, add); err != nil {
		return nil, err
	}
	idle, err := st.idle(ctx)
	if err != nil {
		return nil, err
	}
	add("merging behind the seed, until the engine was idle", idle.Seconds(), "s", "")
	full, err := st.measure(ctx, row2, s.Profile)
	if err != nil {
		return nil, err
	}
	own, files, err := residentOf(st.Engine.PID())
	add("2 bare SMS, batch, nothing stored", empty.rate, "messages/s", "")
	add("2 bare SMS, batch, with these stored", full.rate, "messages/s", "")
	add("9 with them ÷ without", full.rate/empty.rate, "", "at least 0.9")
	add("the engine's own memory then", own, "MiB", "")
	add("pages of mapped files then", files, "MiB", "")
	return figures, err
}

// idle waits until the engine has used less than a twentieth of a core for three seconds: what was seeded in minutes came
// in over weeks, and the merging that belongs to it is not the load's.
func (s *site) idle(ctx context.Context) (took time.Duration, err error) {
	const still, most = 3, 10 * time.Minute
	began := time.Now()
	last, err := s.cpu()
	for seen := 0; seen < still && err == nil; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
		if time.Since(began) > most {
			return 0, fmt.Errorf("the engine is not idle after %v", most)
		}
		var now time.Duration
		if now, err = s.cpu(); now-last < time.Second/20 {
			seen++
		} else {
			seen = 0
		}
		last = now
	}
	return time.Since(began), err
}

// backlog seeds messages that are due, with carriers that answer slowly, and watches the engine's memory.
func backlog(ctx context.Context, s settings) (figures []figure, err error) {
	st, err := newSite(ctx, apptest.Options{Window: s.Window, NoLedger: true, Latency: time.Second})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	none, _, err := residentOf(st.Engine.PID())
	if err != nil {
		return nil, err
	}
	if err := st.Engine.Stop(time.Minute); err != nil {
		return nil, err
	}
	if _, err := st.seed(ctx, 0, s.Due, time.Now()); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	began := time.Now()
	if err := st.StartEngine(ctx); err != nil {
		return nil, err
	}
	ready := time.Since(began)
	figures = append(figures, figure{"messages due", float64(s.Due), "messages", ""}, figure{"ready after", ready.Seconds(), "s", ""}, figure{"memory without them", none, "MiB", ""})
	most := 0.0
	for range 30 {
		time.Sleep(time.Second)
		own, _, err := residentOf(st.Engine.PID())
		if err != nil {
			return nil, err
		}
		most = max(most, own)
	}
	gone, err := st.Metric(ctx, "kakitome_dispatch_submissions_total")
	return append(figures, figure{"most of the engine's own memory in 30 s of sending", most, "MiB", "under 1,024"}, figure{"of them submitted in that time", gone, "messages", ""}), err
}

// seedBatch is how many messages a commit of seed has.
const seedBatch = 500

// seed commits messages into the store of an engine that does not run. Those that are finished were delivered over the
// last 25 days; those that are queued are due at a time.
func (s *site) seed(ctx context.Context, finished, queued int, due time.Time) (took time.Duration, err error) {
	st, err := store.Open(store.Options{Dir: filepath.Join(s.Data(), "store"), MasterKey: s.File("master.key")})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	began := time.Now()
	first := began.Add(-25 * 24 * time.Hour)
	step := 25 * 24 * time.Hour / time.Duration(max(finished, 1))
	err = fill(ctx, st, finished+queued, func(i int) (store.Tx, error) {
		return seeded(st, i, first.Add(time.Duration(min(i, finished))*step), i < finished, due)
	})
	return time.Since(began), err
}

// fill commits n transactions, seedBatch at a time, from several sides.
func fill(ctx context.Context, st *store.Store, n int, tx func(i int) (store.Tx, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int, 4)
	var workers sync.WaitGroup
	for range cap(work) {
		workers.Go(func() {
			for from := range work {
				var txs []store.Tx
				for i := from; i < min(from+seedBatch, n); i++ {
					tx, err := tx(i)
					if err != nil {
						cancel(err)
						return
					}
					txs = append(txs, tx)
				}
				errs, err := st.Commit(ctx, txs...)
				for errors.Is(err, store.ErrBusy) {
					time.Sleep(time.Millisecond)
					errs, err = st.Commit(ctx, txs...)
				}
				if err := errors.Join(append(errs, err)...); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for from := 0; from < n && ctx.Err() == nil; from += seedBatch {
		if from > 0 && from%1_000_000 == 0 {
			say("seed: %d of %d messages", from, n)
		}
		select {
		case work <- from:
		case <-ctx.Done():
		}
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

// reference of the i-th seeded message.
func reference(i int) string { return fmt.Sprintf("S%011d", i) }

// seeded is a bare message, accepted at a time and delivered a little later, or queued.
func seeded(st *store.Store, i int, at time.Time, finished bool, due time.Time) (store.Tx, error) {
	id, err := ulid.New(ulid.Timestamp(at), rand.Reader)
	if err != nil {
		return nil, err
	}
	number, err := carrier.ParseNumber(apptest.Number(i % numbers))
	if err != nil {
		return nil, err
	}
	name := apptest.Carriers[i%len(apptest.Carriers)]
	sms, err := st.Seal(apptest.Tenant, string(message.Notice), at, stored.AAD(id, stored.PlaceSMS), message.Encode(message.SMS{Number: number.E164(), Text: bare().Text, Reference: reference(i)}))
	if err != nil {
		return nil, err
	}
	head := &message.Head{
		V: 1, No: st.NextNo(at), Class: message.Notice, Via: message.ViaAPI, Lane: message.LaneOf(message.Notice, message.ViaAPI, true), By: "key:bench",
		Sender: "default", Carrier: name, Parts: 1, Masked: number.Masked(), SMS: sms, ValidUntil: due.Add(24 * time.Hour),
	}
	key, err := intake.KeyName(st, apptest.Tenant, reference(i))
	if err != nil {
		return nil, err
	}
	terms, err := intake.Filter{Number: number, Last4: number.Last4(), Reference: reference(i), Class: head.Class, Via: head.Via, Carrier: name}.Terms(st, apptest.Tenant)
	if err != nil {
		return nil, err
	}
	change := store.Change{
		Ref:    store.Ref{Tenant: tenant.ID(apptest.Tenant), Kind: store.Message, ID: id},
		Events: []store.NewEvent{{Type: byte(message.Accepted), At: at, Data: message.Encode(head)}},
		Names:  []store.Name{{Space: store.ByNo, Key: head.No}, {Space: store.ByKey, Key: key, Value: make([]byte, 16), Until: at.Add(72 * time.Hour), WhileOpen: true, Exclusive: true}},
		Terms:  terms,
	}
	if !finished {
		change.Due = &store.Due{Queue: message.Queue(name, head.Lane), At: due}
		return store.Tx{change}, nil
	}
	smsc := fmt.Sprintf("seed-%d", i)
	submission := message.Submission{Part: 1, Attempt: 1, Carrier: name, Bind: name + "-1"}
	sub := func(typ message.Type, after time.Duration, d any) {
		change.Events = append(change.Events, store.NewEvent{Type: byte(typ), At: at.Add(after), Data: message.Encode(d)})
	}
	sub(message.Submitting, time.Second, submission)
	submission.SMSCID = smsc
	sub(message.Submitted, 2*time.Second, submission)
	sub(message.Delivered, 5*time.Second, message.Report{Part: 1, Carrier: name, Bind: name + "-1", State: "DELIVRD"})
	change.Names = append(change.Names, store.Name{Space: store.BySMSCID, Key: dlr.Key(name, smsc), Value: dlr.Part(1, 1), Until: at.Add(72 * time.Hour)})
	change.Final = true
	return store.Tx{change}, nil
}

// searchCount is how many searches of each kind are made.
const searchCount = 300

// searches asks for first pages as the console and the API do.
func (s *site) searches(ctx context.Context, stored int, add func(name string, value float64, unit, reach string)) error {
	kinds := []struct {
		name string
		find func(i int) api.Search
	}{
		{"by reference", func(i int) api.Search { return api.Search{Reference: reference(i)} }},
		{"by number", func(i int) api.Search { return api.Search{Number: apptest.Number(i % numbers)} }},
		{"by last four digits", func(i int) api.Search { return api.Search{Last4: apptest.Number(i % numbers)[7:]} }},
		{"the newest", func(int) api.Search { return api.Search{} }},
		{"delivered, of one carrier", func(i int) api.Search {
			return api.Search{Status: string(message.Arrived), Carrier: apptest.Carriers[i%4]}
		}},
	}
	for _, k := range kinds {
		var took []time.Duration
		for range searchCount {
			q := k.find(mathrand.IntN(max(stored, 1)))
			if k.name == "delivered, of one carrier" { // not the queued ones, which are newer
				before := time.Now().Add(-time.Hour)
				q.To = &before
			}
			body, err := json.Marshal(q)
			if err != nil {
				return err
			}
			var list api.List
			began := time.Now()
			if err := s.sender.Do(ctx, fasthttp.MethodPost, "/v1/messages:search", body, fasthttp.StatusOK, &list); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if stored > 0 && len(list.Items) == 0 {
				return fmt.Errorf("search %s found nothing: %s", k.name, body)
			}
		}
		slices.Sort(took)
		add("first page "+k.name+": p50", quantile(took, 0.5), "ms", "")
		add("first page "+k.name+": p99", quantile(took, 0.99), "ms", "under 100")
	}
	return nil
}

// diskUse is what the files of a directory take, in bytes; holes are counted too.
func diskUse(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
