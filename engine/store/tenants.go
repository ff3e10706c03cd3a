package store

import (
	"sync"

	"github.com/kakitome/kakitome/engine/tenant"
)

// tenants are those that were read from records, so that each takes one string however often it is read. There are no more
// than the directory ever had.
var tenants = struct {
	sync.RWMutex
	known map[string]tenant.ID
}{known: map[string]tenant.ID{}}

// tenantOf is the tenant that a record names. Safe for concurrent use.
func tenantOf(b []byte) tenant.ID {
	tenants.RLock()
	id, ok := tenants.known[string(b)]
	tenants.RUnlock()
	if !ok {
		id = tenant.ID(b)
		tenants.Lock()
		tenants.known[string(id)] = id
		tenants.Unlock()
	}
	return id
}
