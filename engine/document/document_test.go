package document_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// pdf is a real document of about n bytes.
func pdf(t testing.TB, title string, n int) []byte {
	t.Helper()
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCompression(false)
	f.SetCreationDate(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	f.SetModificationDate(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	f.AddPage()
	f.SetFont("Helvetica", "", 10)
	f.MultiCell(0, 5, title+strings.Repeat(" lorem", n/6), "", "", false)
	var b bytes.Buffer
	require.NoError(t, f.Output(&b))
	return b.Bytes()
}

type disk struct{ dir, key string }

func newDisk(t testing.TB) disk {
	t.Helper()
	dir := t.TempDir()
	d := disk{filepath.Join(dir, "data"), filepath.Join(dir, "master.key")}
	require.NoError(t, store.NewMasterKey(d.key))
	return d
}

func (d disk) open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Dir: d.dir, MasterKey: d.key, Log: slog.New(slog.DiscardHandler), MinFree: 1})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

var (
	ours   = tenant.Only("acme")
	theirs = tenant.Only("other")
)

func TestKeptFileComesBackAfterRestart(t *testing.T) {
	d := newDisk(t)
	s := d.open(t)
	for name, size := range map[string]int{"small.pdf": 100, "three chunks.pdf": 1_200_000} {
		want := pdf(t, name, size)
		id, err := document.New(s, nil).Put(t.Context(), "acme", name, want)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		s = d.open(t)
		docs := document.New(s, nil)
		got, body, err := docs.Get(t.Context(), ours, id)
		require.NoError(t, err)
		require.Equal(t, name, got)
		require.True(t, bytes.Equal(want, body))

		_, _, err = docs.Get(t.Context(), theirs, id)
		require.ErrorIs(t, err, store.ErrNotFound)
		missing, err := docs.Exists(t.Context(), ours, []string{id, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "../../etc/passwd"})
		require.NoError(t, err)
		require.Equal(t, []string{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "../../etc/passwd"}, missing)
		missing, err = docs.Exists(t.Context(), theirs, []string{id})
		require.NoError(t, err)
		require.Equal(t, []string{id}, missing)
	}
}

func TestSameFileTwiceIsOne(t *testing.T) {
	s := newDisk(t).open(t)
	docs := document.New(s, nil)
	body := pdf(t, "請求", 900_000)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var err error
			ids[i], err = docs.Put(context.Background(), "acme", fmt.Sprintf("%d.pdf", i), body)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	_, got, err := docs.Get(t.Context(), ours, ids[0])
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))

	other, err := docs.Put(t.Context(), "other", "a.pdf", body)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], other, "ids must not tell one tenant what another has")
	long, err := docs.Keep(t.Context(), "acme", "legal_notice", "a.pdf", body)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], long, "a longer term needs a copy of its own")
}

func TestHalfWrittenFileIsNotThereAndGoesOn(t *testing.T) {
	s := newDisk(t).open(t)
	docs := document.New(s, nil)
	body := pdf(t, "x", 1_200_000)
	ctx := &dying{Context: t.Context(), left: 3}
	_, err := docs.Put(ctx, "acme", "a.pdf", body)
	require.ErrorIs(t, err, context.Canceled)
	id, err := docs.Put(t.Context(), "acme", "a.pdf", body)
	require.NoError(t, err)
	_, got, err := docs.Get(t.Context(), ours, id)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))
}

// Files that are uploaded as CSV are streams of the same kind: their parts are no documents, and no faults either.
func TestStreamOfAnotherRoomIsNoDocument(t *testing.T) {
	s := newDisk(t).open(t)
	ref := store.Ref{Tenant: "acme", Kind: store.File, ID: ulid.Make()}
	errs, err := s.Commit(t.Context(), store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: 1, Data: []byte("\x01sealed")}}, Final: true}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	docs := document.New(s, nil)
	_, _, err = docs.Get(t.Context(), ours, ref.ID.String())
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, docs.Hold(t.Context(), ours, []string{ref.ID.String()}, time.Now()), store.ErrNotFound)
	missing, err := docs.Exists(t.Context(), ours, []string{ref.ID.String()})
	require.NoError(t, err)
	require.Len(t, missing, 1)
}

// dying ends after it was asked a few times.
type dying struct {
	context.Context
	left int
}

func (d *dying) Err() error {
	if d.left--; d.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestErasedFileSaysSo(t *testing.T) {
	s := newDisk(t).open(t)
	now := time.Date(2026, 1, 10, 3, 0, 0, 0, time.UTC)
	docs := document.New(s, func() time.Time { return now })
	body := pdf(t, "x", 10)
	id, err := docs.Put(t.Context(), "acme", "a.pdf", body)
	require.NoError(t, err)
	_, err = s.EraseKeys(now.AddDate(0, 0, 2), "acme", document.FileClass(document.DefaultClass))
	require.NoError(t, err)
	_, _, err = docs.Get(t.Context(), ours, id)
	require.ErrorIs(t, err, store.ErrErased)

	now = now.AddDate(0, 3, 0)
	again, err := docs.Put(t.Context(), "acme", "a.pdf", body)
	require.NoError(t, err)
	_, got, err := docs.Get(t.Context(), ours, again)
	require.NoError(t, err)
	require.Equal(t, body, got)
}

func TestNothingPlainOnDisk(t *testing.T) {
	d := newDisk(t)
	s := d.open(t)
	_, err := document.New(s, nil).Put(t.Context(), "acme", "himitsu-no-namae.pdf", pdf(t, "HIMITSU-NO-NAKAMI", 10))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		require.NotContains(t, string(b), "HIMITSU", path)
		require.NotContains(t, string(b), "himitsu", path)
		return err
	}))
}

func TestFileNames(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		require.Equal(t, want, document.FileName(in))
	}
	f("ご利用明細 2026年11月.pdf", "ご利用明細 2026年11月.pdf")
	f("../../etc/passwd", "etcpasswd.pdf")
	f("a\"; filename=\"evil.exe", "a filenameevil.exe.pdf")
	f("x\r\nSet-Cookie: a=b", "xSet-Cookie ab.pdf")
	f("断水（〇〇町1丁目～3丁目）①.PDF", "断水（〇〇町1丁目～3丁目）①.pdf")
	f("か\u3099.pdf", "が.pdf")
	f("a／b＼c：d.pdf", "abcd.pdf")
	f("", "document.pdf")
	f("....", "document.pdf")
	f("\u202egnp.pdf", "gnp.pdf")
	f(strings.Repeat("請", 300), strings.Repeat("請", 96)+".pdf")
}

func TestActiveContentIsRefused(t *testing.T) {
	clean := string(pdf(t, "plain", 100))
	require.NoError(t, document.Check([]byte(clean)))
	compressed := fpdf.New("P", "mm", "A4", "")
	compressed.AddPage()
	compressed.SetFont("Helvetica", "", 10)
	compressed.Cell(10, 10, "x")
	compressed.Bookmark("a", 0, 0)
	var b bytes.Buffer
	require.NoError(t, compressed.Output(&b))
	require.NoError(t, document.Check(b.Bytes()))

	with := func(object string) []byte { // put before the cross-reference table
		i := strings.LastIndex(clean, "\nxref") + 1
		return []byte(clean[:i] + "99 0 obj\n" + object + "\nendobj\n" + clean[i:])
	}
	objStm := func(object string, deflate bool, dict string) []byte {
		var z bytes.Buffer
		body := "100 0 " + object
		if deflate {
			w, err := zlib.NewWriterLevel(&z, zlib.BestSpeed)
			require.NoError(t, err)
			w.Write([]byte(body))
			w.Close()
		} else {
			z.WriteString(body)
		}
		return with(fmt.Sprintf("<< /Type /ObjStm /N 1 /First 6 /Length %d %s >>\nstream\n%s\nendstream", z.Len(), dict, z.String()))
	}
	f := func(code string, file []byte) {
		t.Helper()
		var r *document.RefusedError
		require.ErrorAs(t, document.Check(file), &r)
		require.Equal(t, code, r.Code, r.Detail)
	}
	f("active", with("<< /S /JavaScript /JS (app.alert\\(1\\)) >>"))
	f("active", with("<< /S /Java#53cript /JS (x) >>"))
	f("active", with("<< /#4a#53 (x) >>"))
	f("active", with("<< /S/Launch/F(cmd.exe)>>"))
	f("active", with("<< /Type /EmbeddedFile >>\nstream\nx\nendstream"))
	f("active", with("<< /OpenAction << /S /JavaScript /JS 5 0 R >> >>"))
	f("active", with("<< /AcroForm << /XFA 5 0 R >> >>"))
	f("active", objStm("<< /S /JavaScript /JS (x) >>", true, "/Filter /FlateDecode"))
	f("active", objStm("<< /S /JavaScript /JS (x) >>", true, "/Filter [/Fl]"))
	f("active", objStm("<< /JS (x) >>", false, ""))
	f("encrypted", with("<< /Encrypt 5 0 R >>"))
	f("opaque", objStm("<< >>", true, "/Filter [/ASCII85Decode /FlateDecode]"))
	f("opaque", objStm("<< >>", true, "/Filter /FlateDecode /DecodeParms << /Predictor 12 >>"))
	bomb := bytes.Repeat([]byte{'1'}, 17<<20)
	f("opaque", objStm(string(bomb), true, "/Filter /FlateDecode"))
	require.NoError(t, document.Check(objStm("<< /Type /Page >>", true, "/Filter /FlateDecode")))

	f("not_pdf", []byte("<html>"))
	f("not_pdf", []byte(clean[:len(clean)/2]))
	f("not_pdf", nil)
	f("too_large", append([]byte(clean), make([]byte, document.MaxBytes)...))
	_, err := document.New(nil, nil).Put(t.Context(), "acme", "x", []byte("GIF89a"))
	require.True(t, errors.As(err, new(*document.RefusedError)))
}
