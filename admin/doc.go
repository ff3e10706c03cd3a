// Package admin is the console: the screens of a tenant's people and of the operator's.
//
// It is rendered here, from templates in the program, without a build step and without anything from elsewhere. Every
// screen works without JavaScript; one small file adds what is live.
//
// The way of a request (server.go):
//
//	headers ─► route (route.go: who may do what, the only place) ─► session (admin/signin) ─► role ─► for POST: origin, form,
//	session again, CSRF token ─► handler ─► template | redirect | stream
//
// A handler gets a visit (visit.go): who asks, for which tenant, in which language. All reads are under the visit's
// tenant scope, so that another tenant's id is not found, like one that does not exist. What must be audited is on record
// before the first byte of it leaves.
//
// Live (live.go): one follower of the store wakes the open screens of a tenant; a screen is asked for again by the very
// handler that made it, with the same checks, and the part between its live marks is sent to the browser when it has
// changed. Nothing is kept per event, and an open screen does not keep its reader signed in.
//
// Numbers are not written into addresses: conditions of a search that are personal travel sealed (search.go). Numbers are
// masked everywhere unless an administrator of the tenant has shown them whole in this session, which is audited.
//
// Nothing here survives a restart but sessions (admin/signin) and what the engine's rooms have on record.
package admin
