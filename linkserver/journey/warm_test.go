package journey

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

// drawing is the standard renderer, without a process of its own.
type drawing struct {
	proto.RenderClient
	pages atomic.Int64
}

func (d *drawing) Render(string) proto.RenderClient { return d }

func (d *drawing) RenderPage(_ context.Context, in *proto.RenderPageRequest, _ ...grpc.CallOption) (*proto.RenderPageResponse, error) {
	d.pages.Add(1)
	html, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

// However many tenants there are, what is drawn ahead stays in the cache, and leaves half of it to the pages that somebody asks for.
func TestLandingPagesDrawnAheadDoNotPushEachOtherOut(t *testing.T) {
	tenants := map[tenant.ID]*tenant.Tenant{}
	for i := range 20 {
		id := tenant.ID(fmt.Sprintf("t%02d", i))
		tenants[id] = &tenant.Tenant{ID: id, Name: "〇〇県水道局"}
	}
	snapshot, renders := &tenant.Snapshot{Tenants: tenants}, &drawing{}
	pages := page.New(page.Options{Renders: renders, CacheBytes: 1 << 20})
	j := New(Options{Directory: func() *tenant.Snapshot { return snapshot }, Pages: pages})
	j.warm(t.Context())
	drawn := renders.pages.Load()
	require.Greater(t, drawn, int64(20))
	require.Less(t, drawn, int64(60), "not those of all")
	j.warm(t.Context())
	require.Equal(t, drawn, renders.pages.Load(), "all are there still")
}
