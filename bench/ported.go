package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
)

// portedNumbers is how many numbers the two simulated blocks have, 0700 and 0900.
const portedNumbers = 20_000_000

// portedPlace is the i-th of them, so that neither neighbours nor numbers in order follow each other.
func portedPlace(i int) uint64 {
	k := uint64(i) * 7_654_321 % portedNumbers // coprime: all different
	return (7+2*(k/10_000_000))*1e9 + k%10_000_000
}

// portedLookups is how many are measured, in groups: one alone is about as long as reading the clock.
const (
	portedLookups = 4_000_000
	portedGroup   = 1000
)

// ported imports a table of ported numbers from a file, as at the start, and again as at a reload, which makes the new table beside
// the old one; then it looks numbers up, half of them ported if the table has ten million rows, the others found by their range.
func ported(ctx context.Context, s settings) (figures []figure, err error) {
	dir, err := os.MkdirTemp("", "kakitome-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.Ported > portedNumbers {
		return nil, fmt.Errorf("there are only %d numbers", portedNumbers)
	}
	cfg := carrier.Box(filepath.Join(dir, "ranges.csv"))
	cfg.Ported = filepath.Join(dir, "ported.csv")
	if err := errors.Join(os.WriteFile(cfg.Ranges, []byte("0700,docomo\n0900,au\n"), 0o600), writePorted(cfg, s.Ported)); err != nil {
		return nil, err
	}
	file, err := os.Stat(cfg.Ported)
	if err != nil {
		return nil, err
	}
	load := func(do func() error) (took time.Duration, allocated, kept float64, err error) {
		before := heap()
		began := time.Now()
		err = do()
		took = time.Since(began)
		after := heap()
		aRow := func(from, to uint64) float64 { return (float64(to) - float64(from)) / float64(s.Ported) }
		return took, aRow(before.TotalAlloc, after.TotalAlloc), aRow(before.HeapAlloc, after.HeapAlloc), errors.Join(err, ctx.Err())
	}
	var table *carrier.Table
	took, allocated, kept, err := load(func() (err error) { table, err = carrier.Open(cfg); return err })
	if err != nil {
		return nil, err
	}
	again, allocatedAgain, keptAgain, err := load(func() error { return table.Reload(cfg) })
	if err != nil {
		return nil, err
	}
	own, _, err := residentOf(os.Getpid())
	if err != nil {
		return nil, err
	}

	numbers := make([]carrier.Number, 1_000_000) // all over the table, as traffic is
	r := rand.New(rand.NewPCG(1, 1))
	for i := range numbers {
		if numbers[i], err = carrier.ParseNumber(fmt.Sprintf("0%d", portedPlace(r.IntN(portedNumbers)))); err != nil {
			return nil, err
		}
	}
	groups := make([]float64, 0, portedLookups/portedGroup)
	var all time.Duration
	for i := 0; i < portedLookups; i += portedGroup {
		group := numbers[i%len(numbers):][:portedGroup]
		began := time.Now()
		for _, n := range group {
			if _, ok := table.Resolve(n); !ok {
				return nil, fmt.Errorf("%v is nobody's", n)
			}
		}
		took := time.Since(began)
		all += took
		groups = append(groups, float64(took.Nanoseconds())/portedGroup)
	}
	slices.Sort(groups)
	return []figure{
		{"ported numbers", float64(s.Ported), "rows", ""},
		{"file", float64(file.Size()) / (1 << 20), "MiB", ""},
		{"import: time", took.Seconds(), "s", ""},
		{"import: rate", float64(s.Ported) / took.Seconds(), "rows/s", ""},
		{"allocated by the import, freed or not", allocated, "bytes a row", "bounded: the table"},
		{"kept by the table", kept, "bytes a row", ""},
		{"import again, beside the table in use: time", again.Seconds(), "s", ""},
		{"allocated by that", allocatedAgain, "bytes a row", "bounded: one more table"},
		{"kept more after that", keptAgain, "bytes a row", "none"},
		{"memory of the process then", own, "MiB", ""},
		{"a lookup: mean", float64(all.Nanoseconds()) / portedLookups, "ns", "under 1,000"},
		{fmt.Sprintf("a lookup, by groups of %d: p50", portedGroup), groups[len(groups)/2], "ns", "under 1,000"},
		{fmt.Sprintf("a lookup, by groups of %d: p99", portedGroup), groups[len(groups)*99/100], "ns", ""},
	}, nil
}

// writePorted writes the first n numbers, each with some carrier.
func writePorted(cfg carrier.Config, n int) error {
	f, err := os.Create(cfg.Ported)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		fmt.Fprintf(w, "0%d,%s\n", portedPlace(i), cfg.Carriers[i%len(cfg.Carriers)].Name) // w keeps the error
	}
	return errors.Join(w.Flush(), f.Close())
}

// heap is what the program holds when nothing is left to be freed.
func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
