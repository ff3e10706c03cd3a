package certificate

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/retention"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The real store, reader and retention: a certificate says the same, and verifies, before and after the content was purged,
// and after the store was opened anew.
func TestPurgedContentStillVerifies(t *testing.T) {
	dir := t.TempDir()
	var nanos atomic.Int64
	nanos.Store(time.Date(2026, 11, 27, 9, 0, 0, 0, message.Tokyo).UnixNano())
	now := func() time.Time { return time.Unix(0, nanos.Load()) }
	set := func(at time.Time) { nanos.Store(at.UnixNano()) }
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "master.key")))
	_, err := proof.NewKey(filepath.Join(dir, "certificate.key"), false, now())
	require.NoError(t, err)
	directory := func() *tenant.Snapshot {
		return &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{suido: {ID: suido, Name: "〇〇県水道局"}}}
	}
	config := DefaultConfig()
	config.Key = filepath.Join(dir, "certificate.key")
	var s *store.Store
	var c *Certificates
	open := func() {
		s, err = store.Open(store.Options{Dir: filepath.Join(dir, "store"), MasterKey: filepath.Join(dir, "master.key"), MinFree: 1, Cache: 4 << 20, ValueLogSize: 1 << 20,
			Now: now, Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) }})
		require.NoError(t, err)
		c, err = New(Options{Config: config, Dir: dir, Store: s, Directory: directory, Now: now})
		require.NoError(t, err)
	}
	open()
	defer func() { require.NoError(t, s.Close()) }()
	// run lets the reader and the timer work until the file has so many lines.
	run := func(lines int) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		require.Eventually(t, func() bool {
			r := rig{t: t, c: c}
			return strings.Count(r.published(), "\n") >= lines
		}, time.Minute, 5*time.Millisecond)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
	commit := func(changes ...store.Change) {
		errs, err := s.Commit(t.Context(), store.Tx(changes))
		require.NoError(t, err)
		require.NoError(t, errs[0])
	}
	seal := func(ref store.Ref, part string, plain []byte) []byte {
		box, err := s.Seal(suido, string(message.LegalNotice), now(), ref.ID.String()+"/"+part, plain)
		require.NoError(t, err)
		return box
	}

	commit(store.Change{Ref: mustRef(t, message.Day(now())), Events: []store.NewEvent{{Type: begun, Data: encode(head{1, message.Day(now())})}}})
	ref := store.Ref{Tenant: suido, Kind: store.Message, ID: ulid.MustNew(ulid.Timestamp(now()), ulid.DefaultEntropy())}
	h := &message.Head{V: 1, No: s.NextNo(now()), Class: message.LegalNotice, Masked: "090-****-2345", URL: "https://kk.example.jp/a/x", Token: "a/x", LinkExpires: now().AddDate(0, 1, 0)}
	sms, page := message.SMS{Number: "+819012342345", Text: "本文 " + h.URL}, []byte(`{"page":{"title":"通知"}}`)
	Committer{config}.Commit(h, &sms, page)
	h.SMS, h.Page = seal(ref, "sms", message.Encode(sms)), seal(ref, "page", page)
	commit(store.Change{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}}, Names: []store.Name{{Space: store.ByNo, Key: h.No}}})
	commit(store.Change{Ref: ref, Expect: 1, Events: []store.NewEvent{{Type: byte(message.Lapsed)}, {Type: byte(message.Answered), Data: message.Encode(message.SurveyAnswer{Sealed: seal(ref, "answer", []byte("はい"))})}}})
	set(now().AddDate(0, 0, 1))
	run(1)
	rg := &rig{t: t, c: c}
	before, report := rg.verify(ref, true)
	require.True(t, report.Whole())
	require.Equal(t, []string{"text", "page"}, report.Contents)

	keep, err := retention.New(retention.Options{Config: retention.Config{Share: 100, QuietShare: 100}, Store: s, Directory: directory, Claims: noClaims{}, Audit: audit.New(s), State: filepath.Join(dir, "retention.json"), Now: now})
	require.NoError(t, err)
	set(now().AddDate(5, 1, 0))
	swept, err := keep.Sweep(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, 1, swept.Days[0].Over)
	require.NotZero(t, swept.Swept.Boxes)
	require.NoError(t, s.Close())
	open()
	rg.c = c
	after, report := rg.verify(ref, true)
	require.True(t, report.Whole())
	require.Empty(t, after.Content, "nobody can open it any more")
	require.Equal(t, raw(before.Streams), raw(after.Streams), "what is certified is the same")

	found, err := c.Find(t.Context(), tenant.Operator(), h.No)
	require.NoError(t, err)
	require.Equal(t, ref, found)
	_, err = c.Find(t.Context(), tenant.Only("mizu"), h.No)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func mustRef(t *testing.T, date string) store.Ref {
	ref, err := dayRef(date)
	require.NoError(t, err)
	return ref
}

type noClaims struct{}

func (noClaims) Claim(context.Context, tenant.Scope, ulid.ULID) (payment.State, error) {
	return payment.State{}, store.ErrNotFound
}
