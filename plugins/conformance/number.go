package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// largestBatch of the contract.
const largestBatch = 1000

func (m *module) describesNumbers(t *testing.T) {
	require.NotEmpty(t, m.describe.NumberFacts)
	for i, f := range m.describe.NumberFacts {
		require.NotZero(t, f)
		require.NotContains(t, m.describe.NumberFacts[:i], f, "told twice")
	}
	require.LessOrEqual(t, m.describe.MaxNumbers, uint32(largestBatch))
}

// numberCall is for an instance that may be called: one that is configured with an empty object, where the module takes that.
func (m *module) numberCall(t *testing.T) *proto.Call {
	call := &proto.Call{Tenant: "operator", Instance: "numbers", Now: timestamppb.New(clock)}
	out, err := proto.NewModuleClient(m.conn).Configure(t.Context(), &proto.ConfigureRequest{Instance: call.Instance, ConfigJson: []byte("{}")})
	require.NoError(t, err)
	if out.Error != nil {
		t.Skip("an instance must be configured")
	}
	return call
}

// numbers of the block 090-0…, which nobody has.
func numbers(n int, day string) []*proto.NumberQuery {
	all := make([]*proto.NumberQuery, n)
	for i := range all {
		all[i] = &proto.NumberQuery{Number: fmt.Sprintf("+8190%08d", 10000+i), RegisteredOn: day}
	}
	return all
}

func (m *module) look(t *testing.T, call *proto.Call, queries []*proto.NumberQuery) []*proto.NumberResult {
	out, err := proto.NewNumberClient(m.conn).Lookup(t.Context(), &proto.LookupRequest{Call: call, Queries: queries})
	require.NoError(t, err)
	require.Nil(t, out.Error)
	require.Len(t, out.Results, len(queries))
	return out.Results
}

func (m *module) tellsOfEachNumber(t *testing.T) {
	call := m.numberCall(t)
	largest := int(m.describe.MaxNumbers)
	if largest == 0 {
		largest = largestBatch
	}
	tells := func(f proto.NumberFact) bool { return slices.Contains(m.describe.NumberFacts, f) }
	for _, day := range []string{"", "2020-02-29"} {
		for _, n := range []int{0, 1, 3, largest} {
			for _, r := range m.look(t, call, numbers(n, day)) {
				if r.Error != nil {
					require.NotZero(t, r.Error.Class)
					require.Zero(t, r.Ported+r.InService+r.ChangedHands, "an error and an answer")
					continue
				}
				require.Regexp(t, `^[a-z0-9]{0,16}$`, r.Carrier)
				if !tells(proto.NumberFact_CARRIER_NOW) {
					require.Empty(t, r.Carrier, "tells what it does not state")
				}
				require.Equal(t, tells(proto.NumberFact_IN_SERVICE), r.InService != 0, "in_service is told when it is stated")
				require.Equal(t, tells(proto.NumberFact_CHANGED_HANDS) && day != "", r.ChangedHands != 0, "changed_hands is told when it is stated and asked")
			}
		}
	}
}

func (m *module) keepsOrder(t *testing.T) {
	call := m.numberCall(t)
	queries := numbers(50, "2020-02-29")
	forth := m.look(t, call, queries)
	slices.Reverse(queries)
	back := m.look(t, call, queries)
	slices.Reverse(back)
	for i := range forth {
		if forth[i].Error == nil && back[i].Error == nil { // a source may fail
			require.Equal(t, forth[i].String(), back[i].String(), "number %d of the batch has the answer of another", i+1)
		}
	}
}

func (m *module) refusesWrongNumbers(t *testing.T) {
	call := m.numberCall(t)
	wrong := []*proto.NumberQuery{{Number: "09000012345"}, {Number: ""}, {Number: "+1" + secret}, {Number: "+819000012345", RegisteredOn: "2020-02-30"}, {Number: "+819000012345", RegisteredOn: secret}}
	for _, q := range wrong {
		results := m.look(t, call, []*proto.NumberQuery{{Number: "+819000010001"}, q, {Number: "+819000010002"}})
		fault := results[1].GetError()
		require.NotNil(t, fault, "taken: %v", q)
		require.Equal(t, proto.ErrorClass_INVALID, fault.Class, "%v", q)
		require.NotContains(t, fault.String(), secret)
		require.NotContains(t, fault.String(), "12345")
	}
	out, err := proto.NewNumberClient(m.conn).Lookup(t.Context(), &proto.LookupRequest{Call: call, Queries: numbers(largestBatch+1, "")})
	require.True(t, err != nil || out.Error != nil, "more than %d numbers are taken", largestBatch)
}

// logsNoNumber looks for the numbers of all checks before it.
func (m *module) logsNoNumber(t *testing.T) {
	require.NotRegexp(t, `(\+81|0)90000[0-9]{5}`, m.log.String(), "a number is in the log")
}
