package message

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStopEndsWhatNobodyWroteAndNothingElse(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	act := Act{By: "user:hanako", Reason: ReasonCampaignCanceled}
	sub := func(typ Type, part int, until time.Time) Event {
		return Event{Type: typ, At: at, Data: Encode(Submission{Part: part, Attempt: 1, Policy: DoubtWait, Until: until})}
	}
	for name, c := range map[string]struct {
		parts  int
		events []Event
		want   []Type
		phase  Phase
	}{
		"waiting":            {1, nil, []Type{Canceled, Revoked}, Withdrawn},
		"throttled":          {1, []Event{sub(Submitting, 1, at), sub(Retrying, 1, at.Add(time.Hour))}, []Type{Canceled, Revoked}, Withdrawn},
		"revoked before":     {1, []Event{{Type: Revoked, At: at}}, []Type{Canceled}, Withdrawn},
		"being written":      {1, []Event{sub(Submitting, 1, at)}, nil, Sending},
		"with the carrier":   {1, []Event{sub(Submitting, 1, at), sub(Submitted, 1, at)}, nil, Confirming},
		"in doubt":           {1, []Event{sub(Submitting, 1, at), sub(InDoubt, 1, at.Add(time.Hour))}, []Type{InDoubt}, Doubtful},
		"half sent":          {2, []Event{sub(Submitting, 1, at), sub(Submitted, 1, at)}, nil, Waiting},
		"half in doubt":      {2, []Event{sub(Submitting, 1, at), sub(InDoubt, 1, at.Add(time.Hour))}, []Type{InDoubt}, Doubtful},
		"lapsed":             {1, []Event{{Type: Lapsed, At: at}}, nil, Expired},
		"url sent by others": {0, nil, nil, LinkOnly},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Fold(append([]Event{{Type: Accepted, At: at, Data: Encode(Head{V: 1, Parts: c.parts, Token: "a/x"})}}, c.events...))
			require.NoError(t, err)
			var got []Type
			for _, e := range s.Stop(act, at) {
				got = append(got, e.Type)
				require.NoError(t, s.Apply(e))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.phase, s.Phase)
			if len(c.want) > 0 {
				require.Nil(t, s.Stop(act, at), "done twice it changes nothing")
			}
			if c.phase == Withdrawn {
				require.Equal(t, ReasonCampaignCanceled, s.Reason)
			}
			if name == "in doubt" {
				require.True(t, s.Over(), "it is not sent again")
				require.True(t, s.RevokedAt.IsZero(), "it may have arrived")
			}
		})
	}
}
