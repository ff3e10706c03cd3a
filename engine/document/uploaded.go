package document

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// MessageField is the field of the search term of messages by the files behind their pages; its value is the id's text.
// The value is stored.
const MessageField byte = 'd'

// uploadedTerm is the search term of files that senders uploaded.
var uploadedTerm = store.Term{Field: 'u', Value: "1"}

// File is a PDF that a sender uploaded.
type File struct {
	ID    string
	Name  string   // as the recipient saves it
	Also  []string // other names under which the same bytes were uploaded: it is found by them too
	Class string   // decides how long it is kept
	Bytes int
	Pages int // 0: not known
	At    time.Time
}

// Upload is Keep for a sender's file: it is listed, found by its name, and may be removed. The same bytes put again under
// another name are found by both.
func (d *Documents) Upload(ctx context.Context, id tenant.ID, class, name string, pdf []byte) (File, error) {
	ref, err := d.keep(ctx, id, head{V: 1, Class: class, Uploaded: true, Pages: Pages(pdf)}, name, pdf)
	if err != nil {
		return File{}, err
	}
	st, err := d.state(ctx, tenant.Only(id), ref)
	if err != nil {
		return File{}, err
	}
	return d.file(ref, &st)
}

// again notes that a file that is there was uploaded once more.
func (d *Documents) again(ctx context.Context, ref store.Ref, st *state, name string) error {
	if !st.removed {
		for _, n := range st.names {
			had, err := d.open(ref, n)
			if err != nil {
				return err
			}
			if had == name {
				return nil
			}
		}
	}
	box, err := d.s.Seal(ref.Tenant, FileClass(st.head.Class), st.at, ref.ID.String()+"/"+nameAt(st.version), []byte(name))
	if err != nil {
		return err
	}
	names, err := d.names(ref.Tenant, name)
	if err != nil {
		return err
	}
	return d.commit(ctx, store.Change{Ref: ref, Expect: st.version, Names: names, Events: []store.NewEvent{{Type: named, At: d.now(), Data: asJSON(naming{box})}}})
}

// names are how a file is found by a name; of several of one name the newest is.
func (d *Documents) names(id tenant.ID, name string) ([]store.Name, error) {
	key, err := d.nameKey(id, name)
	return []store.Name{{Space: store.ByFileName, Key: key}}, err
}

// nameKey is the key of a name, hashed: a name may say whose file it is. Case does not matter, as in Windows.
func (d *Documents) nameKey(id tenant.ID, name string) (string, error) {
	sum, err := d.s.Keyed(id, "document name", strings.ToLower(FileName(name)))
	return hex.EncodeToString(sum[:]), err
}

// Find gives the ids of the newest files of the names, of the scope's tenant; "" where there is none.
func (d *Documents) Find(ctx context.Context, scope tenant.Scope, names []string) ([]string, error) {
	t, ok := scope.Tenant()
	if !ok {
		return nil, fmt.Errorf("document: %w", store.ErrNotFound)
	}
	ids := make([]string, len(names))
	for i, name := range names {
		if same := slices.Index(names, name); same < i {
			ids[i] = ids[same]
			continue
		}
		key, err := d.nameKey(t, name)
		if err != nil {
			return nil, fmt.Errorf("find document: %w", err)
		}
		ref, _, err := d.s.Lookup(ctx, scope, store.ByFileName, key)
		if err == nil {
			var st state
			if st, err = d.state(ctx, scope, ref); err == nil && st.there() {
				ids[i] = ref.ID.String()
			}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("find document: %w", err)
		}
	}
	return ids, nil
}

func (d *Documents) file(ref store.Ref, st *state) (File, error) {
	h := &st.head
	f := File{ID: ref.ID.String(), Class: h.Class, Bytes: h.Size, Pages: h.Pages, At: st.at}
	for i, n := range st.names {
		name, err := d.open(ref, n)
		if err != nil {
			return File{}, fmt.Errorf("open document %s: %w", f.ID, err)
		}
		if i == 0 {
			f.Name = name
		} else {
			f.Also = append(f.Also, name)
		}
	}
	return f, nil
}

// uploaded is the state of a sender's file that is there, else store.ErrNotFound.
func (d *Documents) uploaded(ctx context.Context, scope tenant.Scope, id string) (store.Ref, state, error) {
	ref, err := d.ref(scope, id)
	if err != nil {
		return ref, state{}, err
	}
	st, err := d.state(ctx, scope, ref)
	if err == nil && (!st.there() || !st.head.Uploaded) {
		err = store.ErrNotFound
	}
	if err != nil {
		return ref, st, fmt.Errorf("document %s: %w", id, err)
	}
	return ref, st, nil
}

// File is a file that the scope's tenant uploaded. Errors as those of Get; files of the engine's own are not found.
func (d *Documents) File(ctx context.Context, scope tenant.Scope, id string) (File, error) {
	ref, st, err := d.uploaded(ctx, scope, id)
	if err != nil {
		return File{}, err
	}
	return d.file(ref, &st)
}

// List gives up to limit (1 to 100) of the tenant's uploaded files that are still there, the newest first; before is the
// next of the last call. next is empty at the end.
func (d *Documents) List(ctx context.Context, scope tenant.Scope, before string, limit int) (files []File, next string, err error) {
	q := store.Query{Kind: store.File, Terms: []store.Term{uploadedTerm}, Limit: min(max(limit, 1), 100)}
	if before != "" {
		ref, err := d.ref(scope, before)
		if err != nil {
			return nil, "", err
		}
		q.Before = ref.ID
	}
	most := q.Limit
	for {
		refs, err := d.s.Search(ctx, scope, q)
		if err != nil {
			return nil, "", fmt.Errorf("list documents: %w", err)
		}
		for _, ref := range refs {
			q.Before = ref.ID
			st, err := d.state(ctx, scope, ref)
			if err != nil {
				return nil, "", fmt.Errorf("list documents: %w", err)
			}
			if !st.there() {
				continue
			}
			f, err := d.file(ref, &st)
			if errors.Is(err, store.ErrErased) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			if files = append(files, f); len(files) == most {
				return files, f.ID, nil
			}
		}
		if len(refs) < q.Limit {
			return files, "", nil
		}
	}
}

// How far Uses counts: for one file, and for each of a list, of which a page has up to a hundred. A file may be behind every message of
// a million, and a count reads an index entry of each.
const (
	UsesCounted = 10_000
	UsesListed  = 1_000
)

// Uses counts the messages of the tenant that name a file, up to most.
func (d *Documents) Uses(ctx context.Context, scope tenant.Scope, id string, most int) (int, error) {
	return d.s.Count(ctx, scope, messagesOf(id), most)
}

func messagesOf(id string) store.Query {
	return store.Query{Kind: store.Message, Terms: []store.Term{{Field: MessageField, Value: id}}, Limit: 500}
}

// InUseError says that a file is not removed because the link of a message shows it.
type InUseError struct {
	No    string    // of the message; "": of one that is just being accepted, or there are too many to tell
	Until time.Time // when that link ends, or at most all
}

func (e *InUseError) Error() string { return "the document is shown behind the link of a message" }

// Remove takes away a file that the tenant uploaded: nothing lists, finds or shows it any more. A file that the living link
// of a message shows stays: *InUseError. It is there again when the same bytes are uploaded again.
func (d *Documents) Remove(ctx context.Context, scope tenant.Scope, id string) error {
	began := d.now()
	if _, st, err := d.uploaded(ctx, scope, id); err != nil {
		return err
	} else if err := d.inUse(ctx, scope, id, &st, time.Time{}); err != nil {
		return err
	}
	d.removing.Lock() // nobody pins; what was pinned before this is in the store, or counted
	defer d.removing.Unlock()
	for {
		ref, st, err := d.uploaded(ctx, scope, id)
		if err != nil {
			return err
		}
		d.mu.Lock()
		pinned := d.pins[id] > 0
		d.mu.Unlock()
		if pinned {
			return &InUseError{}
		}
		if err := d.inUse(ctx, scope, id, &st, began.Add(-time.Minute)); err != nil { // the rest was looked at
			return err
		}
		err = d.commit(ctx, store.Change{Ref: ref, Expect: st.version, Events: []store.NewEvent{{Type: removed, At: d.now(), Data: asJSON(removal{true})}}})
		if c := (*store.ConflictError)(nil); errors.As(err, &c) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove document %s: %w", id, err)
		}
		return nil
	}
}

// maxUsesLooked bounds how many messages are looked at to tell whether the link of one still works.
const maxUsesLooked = 100_000

// inUse looks for a message, accepted from a time on, whose link still shows the file.
func (d *Documents) inUse(ctx context.Context, scope tenant.Scope, id string, st *state, from time.Time) error {
	now := d.now()
	if !st.until.After(now) {
		return nil // no link that was ever given it lives longer
	}
	q := messagesOf(id)
	q.From = from
	var into store.Streams
	for looked := 0; looked < maxUsesLooked; looked += q.Limit {
		refs, err := d.s.Search(ctx, scope, q)
		if err != nil {
			return fmt.Errorf("find messages of document %s: %w", id, err)
		}
		streams, err := d.s.LoadInto(ctx, scope, refs, &into)
		if err != nil {
			return fmt.Errorf("load messages of document %s: %w", id, err)
		}
		for _, events := range streams {
			m, err := stored.State(events)
			if err != nil {
				return err
			}
			if len(events) > 0 && m.RevokedAt.IsZero() && m.Phase != message.Withdrawn && m.Head.LinkExpires.After(now) {
				return &InUseError{No: m.Head.No, Until: m.Head.LinkExpires}
			}
		}
		if len(refs) < q.Limit {
			return nil
		}
		q.Before = refs[len(refs)-1].ID
	}
	return &InUseError{Until: st.until}
}

// Pin keeps files from being removed until release is called: from before a message's files are looked for until the
// message is in the store.
func (d *Documents) Pin(ids []string) (release func()) {
	count := func(by int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, id := range ids {
			if d.pins[id] += by; d.pins[id] == 0 {
				delete(d.pins, id)
			}
		}
	}
	d.removing.RLock()
	count(1)
	d.removing.RUnlock()
	return func() { count(-1) }
}
