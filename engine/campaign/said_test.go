package campaign

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// TestWhateverIsSaidInWhateverOrder walks a released upload through random words of people and steps of workers, beside a
// model of what each is for.
func TestWhateverIsSaidInWhateverOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
		st := &State{ref: store.Ref{Tenant: "mizu", Kind: store.Campaign, ID: ulid.ULID{1}}, ID: ulid.ULID{1}, Phase: Staged, Good: 9, Rows: 9, Accepted: 9}
		// the model
		canceled, paused := false, false
		var failing, without []string

		add := func(events ...store.NewEvent) {
			at = at.Add(time.Second)
			before := *st
			s, err := st.next(at, events...)
			require.NoError(rt, err)
			require.Equal(rt, before.Phase, st.Phase, "next changes nothing itself")
			for _, e := range s.Events {
				require.NoError(rt, st.apply(store.Event{Ref: st.ref, Seq: uint32(st.version), Type: e.Type, At: at, Data: e.Data}))
			}
			require.Equal(rt, st.place(), s.Due.Queue, "the upload waits where its state says")
		}
		// said does what a rule says; may is whether the model allows it.
		said := func(what string, may bool, events []store.NewEvent, err error) bool {
			var late *PhaseError
			if errors.As(err, &late) {
				require.False(rt, may, "%s in %s", what, st.Phase)
				return false
			}
			require.NoError(rt, err)
			require.True(rt, may, "%s in %s", what, st.Phase)
			if len(events) > 0 {
				add(events...)
			}
			return true
		}
		rows := func() bool { return st.Phase == Releasing || st.Phase == Done }
		rt.Repeat(map[string]func(*rapid.T){
			"release": func(rt *rapid.T) {
				if st.Phase != Staged {
					return
				}
				if rapid.Bool().Draw(rt, "canary") {
					add(store.NewEvent{Type: evProbing, Data: encode(released{By: "key:erp", Minutes: 5})})
					require.Equal(rt, at.Add(5*time.Minute), st.Canary.Until)
					return
				}
				add(store.NewEvent{Type: evReleased, Data: encode(released{By: "key:erp"})})
			},
			"seeds": func(rt *rapid.T) {
				if st.Phase != Probing {
					return
				}
				var seeds []Probe
				for _, c := range []string{"docomo", "au", "softbank"} {
					if i := slices.IndexFunc(st.Canary.Seeds, func(p Probe) bool { return p.Carrier == c }); i >= 0 && !slices.Contains(st.Canary.again, c) {
						seeds = append(seeds, st.Canary.Seeds[i]) // as the try before left it
						continue
					}
					seeds = append(seeds, Probe{Carrier: c, Phase: rapid.SampledFrom([]message.Phase{message.Arrived, message.NotDelivered}).Draw(rt, c)})
				}
				for i := range seeds {
					if slices.Contains(without, seeds[i].Carrier) {
						seeds[i].Phase = message.Arrived // nobody asks for it any more
					}
				}
				failed, decided := judge(seeds, false)
				require.True(rt, decided)
				if failing = failed; len(failed) == 0 {
					add(store.NewEvent{Type: evWentOn, Data: encode(wentOn{act: act{By: "engine"}, Seeds: seeds})})
					require.Equal(rt, Releasing, st.Phase)
					return
				}
				add(store.NewEvent{Type: evStopped, Data: encode(stopped{Failed: failed, Seeds: seeds})})
				require.Equal(rt, Stopped, st.Phase)
			},
			"try again": func(*rapid.T) {
				may, tries := st.Phase == Stopped, 0
				if st.Canary != nil {
					tries = len(st.Canary.Retries)
				}
				events, err := st.retryCanary("user:hanako")
				var ps message.Problems
				if errors.As(err, &ps) {
					require.True(rt, may && tries == maxRetries)
					return
				}
				if said("try again", may && tries < maxRetries, events, err) {
					require.Equal(rt, Probing, st.Phase)
					require.Equal(rt, failing, st.Canary.again, "those that did not arrive, and no other")
					require.Len(rt, st.Canary.Retries, tries+1)
					require.Equal(rt, at.Add(5*time.Minute), st.Canary.Until)
				}
			},
			"go on": func(rt *rapid.T) {
				events, err := st.goOn("user:hanako")
				if said("go on", st.Phase == Stopped, events, err) {
					failing = nil
					require.Equal(rt, "user:hanako", st.Canary.WentOn.By)
				}
			},
			"drop carrier": func(rt *rapid.T) {
				c := rapid.SampledFrom([]string{"docomo", "au", "softbank", "rakuten"}).Draw(rt, "carrier")
				events, err := st.dropCarrier("user:hanako", c)
				var ps message.Problems
				if errors.As(err, &ps) {
					require.Equal(rt, Stopped, st.Phase)
					require.NotContains(rt, failing, c)
					return
				}
				if said("drop", st.Phase == Stopped || slices.Contains(without, c), events, err) && !slices.Contains(without, c) {
					without = append(without, c)
					failing = slices.DeleteFunc(failing, func(f string) bool { return f == c })
					require.Equal(rt, len(failing) == 0, st.Phase == Releasing, "it goes on when all are decided on")
				}
			},
			"pause": func(*rapid.T) {
				events, err := st.pause("user:hanako")
				if said("pause", rows(), events, err) {
					paused = true
					require.Equal(rt, "user:hanako", st.Paused.By)
				}
			},
			"resume": func(*rapid.T) {
				events, err := st.resume("user:hanako")
				if said("resume", rows(), events, err) {
					paused = false
				}
			},
			"cancel": func(*rapid.T) {
				may := st.Phase != Staged
				events, err := st.cancel("user:hanako", "文面の誤り")
				if said("cancel", may, events, err) {
					canceled, paused = true, false
				}
			},
			"all rows are in": func(*rapid.T) {
				if st.place() == queue && st.Phase == Releasing {
					add(store.NewEvent{Type: evDone})
				}
			},
			"sweep": func(rt *rapid.T) {
				if st.sweeps() && st.place() == queue {
					add(store.NewEvent{Type: evSwept, Data: encode(swept{Sweep: Sweep{Looked: 9, Of: 9, Over: rapid.Bool().Draw(rt, "over")}})})
				}
			},
			"settle": func(*rapid.T) {
				if st.place() == watchQueue && st.Phase != Probing {
					add(store.NewEvent{Type: evSettled})
				}
			},
			"": func(*rapid.T) {
				require.Equal(rt, canceled, st.Phase == Canceling || st.Phase == Canceled)
				require.Equal(rt, paused, st.Paused != nil)
				for _, c := range []string{"", "docomo", "au", "softbank", "rakuten"} {
					w := st.word(c)
					require.Equal(rt, paused, w.Held)
					switch {
					case st.settled: // nothing is left that could be submitted
					case canceled:
						require.Equal(rt, &message.Act{By: "user:hanako", Reason: message.ReasonCampaignCanceled}, w.End)
					case slices.Contains(without, c):
						require.Equal(rt, message.ReasonCarrierDropped, w.End.Reason)
					default:
						require.Nil(rt, w.End)
					}
					if (w != message.Word{}) {
						require.True(rt, st.ordered(), "dispatch hears of it")
						require.NotEmpty(rt, st.place(), "it is found when the program starts")
					}
				}
				if st.Phase == Releasing {
					require.Equal(rt, paused, st.place() != queue, "rows go on exactly when nothing holds them")
				}
				if canceled && !st.settled {
					require.Contains(rt, []string{queue, watchQueue}, st.place(), "a worker ends the messages")
				}
			},
		})
	})
}

func TestACanaryIsTriedAgainTwentyTimes(t *testing.T) {
	st := &State{Phase: Stopped, Canary: &Canary{Retries: make([]Said, maxRetries-1)}}
	_, err := st.retryCanary("user:hanako")
	require.NoError(t, err)
	st.Canary.Retries = make([]Said, maxRetries)
	_, err = st.retryCanary("user:hanako")
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, "too_many", ps[0].Code)
}

func TestCommonPartsOfTextsAreNobodysOwn(t *testing.T) {
	texts := func(form string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(form, i))
		}
		return all
	}
	same := slices.Repeat([]string{"水道料金のお知らせです。{url}"}, 10)
	for name, c := range map[string]struct {
		texts []string
		want  string
	}{
		"one":                 {[]string{"山田太郎様 水道料金のお知らせです。{url}"}, placeholder},
		"a few of one name":   {slices.Repeat([]string{"山田様 お知らせです。"}, 9), placeholder},
		"all the same":        {same, same[0]},
		"a number at the end": {texts("水道料金は10%d円です。{url}", 10), "水道料金は10" + placeholder + "円です。{url}"},
		"at the beginning":    {texts("%d様 お知らせです。{url}", 12), placeholder + "様 お知らせです。{url}"},
		"nothing in common":   {append(texts("%d", 10), "あ"), placeholder},
		"one within another":  {append(slices.Repeat([]string{"ああああ"}, 9), "ああ"), "ああ" + placeholder},
	} {
		require.Equal(t, c.want, common(c.texts), name)
	}
}
