package carrier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// source is a lookup module of a test: answer tells of each number.
type source struct {
	describe *proto.DescribeResponse
	answer   func(ctx context.Context, q *proto.NumberQuery) *proto.NumberResult
	whole    func(ctx context.Context, in *proto.LookupRequest) (*proto.LookupResponse, error) // instead, where it is set
	calls    []*proto.LookupRequest
}

func (s *source) Number(string) proto.NumberClient { return s }

func (s *source) Describe(string) (*proto.DescribeResponse, bool) {
	return s.describe, s.describe != nil
}

func (s *source) Lookup(ctx context.Context, in *proto.LookupRequest, _ ...grpc.CallOption) (*proto.LookupResponse, error) {
	s.calls = append(s.calls, in)
	if s.whole != nil {
		return s.whole(ctx, in)
	}
	out := &proto.LookupResponse{}
	for _, q := range in.Queries {
		out.Results = append(out.Results, s.answer(ctx, q))
	}
	return out, nil
}

func tellsAll() *proto.DescribeResponse {
	return &proto.DescribeResponse{NumberFacts: []proto.NumberFact{proto.NumberFact_CARRIER_NOW, proto.NumberFact_IN_SERVICE, proto.NumberFact_CHANGED_HANDS}}
}

// chainOf has docomo's range 09000 and the ported number 09000000001 of au.
func chainOf(t *testing.T, s *source, change func(l *Lookup)) (*Chain, *bytes.Buffer) {
	cfg := Box(write(t, "09000,docomo\n"))
	cfg.Ported = write(t, "09000000001,au\n")
	cfg.Lookup = DefaultLookup()
	cfg.Lookup.Module = "number/test"
	if change != nil {
		change(&cfg.Lookup)
	}
	table, err := Open(cfg)
	require.NoError(t, err)
	log := new(bytes.Buffer)
	return NewChain(ChainOptions{Table: table, Modules: s, Log: slog.New(slog.NewTextHandler(log, nil))}), log
}

func query(t testing.TB, number, day string) Query {
	t.Helper()
	n, err := ParseNumber(number)
	require.NoError(t, err)
	return Query{Number: n, Registered: day}
}

// settle resolves, asks where it must, and resolves again.
func settle(t *testing.T, c *Chain, q Query) (Result, bool) {
	a, ask := c.Resolve(q)
	if !ask {
		return Result{Answer: a}, false
	}
	return c.Ask(t.Context(), []Query{q})[0], true
}

func TestTableThenModuleThenRange(t *testing.T) {
	s := &source{describe: tellsAll(), answer: func(_ context.Context, q *proto.NumberQuery) *proto.NumberResult {
		r := &proto.NumberResult{InService: proto.Certainty_YES}
		if q.RegisteredOn != "" {
			r.ChangedHands = proto.Certainty_NO
		}
		switch q.Number[len(q.Number)-1] {
		case '1', '2':
			r.Carrier, r.Ported = "softbank", proto.Certainty_YES
		case '3':
			r.InService = proto.Certainty_NO
		case '4':
			if q.RegisteredOn != "" && q.RegisteredOn <= "2024-05-05" {
				r.ChangedHands = proto.Certainty_YES
			}
		case '5':
			r.Carrier = "nobody" // not configured
		case '6':
			return &proto.NumberResult{Error: &proto.Error{Class: proto.ErrorClass_UNAVAILABLE}}
		}
		return r
	}}
	c, _ := chainOf(t, s, nil)
	for _, x := range []struct {
		number, day   string
		code          bool
		carrier, by   string
		stop          string
		asked, failed bool
	}{
		{number: "09000000001", carrier: "au", by: message.ByPorted},
		{number: "09000000001", day: "2025-01-01", carrier: "au", by: message.ByPorted, asked: true}, // the table's carrier holds
		{number: "09000000002", carrier: "softbank", by: message.ByModule, asked: true},
		{number: "09000000002", carrier: "softbank", by: message.ByModule}, // known by now
		{number: "09000000002", code: true, carrier: "softbank", by: message.ByModule},
		{number: "09000000012", code: true, carrier: "docomo", by: message.ByRange}, // a code waits for nobody
		{number: "09000000012", code: true, day: "2025-01-01", carrier: "softbank", by: message.ByModule, asked: true},
		{number: "09000000003", carrier: "docomo", by: message.ByRange, stop: StopNotInService, asked: true},
		{number: "09000000003", day: "2020-01-01", carrier: "docomo", by: message.ByRange, stop: StopNotInService},
		{number: "09000000004", carrier: "docomo", by: message.ByRange, asked: true},
		{number: "09000000004", day: "2024-05-06", carrier: "docomo", by: message.ByRange, asked: true},
		{number: "09000000004", day: "2025-01-01", carrier: "docomo", by: message.ByRange}, // nor since a later day
		{number: "09000000004", day: "2024-05-05", carrier: "docomo", by: message.ByRange, stop: StopChangedHands, asked: true},
		{number: "09000000004", day: "2020-01-01", carrier: "docomo", by: message.ByRange, stop: StopChangedHands}, // since an earlier one too
		{number: "09000000004", carrier: "docomo", by: message.ByRange},                                            // who does not ask is not told
		{number: "09000000005", carrier: "docomo", by: message.ByRange, asked: true},
		{number: "09000000006", carrier: "docomo", by: message.ByRange, asked: true, failed: true},
	} {
		q := query(t, x.number, x.day)
		q.Code = x.code
		r, asked := settle(t, c, q)
		require.Equal(t, x.asked, asked, "%+v", x)
		require.Equal(t, x.failed, r.Failed, "%+v", x)
		require.Equal(t, x.carrier, r.Carrier.Name, "%+v", x)
		require.Equal(t, x.by, r.By, "%+v", x)
		require.Equal(t, x.stop, r.Stop, "%+v", x)
	}
	for _, in := range s.calls {
		require.Equal(t, "operator", in.Call.Tenant, "the module hears of no tenant")
	}
}

func TestModuleIsAskedOnlyForWhatItTells(t *testing.T) {
	s := &source{describe: &proto.DescribeResponse{NumberFacts: []proto.NumberFact{proto.NumberFact_CHANGED_HANDS}}}
	c, _ := chainOf(t, s, nil)
	_, ask := c.Resolve(query(t, "09000000002", ""))
	require.False(t, ask, "it knows no carriers")
	_, ask = c.Resolve(query(t, "09000000002", "2020-01-01"))
	require.True(t, ask)
	s.describe = &proto.DescribeResponse{NumberFacts: []proto.NumberFact{proto.NumberFact_CARRIER_NOW}, MaxNumbers: 50}
	require.Equal(t, 50, c.MaxBatch())
	_, ask = c.Resolve(query(t, "09000000001", "2020-01-01"))
	require.False(t, ask, "the table has its carrier, and the module tells nothing else")
	c, _ = chainOf(t, s, func(l *Lookup) { l.Ask = askRegistered })
	_, ask = c.Resolve(query(t, "09000000002", ""))
	require.False(t, ask)
	c, _ = chainOf(t, s, func(l *Lookup) { l.Module = "" })
	_, ask = c.Resolve(query(t, "09000000002", "2020-01-01"))
	require.False(t, ask)
}

func TestBatchIsOneCallAndNoQuestionStandsTwice(t *testing.T) {
	s := &source{describe: tellsAll(), answer: func(_ context.Context, q *proto.NumberQuery) *proto.NumberResult {
		return &proto.NumberResult{Carrier: "rakuten", InService: proto.Certainty_YES}
	}}
	c, _ := chainOf(t, s, nil)
	var queries []Query
	for i := range 500 {
		queries = append(queries, query(t, fmt.Sprintf("090000%05d", 10+i/2), "")) // each twice
	}
	queries = append(queries, query(t, "09000000010", "2020-01-01"))
	for _, r := range c.Ask(t.Context(), queries) {
		require.Equal(t, "rakuten", r.Carrier.Name)
	}
	require.Len(t, s.calls, 1)
	require.Len(t, s.calls[0].Queries, 251)
}

func TestFailureFollowsThePolicyAndShowsNoNumber(t *testing.T) {
	personal := "no account for +819000000002"
	for name, whole := range map[string]func(context.Context, *proto.LookupRequest) (*proto.LookupResponse, error){
		"refused": func(context.Context, *proto.LookupRequest) (*proto.LookupResponse, error) {
			return &proto.LookupResponse{Error: &proto.Error{Class: proto.ErrorClass_CONFIG, Message: personal}}, nil
		},
		"broken": func(context.Context, *proto.LookupRequest) (*proto.LookupResponse, error) {
			return nil, status.Error(codes.Internal, personal)
		},
		"slow": func(ctx context.Context, _ *proto.LookupRequest) (*proto.LookupResponse, error) {
			<-ctx.Done()
			return nil, errors.New(personal)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{describe: tellsAll(), whole: whole}
				c, log := chainOf(t, s, func(l *Lookup) { l.DeadlineMS, l.HoldSeconds = 700, 120 })
				q := query(t, "09000000002", "")
				began := time.Now()
				for range 3 {
					require.True(t, c.Ask(t.Context(), []Query{q})[0].Failed)
				}
				require.LessOrEqual(t, time.Since(began), 3*700*time.Millisecond)
				require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("\n")), "logged once, not for each call")
				require.NotContains(t, log.String(), "0002")
				a, hold := c.Failed(q)
				require.Zero(t, hold)
				require.Equal(t, "docomo", a.Carrier.Name)
				q.Registered = "2020-01-01"
				_, hold = c.Failed(q)
				require.Equal(t, 120*time.Second, hold, "a stranger might get it")
				_, ask := c.Resolve(q)
				require.True(t, ask, "a failure is not kept")
				s.whole, s.answer = nil, func(context.Context, *proto.NumberQuery) *proto.NumberResult { return &proto.NumberResult{} }
				require.False(t, c.Ask(t.Context(), []Query{q})[0].Failed)
				require.Contains(t, log.String(), "works again")
			})
		})
	}
}

func TestAnswersAreKeptForTheirTermAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{describe: tellsAll(), answer: func(context.Context, *proto.NumberQuery) *proto.NumberResult {
			return &proto.NumberResult{Carrier: "au"}
		}}
		c, _ := chainOf(t, s, func(l *Lookup) { l.CacheMinutes, l.CacheNumbers = 30, 1000 })
		_, asked := settle(t, c, query(t, "09000000002", ""))
		require.True(t, asked)
		time.Sleep(30*time.Minute - time.Second)
		_, asked = settle(t, c, query(t, "09000000002", ""))
		require.False(t, asked)
		time.Sleep(time.Second)
		_, asked = settle(t, c, query(t, "09000000002", ""))
		require.True(t, asked)
		for i := range 5000 {
			settle(t, c, query(t, fmt.Sprintf("0900000%04d", i), ""))
			require.LessOrEqual(t, len(c.cache.young)+len(c.cache.older), 1000)
		}
	})
}

// TestWhatIsKnownOfADayAgreesWithAsking: whatever was asked before, the kept answer is what the module would say.
func TestWhatIsKnownOfADayAgreesWithAsking(t *testing.T) {
	day := rapid.Custom(func(t *rapid.T) string {
		return time.Date(2020, 1, rapid.IntRange(1, 60).Draw(t, "day"), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	})
	rapid.Check(t, func(t *rapid.T) {
		changed := day.Draw(t, "changed")
		truth := func(since string) proto.Certainty {
			if since <= changed {
				return proto.Certainty_YES
			}
			return proto.Certainty_NO
		}
		asked := day.Draw(t, "asked")
		kept := told{day: asked, changed: truth(asked)}
		since := day.Draw(t, "since")
		if known := kept.hands(since); known != 0 && known != truth(since) {
			t.Fatalf("changed %s, asked since %s, then since %s: %v", changed, asked, since, known)
		}
		if since == asked && kept.hands(since) == 0 {
			t.Fatal("asked a second time")
		}
	})
}

// TestSimulatedCarrierIsNeverToldForARealNumber: nor the other way round.
func TestSimulatedCarrierIsNeverToldForARealNumber(t *testing.T) {
	s := &source{describe: tellsAll(), answer: func(context.Context, *proto.NumberQuery) *proto.NumberResult {
		return &proto.NumberResult{Carrier: "au"}
	}}
	c, _ := chainOf(t, s, nil)
	r := c.Ask(t.Context(), []Query{query(t, "08012345678", "")})[0]
	require.Nil(t, r.Carrier)
}

func TestLookupConfigFaultsAreAllReported(t *testing.T) {
	cfg := Box("x")
	cfg.Lookup = Lookup{Module: "auth/x", Ask: "some", Failure: "drop", FailureRegistered: "", ConfigFile: "/none"}
	err := cfg.Validate()
	for _, want := range []string{"lookup.module", "lookup.ask", "lookup.failure: ", "lookup.failure_registered", "lookup.hold_seconds: 0 must be 10 to 3600", "lookup.deadline_ms", "lookup.cache_minutes", "lookup.cache_numbers", "lookup.config_file"} {
		require.ErrorContains(t, err, want)
	}
	cfg.Lookup.Module = ""
	require.NoError(t, cfg.Validate(), "nobody is asked")
}
