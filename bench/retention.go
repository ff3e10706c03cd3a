package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/tools/apptest"
)

const (
	// sweptAgo is how old the day is that is swept: past three months, within twelve.
	sweptAgo = 100 * 24 * time.Hour
	// sweptLooked is how many of its messages are looked at, before and after.
	sweptLooked = 100
)

// retention measures what the end of a day's content costs the running engine. A day is seeded as it was a hundred days
// ago, under a tenant whose content is kept for twelve months: row 2's load runs alone. Then a backup is made and the tenant
// shortens the term to three months: the same load runs beside the sweep, once in each of its phases, and once after it. At
// last the content is asked for where it was: by the API, and in the old backup, which is restored with the keys as the next
// backup replaced them. Beside a load the sweep takes a tenth of a core (retention.share), between them six tenths
// (retention.quiet_share). Millions take a disk of 30 GiB.
func retention(ctx context.Context, s settings) (figures []figure, err error) {
	st, err := makeSite(ctx, apptest.Options{Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	add := func(name string, value float64, unit, reach string) {
		figures = append(figures, figure{name, value, unit, reach})
	}
	looked, err := st.seedDay(ctx, s.Swept)
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	tenantFile, err := os.ReadFile(st.File("suido.toml"))
	if err != nil {
		return nil, err
	}
	keep := func(months int) error {
		return os.WriteFile(st.File("suido.toml"), fmt.Appendf(nil, "%s[[policy.retention]]\nclass = %q\nmonths = %d\n", tenantFile, message.Notice, months), 0o600)
	}
	if err := errors.Join(keep(12), st.open(ctx)); err != nil {
		return nil, err
	}
	gone, found, err := st.look(ctx, looked)
	if err != nil {
		return nil, err
	}
	if gone > 0 || found != len(looked) {
		return nil, fmt.Errorf("before the sweep %d of %d messages are without content, %d are found", gone, len(looked), found)
	}
	if _, err := st.idle(ctx); err != nil {
		return nil, err
	}
	l := load{name: "alone", draft: bare(), batch: s.Batch, conns: 4, long: s.Long}
	before, err := st.measure(ctx, l, "")
	if err != nil {
		return nil, err
	}
	add("bare SMS, batch, before: whole lives", before.rate, "messages/s", "")
	add("before: acknowledgement p99", quantile(before.answers, 0.99), "ms", "")
	old, err := st.backUp(ctx)
	if err != nil {
		return nil, err
	}
	say("backup made: %s", old)
	if err := keep(3); err != nil {
		return nil, err
	}
	if _, err := st.Command(ctx, "tenant", "apply", "-config", st.File("kakitome.toml"), st.File("suido.toml")); err != nil {
		return nil, err
	}
	sweptCPU, err := st.cpu()
	if err != nil {
		return nil, err
	}
	sw := st.sweep(ctx, s.Swept)
	var rates []float64 // beside it
	loaded := 0
	for i, phase := range sweepPhases {
		select {
		case <-sw.begun[i]:
		case <-sw.ended:
		}
		l.name, l.until = "beside the sweep, "+phase, sw.ended
		if l.ended() {
			break
		}
		m, err := st.measure(ctx, l, s.Profile)
		if err != nil {
			<-sw.ended
			return nil, errors.Join(err, sw.err)
		}
		add(l.name+": whole lives", m.rate, "messages/s", "")
		add(l.name+": acknowledgement p99", quantile(m.answers, 0.99), "ms", "")
		rates = append(rates, m.rate)
		loaded += m.messages
	}
	<-sw.ended
	if sw.err != nil {
		return nil, sw.err
	}
	if len(rates) == 0 {
		return nil, errors.New("the sweep ended before a load began")
	}
	afterCPU, err := st.cpu()
	if err != nil {
		return nil, err
	}
	over, err := st.Metric(ctx, "kakitome_retention_messages_total")
	if err != nil {
		return nil, err
	}
	if int(over) != s.Swept {
		return nil, fmt.Errorf("the content of %.0f messages ended, not of %d", over, s.Swept)
	}
	if gone, found, err = st.look(ctx, looked); err != nil {
		return nil, err
	}
	l.name, l.until = "after it", nil
	after, err := st.measure(ctx, l, "")
	if err != nil {
		return nil, err
	}
	if _, err := st.backUp(ctx); err != nil { // the keys are replaced
		return nil, err
	}
	unreadable, err := st.restoredWithout(ctx, old, looked)
	if err != nil {
		return nil, err
	}
	cpu := afterCPU - sweptCPU - time.Duration(loaded)*(before.cpu+after.cpu)/2
	add("after it: whole lives", after.rate, "messages/s", "")
	alone, sum := (before.rate+after.rate)/2, 0.0
	for _, rate := range rates {
		sum += rate
	}
	add("the mean beside ÷ the mean of before and after", sum/float64(len(rates))/alone, "", "at least 0.8")
	add("the slowest beside ÷ the mean of before and after", slices.Min(rates)/alone, "", "")
	add("messages of the day, each with its sealed text", over, "messages", "")
	add("their key was destroyed after", sw.at[1].Seconds(), "s", "")
	add("their content was out of the record after", sw.at[2].Seconds(), "s", "")
	add("the sweep took, with the space given back", sw.took.Seconds(), "s", "")
	add("the engine's CPU meanwhile, without what the load takes alone", max(cpu.Seconds(), 0), "s", "")
	add("messages looked at", float64(len(looked)), "messages", "")
	add("of them without content by the API afterwards", float64(gone), "messages", "all")
	add("of them still found by their reference", float64(found), "messages", "0")
	add("of them unreadable in the backup made before", float64(unreadable), "messages", "all")
	return figures, nil
}

// sweepPhases are what a sweep does, in this order; a load is begun with each, unless the sweep has ended by then.
var sweepPhases = [...]string{"while it looks for what lives", "while it takes the content out", "while it gives the space back"}

// sweeping is a sweep that was asked for.
type sweeping struct {
	begun [len(sweepPhases)]chan struct{} // closed when that phase was seen to have begun
	at    [len(sweepPhases)]time.Duration // when; may be read after ended
	took  time.Duration                   // the same
	err   error                           // the same
	ended chan struct{}                   // closed at the end
}

// sweep asks for a sweep by the operator's command, and follows it by the engine's metrics.
func (s *site) sweep(ctx context.Context, messages int) *sweeping {
	sw := &sweeping{ended: make(chan struct{})}
	for i := range sw.begun {
		sw.begun[i] = make(chan struct{})
	}
	close(sw.begun[0])
	began := time.Now()
	said := make(chan error, 1)
	go func() {
		out, err := s.LongCommand(ctx, "retention", "-config", s.File("kakitome.toml"))
		say("%s", strings.TrimSpace(out))
		said <- err
	}()
	go func() {
		defer close(sw.ended)
		phase := 0
		reach := func(next int) {
			for ; phase < next; phase++ {
				sw.at[phase+1] = time.Since(began)
				close(sw.begun[phase+1])
			}
		}
		ticker := time.NewTicker(500 * time.Millisecond) // reading metrics costs the engine milliseconds
		defer ticker.Stop()
		for {
			select {
			case sw.err = <-said:
				sw.took = time.Since(began)
				reach(len(sweepPhases) - 1)
				return
			case <-ticker.C:
			}
			over, err := s.Metric(ctx, "kakitome_retention_messages_total")
			if err != nil || int(over) < messages {
				continue // the command tells of an engine that does not answer
			}
			reach(1)
			if pending, err := s.Metric(ctx, "kakitome_retention_pending_groups"); err == nil && pending == 0 {
				reach(2)
			}
		}
	}()
	return sw
}

// seedDay fills the store of an engine that never ran with a day of finished messages: the store's clock is as it was then.
// It returns some of them.
func (s *site) seedDay(ctx context.Context, n int) (looked map[string]ulid.ULID, err error) {
	if err := os.MkdirAll(s.Data(), 0o700); err != nil {
		return nil, err
	}
	was := time.Now().Add(-sweptAgo).In(message.Tokyo)
	back := time.Since(time.Date(was.Year(), was.Month(), was.Day(), 9, 0, 0, 0, message.Tokyo))
	then := func() time.Time { return time.Now().Add(-back) }
	st, err := store.Open(store.Options{Dir: filepath.Join(s.Data(), "store"), MasterKey: s.File("master.key"), Now: then})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	looked = map[string]ulid.ULID{}
	var mu sync.Mutex // guards looked
	every := max(n/sweptLooked, 1)
	return looked, fill(ctx, st, n, func(i int) (store.Tx, error) {
		tx, err := seeded(st, i, then(), true, then())
		if err == nil && i%every == 0 {
			mu.Lock()
			defer mu.Unlock()
			looked[reference(i)] = tx[0].Ref.ID
		}
		return tx, err
	})
}

// look asks the API for messages: how many are there without their content, and how many their reference finds.
func (s *site) look(ctx context.Context, looked map[string]ulid.ULID) (gone, found int, err error) {
	for ref, id := range looked {
		m, err := s.sender.Message(ctx, id.String())
		if err != nil {
			return 0, 0, err
		}
		if !m.Erased && m.Reference != ref {
			return 0, 0, fmt.Errorf("message %s has reference %q, not %q", id, m.Reference, ref)
		}
		if m.Erased {
			gone++
		}
		body, err := json.Marshal(api.Search{Reference: ref})
		if err != nil {
			return 0, 0, err
		}
		var list api.List
		if err := s.sender.Do(ctx, http.MethodPost, "/v1/messages:search", body, fasthttp.StatusOK, &list); err != nil {
			return 0, 0, err
		}
		found += len(list.Items)
	}
	return gone, found, nil
}

// backUp adds to the backup and replaces its keys. It returns the new record.
func (s *site) backUp(ctx context.Context) (record string, err error) {
	said, err := s.LongCommand(ctx, "backup", "-config", s.File("kakitome.toml"), "-keys", s.File("record-keys.json"), "-rate", "0", s.File("record"))
	record, _, _ = strings.Cut(said, "\n")
	return record, err
}

// restoredWithout restores a record with the keys as they are now, and counts the messages whose content nobody can read there.
func (s *site) restoredWithout(ctx context.Context, record string, looked map[string]ulid.ULID) (n int, err error) {
	dir := s.File("restored")
	if _, err := s.LongCommand(ctx, "restore", "-config", s.File("kakitome.toml"), "-keys", s.File("record-keys.json"), "-to", dir, record); err != nil {
		return 0, err
	}
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "store"), MasterKey: s.File("master.key")})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for _, id := range looked {
		events, err := st.Load(ctx, tenant.Only(apptest.Tenant), store.Ref{Tenant: apptest.Tenant, Kind: store.Message, ID: id})
		if err != nil {
			return 0, err
		}
		state, err := stored.State(events)
		if err != nil {
			return 0, err
		}
		_, err = stored.SMS(st, apptest.Tenant, id, &state.Head)
		switch {
		case errors.Is(err, store.ErrErased):
			n++
		case err != nil:
			return 0, err
		}
	}
	return n, nil
}
