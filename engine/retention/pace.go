package retention

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/engine/clock"
)

// pace keeps work to a share of one core: a small one beside traffic, a larger one while the engine has little else to do.
// For one goroutine.
type pace struct {
	share, quiet int                  // percent of a core, beside traffic and without
	used         func() time.Duration // CPU time of the process so far; nil: cpuTime
	merging      func() time.Duration // how long the index has been merged so far: the work leaves much to merge behind it

	looked time.Time     // when it was last looked whether there is traffic
	before time.Duration // what used said then
	merged time.Duration // what merging said
	behind time.Duration // how much merging the work has left behind, as far as is reckoned
	worked time.Duration // since then
	calm   bool          // there was none
}

const (
	// lookEvery is how often it is looked whether there is traffic.
	lookEvery = time.Second
	// calmBelow is the percentage of a core, besides what the work itself takes and the merging of the index that it leaves behind,
	// below which there is none. Collecting the work's own garbage stays below.
	calmBelow = 40
	// mergesFor is for how long, in percent of the work, the index is merged behind it, and behindMax how much of that is
	// reckoned to come yet: merging for longer is of traffic.
	mergesFor = 150
	behindMax = 3 * time.Second
	// fullFrom is the percentage of all cores from which on the machine has no more to give, whoever takes it.
	fullFrom = 85
)

// rest waits for as long as work of such a length is to be followed by none.
func (p *pace) rest(ctx context.Context, worked time.Duration) error {
	p.worked += worked
	if now := clock.Now(); now.Sub(p.looked) >= lookEvery {
		used := p.used
		if used == nil {
			used = cpuTime
		}
		total, merged, passed := used(), p.merging(), now.Sub(p.looked)
		took := total - p.before
		p.behind = min(p.behind+p.worked*mergesFor/100, behindMax)
		own := min(merged-p.merged, p.behind)
		p.behind -= own
		others := took - p.worked - own
		p.calm = !p.looked.IsZero() && others < passed*calmBelow/100 && took < passed*time.Duration(runtime.GOMAXPROCS(0))*fullFrom/100
		p.looked, p.before, p.merged, p.worked = now, total, merged, 0
	}
	share := p.share
	if p.calm {
		share = max(p.share, p.quiet)
	}
	timer := time.NewTimer(worked * time.Duration(100-share) / time.Duration(share))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// cpuTime is what the process used of all cores, for itself and in the kernel.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage of the own process: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
