package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// What is staged, what is being written out, and what Pebble has are one: names, lists and queues are the same whatever
// has been written out when.
func TestStagedAndWrittenAreOne(t *testing.T) {
	for name, move := range map[string]func(t *testing.T, s *Store, step int){
		"all staged":   func(*testing.T, *Store, int) {},
		"each written": func(t *testing.T, s *Store, _ int) { require.NoError(t, s.index.publish()) },
		"lives too":    func(t *testing.T, s *Store, _ int) { require.NoError(t, s.writeOut()) },
		"one behind": func(t *testing.T, s *Store, _ int) { // the stage before stays the old one, as while it is written
			s.index.writing.Lock()
			defer s.index.writing.Unlock()
			if s.index.stage0 != nil {
				require.NoError(t, s.index.writeStage())
			}
			s.index.mu.Lock()
			defer s.index.mu.Unlock()
			s.index.changeStage()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Flush = time.Hour
			s := open(t, o)
			var refs []Ref
			for n := range 8 {
				ref := newRef(acme, Message)
				refs = append(refs, ref)
				require.NoError(t, commit1(t, s, Change{
					Ref: ref, Events: event(1, "0"), Due: &Due{Queue: "a"}, Terms: []Term{{1, "all"}, {2, fmt.Sprint(n % 2)}},
					Names: []Name{{Space: ByKey, Key: fmt.Sprint("k", n), Value: []byte{byte(n)}, Exclusive: true}, {Space: ByNo, Key: "last"}},
				}))
				move(t, s, n)
			}
			for n, ref := range refs { // some leave the queue, some go to its end
				switch n % 3 {
				case 0:
					require.NoError(t, commit1(t, s, Change{Ref: ref, Expect: 1, Events: event(2, "1"), Due: &Due{}}))
				case 1:
					require.NoError(t, commit1(t, s, Change{Ref: ref, Expect: 1, Events: event(2, "1"), Due: &Due{Queue: "a"}}))
				}
				move(t, s, n)
			}
			due, err := s.Due(nil, "a", Cursor{}, time.Now().Add(time.Minute), 100)
			require.NoError(t, err)
			var queued []Ref
			for _, d := range due {
				queued = append(queued, d.Ref)
			}
			require.Equal(t, []Ref{refs[2], refs[5], refs[1], refs[4], refs[7]}, queued)
			some, err := s.Due(nil, "a", due[1].Cursor, time.Now().Add(time.Minute), 2)
			require.NoError(t, err)
			require.Len(t, some, 2)
			require.Equal(t, refs[1], some[0].Ref)
			n, _, err := s.Waiting("a", time.Now().Add(time.Minute), 100)
			require.NoError(t, err)
			require.Equal(t, 5, n)

			odd, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Message, Terms: []Term{{1, "all"}, {2, "1"}}, Limit: 100})
			require.NoError(t, err)
			require.Equal(t, []Ref{refs[7], refs[5], refs[3], refs[1]}, odd)
			all, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Message, Before: refs[3].ID, Limit: 2})
			require.NoError(t, err)
			require.Equal(t, []Ref{refs[2], refs[1]}, all)

			ref, value, err := s.Lookup(t.Context(), tenant.Only(acme), ByKey, "k3")
			require.NoError(t, err)
			require.Equal(t, refs[3], ref)
			require.Equal(t, []byte{3}, value)
			ref, _, err = s.Lookup(t.Context(), tenant.Operator(), ByNo, "last")
			require.NoError(t, err)
			require.Equal(t, refs[7], ref)
			var taken *TakenError
			require.ErrorAs(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "0"), Names: []Name{{Space: ByKey, Key: "k0", Exclusive: true}}}), &taken)
			require.Equal(t, refs[0], taken.Holder)
			if s.index.stage0 != nil {
				require.NoError(t, s.index.writeStage())
			}
			require.NoError(t, s.Close())
			require.Empty(t, verified(t, o).Findings)
		})
	}
}

// An id that a stream has is refused to another, also when that stream is far away: written out, of another kind, or with an
// id that is no time at all.
func TestNewStreamWithAnIDThatIsTaken(t *testing.T) {
	hash := ulid.ULID{0: 0xf0, 15: 1}
	ahead := firstID(time.Now().AddDate(200, 0, 0))
	o := testOptions(t)
	s := open(t, o)
	refs := []Ref{newRef(acme, Message), {acme, File, hash}, {acme, Message, ahead}, newRef(acme, Callback)}
	for _, ref := range refs {
		require.NoError(t, commit1(t, s, Change{Ref: ref, Events: event(1, "0")}))
	}
	refuse := func() {
		t.Helper()
		for _, ref := range refs {
			var conflict *ConflictError
			require.ErrorAs(t, commit1(t, s, Change{Ref: ref, Events: event(1, "0")}), &conflict, ref)
			other := ref
			other.Kind = Claim
			require.ErrorIs(t, commit1(t, s, Change{Ref: other, Events: event(1, "0")}), errIDTaken, ref)
		}
	}
	refuse()
	require.NoError(t, s.writeOut())
	refuse()
	require.NoError(t, s.Close())
	s = open(t, o)
	refuse()
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "0")}))
}

// A stage that holds one name many times, and names whose hashes are neighbours, gives the last value of each.
func TestStageNames(t *testing.T) {
	st := newStage(1)
	const names = 5000
	for round := range byte(3) {
		for n := range names {
			st.putName(fmt.Append(nil, "name ", n), []byte{round, byte(n)})
		}
	}
	for n := range names {
		v, there := st.name(fmt.Append(nil, "name ", n))
		require.True(t, there)
		require.Equal(t, []byte{2, byte(n)}, v)
	}
	_, there := st.name([]byte("name"))
	require.False(t, there)
	order := st.sorted()
	for i := 1; i < len(order); i++ {
		require.LessOrEqual(t, string(st.key(order[i-1])), string(st.key(order[i])))
	}
}

// TestStageIsInTheOrderOfItsKeys: keys that are the begin of others, that differ late, or by zeros alone.
func TestStageIsInTheOrderOfItsKeys(t *testing.T) {
	st := newStage(1)
	for n := range 2000 {
		key := bytes.Repeat([]byte{byte(rand.IntN(3))}, rand.IntN(20))
		for range rand.IntN(4) {
			key = append(key, byte(rand.IntN(2)*255))
		}
		st.put(key, fmt.Append(nil, n))
	}
	order := st.sorted()
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		switch c := bytes.Compare(st.key(a), st.key(b)); {
		case c > 0:
			require.FailNow(t, "not in order", "%x before %x", st.key(a), st.key(b))
		case c == 0:
			require.Less(t, uint64(a.piece)<<32|uint64(a.off), uint64(b.piece)<<32|uint64(b.off), "the later one counts")
		}
	}
}
