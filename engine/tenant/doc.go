// Package tenant owns who may do what: tenants (an owner with tenants below it), their users and roles, API keys, sender
// profiles with the address that each carrier approved, contracts with payment agents, branding and templates.
//
// All of it is one stream of events, the directory, appended through a Log that engine/store implements and folded into
// memory at start. One stream rather than one a tenant: a login name or a key is then unique by construction, a change is
// rare, and the whole is small. Readers take a Snapshot, which never changes, so no request waits for a lock.
//
// Nothing secret is kept plain: passwords as argon2id, API keys as SHA-256 of 256 random bits, agents' secrets sealed by
// the Sealer (engine/store).
package tenant
