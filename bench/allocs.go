package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// allocsLong is how many seconds allocations are sampled for.
const allocsLong = 5

// allocsListed is how many functions are named.
const allocsListed = 12

// path of a message behind its acceptance: a stack with one of these in it belongs to dispatch.
var dispatchPath = []string{"/engine/dispatch.", "/engine/dlr.", "/engine/bind.", "/smpp/session."}

// allocations samples the engine's allocations after a while, and counts those of the dispatch path by message and
// function: from what is due to what the carrier says, without the store's own goroutines, which also serve acceptance, and
// without the reading of metrics, of which this program does much.
// They are samples (one in 512 KiB), scaled up: good to a few per cent.
func (s *site) allocations(ctx context.Context, after time.Duration, add func(name string, value float64, unit, reach string)) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(after):
	}
	const counter = "kakitome_dispatch_submissions_total"
	before, err := s.Metric(ctx, counter)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/allocs?seconds=%d", s.OperatorURL(), allocsLong), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	p, err := profile.Parse(res.Body)
	if err != nil {
		return fmt.Errorf("allocations: status %d: %w", res.StatusCode, err)
	}
	now, err := s.Metric(ctx, counter)
	if err != nil {
		return err
	}
	objects := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "alloc_objects" })
	if objects < 0 || now <= before {
		return fmt.Errorf("allocations: no objects in the profile, or no messages in its time")
	}
	all, dispatch := int64(0), int64(0)
	by := map[string]int64{}
	for _, sample := range p.Sample {
		n := sample.Value[objects]
		all += n
		ours, ofDispatch, read := "", false, false
		for _, at := range sample.Location { // the innermost first
			for _, line := range at.Line {
				name := line.Function.Name
				if ours == "" && strings.Contains(name, "kakitome/kakitome/") {
					ours = name[strings.LastIndex(name, "kakitome/")+len("kakitome/"):]
				}
				read = read || strings.Contains(name, "prometheus.(*Registry).Gather")
				ofDispatch = ofDispatch || slices.ContainsFunc(dispatchPath, func(room string) bool { return strings.Contains(name, room) })
			}
		}
		if ofDispatch && !read {
			dispatch += n
			by[ours] += n
		}
	}
	messages := now - before
	add("7 allocations of the dispatch path", float64(dispatch)/messages, "a message", "single digits")
	for _, name := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Compare(by[b], by[a]) })[:min(allocsListed, len(by))] {
		add("7 · "+name, float64(by[name])/messages, "a message", "")
	}
	add("7 allocations of the whole engine", float64(all)/messages, "a message", "")
	return nil
}
