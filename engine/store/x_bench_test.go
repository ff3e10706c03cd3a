package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// The whole durable life of a message, each step acknowledged after its sync: accepted (250 bytes of record, a sealed
// page of 1,000 bytes, its token, number, idempotency key, two terms, a place in a queue), submitting, submitted (with
// the carrier's id), delivered (found by that id). Run with -benchtime=200000x, more than once.

type benchLife struct {
	ref Ref
	no  string
}

func benchStore(b *testing.B) (*Store, string) {
	dir := b.TempDir()
	o := optionsIn(b, dir)
	o.Pace, o.Cache, o.ValueLogSize = 0, 0, 0
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s, o.Dir
}

func accept(b *testing.B, s *Store, n uint64) (benchLife, Tx) {
	now := time.Now()
	var id ulid.ULID
	id.SetTime(ulid.Timestamp(now))
	binary.BigEndian.PutUint64(id[8:], n*0x9E3779B97F4A7C15)
	l := benchLife{Ref{acme, Message, id}, s.NextNo(now)}
	page, err := s.Seal(acme, "bulk", now, l.no, make([]byte, 1000))
	if err != nil {
		b.Fatal(err)
	}
	return l, Tx{{
		Ref: l.ref, Events: []NewEvent{{Type: 1, Data: make([]byte, 250)}, {Type: 2, Data: page}},
		Names: []Name{
			{Space: ByToken, Key: string(id[6:]), Exclusive: true}, {Space: ByNo, Key: l.no},
			{Space: ByKey, Key: l.no, Value: make([]byte, 16), Exclusive: true, Until: now.Add(24 * time.Hour)},
		},
		Terms: []Term{{1, string(id[:])}, {2, "campaign"}},
		Due:   &Due{Queue: "docomo/bulk"},
	}}
}

func (l benchLife) submitting() Tx {
	return Tx{{Ref: l.ref, Expect: 2, Events: []NewEvent{{Type: 3, Data: make([]byte, 8)}}, Due: &Due{}}}
}

func (l benchLife) submitted() Tx {
	return Tx{{
		Ref: l.ref, Expect: 3, Events: []NewEvent{{Type: 4, Data: make([]byte, 24)}},
		Names: []Name{{Space: BySMSCID, Key: "docomo/" + l.no, Until: time.Now().Add(72 * time.Hour)}},
	}}
}

func delivered(ref Ref) Tx {
	return Tx{{Ref: ref, Expect: 4, Events: []NewEvent{{Type: 5, Data: make([]byte, 24)}}, Final: true}}
}

func benchCommit(b *testing.B, s *Store, txs []Tx) {
	for {
		errs, err := s.Commit(context.Background(), txs...)
		if err == ErrBusy {
			time.Sleep(time.Millisecond)
			continue
		}
		for _, e := range errs {
			if e != nil {
				err = e
			}
		}
		if err != nil {
			b.Error(err)
		}
		return
	}
}

func BenchmarkWholeLife(b *testing.B) {
	for _, c := range []struct{ committers, batch int }{{1, 1}, {64, 1}, {512, 1}, {4, 500}, {16, 500}} {
		b.Run(fmt.Sprintf("committers=%d/batch=%d", c.committers, c.batch), func(b *testing.B) {
			s, dir := benchStore(b)
			before, cpu := written(), cpuTime()
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range c.committers {
				all.Go(func() {
					for {
						end := int(next.Add(int64(c.batch)))
						n := min(c.batch, b.N-end+c.batch)
						if n <= 0 {
							return
						}
						lives, txs := make([]benchLife, n), make([]Tx, n)
						for i := range n {
							lives[i], txs[i] = accept(b, s, uint64(end-i))
						}
						benchCommit(b, s, txs)
						for i := range lives {
							txs[i] = lives[i].submitting()
						}
						benchCommit(b, s, txs)
						for i := range lives {
							txs[i] = lives[i].submitted()
						}
						benchCommit(b, s, txs)
						for i, l := range lives {
							ref, _, err := s.Lookup(context.Background(), tenant.Operator(), BySMSCID, "docomo/"+l.no)
							if err != nil || ref != l.ref {
								b.Error(ref, err)
							}
							txs[i] = delivered(ref)
						}
						benchCommit(b, s, txs)
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1000/float64(b.N), "cpu-µs/life")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
			b.ReportMetric(float64(written()-before)/float64(b.N), "written-B/life")
			b.ReportMetric(float64(stored(dir))/float64(b.N), "stored-B/life")
		})
	}
}

// BenchmarkLoneCommit is the latency of one committer with nobody else there.
func BenchmarkLoneCommit(b *testing.B) {
	s, _ := benchStore(b)
	var n uint64
	for b.Loop() {
		n++
		_, tx := accept(b, s, n)
		benchCommit(b, s, []Tx{tx})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, _ := benchStore(b)
	var refs []Ref
	for n := range uint64(20000) {
		l, tx := accept(b, s, n+1)
		refs = append(refs, l.ref)
		if n%1000 == 0 {
			benchCommit(b, s, []Tx{tx})
		} else if err := s.CommitAsync([]Tx{tx}, func([]error) {}); err != nil {
			b.Fatal(err)
		}
	}
	for range 5000 { // push the groups out of the ring
		s.recent.mu.Lock()
		s.recent.groups, s.recent.first, s.recent.bytes = nil, s.recent.first+uint64(len(s.recent.groups)), 0
		s.recent.mu.Unlock()
	}
	if err := s.writeOut(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := s.Load(context.Background(), tenant.Only(acme), refs[i%len(refs)]); err != nil && i < 19000 {
			b.Fatal(err)
		}
		i += 7
	}
}

// cpuTime is what this process has used of the CPUs.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is what the kernel counts as written by this process, in bytes.
func written() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}

// stored is the size of the directory as ls has it.
func stored(dir string) (size int64) {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if info, err := d.Info(); err == nil && !d.IsDir() {
			size += info.Size()
		}
		return nil
	})
	return size
}

// BenchmarkStageInOrder is the sorting of what a full stage holds: of each message its head, six terms and three names.
func BenchmarkStageInOrder(b *testing.B) {
	st := newStage(1)
	var key []byte
	for at := int64(0); !st.full(); at++ {
		id := newRef(acme, Message).ID
		key = appendHeadKey(key[:0], acme, Message, at, id)
		st.put(key, nil)
		for field := range byte(6) {
			value := id[:]
			if field < 3 {
				value = []byte("notice")
			}
			key = appendTermPrefix(key[:0], acme, Message, field, value)
			st.put(appendNewest(key, at, id), nil)
		}
		for _, space := range []Space{ByNo, ByToken, BySMSCID} {
			key = appendNameKey(key[:0], space, acme, fmt.Sprintf("%017d", at))
			st.putName(key, id[:])
		}
	}
	b.ResetTimer()
	for b.Loop() {
		st.sorted()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(st.count/10), "ns/message")
}
