package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func query(number, day string) *proto.NumberQuery {
	return &proto.NumberQuery{Number: number, RegisteredOn: day}
}

func TestLastDigitsSayWhatIsTold(t *testing.T) {
	const no, yes, unknown = proto.Certainty_NO, proto.Certainty_YES, proto.Certainty_UNKNOWN
	for _, c := range []struct {
		number, day                string
		carrier                    string
		ported, inService, changed proto.Certainty
	}{
		{"+819000010001", "", "", no, yes, 0},
		{"+819000010001", "2020-01-01", "", no, yes, no},
		{"+819000019801", "2020-01-01", "", no, yes, yes},
		{"+819000019801", "2026-11-21", "", no, yes, yes}, // on that day itself
		{"+819000019801", "2026-11-22", "", no, yes, no},
		{"+819000019801", "", "", no, yes, 0},
		{"+819000019802", "2026-01-01", "", no, yes, yes},
		{"+819000019802", "2026-01-02", "", no, yes, no},
		{"+819000019803", "", "", no, no, 0},
		{"+819000019804", "2020-01-01", "", unknown, unknown, unknown},
		{"+819000019811", "", "docomo", yes, yes, 0},
		{"+819000019812", "2020-01-01", "au", yes, yes, no},
		{"+819000019813", "", "softbank", yes, yes, 0},
		{"+819000019814", "", "rakuten", yes, yes, 0},
	} {
		r := look(query(c.number, c.day), now)
		require.Nil(t, r.Error)
		require.Equal(t, c.carrier, r.Carrier, "%+v", c)
		require.Equal(t, []proto.Certainty{c.ported, c.inService, c.changed}, []proto.Certainty{r.Ported, r.InService, r.ChangedHands}, "%+v", c)
	}
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, look(query("+819000019820", ""), now).Error.Class)
	for _, q := range []*proto.NumberQuery{query("09000010001", ""), query("", ""), query("+819000010001", "2020-13-01")} {
		r := look(q, now)
		require.Equal(t, proto.ErrorClass_INVALID, r.Error.Class)
		require.NotContains(t, r.Error.String(), "0001")
	}
}

func TestFaultsOfTheBatch(t *testing.T) {
	lookup := func(ctx context.Context, s *simulated, numbers ...string) (*proto.LookupResponse, error) {
		in := &proto.LookupRequest{Call: &proto.Call{Instance: "numbers", Now: timestamppb.New(now)}}
		for _, n := range numbers {
			in.Queries = append(in.Queries, query(n, ""))
		}
		return s.Lookup(ctx, in)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{}
		out, err := lookup(t.Context(), s, "+819000010001", "+819000019821")
		require.NoError(t, err)
		require.Equal(t, proto.ErrorClass_UNAVAILABLE, out.Error.Class)
		require.Empty(t, out.Results)
		out, err = lookup(t.Context(), s, "+819000010001", "+819000019825")
		require.NoError(t, err)
		require.Len(t, out.Results, 1)
		began := time.Now()
		_, err = lookup(t.Context(), s, "+819000019823")
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = lookup(ctx, s, "+819000019824")
		require.Error(t, err)

		require.Nil(t, s.configure(t.Context(), "numbers", "", []byte(`{"latency_ms":700,"fault":"refuse"}`)))
		began = time.Now()
		out, err = lookup(t.Context(), s, "+819000010001")
		require.NoError(t, err)
		require.NotNil(t, out.Error)
		require.Equal(t, 700*time.Millisecond, time.Since(began))
	})
	ended := 0
	s := &simulated{exit: func(int) { ended++ }}
	_, err := lookup(t.Context(), s, "+819000010001", "+819000019822")
	require.NoError(t, err)
	require.Equal(t, 1, ended)
}

func FuzzLook(f *testing.F) {
	f.Add("+819000019801", "2020-01-01")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, number, day string) {
		r := look(query(number, day), now)
		if told := r.InService != 0; told == (r.Error != nil) {
			t.Fatal("neither an error nor an answer, or both")
		}
		if r.Error != nil && len(number) > 5 && strings.Contains(r.Error.String(), number) {
			t.Fatal("the error shows the number")
		}
		if day == "" && r.ChangedHands != 0 {
			t.Fatal("tells what was not asked")
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"latency_ms":5,"fault":"die"}`))
	f.Add([]byte(`{"latency_ms":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, faults := parseConfig(data)
		if len(faults) == 0 && (c.LatencyMS < 0 || c.LatencyMS > maxLatencyMS) {
			t.Fatal(c.LatencyMS)
		}
	})
}
