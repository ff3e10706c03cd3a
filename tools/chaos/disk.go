package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/smpp/smsc"
	"github.com/kakitome/kakitome/tools/apptest"
)

const (
	diskSize = 512 << 20 // of the small file system
	diskMark = 64 << 20  // min_free_mb of a country
)

// disk is a small file system with a weight on it that makes it full.
type disk struct {
	dir    string
	weight string
}

// newDisk mounts a small tmpfs at a directory.
func newDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize)); err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w", err)
	}
	return &disk{dir: dir, weight: filepath.Join(dir, "weight")}, nil
}

func (d *disk) free() int64 {
	var st unix.Statfs_t
	if unix.Statfs(d.dir, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}

// leave makes the weight so heavy that so many bytes are free.
func (d *disk) leave(bytes int64) error {
	f, err := os.OpenFile(d.weight, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for more := d.free() - bytes; more > 0; more /= 2 { // others write meanwhile
		if err = unix.Fallocate(int(f.Fd()), 0, info.Size(), more); !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return nil
}

func (d *disk) lift() error { return os.Remove(d.weight) }

// close ends the file system; the engine has ended.
func (d *disk) close() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) }

// diskFull fills the engine's disk in two ways. To the mark: new messages and those of phones are refused while what was
// accepted goes on, and all is taken again when there is room. Then whole: the engine may refuse and may end, in
// order and saying why, and nothing that it acknowledged is lost.
func diskFull(ctx context.Context, g *rig) error {
	d, err := newDisk(filepath.Join(g.dir, "disk"))
	if err != nil {
		g.note("%v: a limit of file sizes (RLIMIT_FSIZE) on the running engine instead; the mark is not shown", err)
		return sizeLimit(ctx, g)
	}
	g.closers = append(g.closers, d.close)
	g.note("a tmpfs of %d MiB with the engine's data directory; the mark (min_free_mb) is %d MiB", diskSize>>20, diskMark>>20)
	if err := g.open(ctx, apptest.Options{Data: filepath.Join(d.dir, "data")}); err != nil {
		return err
	}
	g.load.Expect = []int{http.StatusInsufficientStorage, http.StatusServiceUnavailable}
	if err := g.startLoad(ctx); err != nil {
		return err
	}
	for i := range g.s.times(3, 1) {
		if err := g.toTheMark(ctx, d, i); err != nil {
			return err
		}
	}
	for range g.s.times(3, 1) {
		if err := g.whole(ctx, d); err != nil {
			return err
		}
	}
	g.result.Faults = g.s.times(6, 2)
	g.note("%d requests were refused with 507", g.load.Refused()[http.StatusInsufficientStorage])
	return g.judge(ctx, apptest.Terms{Faults: g.result.Faults, WindowSum: g.windows(), Patience: 2 * time.Minute})
}

// toTheMark leaves a little less than the mark.
func (g *rig) toTheMark(ctx context.Context, d *disk, i int) error {
	pause(ctx, 500*time.Millisecond)
	before := g.load.Refused()[http.StatusInsufficientStorage]
	if err := d.leave(diskMark - 1<<20); err != nil {
		return err
	}
	began := time.Now()
	err := until(ctx, 10*time.Second, "new messages are refused with 507 below the mark", func() (bool, error) {
		return g.load.Refused()[http.StatusInsufficientStorage] > before, nil
	})
	if err != nil {
		g.broken("%v", err)
		return nil
	}
	refusing := time.Since(began)
	text := fmt.Sprintf("disk %d", i)
	refused, err := g.delivered(ctx)
	if err != nil {
		return err
	}
	if err := g.country.Write(ctx, 0, text); err != nil {
		return err
	}
	if err := until(ctx, 10*time.Second, "a phone's message is refused with ESME_RMSGQFUL below the mark", func() (bool, error) {
		n, err := g.delivered(ctx)
		return n["ESME_RMSGQFUL"] > refused["ESME_RMSGQFUL"], err
	}); err != nil {
		g.broken("%v", err)
	}
	// What was accepted goes on: nothing new is taken, so in the end nothing is on its way.
	if _, err := apptest.Settled(ctx, g.load.Sender, apptest.Terms{Patience: 20 * time.Second}); err != nil {
		g.broken("below the mark what was accepted does not go on: %v", err)
	}
	least := d.free()
	if least < diskMark/2 {
		g.broken("refusing, the engine went from the mark to %d MiB", least>>20)
	}
	first := g.load.Accepted()
	if err := d.lift(); err != nil {
		return err
	}
	began = time.Now()
	select {
	case at := <-first:
		g.note("to the mark: 507 and ESME_RMSGQFUL, the first %v after the space was gone; all accepted messages were delivered meanwhile, with %d MiB left; the first 202 came %v after there was room",
			refusing.Round(time.Millisecond), least>>20, at.Sub(began).Round(time.Millisecond))
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := until(ctx, 20*time.Second, "the phone's message comes again and is taken", func() (bool, error) {
		got, err := g.load.Sender.Received(ctx)
		return got[text] > 0, err
	}); err != nil {
		g.broken("%v", err)
	}
	return nil
}

// whole leaves nothing while messages are on their way.
func (g *rig) whole(ctx context.Context, d *disk) error {
	pause(ctx, 500*time.Millisecond)
	_, from := g.engineLog(0)
	if err := d.leave(0); err != nil {
		return err
	}
	ended := g.ended(ctx, 4*time.Second)
	if err := d.lift(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !ended {
		g.note("whole: the engine went on refusing")
		pause(ctx, 1500*time.Millisecond)
		g.country.Engine.Kill() // what it noted on a full disk must be readable
	} else {
		said, _ := g.engineLog(from)
		if g.note("whole: the engine ended: %s", reason(said)); !inOrder(said) {
			g.broken("on a whole disk the engine did not end by an error of its store: %s", reason(said))
		}
	}
	return g.recover(ctx)
}

// sizeLimit forbids the engine's files to grow, in place of a small file system.
func sizeLimit(ctx context.Context, g *rig) error {
	if err := g.begin(ctx, apptest.Options{}); err != nil {
		return err
	}
	faults := g.s.times(6, 2)
	for range faults {
		pause(ctx, 300*time.Millisecond+g.chance(500*time.Millisecond))
		_, from := g.engineLog(0)
		if err := unix.Prlimit(g.country.Engine.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}, nil); err != nil {
			return err
		}
		if g.ended(ctx, 10*time.Second) {
			said, _ := g.engineLog(from)
			g.note("the engine ended: %s", reason(said))
		} else {
			g.note("the engine went on for ten seconds")
			g.country.Engine.Kill()
		}
		if err := g.recover(ctx); err != nil {
			return err
		}
	}
	g.result.Faults = faults
	return g.judge(ctx, apptest.Terms{Faults: faults, WindowSum: g.windows(), Patience: 2 * time.Minute})
}

// carrier tells the i-th simulated carrier something.
func (g *rig) carrier(ctx context.Context, i int, what string, words any) error {
	body, err := json.Marshal(words)
	if err != nil {
		return err
	}
	_, err = exchange(ctx, http.MethodPost, g.country.SMSCURL()+"/carriers/"+apptest.Carriers[i]+"/"+what, body)
	return err
}

// delivered counts the deliver_sm that were refused, by command_status.
func (g *rig) delivered(ctx context.Context) (map[string]int, error) {
	counts, err := g.counts(ctx)
	sum := map[string]int{}
	for _, c := range counts {
		for status, n := range c.DeliverRefused {
			sum[status] += int(n)
		}
	}
	return sum, err
}

// counts are those of the simulated carriers, by name.
func (g *rig) counts(ctx context.Context) (counts map[string]smsc.Counts, err error) {
	data, err := exchange(ctx, http.MethodGet, g.country.SMSCURL()+"/counts", nil)
	if err != nil {
		return nil, err
	}
	return counts, json.Unmarshal(data, &counts)
}

func exchange(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s: %s", address, res.Status, data)
	}
	return data, err
}
