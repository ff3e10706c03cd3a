package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/tools/built"
)

// A renderer that a definition names anew draws everything before it is applied.
func TestApplyTriesTheRenderer(t *testing.T) {
	dir, err := os.MkdirTemp("", "k") // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	module := host.Module{Name: page.DefaultModule, Path: built.Program(t, "plugins/render/standard")}
	module.SHA256, err = host.Checksum(module.Path)
	require.NoError(t, err)
	h, err := host.Start(t.Context(), host.Options{Modules: []host.Module{module}, StoreDir: filepath.Join(dir, "s"), RunDir: filepath.Join(dir, "r")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close(context.Background())) })
	d := &operatorDoor{modules: h, pages: page.New(page.Options{Renders: h, Timeout: time.Nanosecond})}
	own := &tenant.Tenant{ID: "suido", Name: "水道局", Brand: tenant.Brand{Renderer: page.DefaultModule}}
	require.ErrorContains(t, d.tryRenderer(t.Context(), &tenant.Tenant{}, own), "brand.renderer: render/standard: LANDING, ja: ")
	require.Error(t, d.tryRenderer(t.Context(), nil, own), "of a new tenant too")
	require.NoError(t, d.tryRenderer(t.Context(), own, own), "it has it already")
	require.NoError(t, d.tryRenderer(t.Context(), nil, &tenant.Tenant{Brand: tenant.Brand{Renderer: "render/away"}}), "it does not run now")
}
