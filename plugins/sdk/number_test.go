package sdk

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
)

func batch(n int) *proto.LookupRequest {
	in := &proto.LookupRequest{Call: &proto.Call{Instance: "numbers"}}
	for i := range n {
		in.Queries = append(in.Queries, &proto.NumberQuery{Number: fmt.Sprintf("+8190%08d", i)})
	}
	return in
}

func TestEachNumberIsLookedUpInOrderAndSomeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := PerNumber(10, func(_ context.Context, call *proto.Call, q *proto.NumberQuery) *proto.NumberResult {
			time.Sleep(time.Duration(q.Number[len(q.Number)-1]-'0') * time.Millisecond) // the first is not the first to end
			return &proto.NumberResult{Carrier: call.Instance + q.Number[9:]}
		})
		began := time.Now()
		out, err := server.Lookup(t.Context(), batch(100))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 450*time.Millisecond, "one after the other it would be 450 ms")
		require.Len(t, out.Results, 100)
		for i, r := range out.Results {
			require.Equal(t, fmt.Sprintf("numbers%04d", i), r.Carrier)
		}
		out, err = server.Lookup(t.Context(), batch(0))
		require.NoError(t, err)
		require.Empty(t, out.Results)
	})
}

func TestLookupThatIsGivenUpFailsAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := PerNumber(4, func(ctx context.Context, _ *proto.Call, _ *proto.NumberQuery) *proto.NumberResult {
			<-ctx.Done()
			return nil
		}).Lookup(ctx, batch(100))
		require.Equal(t, codes.Canceled, status.Code(err))
	})
	_, err := PerNumber(0, func(context.Context, *proto.Call, *proto.NumberQuery) *proto.NumberResult {
		panic("+819000012345")
	}).Lookup(t.Context(), batch(3))
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "12345")
	_, err = PerNumber(4, nil).Lookup(t.Context(), batch(MaxNumbers+1))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestNumberModuleStatesNoLargerBatchThanTheContract(t *testing.T) {
	d := &proto.DescribeResponse{Name: "x", Version: "1.0.0", Kind: proto.Kind_NUMBER, MaxNumbers: MaxNumbers}
	m := Module{Describe: d, Number: PerNumber(1, nil)}
	require.NoError(t, m.check())
	d.MaxNumbers++
	require.ErrorContains(t, m.check(), "at most 1000")
}
