package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The commands of backups. A running engine makes its own, told so through its socket; the rest wants the store closed.

type backupRequest struct {
	Dir  string `json:"dir"`
	Keys string `json:"keys"`
	Rate int64  `json:"rate"` // bytes a second
}

// backupLine is one line of the answer: how far it is, and at last what was made or why not.
type backupLine struct {
	Progress *store.Progress     `json:"progress,omitempty"`
	Report   *store.BackupReport `json:"report,omitempty"`
	Error    string              `json:"error,omitempty"`
}

// backup answers with lines while it works. It ends when the client goes away, or the engine stops.
func (d *operatorDoor) backup(w http.ResponseWriter, r *http.Request) {
	var in backupRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		http.Error(w, "request: "+err.Error(), http.StatusBadRequest)
		return
	}
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	tell := func(l backupLine) {
		_ = errors.Join(out.Encode(l), flush.Flush()) // a client that went away ends the request's context
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-d.ending:
			cancel(errors.New("the engine stops"))
		case <-ctx.Done():
		}
	}()
	var told time.Time
	report, err := d.store.Backup(ctx, store.BackupOptions{Dir: in.Dir, Keys: in.Keys, Apart: d.dataDir, Rate: in.Rate, Tell: func(p store.Progress) {
		if now := clock.Now(); now.Sub(told) > 200*time.Millisecond {
			told = now
			tell(backupLine{Progress: &p})
		}
	}})
	if err == nil {
		d.log.Info("backup made", "record", report.Record, "last", report.Last, "new", report.New)
		err = d.audit.Record(r.Context(), tenant.OperatorID, audit.Entry{By: "operator", Action: "backup", Target: report.Record})
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		d.log.Error("no backup made", "err", err)
		tell(backupLine{Error: err.Error()})
		return
	}
	tell(backupLine{Report: report})
}

// backup asks a running engine for one.
func (o *operator) backup(ctx context.Context, in backupRequest, tell func(store.Progress)) (*store.BackupReport, error) {
	res, err := o.patient().send(ctx, "/backup", in)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	for lines := json.NewDecoder(res.Body); ; {
		var l backupLine
		switch err := lines.Decode(&l); {
		case err != nil:
			return nil, fmt.Errorf("the engine stopped before the backup was whole: %w", errors.Join(ctx.Err(), err))
		case l.Error != "":
			return nil, errors.New(l.Error)
		case l.Report != nil:
			return l.Report, nil
		case l.Progress != nil:
			tell(*l.Progress)
		}
	}
}

func backupCommand(ctx context.Context, args []string) error {
	fs := flags("backup")
	config, keys := fs.String("config", "", "configuration file of the engine"), fs.String("keys", "", "file of the wrapped data keys; it is replaced")
	rate := fs.Int64("rate", 64, "MiB a second at most; 0: as fast as it goes")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || *keys == "" || fs.NArg() != 1 || *rate < 0 {
		return errUsage
	}
	c, err := conf.Load(*config)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(fs.Arg(0))
	if err != nil {
		return err
	}
	file, err := filepath.Abs(*keys)
	if err != nil {
		return err
	}
	bar := newProgressBar()
	report, err := dialSocket(c).backup(ctx, backupRequest{dir, file, *rate << 20}, bar.tell)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) { // the store's lock makes sure of it
		report, err = store.BackupStopped(ctx, storeOptions(c), store.BackupOptions{Dir: dir, Keys: file, Apart: c.Data.Dir, Rate: *rate << 20, Tell: bar.tell})
	}
	bar.end()
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%d groups, %d of them new (%s); all that was acknowledged before %s\nkeys: %s\n", report.Record, report.Last, report.New, bytesText(report.Bytes),
		report.At.Format(time.DateTime), file)
	return nil
}

// storeOptions are for commands that open the store themselves.
func storeOptions(c *conf.Config) store.Options {
	return store.Options{Dir: storeDir(c), MasterKey: c.Data.MasterKey, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

func verifyCommand(ctx context.Context, args []string) error {
	fs := flags("verify")
	config, most := fs.String("config", "", "configuration file of the engine"), fs.Int("most", 100, "faults that are listed")
	dir := fs.String("dir", "", "data directory, when it is not that of the configuration: a restored one")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || fs.NArg() > 0 || *most < 1 {
		return errUsage
	}
	c, err := conf.Load(*config)
	if err != nil {
		return err
	}
	if *dir != "" {
		c.Data.Dir = *dir
	}
	bar := newProgressBar()
	report, err := store.Verify(ctx, verifyOptions(c, *most, bar))
	bar.end()
	if err != nil {
		return err
	}
	return tellReport(report)
}

// tellReport prints what verifying found; the error is that it found something.
func tellReport(r *store.VerifyReport) error {
	fmt.Printf("%d groups, %d events of %d streams, %d names, %d places in queues\n", r.Groups, r.Events, r.Streams, r.Names, r.Queued)
	if r.Behind > 0 {
		fmt.Printf("the index lies %d groups behind: the next start replays them\n", r.Behind)
	}
	for _, f := range r.Findings {
		fmt.Printf("%s: %s\n", f.Of, f.What)
	}
	if r.Found == 0 {
		fmt.Println("no faults")
		return nil
	}
	return fmt.Errorf("%d faults, %d of them listed", r.Found, len(r.Findings))
}

func restoreCommand(ctx context.Context, args []string) error {
	fs := flags("restore")
	config, keys := fs.String("config", "", "configuration file: its master key is used, and its data directory without -to"), fs.String("keys", "", "file of the wrapped data keys")
	to, most := fs.String("to", "", "data directory to be made"), fs.Int("most", 100, "faults that are listed")
	list := fs.String("waiting", "", "CSV file to be made, of the messages that wait to be sent")
	anyway := fs.Bool("anyway", false, "put it in its place although verifying found faults")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || *keys == "" || fs.NArg() != 1 {
		return errUsage
	}
	c, err := conf.Load(*config)
	if err != nil {
		return err
	}
	if *to != "" {
		if c.Data.Dir, err = filepath.Abs(*to); err != nil {
			return err
		}
	}
	if err := emptyData(c.Data.Dir); err != nil {
		return err
	}
	bar := newProgressBar()
	verify := verifyOptions(c, *most, bar)
	if *list != "" {
		file, err := os.OpenFile(*list, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		verify.Inspect = listWaiting(verify.Inspect, file)
	}
	restored, report, err := store.Restore(ctx, store.RestoreOptions{Options: storeOptions(c), From: fs.Arg(0), Keys: *keys, Anyway: *anyway, Verify: verify})
	bar.end()
	if report != nil {
		if found := tellReport(report); found != nil && err == nil {
			fmt.Println(found)
		}
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s is as of %s. What came after is not in it.\n", c.Data.Dir, restored.Record.Format(time.DateTime))
	for _, q := range slices.Sorted(maps.Keys(report.Queues)) {
		fmt.Printf("  %d wait in %s\n", report.Queues[q], q)
	}
	fmt.Println("A message that waits may have been sent after that time. All carriers are paused at the first start; resume each when you have decided (README, Restore).")
	return nil
}

// listWaiting also writes the messages that stand in a queue, a line each: what may have been sent since the backup.
func listWaiting(inspect func(*store.Store) func(context.Context, store.Inspected) error, to io.Writer) func(*store.Store) func(context.Context, store.Inspected) error {
	return func(s *store.Store) func(context.Context, store.Inspected) error {
		look := inspect(s)
		fmt.Fprintln(to, "tenant,id,queue,due") // an error is that of the lines
		return func(ctx context.Context, in store.Inspected) error {
			if in.Ref.Kind == store.Message && in.Queue != "" {
				if _, err := fmt.Fprintf(to, "%s,%s,%s,%s\n", in.Ref.Tenant, in.Ref.ID, in.Queue, in.Due.Format(time.RFC3339)); err != nil {
					return fmt.Errorf("list what waits: %w", err)
				}
			}
			return look(ctx, in)
		}
	}
}

// derived are the directories beside the store that follow its record, and are made again where they are missing.
var derived = []string{"links", "followup"}

// emptyData makes the data directory, or refuses one that holds a record, or what follows one, of another time.
func emptyData(dir string) error {
	if err := privateDir(dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "retention.json")); err == nil { // it counts the groups of another store
		return fmt.Errorf("%s holds retention.json: restore into another directory, or move it away", dir)
	}
	for _, name := range append([]string{"store"}, derived...) {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s is not empty: restore into another directory, or move it away", filepath.Join(dir, name))
		}
	}
	return nil
}

func rebuildCommand(ctx context.Context, args []string) error {
	c, err := configOf("rebuild", args)
	if err != nil {
		return err
	}
	bar := newProgressBar()
	err = store.Rebuild(ctx, storeOptions(c), bar.tell)
	bar.end()
	if err != nil {
		return err
	}
	for _, name := range derived {
		if err := os.RemoveAll(filepath.Join(c.Data.Dir, name)); err != nil {
			return err
		}
	}
	fmt.Println("the index is made anew; links fill again as they are opened, lists of follow-ups from the next start on")
	return nil
}

func upgradeCommand(_ context.Context, args []string) error {
	fs := flags("upgrade")
	config, backup := fs.String("config", "", "configuration file of the engine"), fs.String("backup", "", "where the backup is that was made before")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || fs.NArg() > 0 {
		return errUsage
	}
	c, err := conf.Load(*config)
	if err != nil {
		return err
	}
	from, to, err := store.Upgrade(storeOptions(c), *backup)
	switch {
	case err != nil:
		return err
	case from == to:
		fmt.Printf("format %d is current: nothing to do\n", to)
	default:
		fmt.Printf("upgraded from format %d to %d\n", from, to)
	}
	return nil
}

// holdRestored pauses all carriers at the first start on a restored store: what waits in it may have been sent since.
func holdRestored(ctx context.Context, rm *rooms, log *slog.Logger) error {
	was, err := rm.store.Restored()
	if err != nil || was == nil {
		return err
	}
	held := rm.directory.Now().Held
	for _, c := range rm.carriers.Carriers() {
		if held[c.Name].Mode != tenant.Released {
			continue
		}
		if err := rm.directory.Hold(ctx, c.Name, tenant.Paused, "restore"); err != nil {
			return fmt.Errorf("hold carrier %s after a restore: %w", c.Name, err)
		}
	}
	log.Warn("restored state: all carriers are paused until they are resumed", "record", was.Record, "waiting", was.ToSend)
	if err := rm.audit.Record(ctx, tenant.OperatorID, audit.Entry{By: "operator", Action: "restore", Detail: was.Record.Format(time.RFC3339)}); err != nil {
		return err
	}
	return rm.store.SettleRestored()
}

// progressBar draws how far a long work is on standard error: over itself on a terminal, else a line every tenth.
type progressBar struct{ s sender }

func newProgressBar() *progressBar {
	info, err := os.Stderr.Stat()
	return &progressBar{sender{err: os.Stderr, bar: err == nil && info.Mode()&os.ModeCharDevice != 0}}
}

func (b *progressBar) tell(p store.Progress) {
	b.s.progress(p.What, int64(p.Done), int64(p.Total), message.Grouped)
}

func (b *progressBar) end() { b.s.endProgress() }
