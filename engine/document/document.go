// Package document keeps the PDF files behind pages: what a sender uploads, and the immutable copies of receipts.
//
// A file is one stream of kind store.File: a head (sealed name, size, digest), its bytes in sealed chunks, and an end.
// Each chunk is a commit of its own, because a whole file does not fit into one; a file exists when its end is there. A
// crash before the end leaves chunks that nobody can see, and the same file put again goes on behind them.
//
// The id of a file is the tenant's keyed hash of its class, the month and its bytes: the same file is stored once, and
// its id tells nothing of what is in it. The month is in it because a file lives as long as the data key of its class and
// day: one that is put again in a later month gets a term of its own.
//
// Sender's files are looked through before they are kept (Check): the browser of a recipient opens them. They are listed,
// found by the names under which they were uploaded, and removed while no link shows them (uploaded.go). A file that was
// removed is as if it had never been; its sealed bytes go with the key of its day, as all do.
package document

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// MaxBytes is the size of a file at most.
const MaxBytes = 5 << 20

// DefaultClass is the class of files put without one.
const DefaultClass = "notice"

const (
	chunkBytes = 512 << 10
	maxName    = 100 // characters
)

// FileClass is the class of the data keys of files that are kept as long as a class: they are keys of their own, because
// files wait for the last link that shows them (engine/retention).
func FileClass(class string) string { return "doc_" + class }

// holdStep is by how much more than is asked for a file is held, so that a thousand messages that show it are one event.
const holdStep = 31 * 24 * time.Hour

// Documents is safe for concurrent use.
type Documents struct {
	s   *store.Store
	now func() time.Time

	removing sync.RWMutex // held for writing while a file is removed, for reading while files are pinned

	mu      sync.Mutex // guards what follows
	pins    map[string]int
	files   map[store.Ref]state // of some files, as they were last seen
	commits int                 // so far
}

// New returns the documents of a store. now may be nil for clock.Now.
func New(s *store.Store, now func() time.Time) *Documents {
	if now == nil {
		now = clock.Now
	}
	return &Documents{s: s, now: now, pins: map[string]int{}, files: map[store.Ref]state{}}
}

// Put is Keep under DefaultClass.
func (d *Documents) Put(ctx context.Context, id tenant.ID, name string, pdf []byte) (string, error) {
	return d.Keep(ctx, id, DefaultClass, name, pdf)
}

// Keep stores a PDF of the engine's own and returns its id, a ULID's text, when it is on disk. class decides how long it is
// kept (message.Class, or one of the engine's own); name is what the recipient saves it as, reduced to what is safe
// (FileName). The same bytes put again in the same class and month are the same file, under their first name. Errors:
// *RefusedError, and those of the store. pdf is not kept.
func (d *Documents) Keep(ctx context.Context, id tenant.ID, class, name string, pdf []byte) (string, error) {
	ref, err := d.keep(ctx, id, head{V: 1, Class: class}, name, pdf)
	if err != nil {
		return "", err
	}
	return ref.ID.String(), nil
}

func (d *Documents) keep(ctx context.Context, id tenant.ID, h head, name string, pdf []byte) (store.Ref, error) {
	if err := Check(pdf); err != nil {
		return store.Ref{}, err
	}
	now := d.now()
	digest := sha256.Sum256(pdf)
	key, err := d.s.Keyed(id, "document/"+h.Class+"/"+now.In(message.Tokyo).Format("2006-01"), hex.EncodeToString(digest[:]))
	if err != nil {
		return store.Ref{}, fmt.Errorf("name document: %w", err)
	}
	ref := store.Ref{Tenant: id, Kind: store.File, ID: ulid.ULID(key)}
	for {
		err := d.write(ctx, ref, h, now, FileName(name), pdf)
		var c *store.ConflictError
		if errors.As(err, &c) { // somebody puts the same file: go on behind the chunks that are there
			continue
		}
		if err != nil {
			return ref, fmt.Errorf("keep document: %w", err)
		}
		return ref, nil
	}
}

// write brings the stream from wherever it is to its end.
func (d *Documents) write(ctx context.Context, ref store.Ref, h head, now time.Time, name string, pdf []byte) error {
	events, err := d.s.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	st, err := fold(events)
	if err != nil {
		return err
	}
	if st.whole {
		if !h.Uploaded {
			return nil
		}
		return d.again(ctx, ref, &st, name)
	}
	chunks := (len(pdf) + chunkBytes - 1) / chunkBytes
	seal := func(what string, plain []byte) ([]byte, error) {
		return d.s.Seal(ref.Tenant, FileClass(h.Class), now, ref.ID.String()+"/"+what, plain)
	}
	for n := len(events); n < chunks+2; n++ {
		var e store.NewEvent
		change := store.Change{Ref: ref, Expect: n, Final: n == chunks+1}
		switch n {
		case 0:
			h.Size, h.Chunks = len(pdf), chunks
			digest := sha256.Sum256(pdf)
			if h.Digest, err = seal("digest", digest[:]); err != nil {
				return err
			}
			if h.Name, err = seal("name", []byte(name)); err != nil {
				return err
			}
			e = store.NewEvent{Type: begun, At: now, Data: asJSON(h)}
			if h.Uploaded {
				change.Terms = []store.Term{uploadedTerm}
			}
		case chunks + 1:
			e = store.NewEvent{Type: complete, At: now}
			if h.Uploaded {
				if change.Names, err = d.names(ref.Tenant, name); err != nil {
					return err
				}
			}
		default:
			box, err := seal(fmt.Sprint(n), pdf[(n-1)*chunkBytes:min(n*chunkBytes, len(pdf))])
			if err != nil {
				return err
			}
			e = store.NewEvent{Type: chunk, At: now, Data: box}
		}
		change.Events = []store.NewEvent{e}
		if err := d.commit(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// commit appends to one stream, of which what was remembered is forgotten.
func (d *Documents) commit(ctx context.Context, c store.Change) error {
	errs, err := d.s.Commit(ctx, store.Tx{c})
	d.mu.Lock()
	delete(d.files, c.Ref)
	d.commits++
	d.mu.Unlock()
	if err == nil {
		err = errs[0]
	}
	return err
}

// Get returns a file and its name. Errors: store.ErrNotFound, also for an id that is none and for another tenant's;
// store.ErrErased at the end of its term; others of the store. The scope is of one tenant.
func (d *Documents) Get(ctx context.Context, scope tenant.Scope, id string) (name string, pdf []byte, err error) {
	ref, err := d.ref(scope, id)
	if err != nil {
		return "", nil, err
	}
	events, err := d.s.Load(ctx, scope, ref)
	if err != nil {
		return "", nil, fmt.Errorf("load document %s: %w", id, err)
	}
	st, err := fold(events)
	if err != nil {
		return "", nil, fmt.Errorf("document %s: %w", id, err)
	}
	if !st.there() {
		return "", nil, fmt.Errorf("load document %s: %w", id, store.ErrNotFound)
	}
	h := &st.head
	open := func(what string, box []byte) []byte {
		if err != nil {
			return nil
		}
		var plain []byte
		plain, err = d.s.Open(ref.Tenant, id+"/"+what, box)
		return plain
	}
	name = string(open(st.names[0].what, st.names[0].box))
	digest := open("digest", h.Digest)
	pdf = make([]byte, 0, h.Size)
	for n := 1; n <= h.Chunks; n++ {
		pdf = append(pdf, open(fmt.Sprint(n), events[n].Data)...)
	}
	if err != nil {
		return "", nil, fmt.Errorf("open document %s: %w", id, err)
	}
	if sum := sha256.Sum256(pdf); !bytes.Equal(sum[:], digest) {
		return "", nil, fmt.Errorf("document %s is damaged: its digest differs", id)
	}
	return name, pdf, nil
}

// Exists lists the ids that are no whole file of the scope's tenant, or of one that was removed.
func (d *Documents) Exists(ctx context.Context, scope tenant.Scope, ids []string) (missing []string, err error) {
	return d.missing(ctx, scope, ids, (*state).there)
}

// Known is Exists where it does not matter whether a file was removed.
func (d *Documents) Known(ctx context.Context, scope tenant.Scope, ids []string) (missing []string, err error) {
	return d.missing(ctx, scope, ids, func(st *state) bool { return st.whole })
}

func (d *Documents) missing(ctx context.Context, scope tenant.Scope, ids []string, is func(*state) bool) (missing []string, err error) {
	for _, id := range ids {
		ref, err := d.ref(scope, id)
		if err == nil {
			var st state
			if st, err = d.state(ctx, scope, ref); err == nil && !is(&st) {
				err = store.ErrNotFound
			}
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing = append(missing, id)
		case err != nil:
			return nil, fmt.Errorf("find document: %w", err)
		}
	}
	return missing, nil
}

// Hold keeps whole files readable until a time at least, however long their own term is. A file whose content is gone stays
// so: store.ErrErased.
func (d *Documents) Hold(ctx context.Context, scope tenant.Scope, ids []string, until time.Time) error {
	for _, id := range ids {
		ref, err := d.ref(scope, id)
		if err != nil {
			return err
		}
		if err := d.hold(ctx, scope, ref, until); err != nil {
			return fmt.Errorf("hold document %s: %w", id, err)
		}
	}
	return nil
}

func (d *Documents) hold(ctx context.Context, scope tenant.Scope, ref store.Ref, until time.Time) error {
	for {
		st, err := d.state(ctx, scope, ref)
		if err != nil {
			return err
		}
		if !st.there() {
			return store.ErrNotFound
		}
		if _, err := d.open(ref, st.names[0]); err != nil {
			return err
		}
		if !st.until.Before(until) {
			return nil
		}
		data := asJSON(holding{until.Add(holdStep).UTC()})
		err = d.commit(ctx, store.Change{Ref: ref, Expect: st.version, Events: []store.NewEvent{{Type: held, Data: data}}})
		if c := (*store.ConflictError)(nil); errors.As(err, &c) {
			continue
		}
		return err
	}
}

func (d *Documents) ref(scope tenant.Scope, id string) (store.Ref, error) {
	t, ok := scope.Tenant()
	u, err := ulid.ParseStrict(id)
	if !ok || err != nil || u.String() != id {
		return store.Ref{}, fmt.Errorf("document: %w", store.ErrNotFound)
	}
	return store.Ref{Tenant: t, Kind: store.File, ID: u}, nil
}

// nameSigns may stand in a file's name: none that a file system, or a conversion to another encoding, takes for a separator.
const nameSigns = "-_()（）「」『』【】〔〕［］〈〉《》・～〜＆＋－―、。，．＿＝％＃＠！№※→"

// FileName reduces a name to what may stand in a header and in any file system: letters, numbers, marks, spaces, "." and
// nameSigns, at most 100 characters, composed (NFC: macOS takes が apart), ending with ".pdf". What is left of nothing is
// "document.pdf".
func FileName(name string) string {
	var b strings.Builder
	n := 0
	name = norm.NFC.String(strings.ToValidUTF8(name, ""))
	if end := len(name) - len(".pdf"); end >= 0 && strings.EqualFold(name[end:], ".pdf") {
		name = name[:end]
	}
	for _, r := range name {
		switch {
		case n == maxName-len(".pdf"):
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r), strings.ContainsRune(nameSigns, r),
			r == ' ' && b.Len() > 0, r == '.' && b.Len() > 0:
			b.WriteRune(r)
			n++
		case r == '\u3000' && b.Len() > 0:
			b.WriteRune(' ')
			n++
		}
	}
	base := strings.TrimRight(b.String(), " .")
	if base == "" {
		base = "document"
	}
	return base + ".pdf"
}
