package campaign

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Intake is the door behind which rows become messages; *intake.Intake is one.
type Intake interface {
	Validate(ctx context.Context, r intake.Request) ([]intake.Result, error)
	Accept(ctx context.Context, r intake.Request) ([]intake.Result, error)
}

// Options are the rooms that uploads stand on. All but Config, Log and Registry are required.
type Options struct {
	Config   Config
	Store    *store.Store
	Tenants  *tenant.Directory
	Carriers *carrier.Table
	Intake   Intake
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Campaigns are the uploads of all tenants. Safe for concurrent use. Run does the work behind them.
type Campaigns struct {
	Options
	metrics *metrics
	now     func() time.Time

	orders    orders     // what dispatch has to heed
	verifying sync.Mutex // held while an upload takes the name of its content and learns who had it

	mu       sync.Mutex // guards what follows
	cache    map[ulid.ULID]*State
	watchers map[ulid.ULID][]chan struct{}
	waiting  map[ulid.ULID]string
	left     map[ulid.ULID][]store.Ref // messages of a swept upload that may still be submitted
}

// New checks the options and finds what was said of uploads before the program last ended: dispatch must not run before.
func New(o Options) (*Campaigns, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	o.Config.setDefaults()
	if o.Store == nil || o.Tenants == nil || o.Carriers == nil || o.Intake == nil {
		return nil, errors.New("BUG: campaign: a required room is missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	c := &Campaigns{
		Options: o, metrics: newMetrics(o.Registry), now: clock.Now, left: map[ulid.ULID][]store.Ref{},
		cache: map[ulid.ULID]*State{}, watchers: map[ulid.ULID][]chan struct{}{}, waiting: map[ulid.ULID]string{},
	}
	return c, c.findOrders()
}

// Settings say how a file is read.
type Settings struct {
	// Encoding overrides the detection; empty: detect.
	Encoding Encoding `json:"encoding,omitzero"`
	// Defaults has what the rows do not say: class, text or template, sender, window, page, survey, contact, methods ….
	// It has no number, key, reference, claim number or expected answers.
	Defaults message.Draft `json:"defaults,omitzero"`
}

// File is what is known of a file when its upload begins.
type File struct {
	Name     string // as the sender calls it, at most 255 bytes
	Size     int64  // bytes; -1: not known until Finish
	SHA256   string // hex; empty: not known
	Settings Settings
	Via      string // api, console
	By       string // "user:<login>", "key:<name>"
}

// ErrFaulty: the upload has faulty rows, and it was not said to leave them out.
var ErrFaulty = errors.New("the upload has faulty rows")

// ErrNoRows: the upload has no good row.
var ErrNoRows = errors.New("the upload has no good row")

// PhaseError says that an upload is in a phase in which this cannot be done.
type PhaseError struct{ Phase Phase }

func (e *PhaseError) Error() string { return "the upload is " + string(e.Phase) }

// OffsetError says that bytes were offered for another place than the end of those on disk.
type OffsetError struct{ Have int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("the upload has %d bytes", e.Have)
}

// TwinError says that the same content is in another upload; releasing this one needs Again.
type TwinError struct{ Twin Twin }

func (e *TwinError) Error() string {
	return fmt.Sprintf("the same file was uploaded at %s (%s, %s)", e.Twin.At.In(message.Tokyo).Format("2006-01-02 15:04"), e.Twin.ID, e.Twin.Phase)
}

// The queues hold the uploads that a worker has to go on with, those that only wait for their messages, and those that rest
// but must be found when the program starts.
const (
	queue      = "upload"
	watchQueue = "upload/watch"
	heldQueue  = "upload/held"
)

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (f *File) check(c Config) message.Problems {
	var ps message.Problems
	add := func(field, code, detail string) {
		ps = append(ps, message.Problem{Field: field, Code: code, Detail: detail})
	}
	if f.Name == "" || len(f.Name) > 255 {
		add("name", "range", "1 to 255 bytes")
	}
	if f.Size < -1 || f.Size > c.MaxBytes || f.Size == 0 {
		ps = append(ps, message.Problem{Field: "size", Code: "range", Limit: c.MaxBytes, Got: f.Size, Detail: "bytes"})
	}
	if f.SHA256 != "" && !digestPattern.MatchString(f.SHA256) {
		add("sha256", "pattern", "64 hexadecimal digits")
	}
	if e := f.Settings.Encoding; e != "" && !slices.Contains([]Encoding{UTF8, UTF16LE, UTF16BE, CP932}, e) {
		add("settings.encoding", "unknown", "one of utf-8, utf-16le, utf-16be, cp932")
	}
	d := &f.Settings.Defaults
	if _, err := message.ParseClass(d.Class); err != nil {
		add("settings.defaults.class", "unknown", "one of notice, billing, collection, otp, legal_notice, ad")
	}
	for field, given := range map[string]bool{
		"to": d.To != "", "key": d.Key != "", "reference": d.Reference != "",
		"claim.number": d.Claim != nil && d.Claim.Number != "", "identity.items": d.Identity != nil && len(d.Identity.Items) > 0,
	} {
		if given {
			add("settings.defaults."+field, "mismatch", "comes from the row")
		}
	}
	return ps
}

// Begin makes an upload, or goes on with one (resumed) that was begun with the same digest, size and settings and is not yet
// whole. The error is message.Problems for what is wrong with the file's description, else the store's.
func (c *Campaigns) Begin(ctx context.Context, id tenant.ID, f File) (st *State, resumed bool, err error) {
	f.SHA256 = strings.ToLower(f.SHA256)
	if err := f.check(c.Config).Err(); err != nil {
		return nil, false, err
	}
	scope := tenant.Only(id)
	var names []store.Name
	if f.SHA256 != "" {
		key, err := c.contentName(id, "begun/", fmt.Sprintf("%s %d %s", f.SHA256, f.Size, encode(f.Settings)))
		if err != nil {
			return nil, false, err
		}
		ref, _, err := c.Store.Lookup(ctx, scope, store.ByFileHash, key)
		if err == nil {
			if st, err = c.State(ctx, scope, ref.ID); err == nil && st.Phase == Receiving {
				return st, true, nil
			}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, false, fmt.Errorf("look for an upload of the same file: %w", err)
		}
		names = append(names, store.Name{Space: store.ByFileHash, Key: key})
	}
	now := c.now().UTC()
	class, _ := message.ParseClass(f.Settings.Defaults.Class)
	n := &State{ref: store.Ref{Tenant: id, Kind: store.Campaign, ID: newID(now)}, Class: class, BegunAt: now}
	n.ID = n.ref.ID
	h := head{V: 1, Size: f.Size, Class: class, Via: f.Via, By: f.By}
	if h.Meta, err = c.seal(n, n.ID.String()+"/meta", encode(meta{Name: f.Name, SHA256: f.SHA256, Settings: f.Settings})); err != nil {
		return nil, false, err
	}
	if err := c.commit(ctx, n, step{Events: []store.NewEvent{{Type: evBegun, At: now, Data: encode(h)}}, Names: names}); err != nil {
		return nil, false, fmt.Errorf("begin upload: %w", err)
	}
	c.metrics.uploads.WithLabelValues(string(Receiving)).Inc()
	c.Log.Info("upload begun", "tenant", id, "campaign", n.ID, "by", f.By)
	st, err = c.State(ctx, scope, n.ID)
	return st, false, err
}

// contentName is a name in store.ByFileHash.
func (c *Campaigns) contentName(id tenant.ID, prefix, what string) (string, error) {
	sum, err := c.Store.Keyed(id, "file", what)
	return prefix + hex.EncodeToString(sum[:]), err
}

// partBytes is the size of a part at most.
const partBytes = 1 << 20

// Append stores what r gives, from the place offset of the file on, and returns the upload as it is then. Each MiB is on
// disk before the next is read; a failing r leaves what came before. When the size that was declared is reached the file is
// whole and is checked. Errors: *OffsetError, *PhaseError, message.Problems for a file that is too large, those of the store
// and of r.
func (c *Campaigns) Append(ctx context.Context, scope tenant.Scope, id ulid.ULID, offset int64, r io.Reader) (*State, error) {
	buf := make([]byte, partBytes)
	for {
		st, err := c.load(ctx, scope, id)
		if err != nil {
			return nil, err
		}
		if st.Phase != Receiving {
			return st, &PhaseError{st.Phase}
		}
		if st.Offset != offset {
			return st, &OffsetError{st.Offset}
		}
		n, readErr := fill(r, buf)
		if n > 0 {
			limit := c.Config.MaxBytes
			if st.Size >= 0 {
				limit = st.Size
			}
			switch {
			case offset+int64(n) > limit:
				return st, message.Problems{{Field: "body", Code: "range", Limit: limit, Got: offset + int64(n), Detail: "bytes"}}
			case int64(st.parts) > 64+4*(limit/partBytes):
				return st, message.Problems{{Field: "body", Code: "too_many", Limit: int64(st.parts), Got: int64(st.parts) + 1, Detail: "parts; send larger ones"}}
			}
			change, err := c.sealed(st, derive(st.ref, "part", st.parts), buf[:n])
			if err != nil {
				return st, err
			}
			s := step{Events: []store.NewEvent{{Type: evPart, Data: encode(part{int64(n)})}}, With: []store.Change{change}}
			if offset += int64(n); offset == st.Size {
				s.Events = append(s.Events, store.NewEvent{Type: evReceived, Data: encode(received{Size: offset})})
				s.Due = &store.Due{Queue: queue}
			}
			err = c.commit(ctx, st, s)
			if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
				offset -= int64(n)
				st, err := c.load(ctx, scope, id)
				if err != nil {
					return nil, err
				}
				return st, &OffsetError{st.Offset}
			}
			if err != nil {
				return st, fmt.Errorf("keep part %d of upload %s: %w", st.parts, id, err)
			}
			c.metrics.bytes.Add(float64(n))
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return c.State(ctx, scope, id)
		case readErr != nil:
			return st, fmt.Errorf("read the body: %w", readErr)
		}
	}
}

// fill reads until buf is full. Its error is that of r: unlike io.ReadFull's it tells a body that ended, io.EOF, from one that
// broke off, which multipart and net/http call io.ErrUnexpectedEOF.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

// Finish says that a file is whole, with its digest in hex where it is known only now. Done twice it changes nothing.
func (c *Campaigns) Finish(ctx context.Context, scope tenant.Scope, id ulid.ULID, sha256 string) (*State, error) {
	sha256 = strings.ToLower(sha256)
	if sha256 != "" && !digestPattern.MatchString(sha256) {
		return nil, message.Problems{{Field: "sha256", Code: "pattern", Detail: "64 hexadecimal digits"}}
	}
	return c.decide(ctx, scope, id, func(st *State) (step, error) {
		switch {
		case st.Phase != Receiving && !st.ReceivedAt.IsZero():
			return step{}, nil
		case st.Phase != Receiving:
			return step{}, &PhaseError{st.Phase}
		case st.Size >= 0 && st.Offset != st.Size || st.Offset == 0:
			return step{}, &OffsetError{st.Offset}
		}
		rec := received{Size: st.Offset}
		if sha256 != "" {
			var err error
			if rec.SHA256, err = c.seal(st, id.String()+"/declared", []byte(sha256)); err != nil {
				return step{}, err
			}
		}
		return step{Events: []store.NewEvent{{Type: evReceived, Data: encode(rec)}}, Due: &store.Due{Queue: queue}}, nil
	})
}

// Release is the decision to send.
type Release struct {
	By       string // "user:<login>", "key:<name>"
	GoodOnly bool   // leave the faulty rows out; else there may be none
	Again    bool   // although the same content was uploaded before
	Canary   bool   // first to the tenant's seed of each carrier that the rows have
	Minutes  int    // in which the seeds have to be delivered; 0: as the tenant's policy says
}

// Release lets the good rows of a staged upload go to intake. Of many at once one succeeds, the others get *PhaseError.
// Further errors: ErrFaulty, ErrNoRows, *TwinError, *SeedError, message.Problems for the minutes.
func (c *Campaigns) Release(ctx context.Context, scope tenant.Scope, id ulid.ULID, r Release) (*State, error) {
	st, err := c.decide(ctx, scope, id, func(st *State) (step, error) {
		switch {
		case st.Phase != Staged:
			return step{}, &PhaseError{st.Phase}
		case st.Good == 0:
			return step{}, ErrNoRows
		case st.Faulty > 0 && !r.GoodOnly:
			return step{}, ErrFaulty
		}
		if !r.Again {
			twin, err := c.twin(ctx, scope, st)
			if err != nil {
				return step{}, err
			}
			if twin != nil {
				return step{}, &TwinError{*twin}
			}
		}
		if r.Canary {
			return c.beginCanary(st, r)
		}
		return st.next(c.now(), store.NewEvent{Type: evReleased, Data: encode(released{By: r.By, GoodOnly: r.GoodOnly, Again: r.Again})})
	})
	if err == nil {
		c.metrics.uploads.WithLabelValues(string(st.Phase)).Inc()
		c.Log.Info("upload released", "tenant", st.ref.Tenant, "campaign", id, "by", r.By, "canary", r.Canary)
	}
	return st, err
}

// Drop ends an upload that was not released. Done twice it changes nothing. The error is *PhaseError when it is too late.
func (c *Campaigns) Drop(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*State, error) {
	st, err := c.decide(ctx, scope, id, func(st *State) (step, error) {
		switch st.Phase {
		case Dropped:
			return step{}, nil
		case Receiving, Checking, Staged:
			return step{Events: []store.NewEvent{{Type: evDropped, Data: encode(act{By: by})}}, Due: &store.Due{}, Final: true}, nil
		}
		return step{}, &PhaseError{st.Phase}
	})
	if err == nil {
		c.metrics.uploads.WithLabelValues(string(Dropped)).Inc()
		c.Log.Info("upload dropped", "tenant", st.ref.Tenant, "campaign", id, "by", by)
	}
	return st, err
}

// decide appends what fn makes of the upload as it is, again when the upload changed meanwhile. No events: nothing to do.
func (c *Campaigns) decide(ctx context.Context, scope tenant.Scope, id ulid.ULID, fn func(*State) (step, error)) (*State, error) {
	for {
		st, err := c.load(ctx, scope, id)
		if err != nil {
			return nil, err
		}
		s, err := fn(st)
		if err != nil {
			return st, err
		}
		if len(s.Events) > 0 {
			err := c.commit(ctx, st, s)
			if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
				continue
			}
			if err != nil {
				return st, fmt.Errorf("upload %s: %w", id, err)
			}
		}
		return c.State(ctx, scope, id)
	}
}

// State returns an upload. The error is store.ErrNotFound outside the scope.
func (c *Campaigns) State(ctx context.Context, scope tenant.Scope, id ulid.ULID) (*State, error) {
	st, err := c.load(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	m, err := c.meta(st)
	if err != nil {
		return nil, err
	}
	st.Name = m.Name
	if st.sum == "" && m.SHA256 != "" && !st.Over() { // told before the content is here
		if st.sum, err = c.contentName(st.ref.Tenant, "", m.SHA256); err != nil {
			return nil, err
		}
	}
	if st.Phase == Probing || st.Phase == Stopped {
		now := *st.Canary
		if now.Seeds, err = c.seedStates(ctx, st); err != nil {
			return nil, err
		}
		st.Canary = &now
	}
	st.Twin, err = c.twin(ctx, scope, st)
	return st, err
}

// List returns up to limit uploads of the tenant, the newest first, without their twins; before is the last id of the page
// before, zero for the first.
func (c *Campaigns) List(ctx context.Context, scope tenant.Scope, before ulid.ULID, limit int) ([]*State, error) {
	refs, err := c.Store.Search(ctx, scope, store.Query{Kind: store.Campaign, Before: before, Limit: min(max(limit, 1), 100)})
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	all := make([]*State, 0, len(refs))
	for _, ref := range refs {
		st, err := c.load(ctx, scope, ref.ID)
		if err != nil {
			return nil, err
		}
		m, err := c.meta(st)
		if err != nil {
			return nil, err
		}
		st.Name = m.Name
		all = append(all, st)
	}
	return all, nil
}

// Watch returns a channel of size 1 that receives after each change of the upload, until stop is called.
func (c *Campaigns) Watch(id ulid.ULID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[id] = append(c.watchers[id], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		left := slices.DeleteFunc(c.watchers[id], func(w chan struct{}) bool { return w == ch })
		if len(left) == 0 {
			delete(c.watchers, id)
			return
		}
		c.watchers[id] = left
	}
}

func (c *Campaigns) notify(id ulid.ULID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers[id] {
		select {
		case w <- struct{}{}:
		default: // told already, not yet looked
		}
	}
}

// twin is the newest other upload with the content of st that was neither dropped nor failed, one that was released before
// one that was not; nil: none.
func (c *Campaigns) twin(ctx context.Context, scope tenant.Scope, st *State) (*Twin, error) {
	if st.sum == "" {
		return nil, nil
	}
	ref, _, err := c.Store.Lookup(ctx, scope, store.ByFileHash, st.sum)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the same file: %w", err)
	}
	var best *State
	for next, n := ref.ID, 0; !next.IsZero() && n < 100; n++ {
		other, err := c.load(ctx, scope, next)
		if err != nil {
			return nil, err
		}
		next = other.earlier
		if other.ID == st.ID || other.Phase == Dropped || other.Phase == Failed {
			continue
		}
		if best == nil || best.ReleasedAt.IsZero() && !other.ReleasedAt.IsZero() {
			best = other
		}
	}
	if best == nil {
		return nil, nil
	}
	m, err := c.meta(best)
	if err != nil {
		return nil, err
	}
	return &Twin{ID: best.ID, Name: m.Name, Phase: best.Phase, At: best.BegunAt, By: best.By}, nil
}

// step is what is appended to an upload.
type step struct {
	Events []store.NewEvent
	Names  []store.Name
	Due    *store.Due
	Final  bool
	With   []store.Change // of other streams, in the same transaction
}

// commit appends to the upload in the version of st.
func (c *Campaigns) commit(ctx context.Context, st *State, s step) error {
	if s.Due != nil && s.Due.Queue != "" && s.Due.At.IsZero() {
		s.Due.At = clock.Now()
	}
	tx := append(store.Tx{{Ref: st.ref, Expect: st.version, Events: s.Events, Names: s.Names, Due: s.Due, Final: s.Final}}, s.With...)
	errs, err := c.Store.Commit(ctx, tx)
	if err == nil {
		err = errs[0]
	}
	if slices.ContainsFunc(s.Events, func(e store.NewEvent) bool { return e.Type >= evProbing || e.Type == evDone }) {
		err = cmp.Or(err, c.refresh(st.ref)) // also after an error: what was not answered may be there
	}
	if err == nil {
		c.notify(st.ID)
	}
	return err
}

// cached bounds the folded uploads that are kept.
const cached = 256

// load folds an upload. The State is the caller's; its name, twin and digest are not in it.
func (c *Campaigns) load(ctx context.Context, scope tenant.Scope, id ulid.ULID) (*State, error) {
	owner, ok := scope.Tenant()
	if !ok {
		return nil, fmt.Errorf("upload %s: %w", id, store.ErrNotFound)
	}
	ref := store.Ref{Tenant: owner, Kind: store.Campaign, ID: id}
	st := State{}
	c.mu.Lock()
	if have := c.cache[id]; have != nil && have.ref == ref {
		st = *have
	}
	c.mu.Unlock()
	events, err := c.Store.LoadFrom(ctx, scope, ref, uint32(st.version))
	if err != nil {
		return nil, fmt.Errorf("load upload %s: %w", id, err)
	}
	for _, e := range events {
		if err := st.apply(e); err != nil {
			return nil, err
		}
	}
	for l := range st.lists {
		st.lists[l] = slices.Clip(st.lists[l]) // so that nobody appends into the array of another
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(events) > 0 {
		if have := c.cache[id]; have == nil || have.version < st.version {
			if len(c.cache) >= cached {
				clear(c.cache)
			}
			keep := st
			c.cache[id] = &keep
		}
	}
	if st.Waiting = c.waiting[id]; st.limited() {
		st.Waiting = waitLimit
	}
	return &st, nil
}

// meta opens the sealed part of the head; an empty one when the content has been erased.
func (c *Campaigns) meta(st *State) (meta, error) {
	var m meta
	plain, err := c.Store.Open(st.ref.Tenant, st.ID.String()+"/meta", st.box)
	if errors.Is(err, store.ErrErased) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(plain, &m)
	}
	if err != nil {
		return m, fmt.Errorf("open the head of upload %s: %w", st.ID, err)
	}
	return m, nil
}
