package host

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/kakitome/kakitome/plugins/proto"
)

func benchmarked(b *testing.B) *Host {
	dir, err := os.MkdirTemp("", "h")
	if err != nil {
		b.Fatal(err)
	}
	sum, err := Checksum(program)
	if err != nil {
		b.Fatal(err)
	}
	h, err := Start(b.Context(), Options{
		Modules:  []Module{{Name: "auth/a", Path: program, SHA256: sum}},
		StoreDir: filepath.Join(dir, "store"), RunDir: filepath.Join(dir, "run"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		h.Close(b.Context())
		os.RemoveAll(dir)
	})
	if err := h.Configure(b.Context(), "auth/a", "i", "", nil); err != nil {
		b.Fatal(err)
	}
	return h
}

var benchmarkedCall = &proto.CanonicalRequest{Call: &proto.Call{Instance: "i"}, Items: []*proto.CanonicalItem{{Value: "echo:x"}}}

func BenchmarkCall(b *testing.B) {
	c := benchmarked(b).Auth("auth/a")
	for b.Loop() {
		if _, err := c.Canonical(b.Context(), benchmarkedCall); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallsAtOnce(b *testing.B) {
	c := benchmarked(b).Auth("auth/a")
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := c.Canonical(b.Context(), benchmarkedCall); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// From nothing to the first answer, with the copy already in the store.
func BenchmarkStart(b *testing.B) {
	h := benchmarked(b)
	m := h.modules["auth/a"]
	for b.Loop() {
		l, err := m.launch(b.Context(), m.config)
		if err != nil {
			b.Fatal(err)
		}
		m.end(l.process, l.client, false)
	}
}
