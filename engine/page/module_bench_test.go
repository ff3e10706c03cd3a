package page

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/built"
)

// BenchmarkPageThroughModule is of landing pages that were not drawn before: host, gRPC, the standard renderer's process, check, cache.
func BenchmarkPageThroughModule(b *testing.B) {
	dir, err := os.MkdirTemp("", "p") // b.TempDir is too long for a socket
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	module := host.Module{Name: DefaultModule, Path: built.Program(b, "plugins/render/standard")}
	module.SHA256, err = host.Checksum(module.Path)
	require.NoError(b, err)
	h, err := host.Start(b.Context(), host.Options{Modules: []host.Module{module}, StoreDir: filepath.Join(dir, "s"), RunDir: filepath.Join(dir, "r")})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.Close(context.Background())) })
	p, m := New(Options{Renders: h, Patience: time.Minute}), View(water, proto.View_LANDING, "ja")
	b.ReportAllocs()
	for at := int64(0); b.Loop(); at += 60 {
		m.LinkExpires = timestamppb.New(time.Unix(at, 0))
		if p.Page(b.Context(), "water", m).Plain {
			b.Fatal("the renderer gave no page")
		}
	}
}
