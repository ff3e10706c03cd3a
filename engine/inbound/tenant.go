package inbound

import (
	"context"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// An address that several tenants share belongs to whoever sent to the number last, within sharedFor. At most sharedLook of
// a tenant's messages to the number are looked at.
const (
	sharedFor  = 30 * 24 * time.Hour
	sharedLook = 50
)

// owner finds the tenant that a message to an address of ours is for; the operator when there is none.
func (in *Inbound) owner(ctx context.Context, cr, address string, from carrier.Number, now time.Time) (tenant.ID, error) {
	snap := in.Directory.Now()
	profiles := map[tenant.ID]map[string]bool{} // with the address for this carrier
	var last tenant.ID
	for _, id := range snap.IDs() {
		for _, p := range snap.Tenants[id].Senders {
			if p.Addresses[cr] == address && address != "" {
				if profiles[id] == nil {
					profiles[id] = map[string]bool{}
				}
				profiles[id][p.Name] = true
				last = id
			}
		}
	}
	if len(profiles) == 1 {
		return last, nil
	}
	owner, latest := tenant.OperatorID, time.Time{}
	if from.IsZero() {
		return owner, nil
	}
	for id, names := range profiles {
		at, err := in.lastSent(ctx, id, names, from, now)
		if err != nil {
			return "", err
		}
		if at.After(latest) {
			owner, latest = id, at
		}
	}
	return owner, nil
}

// lastSent is when the tenant last sent to the number under one of the profiles; zero: not lately.
func (in *Inbound) lastSent(ctx context.Context, id tenant.ID, profiles map[string]bool, to carrier.Number, now time.Time) (last time.Time, err error) {
	terms, err := intake.Filter{Number: to}.Terms(in.Store, id)
	if err != nil {
		return last, err
	}
	refs, err := in.Store.Search(ctx, tenant.Only(id), store.Query{Kind: store.Message, Terms: terms, From: now.Add(-sharedFor), Limit: sharedLook})
	if err != nil {
		return last, err
	}
	all, err := in.Store.LoadMany(ctx, tenant.Only(id), refs)
	if err != nil {
		return last, err
	}
	for _, events := range all {
		s, err := stored.State(events)
		if err != nil {
			return last, err
		}
		at := s.SubmittingAt // the phone may answer before the carrier does
		if s.SubmittedAt.After(at) {
			at = s.SubmittedAt
		}
		if profiles[s.Head.Sender] && s.Phase != message.LinkOnly && at.After(last) {
			last = at
		}
	}
	return last, nil
}
