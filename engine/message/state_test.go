package message

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func head(parts int) Event {
	return Event{Type: Accepted, At: epoch, Data: Encode(Head{V: 1, Class: Billing, Parts: parts, Carrier: "docomo"})}
}

func TestLifeOfAMessage(t *testing.T) {
	s, err := Fold([]Event{
		head(2),
		{LookedUp, epoch, Encode(Lookup{"au", "ported"})},
		{Submitting, epoch.Add(1), Encode(Submission{Part: 1, Attempt: 1})},
		{Submitting, epoch.Add(1), Encode(Submission{Part: 2, Attempt: 1})},
		{Submitted, epoch.Add(2), Encode(Submission{Part: 2, SMSCID: "b"})},
		{Retrying, epoch.Add(3), Encode(Submission{Part: 1, Status: 0x58, Until: epoch.Add(time.Minute)})},
	})
	require.NoError(t, err)
	require.Equal(t, Waiting, s.Phase)
	require.Equal(t, "au", s.Carrier)
	require.False(t, s.MaySubmit(1, epoch.Add(time.Second)))
	require.True(t, s.MaySubmit(1, epoch.Add(time.Minute)))
	require.False(t, s.MaySubmit(2, epoch.Add(time.Hour)), "part 2 is with the carrier")
	for _, e := range []Event{
		{Delivered, epoch.Add(4), Encode(Report{Part: 2})},
		{Submitting, epoch.Add(5), Encode(Submission{Part: 1, Attempt: 2})},
		{Submitted, epoch.Add(6), Encode(Submission{Part: 1, SMSCID: "a"})},
	} {
		require.NoError(t, s.Apply(e))
	}
	require.Equal(t, Confirming, s.Phase)
	require.Equal(t, Unknown, s.PhaseAt(epoch.Add(DLRPatience+time.Hour)))
	require.NoError(t, s.Apply(Event{Delivered, epoch.Add(7), Encode(Report{Part: 1})}))
	require.Equal(t, Arrived, s.Phase)
	require.Equal(t, epoch.Add(7), s.DeliveredAt)
	require.True(t, s.Over())
}

// TestADeliveredPartStaysDelivered: whatever comes after, in whatever order, a delivered part is never submitted again.
func TestADeliveredPartStaysDelivered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := []Type{LookedUp, Submitting, Submitted, Retrying, InDoubt, Refused, Delivered, Undelivered, Lapsed, Canceled, Opened, Tried, Locked, Unlocked}
		s, err := Fold([]Event{head(2)})
		require.NoError(t, err)
		delivered := map[int]bool{}
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			typ := rapid.SampledFrom(types).Draw(t, "type")
			part := rapid.IntRange(1, 2).Draw(t, "part")
			before := s.Parts[part-1].Phase
			at := epoch.Add(time.Duration(i) * time.Second)
			require.NoError(t, s.Apply(Event{typ, at, Encode(map[string]any{"part": part})}))
			if typ == Delivered && before != NotDelivered {
				delivered[part] = true
			}
			for p := range delivered {
				require.Equal(t, Arrived, s.Parts[p-1].Phase)
				require.False(t, s.MaySubmit(p, at.Add(24*time.Hour)))
			}
			require.Equal(t, i+2, s.Version)
		}
	})
}

// TestALateAcceptanceStands: whatever the other attempts come to, and in whatever order, what the carrier took is not sent again.
func TestALateAcceptanceStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := []Event{head(1)}
		attempts := rapid.IntRange(2, 5).Draw(t, "attempts")
		for n := 1; n <= attempts; n++ {
			events = append(events, Event{Submitting, epoch, Encode(Submission{Part: 1, Attempt: n})})
			if n < attempts {
				events = append(events, Event{InDoubt, epoch, Encode(Submission{Part: 1, Attempt: n, Policy: DoubtResend, Until: epoch})})
			}
		}
		taken := rapid.IntRange(1, attempts-1).Draw(t, "taken")
		events = append(events, Event{Submitted, epoch.Add(1), Encode(Submission{Part: 1, Attempt: taken, SMSCID: "a"})})
		typ := rapid.SampledFrom([]Type{Retrying, InDoubt, Refused}).Draw(t, "type")
		policy := rapid.SampledFrom([]Doubt{DoubtResend, DoubtFail}).Draw(t, "policy")
		events = append(events, Event{typ, epoch.Add(2), Encode(Submission{Part: 1, Attempt: attempts, Status: 0x0b, Reason: "permanent", Policy: policy})})
		s, err := Fold(events)
		require.NoError(t, err)
		require.Equal(t, Confirming, s.Phase)
		require.Equal(t, "a", s.Parts[0].SMSCID)
		require.False(t, s.MaySubmit(1, epoch.Add(24*time.Hour)))
		require.Empty(t, s.Reason)
		require.True(t, s.EndedAt.IsZero())
		require.NoError(t, s.Apply(Event{Delivered, epoch.Add(3), Encode(Report{Part: 1})}))
		require.Equal(t, Arrived, s.Phase)
	})
}

func TestAWithdrawnMessageIsNeverSubmitted(t *testing.T) {
	for _, end := range []Type{Canceled, Lapsed} {
		s, err := Fold([]Event{head(1), {end, epoch, nil}})
		require.NoError(t, err)
		require.False(t, s.MaySubmit(1, epoch.Add(time.Hour)))
		require.True(t, s.Over())
	}
}

func TestIdentityTriesFold(t *testing.T) {
	s, err := Fold([]Event{head(0),
		{Tried, epoch, Encode(Try{Step: "identity"})},
		{Tried, epoch, Encode(Try{Step: "identity"})},
		{Locked, epoch, Encode(Lock{Until: epoch.Add(time.Hour)})},
	})
	require.NoError(t, err)
	require.Equal(t, LinkOnly, s.Phase)
	require.Equal(t, 2, s.Failures)
	require.True(t, s.LockedAt(epoch.Add(time.Minute)))
	require.NoError(t, s.Apply(Event{Unlocked, epoch, nil}))
	require.False(t, s.LockedAt(epoch.Add(time.Minute)))
	require.Zero(t, s.Failures)
}

func TestNewerRecordIsRefused(t *testing.T) {
	_, err := Fold([]Event{{Accepted, epoch, []byte(`{"v":2}`)}})
	require.ErrorContains(t, err, "newer")
}

func FuzzFold(f *testing.F) {
	f.Add(byte(1), []byte(`{"v":1,"parts":1}`), byte(4), []byte(`{"part":1}`))
	f.Fuzz(func(t *testing.T, t1 byte, d1 []byte, t2 byte, d2 []byte) {
		s, err := Fold([]Event{{Type(t1), epoch, d1}, {Type(t2), epoch, d2}})
		if err == nil {
			s.MaySubmit(1, epoch)
		}
	})
}

// TestEachPartIsRepeatedInItsOwnTime: a part that waits for its dlr is not sent again because another one is.
func TestEachPartIsRepeatedInItsOwnTime(t *testing.T) {
	doubtful := Event{InDoubt, epoch, Encode(Submission{Part: 1, Policy: DoubtWait, Until: epoch.Add(10 * time.Minute)})}
	busy := Event{Retrying, epoch, Encode(Submission{Part: 2, Until: epoch.Add(30 * time.Second)})}
	for _, order := range [][]Event{{doubtful, busy}, {busy, doubtful}} {
		s, err := Fold(append([]Event{head(2)}, order...))
		require.NoError(t, err)
		require.Equal(t, epoch.Add(30*time.Second), s.RetryAt)
		soon := epoch.Add(time.Minute)
		require.False(t, s.MaySubmit(1, soon))
		require.True(t, s.MaySubmit(2, soon))
		require.NoError(t, s.Apply(Event{Submitting, soon, Encode(Submission{Part: 2, Attempt: 2})}))
		require.NoError(t, s.Apply(Event{Submitted, soon, Encode(Submission{Part: 2, SMSCID: "b"})}))
		require.Equal(t, epoch.Add(10*time.Minute), s.RetryAt, "the doubtful part is not forgotten")
		require.False(t, s.Over())
		require.True(t, s.MaySubmit(1, epoch.Add(10*time.Minute)))
	}
}

func TestAPartThatFailedInDoubtIsNeverRepeated(t *testing.T) {
	s, err := Fold([]Event{head(1), {InDoubt, epoch, Encode(Submission{Part: 1, Policy: DoubtFail})}})
	require.NoError(t, err)
	require.True(t, s.Over())
	require.Equal(t, epoch, s.EndedAt)
	require.False(t, s.MaySubmit(1, epoch.Add(24*time.Hour)))
}
