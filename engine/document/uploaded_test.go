package document_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

func upload(t *testing.T, d *document.Documents, name string, body []byte) document.File {
	t.Helper()
	f, err := d.Upload(t.Context(), "acme", "notice", name, body)
	require.NoError(t, err)
	return f
}

func find(t *testing.T, d *document.Documents, names ...string) []string {
	t.Helper()
	ids, err := d.Find(t.Context(), ours, names)
	require.NoError(t, err)
	return ids
}

func TestUploadedFilesAreListedAndFoundByName(t *testing.T) {
	disk := newDisk(t)
	s := disk.open(t)
	docs := document.New(s, nil)
	_, err := docs.Keep(t.Context(), "acme", "money", "receipt-1.pdf", pdf(t, "receipt", 10))
	require.NoError(t, err)
	var all []document.File
	for i := range 5 {
		all = append(all, upload(t, docs, fmt.Sprintf("書類%d.pdf", i), pdf(t, fmt.Sprint(i), 10)))
	}
	first := all[0]
	require.Equal(t, "書類0.pdf", first.Name)
	require.Equal(t, "notice", first.Class)
	require.Equal(t, 1, first.Pages)
	require.Equal(t, len(pdf(t, "0", 10)), first.Bytes)
	require.False(t, first.At.IsZero())

	list := func(before string) ([]string, string) {
		files, next, err := docs.List(t.Context(), ours, before, 2)
		require.NoError(t, err)
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		return names, next
	}
	names, next := list("")
	require.Equal(t, []string{"書類4.pdf", "書類3.pdf"}, names)
	names, next = list(next)
	require.Equal(t, []string{"書類2.pdf", "書類1.pdf"}, names)
	names, next = list(next)
	require.Equal(t, []string{"書類0.pdf"}, names, "and no receipt")
	require.Empty(t, next)

	// By any spelling of the name: another case, without the end, as macOS takes kana apart.
	aga := upload(t, docs, "が案内.PDF", pdf(t, "aga", 10))
	require.Equal(t, "が案内.pdf", aga.Name)
	require.Equal(t, []string{aga.ID, aga.ID, first.ID, ""}, find(t, docs, "か\u3099案内.pdf", "が案内", "書類0.PDF", "無い.pdf"))

	// The newest of a name; the same bytes under another name are one file with both.
	newer := upload(t, docs, "書類0.pdf", pdf(t, "newer", 10))
	same := upload(t, docs, "別名.pdf", pdf(t, "0", 10))
	require.Equal(t, first.ID, same.ID)
	require.Equal(t, []string{"別名.pdf"}, same.Also)
	require.Equal(t, "書類0.pdf", same.Name, "recipients go on seeing the first")
	require.Equal(t, []string{newer.ID, first.ID}, find(t, docs, "書類0.pdf", "別名.pdf"))

	require.NoError(t, s.Close())
	docs = document.New(disk.open(t), nil)
	require.Equal(t, []string{newer.ID, first.ID}, find(t, docs, "書類0.pdf", "別名.pdf"))
}

// Nothing of one tenant's is told to another, whatever is asked first: states are remembered.
func TestTenantsAreApart(t *testing.T) {
	docs := document.New(newDisk(t).open(t), nil)
	f := upload(t, docs, "秘密.pdf", pdf(t, "x", 10))
	_, err := docs.File(t.Context(), ours, f.ID)
	require.NoError(t, err)
	for range 2 {
		_, err = docs.File(t.Context(), theirs, f.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, _, err = docs.Get(t.Context(), theirs, f.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, docs.Remove(t.Context(), theirs, f.ID), store.ErrNotFound)
		missing, err := docs.Exists(t.Context(), theirs, []string{f.ID})
		require.NoError(t, err)
		require.Equal(t, []string{f.ID}, missing)
		require.ErrorIs(t, docs.Hold(t.Context(), theirs, []string{f.ID}, time.Now().Add(time.Hour)), store.ErrNotFound)
		ids, err := docs.Find(t.Context(), theirs, []string{"秘密.pdf"})
		require.NoError(t, err)
		require.Equal(t, []string{""}, ids)
		files, _, err := docs.List(t.Context(), theirs, "", 10)
		require.NoError(t, err)
		require.Empty(t, files)
		_, _, err = docs.List(t.Context(), theirs, f.ID, 10)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	_, err = docs.File(t.Context(), ours, f.ID)
	require.NoError(t, err)
}

// shows puts a message into the store whose link shows a file.
func shows(t *testing.T, s *store.Store, id string, h message.Head, more ...message.Type) store.Ref {
	t.Helper()
	ref := store.Ref{Tenant: "acme", Kind: store.Message, ID: ulid.Make()}
	h.V, h.Class = 1, message.Notice
	events := []store.NewEvent{{Type: byte(message.Accepted), Data: message.Append(nil, &h)}}
	for _, typ := range more {
		events = append(events, store.NewEvent{Type: byte(typ), Data: []byte("{}")})
	}
	errs, err := s.Commit(t.Context(), store.Tx{{Ref: ref, Events: events, Terms: []store.Term{{Field: document.MessageField, Value: id}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	return ref
}

func TestFileThatALivingLinkShowsStays(t *testing.T) {
	s := newDisk(t).open(t)
	now := time.Now()
	docs := document.New(s, func() time.Time { return now })
	body := pdf(t, "x", 10)
	f := upload(t, docs, "a.pdf", body)
	ends := now.Add(48 * time.Hour)
	require.NoError(t, docs.Hold(t.Context(), ours, []string{f.ID}, ends))
	shows(t, s, f.ID, message.Head{No: "1", LinkExpires: ends}, message.Revoked)
	shows(t, s, f.ID, message.Head{No: "2", LinkExpires: ends}, message.Canceled)
	living := shows(t, s, f.ID, message.Head{No: "3", LinkExpires: ends})
	n, err := docs.Uses(t.Context(), ours, f.ID, 10)
	require.NoError(t, err)
	require.Equal(t, 3, n)

	var used *document.InUseError
	require.ErrorAs(t, docs.Remove(t.Context(), ours, f.ID), &used)
	require.Equal(t, "3", used.No)
	require.WithinDuration(t, ends, used.Until, time.Second)
	_, _, err = docs.Get(t.Context(), ours, f.ID)
	require.NoError(t, err)

	errs, err := s.Commit(t.Context(), store.Tx{{Ref: living, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Revoked), Data: []byte("{}")}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	release := docs.Pin([]string{f.ID})
	require.ErrorAs(t, docs.Remove(t.Context(), ours, f.ID), &used, "a message that names it is on its way")
	release()
	require.NoError(t, docs.Remove(t.Context(), ours, f.ID))

	require.ErrorIs(t, docs.Remove(t.Context(), ours, f.ID), store.ErrNotFound)
	_, _, err = docs.Get(t.Context(), ours, f.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Equal(t, []string{""}, find(t, docs, "a.pdf"))
	missing, err := docs.Exists(t.Context(), ours, []string{f.ID})
	require.NoError(t, err)
	require.Equal(t, []string{f.ID}, missing)
	missing, err = docs.Known(t.Context(), ours, []string{f.ID})
	require.NoError(t, err)
	require.Empty(t, missing)
	files, _, err := docs.List(t.Context(), ours, "", 10)
	require.NoError(t, err)
	require.Empty(t, files)

	back := upload(t, docs, "b.pdf", body)
	require.Equal(t, f.ID, back.ID)
	require.Equal(t, "b.pdf", back.Name)
	require.Empty(t, back.Also)
	name, got, err := docs.Get(t.Context(), ours, f.ID)
	require.NoError(t, err)
	require.Equal(t, "b.pdf", name)
	require.True(t, bytes.Equal(body, got))

	now = now.Add(100 * 24 * time.Hour) // the link's end, whatever messages there are
	shows(t, s, f.ID, message.Head{No: "4", LinkExpires: now.Add(-time.Hour)})
	require.NoError(t, docs.Remove(t.Context(), ours, f.ID))
}

// A receipt is nobody's upload: it is neither shown as one nor removed.
func TestEnginesOwnFilesAreNotRemoved(t *testing.T) {
	docs := document.New(newDisk(t).open(t), nil)
	id, err := docs.Keep(t.Context(), "acme", "money", "receipt-1.pdf", pdf(t, "receipt", 10))
	require.NoError(t, err)
	_, err = docs.File(t.Context(), ours, id)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, docs.Remove(t.Context(), ours, id), store.ErrNotFound)
	_, _, err = docs.Get(t.Context(), ours, id)
	require.NoError(t, err)
}

// Uploads, removals and holds of one file at once: whoever got in through Pin, Exists and Hold has the file until he lets go.
func TestPinnedFileIsNotRemoved(t *testing.T) {
	s := newDisk(t).open(t)
	docs := document.New(s, nil)
	body := pdf(t, "x", 10)
	id := upload(t, docs, "a.pdf", body).ID
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				release := docs.Pin([]string{id})
				missing, err := docs.Exists(context.Background(), ours, []string{id})
				if err == nil && len(missing) == 0 {
					if _, _, err := docs.Get(context.Background(), ours, id); err != nil {
						t.Errorf("a pinned file went: %v", err)
					}
				}
				release()
			}
		})
		wg.Go(func() {
			for range 10 {
				_ = docs.Remove(context.Background(), ours, id)
				if _, err := docs.Upload(context.Background(), "acme", "notice", "a.pdf", body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPages(t *testing.T) {
	f := fpdf.New("P", "mm", "A4", "")
	for range 7 {
		f.AddPage()
	}
	var b bytes.Buffer
	require.NoError(t, f.Output(&b))
	require.Equal(t, 7, document.Pages(b.Bytes()))
	require.Equal(t, 12, document.Pages([]byte("2 0 obj <</Type /Pages /Kids [<</Count 99>> 3 0 R] /Count 12>> endobj <</Type/Pages/Count 5>> <</Type/Outlines/Count 77>>")))
	require.Zero(t, document.Pages([]byte("/Type /Pages /Count")))
	require.Zero(t, document.Pages(nil))
}

func FuzzPages(f *testing.F) {
	f.Add([]byte("<</Type/Pages/Count 5>>"))
	f.Add([]byte("/Type/Pages>>>><</First stream\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := document.Pages(b); n < 0 || n > 100_000 {
			t.Fatal(n)
		}
	})
}
