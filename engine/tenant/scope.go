package tenant

// ID names a tenant: 2 to 32 characters of a-z, 0-9 and "-", chosen by the operator, never reused.
type ID string

// Scope says whose data a read may see. The zero Scope sees nothing. Every read of the store takes one.
type Scope struct {
	id  ID
	all bool
}

// Only is the scope of one tenant.
func Only(id ID) Scope { return Scope{id: id} }

// Operator is the scope of the operator's own commands and of the engine's inner workings: all tenants.
// No request of a tenant's user, API key or link is ever served under it.
func Operator() Scope { return Scope{all: true} }

// Sees reports whether data of the tenant is inside the scope.
func (s Scope) Sees(id ID) bool { return s.all || (s.id != "" && s.id == id) }

// Tenant returns the one tenant of the scope; false for the operator's and the zero scope.
func (s Scope) Tenant() (ID, bool) { return s.id, s.id != "" }
