package callback

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const erp, crm = "https://erp.example.com/hook", "https://crm.example.com/hook"

func TestNoticesComeSignedOnceAndInOrder(t *testing.T) {
	r := openRoom(t, quick)
	before := r.accept(mizu, life...)
	secret := r.put(mizu, "erp", Spec{URL: erp})
	ref := r.accept(mizu, life...)
	other := r.accept(gasu, life...)
	r.until(func() bool { return len(types(r.world.seen(erp), ref.ID)) == len(lifeTold) })
	r.idle("erp")
	all := r.world.seen(erp)
	require.Equal(t, lifeTold, types(all, ref.ID))
	require.Empty(t, types(all, other.ID), "another tenant's")
	require.Empty(t, types(all, before.ID), "from before it was added")
	key, err := ParseSecret(secret)
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, g := range all {
		seconds, err := strconv.ParseInt(g.header.Get(HeaderTimestamp), 10, 64)
		require.NoError(t, err)
		require.Equal(t, Sign(key, g.id, time.Unix(seconds, 0), g.raw), g.header.Get(HeaderSignature))
		require.False(t, ids[g.id])
		require.NotContains(t, g.id, ".")
		ids[g.id] = true
		require.Equal(t, "090-****-0001", g.Data.To)
		require.NotContains(t, string(g.raw), "90000")
		require.Equal(t, "C-1", g.Data.Reference)
	}
}

func TestNumbersAndAnswersOnlyWhereAskedFor(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp, Events: []string{MessageAnswered}})
	r.put(mizu, "crm", Spec{URL: crm, Events: []string{MessageAnswered}, Numbers: true, Answers: true})
	ref := r.accept(mizu)
	box, err := r.Store.Seal(mizu, "notice", time.Now(), ref.ID.String()+"/answer", []byte(`{"0":["午前"]}`))
	require.NoError(t, err)
	r.add(ref, event{message.Answered, message.SurveyAnswer{Sealed: box}})
	r.until(func() bool { return len(r.world.seen(erp)) == 1 && len(r.world.seen(crm)) == 1 })
	plain, whole := r.world.seen(erp)[0], r.world.seen(crm)[0]
	require.Empty(t, plain.Data.Answers)
	require.NotContains(t, string(plain.raw), "午前")
	require.Equal(t, "090-****-0001", plain.Data.To)
	require.Equal(t, map[string][]string{"0": {"午前"}}, whole.Data.Answers)
	require.Equal(t, number, whole.Data.To)
}

func TestEachPromiseIsTold(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp, Events: []string{MessagePromised}})
	ref := r.accept(mizu)
	for _, p := range []message.Promise{{Word: message.PromisePay, By: "2026-11-28"}, {Word: message.PromisePaid, By: "2026-12-01"}} {
		r.add(ref, event{message.Promised, p})
	}
	r.until(func() bool { return len(r.world.seen(erp)) == 2 })
	first, last := r.world.seen(erp)[0], r.world.seen(erp)[1]
	require.Equal(t, MessagePromised, first.Type)
	require.Equal(t, &message.Promise{Word: message.PromisePay, By: "2026-11-28"}, first.Data.Promise)
	require.Equal(t, &message.Promise{Word: message.PromisePaid, By: "2026-12-01"}, last.Data.Promise)
	require.Greater(t, last.Data.Sequence, first.Data.Sequence)
}

func TestWrongPersonIsToldWithoutAnyName(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp, Events: []string{MessageDisowned}})
	ref := r.accept(mizu)
	for range 2 { // taken back in between, it is another word
		r.add(ref, event{message.Disowned, message.Disowning{}})
		r.add(ref, event{message.Readmitted, message.Act{By: "user:a"}})
	}
	r.until(func() bool { return len(r.world.seen(erp)) == 2 })
	told := r.world.seen(erp)[0]
	require.Equal(t, MessageDisowned, told.Type)
	require.Equal(t, ref.ID, told.Data.ID)
	require.Equal(t, "090-****-0001", told.Data.To)
}

// TestOneMessageWaitsAndNoOther: a receiver that does not take one message's notice gets the later ones of that message
// only behind it, and all of the others at once.
func TestOneMessageWaitsAndNoOther(t *testing.T) {
	r := openRoom(t, Config{Retry: []time.Duration{time.Millisecond}, ParkAfter: 1000})
	var sick ulid.ULID
	var heal atomic.Bool
	r.world.script(func(g got) (egress.Reply, error) {
		if g.Data.ID == sick && g.Type == MessageSubmitted && !heal.Load() {
			return egress.Reply{Status: 500}, nil
		}
		return egress.Reply{Status: 200}, nil
	})
	r.put(mizu, "erp", Spec{URL: erp})
	ref := store.Ref{Tenant: mizu, Kind: store.Message}
	r.stop() // so that sick is set before anything is told
	r.start()
	ref = r.accept(mizu)
	r.world.mu.Lock()
	sick = ref.ID
	r.world.mu.Unlock()
	for _, e := range life {
		r.add(ref, e)
	}
	var others []store.Ref
	for range 20 {
		others = append(others, r.accept(mizu, life...))
	}
	r.until(func() bool {
		all := r.world.seen(erp)
		return len(types(all, ref.ID)) > 4 && !slices.ContainsFunc(others, func(o store.Ref) bool { return len(types(all, o.ID)) < len(lifeTold) })
	})
	for _, typ := range types(r.world.seen(erp), ref.ID)[1:] {
		require.Equal(t, MessageSubmitted, typ)
	}
	heal.Store(true)
	r.until(func() bool { return slices.Contains(types(r.world.seen(erp), ref.ID), MessageViewed) })
	require.Equal(t, lifeTold, slices.Compact(types(r.world.seen(erp), ref.ID)))
	ids := map[string]int{}
	for _, g := range r.world.seen(erp) {
		if g.Data.ID == ref.ID && g.Type == MessageSubmitted {
			ids[g.id]++
		}
	}
	require.Len(t, ids, 1, "each try has the same id")
}

func TestDeadReceiverIsParkedAndHoldsNobody(t *testing.T) {
	c := quick
	c.ProbeFirst, c.ProbeMost = time.Hour, time.Hour
	c.Total, c.TenantWidth = 4, 3
	r := openRoom(t, c)
	r.world.script(func(g got) (egress.Reply, error) {
		if g.url == erp {
			return timedOut(g)
		}
		return egress.Reply{Status: 204}, nil
	})
	r.put(mizu, "erp", Spec{URL: erp})
	r.put(gasu, "crm", Spec{URL: crm})
	for range 50 {
		r.accept(mizu, life...)
	}
	last := r.accept(gasu, life...)
	r.until(func() bool { return len(types(r.world.seen(crm), last.ID)) == len(lifeTold) })
	cb, err := r.find(mizu, "erp")
	require.NoError(t, err)
	r.until(func() bool { return r.Status(&cb).State == Parked })
	st := r.Status(&cb)
	require.Equal(t, "timeout", st.Why)
	require.Greater(t, time.Until(st.NextProbe), 30*time.Minute)
	r.until(func() bool { return len(r.slots) == 0 })
	tries := len(r.world.seen(erp))
	for range 5 {
		r.accept(mizu, life...)
	}
	last = r.accept(gasu, life...)
	r.until(func() bool { return len(types(r.world.seen(crm), last.ID)) == len(lifeTold) })
	require.Len(t, r.world.seen(erp), tries, "a parked callback does not spin")
	require.Equal(t, 1.0, r.parked())
	// Somebody says that it works again: all comes, in order.
	r.world.script(nil)
	require.NoError(t, r.Pause(t.Context(), mizu, "erp", false))
	r.idle("erp")
	require.Equal(t, Live, r.Status(&cb).State)
	byMessage := map[ulid.ULID][]string{}
	for _, g := range r.world.seen(erp) {
		byMessage[g.Data.ID] = append(byMessage[g.Data.ID], g.Type)
	}
	require.Len(t, byMessage, 55)
	for _, got := range byMessage {
		require.Equal(t, lifeTold, slices.Compact(got))
	}
}

func TestProbesFindOutThatItWorksAgain(t *testing.T) {
	r := openRoom(t, quick)
	var down atomic.Bool
	down.Store(true)
	var running, most atomic.Int32
	r.world.script(func(g got) (egress.Reply, error) {
		cb, _ := r.find(mizu, "erp")
		parked := r.Status(&cb).State == Parked
		n := running.Add(1)
		defer running.Add(-1)
		if parked && n > most.Load() {
			most.Store(n)
		}
		if down.Load() {
			return egress.Reply{Status: 503}, nil
		}
		return egress.Reply{Status: 200}, nil
	})
	r.put(mizu, "erp", Spec{URL: erp})
	var refs []store.Ref
	for range 30 {
		refs = append(refs, r.accept(mizu, life...))
	}
	r.until(func() bool { return r.parked() == 1 && len(r.world.seen(erp)) > 40 })
	require.LessOrEqual(t, most.Load(), int32(r.Config.Width), "no more than were under way when it was parked")
	down.Store(false)
	r.idle("erp")
	for _, ref := range refs {
		require.Equal(t, lifeTold, slices.Compact(types(r.world.seen(erp), ref.ID)))
	}
	require.Zero(t, r.parked())
}

func TestRestartLosesNothing(t *testing.T) {
	r := openRoom(t, quick)
	var n atomic.Int32
	r.world.script(func(got) (egress.Reply, error) {
		if n.Add(1)%3 == 0 {
			return egress.Reply{Status: 500}, nil
		}
		return egress.Reply{Status: 200}, nil
	})
	r.put(mizu, "erp", Spec{URL: erp})
	var refs []store.Ref
	for i := range 40 {
		refs = append(refs, r.accept(mizu, life...))
		if i%8 == 7 {
			r.restart()
		}
	}
	r.idle("erp")
	r.until(func() bool { return len(types(r.world.seen(erp), refs[39].ID)) > 0 })
	r.until(func() bool {
		all := r.world.seen(erp)
		return !slices.ContainsFunc(refs, func(ref store.Ref) bool { return !slices.Contains(types(all, ref.ID), MessageViewed) })
	})
	for _, ref := range refs {
		require.Equal(t, lifeTold, slices.Compact(types(r.world.seen(erp), ref.ID)))
	}
}

func TestRefusedNoticeIsGivenUpAndTheNextFollow(t *testing.T) {
	r := openRoom(t, Config{Retry: []time.Duration{time.Millisecond, time.Millisecond}, ParkAfter: 1000})
	r.world.script(func(g got) (egress.Reply, error) {
		if g.Type == MessageSubmitted {
			return egress.Reply{Status: 422}, nil
		}
		return egress.Reply{Status: 200}, nil
	})
	r.put(mizu, "erp", Spec{URL: erp})
	ref := r.accept(mizu, life...)
	r.until(func() bool { return slices.Contains(types(r.world.seen(erp), ref.ID), MessageViewed) })
	got := types(r.world.seen(erp), ref.ID)
	require.Equal(t, lifeTold, slices.Compact(slices.Clone(got)))
	require.Len(t, got, len(lifeTold)+2, "three tries of the refused one")
}

func TestDownNoticeIsGivenUpAfterItsTerm(t *testing.T) {
	c := quick
	c.GiveUp = 50 * time.Millisecond
	r := openRoom(t, c)
	r.world.script(timedOut)
	r.put(mizu, "erp", Spec{URL: erp})
	r.accept(mizu, life[:1]...)
	r.until(func() bool { return len(r.world.seen(erp)) > 0 })
	r.idle("erp")
	r.until(func() bool { return len(r.slots)+len(r.probes) == 0 }) // given back after what came of the request is stored
}

func TestGoneReceiverIsPaused(t *testing.T) {
	r := openRoom(t, quick)
	r.world.script(func(got) (egress.Reply, error) { return egress.Reply{Status: 410}, nil })
	r.put(mizu, "erp", Spec{URL: erp})
	ref := r.accept(mizu, life...)
	r.until(func() bool { cb, _ := r.find(mizu, "erp"); return cb.Paused })
	r.world.script(nil)
	r.restart()
	seen := len(r.world.seen(erp))
	cb, err := r.find(mizu, "erp")
	require.NoError(t, err)
	require.Equal(t, Paused, r.Status(&cb).State)
	require.NoError(t, r.Pause(t.Context(), mizu, "erp", false))
	r.idle("erp")
	require.Equal(t, lifeTold, types(r.world.seen(erp)[seen:], ref.ID), "what happened meanwhile waited")
}

func TestSecretsOverlapWhenReplaced(t *testing.T) {
	r := openRoom(t, quick)
	chosen := NewSecret()
	require.Equal(t, chosen, r.put(mizu, "erp", Spec{URL: erp, Secret: chosen}))
	fresh, err := r.Rotate(t.Context(), mizu, "erp", "")
	require.NoError(t, err)
	r.accept(mizu)
	r.until(func() bool { return len(r.world.seen(erp)) == 1 })
	g := r.world.seen(erp)[0]
	signatures := strings.Fields(g.header.Get(HeaderSignature))
	require.Len(t, signatures, 2)
	seconds, err := strconv.ParseInt(g.header.Get(HeaderTimestamp), 10, 64)
	require.NoError(t, err)
	for i, secret := range []string{fresh, chosen} {
		key, err := ParseSecret(secret)
		require.NoError(t, err)
		require.Equal(t, Sign(key, g.id, time.Unix(seconds, 0), g.raw), signatures[i])
	}
	r.Config.Overlap = -time.Second // the replaced one has ended already
	_, err = r.Rotate(t.Context(), mizu, "erp", "")
	require.NoError(t, err)
	r.accept(mizu)
	r.until(func() bool { return len(r.world.seen(erp)) == 2 })
	require.Len(t, strings.Fields(r.world.seen(erp)[1].header.Get(HeaderSignature)), 1)
	_, err = r.Rotate(t.Context(), mizu, "none", "")
	require.ErrorIs(t, err, tenant.ErrNoCallback)
}

func TestReplays(t *testing.T) {
	r := openRoom(t, quick)
	old := r.accept(mizu, life...)
	between := time.Now()
	recent := r.accept(mizu, life[:3]...)
	r.put(mizu, "erp", Spec{URL: erp})
	require.NoError(t, r.ReplayStream(t.Context(), mizu, "erp", old, "user:a"))
	r.until(func() bool { return len(r.world.seen(erp)) == len(lifeTold) })
	require.Equal(t, lifeTold, types(r.world.seen(erp), old.ID))
	first := r.world.seen(erp)[0].id
	require.NoError(t, r.ReplayStream(t.Context(), mizu, "erp", old, "user:a"))
	r.until(func() bool { return len(r.world.seen(erp)) == 2*len(lifeTold) })
	require.Equal(t, first, r.world.seen(erp)[len(lifeTold)].id, "a replay has the same ids")

	require.NoError(t, r.ReplayFrom(t.Context(), mizu, "erp", between, "user:a"))
	r.until(func() bool { return len(types(r.world.seen(erp), recent.ID)) == 3 })
	require.Len(t, r.world.seen(erp), 2*len(lifeTold)+3)

	r.add(old, event{message.Answered, message.SurveyAnswer{}})
	r.until(func() bool { return slices.Contains(types(r.world.seen(erp), old.ID), MessageAnswered) })

	require.ErrorIs(t, r.ReplayStream(t.Context(), gasu, "erp", old, "x"), tenant.ErrNoCallback)
	r.put(gasu, "erp", Spec{URL: crm})
	require.ErrorIs(t, r.ReplayStream(t.Context(), gasu, "erp", old, "x"), store.ErrNotFound, "another tenant's message")
	require.ErrorIs(t, r.ReplayStream(t.Context(), mizu, "erp", store.Ref{Tenant: mizu, Kind: store.Message, ID: ulid.Make()}, "x"), store.ErrNotFound)
	require.Error(t, r.ReplayFrom(t.Context(), mizu, "erp", time.Now().Add(time.Hour), "x"))
}

func TestReplayOfManySurvivesRestart(t *testing.T) {
	r := openRoom(t, quick)
	var refs []store.Ref
	for range replayPage + 50 {
		refs = append(refs, r.accept(mizu))
	}
	r.put(mizu, "erp", Spec{URL: erp})
	require.NoError(t, r.ReplayFrom(t.Context(), mizu, "erp", time.Now().Add(-time.Hour), "x"))
	r.restart()
	r.until(func() bool {
		ids := map[ulid.ULID]bool{}
		for _, g := range r.world.seen(erp) {
			ids[g.Data.ID] = true
		}
		return len(ids) == len(refs)
	})
}

// TestReplaySkipsNothingThatWaits: a replay from a time on, while older notices are still waiting.
func TestReplaySkipsNothingThatWaits(t *testing.T) {
	d := &delivery{}
	at := func(typ entry, data any) {
		require.NoError(t, d.apply(store.Event{Type: byte(typ), Data: newEvent(typ, data).Data}))
	}
	at(begun, head{1, "x", store.Message, ulid.Make()})
	at(wanted, nil)
	at(sent, step{Next: 5})
	at(replayed, step{Next: 12})
	require.Equal(t, Position(5), d.next)
	at(replayed, step{Next: 2})
	require.Equal(t, Position(2), d.next)
	fresh := &delivery{}
	require.NoError(t, fresh.apply(store.Event{Type: byte(begun), Data: newEvent(begun, head{1, "x", store.Message, ulid.Make()}).Data}))
	require.NoError(t, fresh.apply(store.Event{Type: byte(replayed), Data: newEvent(replayed, step{Next: 12}).Data}))
	require.Equal(t, Position(12), fresh.next)
	require.Error(t, fresh.apply(store.Event{Type: 99}))
}

func TestRemovedCallbackLeavesNothingInTheQueue(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp, Paused: true})
	for range 30 {
		r.accept(mizu)
	}
	last := r.accept(gasu)
	r.put(gasu, "crm", Spec{URL: crm})
	require.NoError(t, r.ReplayStream(t.Context(), gasu, "crm", last, "x"))
	r.until(func() bool { return len(r.world.seen(crm)) == 1 })
	require.Empty(t, r.world.seen(erp))
	require.NoError(t, r.Remove(t.Context(), mizu, "erp"))
	r.until(func() bool {
		queues, err := r.Store.Queues()
		require.NoError(t, err)
		return len(queues) == 0
	})
	r.put(mizu, "erp", Spec{URL: erp})
	r.accept(mizu)
	r.until(func() bool { return len(r.world.seen(erp)) == 1 })
	require.ErrorIs(t, r.Remove(t.Context(), mizu, "none"), tenant.ErrNoCallback)
}

func TestAddressMustAnswerTheChallenge(t *testing.T) {
	r := openRoom(t, quick)
	w := &answering{world: r.world}
	r.Poster = w
	for name, c := range map[string]struct {
		reply egress.Reply
		err   error
		ok    bool
	}{
		"json":     {egress.Reply{Status: 200, Body: []byte(`{"challenge":"%s","more":1}`)}, nil, true},
		"text":     {egress.Reply{Status: 204, Body: []byte("%s\n")}, nil, true},
		"other":    {egress.Reply{Status: 200, Body: []byte(`{"challenge":"x"}`)}, nil, false},
		"empty":    {egress.Reply{Status: 200}, nil, false},
		"redirect": {egress.Reply{Status: 302, Body: []byte("%s")}, nil, false},
		"refused":  {egress.Reply{Status: 401, Body: []byte("%s")}, nil, false},
		"dead":     {egress.Reply{}, context.DeadlineExceeded, false},
		"inside":   {egress.Reply{}, &egress.RefusedError{Why: "private"}, false},
	} {
		w.reply, w.err = c.reply, c.err
		_, err := r.Put(t.Context(), mizu, name, Spec{URL: erp})
		if c.ok {
			require.NoError(t, err, name)
			require.NoError(t, r.Remove(t.Context(), mizu, name))
			continue
		}
		var ps message.Problems
		require.ErrorAs(t, err, &ps, name)
		require.Equal(t, "url", ps[0].Field, name)
		require.NotEmpty(t, ps[0].Detail)
		require.NotEqual(t, ps[0].Text("ja"), ps[0].Text("en"))
		_, known := r.Directory.Now().Tenants[mizu].Callback(name)
		require.False(t, known, name)
	}
	// A new address of a known callback is asked as well, other changes are not.
	w.reply, w.err = egress.Reply{Status: 200, Body: []byte("%s")}, nil
	r.put(mizu, "erp", Spec{URL: erp})
	w.reply.Body = nil
	_, err := r.Put(t.Context(), mizu, "erp", Spec{URL: crm})
	require.Error(t, err)
	require.Empty(t, r.put(mizu, "erp", Spec{URL: erp, Numbers: true}))
	cb, _ := r.Directory.Now().Tenants[mizu].Callback("erp")
	require.True(t, cb.Numbers)
	require.Equal(t, erp, cb.URL)
}

type answering struct {
	*world
	reply egress.Reply
	err   error
}

func (a *answering) Post(ctx context.Context, address string, header http.Header, body []byte) (egress.Reply, error) {
	g, err := a.world.Post(ctx, address, header, body)
	if err != nil || len(g.Body) == 0 {
		return g, err
	}
	word := strings.Split(string(g.Body), `"`)[3]
	reply := a.reply
	reply.Body = []byte(strings.ReplaceAll(string(reply.Body), "%s", word))
	return reply, a.err
}

func TestFaultsOfASpecNameTheirField(t *testing.T) {
	r := openRoom(t, quick)
	_, err := r.Put(t.Context(), mizu, "Bad", Spec{URL: "https://inside/", Events: []string{"message.delivered", "nothing"}, Secret: "whsec_x"})
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	var fields []string
	for _, p := range ps {
		fields = append(fields, p.Field)
	}
	require.Equal(t, []string{"name", "url", "events[1]", "secret"}, fields)
	for i := range tenant.MaxCallbacks {
		r.put(mizu, fmt.Sprint("n", i), Spec{URL: erp, Events: []string{"claim.*"}})
	}
	_, err = r.Put(t.Context(), mizu, "more", Spec{URL: erp})
	require.ErrorAs(t, err, &ps)
	require.Equal(t, "too_many", ps[0].Code)
	_, err = r.Put(t.Context(), "nobody", "erp", Spec{URL: erp})
	require.Error(t, err)
	require.Empty(t, r.world.seen(erp))
}

func TestTestSaysWhatTheReceiverDoes(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp})
	tried, err := r.Test(t.Context(), mizu, "erp")
	require.NoError(t, err)
	require.Equal(t, Tried{Taken: true, Status: 200}, tried)
	r.world.script(func(got) (egress.Reply, error) { return egress.Reply{Status: 500}, nil })
	tried, err = r.Test(t.Context(), mizu, "erp")
	require.NoError(t, err)
	require.Equal(t, Tried{Status: 500, Why: "http"}, tried)
	_, err = r.Test(t.Context(), gasu, "erp")
	require.ErrorIs(t, err, tenant.ErrNoCallback)
}

// A callback that hears first of a stream when the disk is short is told all the same, and nobody behind it waits.
func TestShortDiskHoldsNoNotice(t *testing.T) {
	r := openRoom(t, quick)
	r.put(mizu, "erp", Spec{URL: erp, Events: []string{MessageDelivered}})
	ref := r.accept(mizu)
	r.stop()
	r.opt.MinFree = 1 << 60
	r.start()
	_, err := r.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: mizu, Kind: store.Message, ID: ulid.Make()}, Events: []store.NewEvent{{Type: byte(message.Accepted)}}}})
	require.ErrorIs(t, err, store.ErrFull)
	for _, e := range []event{submitting, submitted, delivered} {
		r.add(ref, e)
	}
	r.until(func() bool { return len(r.world.seen(erp)) == 1 })
	require.Equal(t, []string{MessageDelivered}, types(r.world.seen(erp), ref.ID))
}
