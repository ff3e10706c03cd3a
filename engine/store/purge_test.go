package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/tenant"
)

// erasure is for streams whose every event is a box, under the term 'p' (personal) and the names ByToken and ByNo.
func erasure(gone func([]Event) error) Erasure {
	return Erasure{
		Cut: map[Kind]func(byte, []byte, func([]byte) []byte) ([]byte, error){
			Message: func(_ byte, data []byte, cut func([]byte) []byte) ([]byte, error) { return cut(data), nil },
		},
		Term: func(_ Kind, field byte) bool { return field == 'p' },
		Name: func(_ Kind, s Space) bool { return s == ByToken || s == ByKept },
		Source: func(ref Ref, head []byte) (Ref, bool, error) {
			return Ref{ref.Tenant, Message, ulid.ULID(head)}, true, nil
		},
		Content: func(source []Event) ([]byte, error) { return source[len(source)-1].Data, nil },
		Gone:    gone,
	}
}

const testClass = "notice"

// testDay is a day long past.
func testDay(n int) time.Time { return time.Date(2026, 1, 1+n, 12, 0, 0, 0, tokyo) }

type letter struct {
	ref   Ref
	day   int // under whose key it is now
	plain string
	boxes [][]byte
}

func (l *letter) tenant() tenant.ID { return l.ref.Tenant }

// write commits a message of a day with what follows: an answer, and what a callback was told of it.
func write(t require.TestingT, s *Store, id tenant.ID, day, n int) *letter {
	l := &letter{ref: newRef(id, Message), day: day, plain: fmt.Sprintf("needle %s %d %s", id, n, strings.Repeat("x", 200))}
	for _, what := range []string{"head", "answer"} {
		box, err := s.Seal(id, testClass, testDay(day), l.ref.ID.String()+"/"+what, []byte(l.plain))
		require.NoError(t, err)
		l.boxes = append(l.boxes, box)
	}
	told := newRef(id, Callback)
	errs, err := s.Commit(ctxOf(t),
		Tx{{Ref: l.ref, Events: []NewEvent{{Type: 1, Data: l.boxes[0]}},
			Names: []Name{{Space: ByToken, Key: l.ref.ID.String()}, {Space: ByNo, Key: l.ref.ID.String()}},
			Terms: []Term{{'p', "number"}, {'c', "class"}}}, {Ref: told, Events: []NewEvent{{Type: 1, Data: l.ref.ID[:]}}}},
		Tx{{Ref: l.ref, Expect: 1, Events: []NewEvent{{Type: 2, Data: l.boxes[1]}}, Due: &Due{Queue: "q"}}, {Ref: told, Expect: 1, Events: event(2, "x")}},
	)
	require.NoError(t, err)
	require.Equal(t, []error{nil, nil}, errs)
	return l
}

func TestPurgedGroupsAreReadByTheirOldPlaces(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	old, young := write(t, s, acme, 0, 0), write(t, s, acme, 1, 1)
	var gone []Ref
	e := erasure(func(heads []Event) error {
		for _, h := range heads {
			gone = append(gone, h.Ref)
		}
		return nil
	})
	require.NoError(t, s.writeOut()) // nothing is busy
	require.NoError(t, s.writeOut())
	next, p, err := s.Purge(t.Context(), 1, 1000, e, restless)
	require.NoError(t, err)
	require.Equal(t, s.applied.Load()+1, next)
	require.Zero(t, p.Boxes, "no key was destroyed")

	require.Zero(t, s.ErasedAt(acme, old.boxes[0]))
	_, err = s.EraseKey(acme, testClass, testDay(0).Format(time.DateOnly))
	require.NoError(t, err)
	since := s.ErasedAt(acme, old.boxes[0])
	require.WithinDuration(t, time.Now(), since, time.Minute)
	require.Zero(t, s.ErasedAt(acme, young.boxes[0]))
	require.Zero(t, s.ErasedAt("other", old.boxes[0]))
	require.Zero(t, s.ErasedAt(acme, nil))
	_, p, err = s.Purge(t.Context(), 1, 1000, e, restless)
	require.NoError(t, err)
	require.Equal(t, 2, p.Boxes)
	require.Equal(t, []Ref{old.ref}, gone)
	require.Equal(t, [2]int{1, 1}, [2]int{p.Names, p.Terms})

	for i := range 3 { // as it is, and twice after a replay of all
		events, err := s.Load(t.Context(), tenant.Only(acme), old.ref)
		require.NoError(t, err)
		require.Len(t, events, 2)
		for _, e := range events {
			require.True(t, i == 0 || len(e.Data) == stubSize, "at first the last groups are still in memory as they were")
			_, err := s.Open(acme, "any", e.Data)
			require.ErrorIs(t, err, ErrErased)
			require.Equal(t, since, s.ErasedAt(acme, e.Data))
		}
		requireLiving(t, s, young)
		_, _, err = s.Lookup(t.Context(), tenant.Only(acme), ByToken, old.ref.ID.String())
		require.ErrorIs(t, err, ErrNotFound)
		_, _, err = s.Lookup(t.Context(), tenant.Only(acme), ByNo, old.ref.ID.String())
		require.NoError(t, err)
		for term, n := range map[Term]int{{'p', "number"}: 1, {'c', "class"}: 2} {
			refs, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Message, Terms: []Term{term}, Limit: 10})
			require.NoError(t, err)
			require.Len(t, refs, n, term)
		}
		told, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Callback, Limit: 10})
		require.NoError(t, err)
		require.Len(t, told, 1, "the stream of a callback goes as a whole with its message")
		require.NoError(t, s.Close())
		require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
		s = open(t, o)
	}
}

func requireLiving(t require.TestingT, s *Store, l *letter) {
	events, err := s.Load(ctxOf(t), tenant.Only(l.tenant()), l.ref)
	require.NoError(t, err)
	data, what := events[0].Data, "/head"
	if len(events) > 2 {
		data = events[len(events)-1].Data // sealed anew
	}
	plain, err := s.Open(l.tenant(), l.ref.ID.String()+what, data)
	require.NoError(t, err)
	require.Equal(t, l.plain, string(plain))
	_, _, err = s.Lookup(ctxOf(t), tenant.Only(l.tenant()), ByToken, l.ref.ID.String())
	require.NoError(t, err)
}

// TestReclaimGivesSpaceBack writes more than a file of the log, erases it, and looks at what lies on the disk.
func TestReclaimGivesSpaceBack(t *testing.T) {
	o := testOptions(t)
	o.ValueLogSize = 1 << 20
	s := open(t, o)
	big := make([]byte, 100<<10)
	var refs []Ref
	for i := range 40 {
		ref := newRef(acme, Message)
		box, err := s.Seal(acme, testClass, testDay(1-min(i%4, 1)), "x", big)
		require.NoError(t, err)
		require.NoError(t, commit1(t, s, Change{Ref: ref, Events: []NewEvent{{Type: 1, Data: box}}}))
		refs = append(refs, ref)
	}
	logs := func() (size int64) {
		paths, err := filepath.Glob(filepath.Join(o.Dir, logDir, "*.vlog"))
		require.NoError(t, err)
		for _, p := range paths[:len(paths)-1] { // the newest is as large as it may become
			info, err := os.Stat(p)
			require.NoError(t, err)
			size += info.Size()
		}
		return size
	}
	before := logs()
	n, err := s.EraseKeys(testDay(1), acme, testClass)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for next := uint64(1); next <= s.applied.Load(); {
		next, _, err = s.Purge(t.Context(), next, 1000, erasure(nil), restless)
		require.NoError(t, err)
	}
	files, err := s.Reclaim(t.Context(), restless)
	require.NoError(t, err)
	require.NotZero(t, files)
	require.NotZero(t, s.log.(*badgerLog).tables())
	require.Less(t, s.log.(*badgerLog).tables(), before/10, "no values are counted, else a log of more than maxTables would never be reclaimed")
	require.NoError(t, s.Close()) // Badger removes what readers had open
	require.Less(t, logs(), before*2/3)
	s = open(t, o)
	all, err := s.LoadMany(t.Context(), tenant.Only(acme), refs)
	require.NoError(t, err)
	for i, events := range all {
		plain, err := s.Open(acme, "x", events[0].Data)
		if i%4 != 0 {
			require.ErrorIs(t, err, ErrErased)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, big, plain)
	}
}

// TestErasureInAnyOrder commits, keeps, destroys, purges, and ends early in random order. Whatever happened: what lives can
// be read, what is over cannot, and nothing of it is found by a key that is left.
func TestErasureInAnyOrder(t *testing.T) {
	for name, n := range map[string]string{"rapid.checks": "4", "rapid.steps": "20"} { // a store each
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			was := f.Value.String()
			require.NoError(t, flag.Set(name, n))
			defer func() { require.NoError(t, flag.Set(name, was)) }()
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		o := optionsIn(t, dir)
		o.ValueLogSize, o.Cache = 1<<20, 1<<20
		o.Pace = -1
		s, err := Open(o)
		require.NoError(rt, err)
		defer func() { require.NoError(rt, s.Close()) }()
		var living, over []*letter
		days, n := 4, 0
		first := 0 // the first day whose key is there
		reopen := func(rebuild bool) {
			require.NoError(rt, s.Close())
			if rebuild {
				require.NoError(rt, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
			}
			s, err = Open(o)
			require.NoError(rt, err)
		}
		purge := func() error {
			for next := uint64(1); next <= s.applied.Load(); {
				var err error
				if next, _, err = s.Purge(ctxOf(rt), next, 1<<40, erasure(nil), restless); err != nil {
					return err
				}
			}
			return nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				id := rapid.SampledFrom([]tenant.ID{acme, other}).Draw(rt, "tenant")
				living = append(living, write(rt, s, id, first+rapid.IntRange(0, days-1).Draw(rt, "day"), n))
				n++
			},
			"end a day": func(rt *rapid.T) {
				day := testDay(first).Format(time.DateOnly)
				var stay []*letter
				for _, l := range living {
					if l.day != first || rapid.Bool().Draw(rt, "keep") {
						if l.day == first {
							keep(rt, s, l, first+rapid.IntRange(1, days-1).Draw(rt, "until"))
						}
						stay = append(stay, l)
						continue
					}
					over = append(over, l)
				}
				for _, id := range []tenant.ID{acme, other} {
					_, err := s.EraseKey(id, testClass, day)
					require.NoError(rt, err)
					var end []Ref
					require.NoError(rt, s.EachKept(ctxOf(rt), id, func(k Kept) error {
						if k.Day == day {
							end = append(end, k.Ref)
						}
						return nil
					}))
					require.NoError(rt, s.Unkeep(end))
				}
				living = stay
				first++
			},
			"purge": func(rt *rapid.T) { require.NoError(rt, purge()) },
			"purge and end between index and log": func(rt *rapid.T) {
				s.forgotten = func() error { return errKilled }
				if err := purge(); err != nil {
					require.ErrorIs(rt, err, errKilled)
				}
				reopen(rapid.Bool().Draw(rt, "rebuild"))
			},
			"reopen":  func(rt *rapid.T) { reopen(false) },
			"rebuild": func(rt *rapid.T) { reopen(true) },
			"rotate": func(rt *rapid.T) {
				_, err := s.RotateMaster()
				require.NoError(rt, err)
			},
			"": func(rt *rapid.T) {
				for _, l := range living {
					requireLiving(rt, s, l)
				}
				for _, l := range over {
					requireOver(rt, s, l)
				}
			},
		})
		for _, path := range filesBelow(t, dir) {
			if b, err := os.ReadFile(path); err == nil {
				require.False(rt, bytes.Contains(b, []byte("needle")), path)
			}
		}
	})
}

// keep seals a letter anew under the key of another day.
func keep(t require.TestingT, s *Store, l *letter, day int) {
	box, err := s.Seal(l.tenant(), testClass, testDay(day), l.ref.ID.String()+"/head", []byte(l.plain))
	require.NoError(t, err)
	errs, err := s.Commit(ctxOf(t), Tx{{Ref: l.ref, Expect: Any, Events: []NewEvent{{Type: 21, Data: box}},
		Names: []Name{KeptName(l.ref.ID, testClass, testDay(day).Format(time.DateOnly))}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	l.day, l.boxes = day, append(l.boxes, box)
}

// requireOver tries every key that the store has on every box that there ever was of the letter.
func requireOver(t require.TestingT, s *Store, l *letter) {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	for _, box := range l.boxes {
		d := s.keys.byID[keyID(box[1:stubSize])]
		require.True(t, d.stored.Erased && d.stored.Key == nil && d.aead == nil)
		for _, other := range s.keys.byID {
			if other.aead != nil {
				_, err := openWith(other.aead, box[stubSize:], []byte(string(box[:stubSize])+l.ref.ID.String()+"/head"))
				require.Error(t, err)
			}
		}
	}
}

func FuzzRewrittenGroup(f *testing.F) {
	group := sampleGroup()
	out, err := rewriteGroup(group, func(_ uint32, body []byte) ([]byte, error) {
		return append(body[:len(body):len(body)], "longer"...), nil
	})
	require.NoError(f, err)
	f.Add(out, uint32(groupHeaderSize))
	f.Add(out[:len(out)-1], uint32(groupHeaderSize))
	binary.LittleEndian.PutUint32(out[5:], 1<<31)
	f.Add(out, uint32(0))
	f.Fuzz(func(_ *testing.T, group []byte, off uint32) {
		_, _, _ = readGroup(group)
		if len(group) > 0 {
			_, _ = entryAt(group, int(off))
		}
	})
}

// ctxOf is the context of a test, or of a check of rapid.
func ctxOf(t require.TestingT) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

// restless is work that is not paced.
func restless() error { return nil }
