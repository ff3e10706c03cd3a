package certificate

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestDayIsClosedAndVerifies(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref, other := r.accept(message.LegalNotice), r.accept(message.Notice)
	r.add(ref, message.Submitting, &message.Submission{Part: 1, Attempt: 1, Carrier: "docomo"})
	r.add(ref, message.Delivered, &message.Report{Part: 1, State: "DELIVRD"})
	require.NoError(t, r.work())
	c, report := r.verify(ref, false)
	require.Equal(t, []int{0, 4}, []int{report.Closed, report.Open}, "the day is not over: 暫定")
	require.Empty(t, r.published())
	require.Empty(t, c.Streams[0].Days)

	r.now = time.Date(2026, 11, 28, 0, 4, 59, 0, message.Tokyo)
	require.NoError(t, r.work())
	require.Empty(t, r.published())
	r.now = r.now.Add(time.Second)
	r.sync = proof.Unsynchronised
	r.add(ref, message.Opened, message.Opening{}) // already of the next day
	require.NoError(t, r.work())
	line, err := proof.ParseLine(strings.TrimSuffix(r.published(), "\n"))
	require.NoError(t, err)
	require.Equal(t, "2026-11-27", line.Day)
	require.Equal(t, uint64(2), line.Streams, "the legal notice and its claim, nothing of other classes")
	require.Equal(t, proof.Unsynchronised, line.Clock.State)
	require.Equal(t, "ntp.example.jp", line.Clock.Source)
	c, report = r.verify(ref, true)
	require.Equal(t, []int{4, 1}, []int{report.Closed, report.Open})
	require.Equal(t, proof.Unsynchronised, report.Clocks[0].State)
	require.Equal(t, []string{"text", "page"}, report.Contents)
	require.Equal(t, "お知らせです。{url}", c.Content[0].Plain)

	r.now = r.now.AddDate(0, 0, 2)
	require.NoError(t, r.work())
	lines := strings.Split(r.published(), "\n")
	require.Len(t, lines, 3+1, "the 29th is closed, the 30th is under way")
	c, report = r.verify(ref, false)
	require.True(t, report.Whole())
	require.Len(t, c.Streams[0].Days, 2)
	require.Contains(t, lines[2], "day=2026-11-29 streams=0 ", "a day without events has a line too")

	_, err = r.c.Make(t.Context(), tenant.Only("mizu"), ref, false)
	require.ErrorIs(t, err, store.ErrNotFound, "another tenant")
	_, err = r.c.Make(t.Context(), tenant.Only(suido), other, false)
	require.ErrorIs(t, err, ErrClass)
	found, err := r.c.Find(t.Context(), tenant.Operator(), ref.ID.String())
	require.NoError(t, err)
	require.Equal(t, ref, found)
	_, err = r.c.Find(t.Context(), tenant.Only("mizu"), ref.ID.String())
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A certificate holds nothing that opens a link, names the number, or helps to guess an answer.
func TestNothingSecretIsInACertificate(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	r.add(ref, message.CodeSent, message.Code{Hash: []byte("hash of a code"), Until: r.now})
	r.add(ref, message.Answered, message.SurveyAnswer{Sealed: []byte("sealed answer")})
	r.add(ref, message.Kept, &message.Keeping{Day: r.now, SMS: []byte("box"), Page: []byte("box")})
	c, _ := r.verify(ref, false)
	data, err := c.Encode()
	require.NoError(t, err)
	for _, secret := range []string{"SECRETTOKEN", "12342345", "hash of", "aGFzaC", "sealed", "c2VhbG", "債権譲渡", "お知らせです"} {
		require.NotContains(t, string(data), secret)
	}
	require.Contains(t, string(data), "090-****-2345")
	secret, err := os.ReadFile(r.key())
	require.NoError(t, err)
	require.NotContains(t, string(data), strings.Split(string(secret), "\n")[1])
}

// Every event type says what is digested of it; two events that differ in a field have different digests, and sealed boxes
// change nothing.
func TestEveryFieldIsDigestedAndNoBox(t *testing.T) {
	at := time.Date(2026, 11, 28, 0, 0, 0, 1, time.UTC)
	text := func(kind store.Kind, typ byte, data []byte) string {
		e, err := eventOf(&store.Event{Ref: store.Ref{Kind: kind}, Type: typ, At: at, Data: data})
		require.NoError(t, err)
		return raw(e)
	}
	h := message.Head{V: 1, No: "1", SMS: []byte("box"), Page: []byte("box")}
	before := text(store.Message, byte(message.Accepted), message.Encode(&h))
	h.SMS, h.Page = []byte("stub"), nil
	require.Equal(t, before, text(store.Message, byte(message.Accepted), message.Encode(&h)))
	claim := payment.Head{V: 1, Number: "1", Terms: payment.Terms{Amount: 1, Sealed: []byte("box")}}
	before = text(store.Claim, byte(payment.Made), encode(claim))
	claim.Sealed = []byte("stub")
	require.Equal(t, before, text(store.Claim, byte(payment.Made), encode(claim)))
	for kind, name := range map[store.Kind]func(byte) string{
		store.Message: func(b byte) string { return message.Type(b).String() }, store.Claim: func(b byte) string { return payment.Type(b).String() },
	} {
		for typ := byte(1); !strings.HasPrefix(name(typ), "type "); typ++ {
			require.NotEmpty(t, said(kindName(kind), name(typ), true), "words for %s", name(typ))
			require.NotEmpty(t, said(kindName(kind), name(typ), false))
		}
	}
}

// The power fails at every commit, one after the other; then the program starts again and the reader meets everything again.
// The published file is the same, byte by byte.
func TestCrashAnywhereGivesTheSameRoots(t *testing.T) {
	dir := t.TempDir()
	base := newRig(t, dir)
	var refs []store.Ref
	for range 4 {
		refs = append(refs, base.accept(message.LegalNotice))
		if len(refs) == 1 {
			require.NoError(t, base.work()) // the first day has begun
		}
		base.now = base.now.Add(5 * time.Hour)
	}
	base.add(refs[0], message.Viewed, nil)
	base.now = base.now.AddDate(0, 0, 2)
	run := func(left int) (string, bool) {
		r := *base
		r.dir = t.TempDir()
		for _, name := range []string{"certificate.key", "certificate.key.pub"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), data, 0o600))
		}
		m := *base.m
		m.streams, m.log, m.left = maps.Clone(m.streams), slices.Clone(m.log), left
		r.m = &m
		r.start()
		failed := r.work()
		if failed != nil {
			require.ErrorIs(t, failed, errPower)
			m.left = -1
			r.start()
			require.NoError(t, r.work())
		}
		for _, ref := range refs {
			_, report := r.verify(ref, false)
			require.True(t, report.Whole())
		}
		return r.published(), failed != nil
	}
	want, _ := run(-1)
	require.Equal(t, 3, strings.Count(want, "\n"))
	crashes := 0
	for left := 0; ; left++ {
		got, failed := run(left)
		require.Equal(t, want, got, "the power failed after %d commits", left)
		if !failed {
			break
		}
		crashes++
	}
	require.Greater(t, crashes, 8)
}

// Whatever happens in whatever order, with restarts between: every certificate verifies, and once all days are closed every
// event is in a signed tree.
func TestAnyOrderVerifies(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, dir)
		require.NoError(t, os.RemoveAll(r.c.PublishedFile()))
		refs := []store.Ref{r.accept(message.LegalNotice)}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": func(*rapid.T) { refs = append(refs, r.accept(message.LegalNotice)) },
			"event": func(rt *rapid.T) {
				ref := rapid.SampledFrom(refs).Draw(rt, "message")
				r.add(ref, rapid.SampledFrom([]message.Type{message.Opened, message.Viewed, message.Identified, message.Lapsed}).Draw(rt, "type"), nil)
			},
			"hours": func(rt *rapid.T) {
				r.now = r.now.Add(time.Duration(rapid.IntRange(1, 14).Draw(rt, "hours")) * time.Hour)
			},
			"work":    func(*rapid.T) { require.NoError(t, r.work()) },
			"restart": func(*rapid.T) { r.start() },
			"crash": func(rt *rapid.T) {
				r.m.left = rapid.IntRange(0, 6).Draw(rt, "commits")
				_ = r.work()
				r.m.left = -1
				r.start()
			},
			"verify": func(rt *rapid.T) { r.verify(rapid.SampledFrom(refs).Draw(rt, "message"), false) },
		})
		r.now = r.now.AddDate(0, 0, 2)
		require.NoError(t, r.work())
		r.now = r.now.AddDate(0, 0, 1)
		require.NoError(t, r.work())
		for _, ref := range refs {
			_, report := r.verify(ref, true)
			require.True(t, report.Whole())
		}
	})
}

func TestWithoutAKeyItIsProvisional(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	r.startWith(DefaultConfig())
	c, err := r.c.Make(t.Context(), tenant.Only(suido), ref, false)
	require.NoError(t, err)
	report := proof.Verify(c, proof.Options{})
	require.Nil(t, report.Fault)
	require.False(t, report.Signed)
	require.Equal(t, 2, report.Open)

	config := DefaultConfig()
	config.Key = filepath.Join(t.TempDir(), "none")
	_, err = New(Options{Config: config, Store: r.m})
	require.ErrorContains(t, err, "certification.key")
}

func TestKeyIsRotatedWithoutAStop(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	r.now = r.now.AddDate(0, 0, 1)
	require.NoError(t, r.work())
	old := r.published()
	_, err := proof.NewKey(r.key(), true, r.now)
	require.NoError(t, err)
	r.add(ref, message.Viewed, nil)
	r.now = r.now.AddDate(0, 0, 1)
	require.NoError(t, r.work())
	require.True(t, strings.HasPrefix(r.published(), old))
	c, report := r.verify(ref, false)
	require.True(t, report.Whole())
	require.Len(t, c.Keys, 2)
}

func TestDayWaitsForItsKey(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	require.NoError(t, os.Rename(r.key(), r.key()+".away"))
	r.now = r.now.AddDate(0, 0, 1)
	for range 3 {
		require.Error(t, r.work())
		_ = r.c.take(t.Context(), r.m.log[r.met:])
		r.met = len(r.m.log)
	}
	require.Empty(t, r.published())
	require.NoError(t, os.Rename(r.key()+".away", r.key()))
	require.NoError(t, r.work())
	_, report := r.verify(ref, false)
	require.True(t, report.Whole())
}

func TestPublishedFileIsMended(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	for range 3 {
		r.now = r.now.AddDate(0, 0, 1)
		require.NoError(t, r.work())
	}
	want := r.published()
	require.Equal(t, 3, strings.Count(want, "\n"))
	again := func() error {
		r.start()
		return r.work()
	}
	for cut := 0; cut < len(want); cut += 97 { // torn off at any place
		require.NoError(t, os.WriteFile(r.c.PublishedFile(), []byte(want[:cut]), 0o644))
		require.NoError(t, again())
		require.Equal(t, want, r.published(), "cut at %d", cut)
	}
	require.NoError(t, os.Remove(r.c.PublishedFile()))
	require.NoError(t, again())
	require.Equal(t, want, r.published())

	refuse := func(data, why string) {
		t.Helper()
		require.NoError(t, os.WriteFile(r.c.PublishedFile(), []byte(data), 0o644))
		require.ErrorContains(t, again(), why)
		require.Equal(t, data, r.published(), "nothing is written over")
	}
	refuse(want[:100]+"x", "middle of a line")
	refuse(strings.Replace(want, "streams=0", "streams=9", 1), "does not follow")
	lines := strings.SplitAfter(want, "\n")
	l, err := proof.ParseLine(strings.TrimSuffix(lines[2], "\n"))
	require.NoError(t, err)
	l.Streams = 7
	refuse(lines[0]+lines[1]+l.String()+"\n", "not that of the record")
	require.NoError(t, os.WriteFile(r.c.PublishedFile(), []byte(want), 0o644))
	require.NoError(t, again())
	r.verify(ref, false)
}

// After a restore the file has days that the record does not: they are not closed a second time.
func TestRestoredRecordGoesOnBehindThePublishedFile(t *testing.T) {
	r := newRig(t, t.TempDir())
	ref := r.accept(message.LegalNotice)
	backup := *r.m
	backup.streams, backup.log = maps.Clone(r.m.streams), slices.Clone(r.m.log)
	for range 3 {
		r.now = r.now.AddDate(0, 0, 1)
		require.NoError(t, r.work())
	}
	before := r.published()
	r.now = r.now.AddDate(0, 0, -3)
	*r.m = backup
	r.start()
	require.NoError(t, r.work())
	for range 5 {
		r.now = r.now.AddDate(0, 0, 1)
		require.NoError(t, r.work())
		require.True(t, strings.HasPrefix(r.published(), before))
		if r.published() == before {
			r.start()
		}
	}
	require.Equal(t, 5, strings.Count(r.published(), "\n"))
	_, report := r.verify(ref, false)
	require.True(t, report.Whole())
}

func TestKernelsClockIsRead(t *testing.T) {
	c := KernelClock("ntp.example.jp", time.Now())
	require.Contains(t, []string{proof.Synchronised, proof.Unsynchronised, proof.ClockUnknown}, c.State)
	base := proof.Clock{At: time.Now()}
	for _, k := range []struct {
		timex unix.Timex
		state int
		want  proof.Clock
	}{
		{unix.Timex{Offset: -1500, Esterror: 20, Maxerror: 3000, Status: unix.STA_NANO | unix.STA_PLL}, unix.TIME_OK,
			proof.Clock{State: proof.Synchronised, Offset: -1500, Estimated: 20 * time.Microsecond, Maximum: 3 * time.Millisecond}},
		{unix.Timex{Offset: 1500, Status: unix.STA_PLL}, unix.TIME_OK, proof.Clock{State: proof.Synchronised, Offset: 1500 * time.Microsecond}},
		{unix.Timex{Status: unix.STA_UNSYNC, Maxerror: 16_000_000}, unix.TIME_ERROR, proof.Clock{State: proof.Unsynchronised, Maximum: 16 * time.Second}},
		{unix.Timex{}, unix.TIME_ERROR, proof.Clock{State: proof.Unsynchronised}},
	} {
		k.want.At = base.At
		require.Equal(t, k.want, clockOf(base, &k.timex, k.state))
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	c := DefaultConfig()
	require.Empty(t, c.Validate())
	c.Classes, c.ClockSource = []string{"legal_notice", "otp", "x"}, strings.Repeat("あ", 101)
	require.Len(t, c.Validate(), 3)
}

// Salts of one stream say nothing of another's, and are the same each time.
func TestSaltsAreApart(t *testing.T) {
	r := newRig(t, t.TempDir())
	a, b := r.accept(message.LegalNotice), r.accept(message.LegalNotice)
	seen := map[proof.Hash]bool{}
	for _, ref := range []store.Ref{a, b} {
		r.add(ref, message.Viewed, nil)
		c, _ := r.verify(ref, false)
		for _, s := range c.Streams {
			for _, e := range s.Events {
				require.False(t, seen[e.Salt])
				seen[e.Salt] = true
			}
		}
		again, _ := r.verify(ref, false)
		require.True(t, bytes.Equal([]byte(raw(c.Streams)), []byte(raw(again.Streams))))
	}
}
