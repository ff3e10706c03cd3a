package identity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTenantsOwnConfigurationGoesBeforeThatOfAll(t *testing.T) {
	id := New(Options{Instances: []Instance{{Module: "auth/oidc"}}})
	require.Equal(t, "identity", id.instance("auth/oidc", "suido"))
	id.UseInstances([]Instance{{Module: "auth/oidc", Tenant: "suido"}, {Module: "auth/oidc"}})
	require.Equal(t, "identity/suido", id.instance("auth/oidc", "suido"))
	require.Equal(t, "identity", id.instance("auth/oidc", "gasu"))
	id.UseInstances(nil)
	require.Empty(t, id.instance("auth/oidc", "suido"))
}
