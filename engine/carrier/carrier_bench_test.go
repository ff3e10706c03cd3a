package carrier

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const benchRows = 10_000_000

// BenchmarkImportOfTenMillion reads ten million ported numbers from a file. MB-allocated is all that it allocates, freed or
// not; MB-peak is how much the heap grew at the most, sampled; file-MB is what was read.
func BenchmarkImportOfTenMillion(b *testing.B) {
	cfg := Box("../../conf/data/ranges.csv")
	file := portedFile(benchRows)
	cfg.Ported = filepath.Join(b.TempDir(), "ported.csv")
	if err := os.WriteFile(cfg.Ported, file, 0o600); err != nil {
		b.Fatal(err)
	}
	size := len(file)
	file = nil
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		every := time.NewTicker(10 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-stop:
				return
			case <-every.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	n := 0
	for b.Loop() {
		n++
		if _, err := Open(cfg); err != nil {
			b.Fatal(err)
		}
	}
	close(stop)
	<-stopped
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(n)/1e6, "MB-allocated")
	b.ReportMetric((float64(peak)-float64(before.HeapAlloc))/1e6, "MB-peak")
	b.ReportMetric(float64(size)/1e6, "file-MB")
	b.ReportMetric(float64(benchRows)*float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkResolve looks up numbers all over a table of ten million: each in another block, as traffic is. Half of
// them are ported, the others are found by their range.
func BenchmarkResolve(b *testing.B) {
	cfg := Box("../../conf/data/ranges.csv")
	cfg.Ported = filepath.Join(b.TempDir(), "ported.csv")
	if err := os.WriteFile(cfg.Ported, portedFile(benchRows), 0o600); err != nil {
		b.Fatal(err)
	}
	table, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	i := uint64(0)
	for b.Loop() {
		i++
		table.Resolve(Number{9000000000 + i*7_654_321%10_000_000})
	}
}
