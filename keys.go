package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The commands of the master key. No key is ever an argument, in the environment, or printed: what is shown are ids.

func keyNewCommand(_ context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return store.NewMasterKey(args[0])
}

// keyRotateCommand asks the running engine, or does it itself when none runs.
func keyRotateCommand(ctx context.Context, args []string) error {
	c, err := configOf("key rotate", args)
	if err != nil {
		return err
	}
	o := dialSocket(c)
	var r store.Rotation
	err = o.call(ctx, "/masterkey/rotate", struct{}{}, &r)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) { // the store's lock makes sure of it
		r, err = store.RotateStopped(storeDir(c), c.Data.MasterKey)
	}
	if err != nil {
		return err
	}
	if r.Finished {
		fmt.Println("a rotation that had ended early was finished; no new key was made")
	}
	fmt.Printf("%s: key %s is in use; %d data keys are wrapped anew\n", c.Data.MasterKey, r.Key, r.Rewrapped)
	fmt.Println("make a backup of the file, and of the data keys, now: those made before need the old master key")
	return nil
}

func keyCheckCommand(_ context.Context, args []string) error {
	c, err := configOf("key check", args)
	if err != nil {
		return err
	}
	r, err := store.CheckKeys(storeDir(c), c.Data.MasterKey)
	if err != nil {
		return err
	}
	fmt.Printf("%s opens store %s\n", r.File, r.Store)
	for _, id := range slices.Sorted(maps.Keys(r.Keys)) {
		fmt.Printf("key %s: %d data keys, all open\n", id, r.Keys[id])
	}
	fmt.Printf("%d data keys were destroyed at the end of their term\n", r.Erased)
	if r.Rotating {
		fmt.Println("a rotation has not been finished: run kakitome key rotate again")
	}
	return nil
}

// configOf reads -config, the only argument.
func configOf(command string, args []string) (*conf.Config, error) {
	fs := flags(command)
	config := fs.String("config", "", "configuration file of the engine")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if *config == "" || fs.NArg() > 0 {
		return nil, errUsage
	}
	return conf.Load(*config)
}

func storeDir(c *conf.Config) string { return filepath.Join(c.Data.Dir, "store") }

func (d *operatorDoor) rotateKey(ctx context.Context, _ struct{}) (store.Rotation, error) {
	r, err := d.store.RotateMaster()
	if err != nil {
		d.log.Error("master key not rotated", "err", err)
		return r, err
	}
	d.log.Info("master key rotated", "key", r.Key, "rewrapped", r.Rewrapped)
	return r, d.audit.Record(ctx, tenant.OperatorID, audit.Entry{By: "operator", Action: "masterkey.rotate", Target: r.Key})
}
