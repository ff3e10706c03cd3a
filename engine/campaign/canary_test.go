package campaign

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestCanaryWaitsItsTimeAndNoLonger(t *testing.T) {
	seeds := func(phases ...message.Phase) (all []Probe) {
		for i, p := range phases {
			all = append(all, Probe{Carrier: []string{"docomo", "au"}[i], Phase: p})
		}
		return all
	}
	type look struct {
		after time.Duration
		seeds []Probe
	}
	for name, c := range map[string]struct {
		looks  []look
		took   time.Duration // at the most lookEvery longer
		failed []string
	}{
		"all arrive":            {[]look{{0, seeds(message.Waiting, message.Waiting)}, {time.Minute, seeds(message.Arrived, message.Waiting)}, {2 * time.Minute, seeds(message.Arrived, message.Arrived)}}, 2 * time.Minute, nil},
		"one never does":        {[]look{{0, seeds(message.Confirming, message.Arrived)}}, 10 * time.Minute, []string{"docomo"}},
		"one is undelivered":    {[]look{{0, seeds(message.Waiting, message.Waiting)}, {time.Minute, seeds(message.Arrived, message.NotDelivered)}}, time.Minute, []string{"au"}},
		"one fails, one waits":  {[]look{{0, seeds(message.Rejected, message.Waiting)}, {3 * time.Minute, seeds(message.Rejected, message.Arrived)}}, 3 * time.Minute, []string{"docomo"}},
		"one fails, one is out": {[]look{{0, seeds(message.Rejected, message.Doubtful)}}, 10 * time.Minute, []string{"docomo", "au"}},
		"refused by intake":     {[]look{{0, seeds("", message.Arrived)}}, 0, []string{"docomo"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, failed, err := watch(t.Context(), began.Add(10*time.Minute), func() ([]Probe, error) {
					var now []Probe
					for _, l := range c.looks {
						if time.Since(began) >= l.after {
							now = l.seeds
						}
					}
					return now, nil
				})
				require.NoError(t, err)
				require.Equal(t, c.failed, failed)
				require.GreaterOrEqual(t, time.Since(began), c.took)
				require.LessOrEqual(t, time.Since(began), c.took+lookEvery)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := watch(ctx, time.Now().Add(time.Hour), func() ([]Probe, error) { return seeds(message.Waiting), nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, err = watch(t.Context(), time.Now().Add(time.Hour), func() ([]Probe, error) { return nil, errDecided })
		require.ErrorIs(t, err, errDecided)
	})
}

// carried puts down what a carrier did with a message.
func (r *room) carried(id ulid.ULID, types ...message.Type) {
	r.t.Helper()
	ch := store.Change{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: id}, Expect: store.Any}
	for _, typ := range types {
		var data any = message.Submission{Part: 1, Attempt: 1, Carrier: "docomo"}
		if typ == message.Delivered || typ == message.Undelivered {
			data = message.Report{Part: 1, Carrier: "docomo", State: "UNDELIV"}
		}
		ch.Events = append(ch.Events, store.NewEvent{Type: byte(typ), Data: message.Encode(data)})
	}
	errs, err := r.Store.Commit(context.Background(), store.Tx{ch})
	require.NoError(r.t, errors.Join(err, errs[0]))
}

// twoCarriers is a file with rows of docomo and au: the sealed parts of a row are personal, its text is too.
func twoCarriers(n int) []byte {
	var b strings.Builder
	b.WriteString("電話番号,会員情報,{name},テンプレート,タイトル\r\n")
	for i := range n {
		b.WriteString("0900001" + pad(i) + ",C,山田太郎" + pad(i) + ",bill,お知らせ\r\n")
		b.WriteString("0900002" + pad(i) + ",C,山田花子" + pad(i) + ",bill,お知らせ\r\n")
	}
	return []byte(b.String())
}

func pad(i int) string {
	s := "0000" + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
	return s[len(s)-4:]
}

func (r *room) seeds(id ulid.ULID) map[string]ulid.ULID {
	r.t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	for {
		st, err := r.State(context.Background(), mizu, id)
		require.NoError(r.t, err)
		if st.Canary != nil && st.Canary.Seeds != nil {
			seeds := map[string]ulid.ULID{}
			for _, p := range st.Canary.Seeds {
				require.Empty(r.t, p.Reason)
				seeds[p.Carrier] = p.Message
			}
			return seeds
		}
		<-changed
	}
}

func (r *room) withSeeds() {
	r.t.Helper()
	require.NoError(r.t, r.SetSeed(context.Background(), "mizu", "docomo", "090-0001-9999"))
	require.NoError(r.t, r.SetSeed(context.Background(), "mizu", "au", "090-0002-9999"))
}

func TestCanaryGoesOnWhenAllSeedsArrive(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(twoCarriers(5))
	require.Equal(t, map[string]int64{"docomo": 5, "au": 5}, st.Carriers)
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako", Canary: true})
	var none *SeedError
	require.ErrorAs(t, err, &none)
	require.Equal(t, []string{"au", "docomo"}, none.Carriers)
	r.withSeeds()
	st, err = r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako", Canary: true})
	require.NoError(t, err)
	require.Equal(t, Probing, st.Phase)
	require.Equal(t, 10, st.Canary.Minutes)
	seeds := r.seeds(st.ID)
	require.Empty(t, r.messages(st.ID), "seeds are counted apart, and no row is in yet")

	// A reading of the seed: the words of the campaign, nothing of a customer.
	ref := store.Ref{Tenant: "mizu", Kind: store.Message, ID: seeds["docomo"]}
	h := r.head(ref)
	require.Equal(t, message.ViaCanary, h.Via)
	require.Equal(t, message.LaneNotice, h.Lane)
	require.Equal(t, "default", h.Sender)
	require.Equal(t, st.Canary.Until.UTC(), h.ValidUntil)
	plain, err := r.Store.Open("mizu", ref.ID.String()+"/sms", h.SMS)
	require.NoError(t, err)
	require.Contains(t, string(plain), placeholder+"様 〇〇県水道局です。https://s.example.jp/")
	page, err := r.Store.Open("mizu", ref.ID.String()+"/page", h.Page)
	require.NoError(t, err)
	for _, personal := range []string{"山田", "09000010000", "+819000010000"} {
		require.NotContains(t, string(plain)+string(page), personal)
	}

	r.carried(seeds["docomo"], message.Submitting, message.Submitted, message.Delivered)
	r.carried(seeds["au"], message.Submitting, message.Submitted, message.Delivered)
	st = r.until(st.ID, Done)
	require.EqualValues(t, 10, st.Accepted)
	require.Equal(t, "engine", st.Canary.WentOn.By)
	require.Len(t, r.messages(st.ID), 10)
}

func TestCanaryStopsNamesTheCarrierAndGoesOnWithoutIt(t *testing.T) {
	r := openRoom(t)
	r.withSeeds()
	r.run()
	st := r.check(twoCarriers(5))
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako", Canary: true})
	require.NoError(t, err)
	seeds := r.seeds(st.ID)
	r.carried(seeds["au"], message.Submitting, message.Submitted, message.Undelivered)
	r.carried(seeds["docomo"], message.Submitting, message.Submitted, message.Delivered)
	st = r.until(st.ID, Stopped)
	require.Equal(t, []string{"au"}, st.Canary.Failed)
	require.Empty(t, r.messages(st.ID))
	r.reopen() // it stays stopped
	r.run()
	st, err = r.DropCarrier(t.Context(), mizu, st.ID, "user:taro", "au")
	require.NoError(t, err)
	require.Equal(t, message.ReasonCarrierDropped, r.Word(st.ID, "au").End.Reason)
	require.Nil(t, r.Word(st.ID, "docomo").End)
	r.until(st.ID, Done)
	r.untilSettled(st.ID)
	reasons := map[string]int{}
	for _, ref := range r.messages(st.ID) {
		s := r.message(ref)
		reasons[s.Carrier+" "+string(s.Phase)+" "+s.Reason]++
		require.Equal(t, s.Carrier == "au", !s.RevokedAt.IsZero(), "links of ended messages are closed, others are not")
	}
	require.Equal(t, map[string]int{"au canceled carrier_dropped": 5, "docomo waiting ": 5}, reasons)
}

// TestAStoppedCanaryIsTriedAgain: only what did not arrive is sent again, to the phone as it is now, also after a crash.
func TestAStoppedCanaryIsTriedAgain(t *testing.T) {
	r := openRoom(t)
	r.withSeeds()
	r.run()
	st := r.check(twoCarriers(2))
	_, err := r.RetryCanary(t.Context(), mizu, st.ID, "user:taro")
	var late *PhaseError
	require.ErrorAs(t, err, &late)
	_, err = r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako", Canary: true, Minutes: 7})
	require.NoError(t, err)
	first := r.seeds(st.ID)
	r.carried(first["docomo"], message.Submitting, message.Submitted, message.Delivered)
	r.carried(first["au"], message.Submitting, message.Submitted, message.Undelivered)
	r.until(st.ID, Stopped)

	require.NoError(t, r.SetSeed(t.Context(), "mizu", "au", ""))
	_, err = r.RetryCanary(t.Context(), mizu, st.ID, "user:taro")
	var none *SeedError
	require.ErrorAs(t, err, &none)
	require.Equal(t, []string{"au"}, none.Carriers)
	require.NoError(t, r.SetSeed(t.Context(), "mizu", "au", "090-0002-8888"))
	st, err = r.RetryCanary(t.Context(), mizu, st.ID, "user:taro")
	require.NoError(t, err)
	require.Equal(t, Probing, st.Phase)
	require.Empty(t, st.Canary.Failed)
	require.Equal(t, "user:taro", st.Canary.Retries[0].By)
	require.Equal(t, 7*time.Minute, st.Canary.Until.Sub(st.Canary.Retries[0].At))
	r.reopen() // before or after its seed is with intake
	r.run()
	second := r.seeds(st.ID)
	for second["au"] == first["au"] || second["au"].IsZero() {
		second = r.seeds(st.ID)
	}
	require.Equal(t, first["docomo"], second["docomo"], "what arrived is not sent again")
	h := r.head(store.Ref{Tenant: "mizu", Kind: store.Message, ID: second["au"]})
	require.Equal(t, message.ViaCanary, h.Via)
	require.Equal(t, "090-****-8888", h.Masked)
	r.carried(second["au"], message.Submitting, message.Submitted, message.Delivered)
	st = r.until(st.ID, Done)
	require.Equal(t, "engine", st.Canary.WentOn.By)
	require.EqualValues(t, 4, st.Accepted)
}

// TestKilledInTheMiddleOfACanary: the seeds are not sent twice, and what becomes of them still decides.
func TestKilledInTheMiddleOfACanary(t *testing.T) {
	r := openRoom(t)
	r.withSeeds()
	r.run()
	st := r.check(twoCarriers(2))
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako", Canary: true})
	require.NoError(t, err)
	seeds := r.seeds(st.ID)
	r.reopen()
	require.Equal(t, seeds, r.seeds(st.ID))
	again, err := r.sendSeeds(t.Context(), must(r.load(t.Context(), mizu, st.ID))) // killed before they were on record
	require.NoError(t, err)
	for _, p := range again {
		require.Equal(t, seeds[p.Carrier], p.Message)
	}
	r.run()
	r.carried(seeds["docomo"], message.Submitting, message.Submitted, message.Delivered)
	r.carried(seeds["au"], message.Submitting, message.Submitted, message.Delivered)
	require.EqualValues(t, 4, r.until(st.ID, Done).Accepted)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSeedsAreCheckedAndSealed(t *testing.T) {
	r := openRoom(t)
	for number, code := range map[string]string{"0312345678": "landline", "090-0002-9999": "mismatch", "090-0099-0001": "mismatch"} {
		var ps message.Problems
		require.ErrorAs(t, r.SetSeed(t.Context(), "mizu", "docomo", number), &ps)
		require.Equal(t, code, ps[0].Code, number)
		require.NotEqual(t, number, ps[0].Value)
	}
	var ps message.Problems
	require.ErrorAs(t, r.SetSeed(t.Context(), "mizu", "nttpc", "090-0001-9999"), &ps)
	r.withSeeds()
	r.reopen()
	seeds, err := r.Seeds(r.Tenants.Now().Tenants["mizu"])
	require.NoError(t, err)
	require.Equal(t, []Seed{{"docomo", "090-****-9999"}, {"au", "090-****-9999"}}, seeds)
	for _, s := range r.Tenants.Now().Tenants["mizu"].Seeds {
		require.NotContains(t, string(s.Number), "9999")
	}
	none, err := r.Seeds(r.Tenants.Now().Tenants["gasu"])
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = r.Seeds(&tenant.Tenant{ID: "gasu", Seeds: r.Tenants.Now().Tenants["mizu"].Seeds})
	require.Error(t, err, "a box of another tenant does not open")
}
