// Package edge plays, for tests of the API's parts, the rooms that these do not need: identity, claims and links. Nothing is
// kept, and there are no claims.
package edge

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Rooms implements intake's Identity, Claims and Links, and api's Claims.
type Rooms struct{}

// Enroll takes every answer.
func (Rooms) Enroll(_ context.Context, _ *tenant.Tenant, ids []ulid.ULID, _ [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	return make([][]message.Answer, len(ids)), make([]message.Problems, len(ids)), nil
}

// Plan refuses every claim.
func (Rooms) Plan(context.Context, *tenant.Tenant, ulid.ULID, *message.Claim, string) (ulid.ULID, []store.Change, *message.Problem, error) {
	return ulid.ULID{}, nil, &message.Problem{Field: "claim", Code: "refused"}, nil
}

// Put keeps no links.
func (Rooms) Put([]intake.Link) {}

// Find finds no claim.
func (Rooms) Find(context.Context, tenant.ID, []ulid.ULID, bool) ([]api.Claim, error) {
	return nil, store.ErrNotFound
}

// Get finds no claim.
func (Rooms) Get(context.Context, tenant.ID, string) (api.Claim, error) {
	return api.Claim{}, store.ErrNotFound
}

// Receipt finds none.
func (Rooms) Receipt(context.Context, *tenant.Tenant, string, string, string, string) ([]byte, string, *message.Problem, error) {
	return nil, "", nil, store.ErrNotFound
}

// Alerts finds none.
func (Rooms) Alerts(context.Context, tenant.ID, int) ([]api.Claim, error) { return nil, nil }

// Change finds no claim.
func (Rooms) Change(context.Context, *tenant.Tenant, string, api.ClaimChange, string) (api.Claim, *message.Problem, error) {
	return api.Claim{}, nil, store.ErrNotFound
}
