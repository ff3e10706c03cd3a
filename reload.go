package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"sync"
	"syscall"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/plugins/host"
)

// reloader puts the configuration file into use again, without a stop: numbers (carriers, ranges, ported numbers), binds,
// dispatch and the configurations of identity modules, whose files are read again. The rest needs a restart, and is said to.
type reloader struct {
	path     string
	hup      chan os.Signal
	log      *slog.Logger
	carriers *carrier.Table
	modules  *host.Host
	dispatch *dispatch.Dispatcher
	identity *identity.Identity

	mu    sync.Mutex   // one reload at a time; guards inUse
	inUse *conf.Config // what does not reload is that of the start
}

// newReloader catches SIGHUP from now on: it ends the program otherwise, also while that starts.
func newReloader(path string, cfg *conf.Config, log *slog.Logger) *reloader {
	r := &reloader{path: path, inUse: cfg, log: log, hup: make(chan os.Signal, 1)} // full: a reload is about to begin anyway
	signal.Notify(r.hup, syscall.SIGHUP)
	return r
}

// run reloads at each SIGHUP.
func (r *reloader) run(ctx context.Context) error {
	defer signal.Stop(r.hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hup:
		}
		_, _ = r.reload() // logged
	}
}

// reload reads the file. What is wrong with it leaves everything as it is. restart lists the sections of the file that
// differ from what the program was started with and do not reload.
func (r *reloader) reload() (restart []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if err != nil {
			r.log.Error("configuration was not reloaded; the old one stays in use", "err", err)
			return
		}
		r.log.Info("configuration reloaded", "carriers", len(r.inUse.Numbers.Carriers), "binds", len(r.inUse.Binds), "needs_restart", restart)
	}()
	next, err := conf.Load(r.path)
	if err != nil {
		return nil, err
	}
	if next.Simulated() != r.inUse.Simulated() {
		return nil, errors.New("numbers.carrier: simulated and real carriers are exchanged only by a restart")
	}
	if err := r.carriers.Reload(next.Numbers); err != nil {
		return nil, err
	}
	if err := configureLookup(context.Background(), r.modules, next.Numbers.Lookup); err != nil {
		r.log.Error("numbers cannot be looked up", "err", err) // messages go by policy
	}
	if err := r.dispatch.Reload(next.Dispatch, next.Binds); err != nil {
		return nil, err
	}
	if err := configureIdentity(context.Background(), r.modules, next.Identity); err != nil {
		r.log.Error("an identity module cannot be used", "err", err) // it keeps the configuration that it has
	}
	r.identity.UseInstances(next.Identity)
	for i := range r.inUse.Identity {
		old := &r.inUse.Identity[i]
		if !slices.ContainsFunc(next.Identity, func(in identity.Instance) bool { return in.Module == old.Module && in.Name() == old.Name() }) {
			r.modules.Forget(old.Module, old.Name())
		}
	}
	restart = differing(r.inUse, next)
	kept := *r.inUse
	kept.Numbers, kept.Dispatch, kept.Binds, kept.Identity = next.Numbers, next.Dispatch, next.Binds, next.Identity
	r.inUse = &kept
	return restart, nil
}

// differing lists the sections in which two configurations differ, those that reload left out.
func differing(a, b *conf.Config) (sections []string) {
	left, right := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range left.NumField() {
		switch left.Field(i).Interface().(type) {
		case carrier.Config, dispatch.Config, []bind.Config, []identity.Instance:
			continue
		}
		if !reflect.DeepEqual(left.Field(i).Interface(), right.Field(i).Interface()) {
			sections = append(sections, left.Type().Field(i).Tag.Get("toml"))
		}
	}
	return sections
}
