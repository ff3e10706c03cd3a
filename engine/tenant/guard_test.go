package tenant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGuardAgainstDuplicatesByClass(t *testing.T) {
	var none Policy
	require.Equal(t, time.Hour, none.DuplicateFor("collection"))
	require.Zero(t, none.DuplicateFor("billing"))
	p := Policy{Duplicates: []Duplicate{{"*", 5}, {"billing", 10}, {"collection", 0}}}
	require.Equal(t, 10*time.Minute, p.DuplicateFor("billing"))
	require.Equal(t, 5*time.Minute, p.DuplicateFor("notice"))
	require.Zero(t, p.DuplicateFor("collection"), "off by name")
	require.Zero(t, p.DuplicateFor("otp"), "only by name")
}

func TestGuardsAreChecked(t *testing.T) {
	tn := Tenant{Senders: []SenderProfile{{Name: "default"}}, Policy: Policy{
		Duplicates: []Duplicate{{"x", 1}, {"ad", -1}, {"otp", 1}, {"otp", 2}},
		Limits:     []Limit{{}, {Sender: "none", PerSec: 1}, {Sender: "default", PerDay: 1}, {Sender: "default", PerDay: 2}},
	}}
	var fields []string
	tn.validateGuards(func(field, _ string, _ ...any) { fields = append(fields, field) })
	require.Equal(t, []string{"policy.duplicate[0]", "policy.duplicate[1]", "policy.duplicate[3]", "policy.limit[0]", "policy.limit[1]", "policy.limit[3]"}, fields)
}
