package sdk

import (
	"context"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
)

// MaxNumbers is how many numbers one Lookup holds at the most, whatever a module states.
const MaxNumbers = 1000

// PerNumber makes a number module of a function that looks up one number, for a source that knows no batches: it is called
// for up to atOnce numbers of a batch at the same time. When ctx ends it may return nil, and the whole batch has failed.
//
// A vendor whose source takes batches implements proto.NumberServer instead.
func PerNumber(atOnce int, lookup func(ctx context.Context, call *proto.Call, q *proto.NumberQuery) *proto.NumberResult) proto.NumberServer {
	return perNumber{atOnce: max(1, atOnce), lookup: lookup}
}

type perNumber struct {
	proto.UnimplementedNumberServer
	atOnce int
	lookup func(context.Context, *proto.Call, *proto.NumberQuery) *proto.NumberResult
}

func (p perNumber) Lookup(ctx context.Context, in *proto.LookupRequest) (*proto.LookupResponse, error) {
	if len(in.Queries) > MaxNumbers {
		return nil, status.Errorf(codes.InvalidArgument, "%d numbers: at most %d are taken at once", len(in.Queries), MaxNumbers)
	}
	results := make([]*proto.NumberResult, len(in.Queries))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.atOnce)
	for i, q := range in.Queries {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			defer func() {
				if recover() != nil { // its value may hold a number, and the interceptor is on another goroutine
					err = status.Error(codes.Internal, "panic in the module")
				}
			}()
			if results[i] = p.lookup(ctx, in.Call, q); results[i] == nil {
				err = status.Error(codes.Canceled, "the lookup was given up")
			}
			return err
		})
	}
	err := g.Wait()
	if err == nil && len(results) > 0 && results[len(results)-1] == nil { // the caller gave up before all were begun
		err = status.Error(codes.Canceled, "the lookup was given up")
	}
	if err != nil {
		return nil, err
	}
	return &proto.LookupResponse{Results: results}, nil
}
