package sim

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	oneSeed    = flag.Uint64("sim.seed", 0, "run this seed only")
	seeds      = flag.Int("sim.seeds", 20, "run so many seeds")
	firstSeed  = flag.Uint64("sim.first", 1, "run seeds from this one on")
	steps      = flag.Int("sim.steps", 150, "steps of each seed before the faults end")
	figures    = flag.Bool("sim.figures", false, "print the figures without -v, too")
	printStory = flag.Bool("sim.print", false, "print what happened, also when all was well")
	traceLines = flag.Int("sim.trace", 60, "lines of what happened that a failure shows; 0 is all")
)

// TestSim runs worlds in which everything goes wrong that can. See the package's doc.go.
func TestSim(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = max(n/8, 1)
	}
	if *oneSeed != 0 {
		runSeed(t, *oneSeed, new(totals))
		return
	}
	begin, all := time.Now(), new(totals)
	t.Cleanup(func() {
		report := t.Logf
		if *figures {
			report = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
		}
		report("%d seeds of %d steps in %s: %s", n, *steps, time.Since(begin).Round(time.Second), all)
	})
	for i := range n {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			runSeed(t, seed, all)
		})
	}
}

// runSeed runs one world.
func runSeed(t *testing.T, seed uint64, all *totals) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		for i := 0; i < *steps && w.failed() == nil; i++ {
			w.step()
		}
		if w.failed() == nil {
			w.heal()
		}
		w.end()
		all.add(&w.counts)
		if err := w.failed(); err != nil {
			t.Fatalf("%v\nreplay: make sim SEED=%d STEPS=%d\n%s", err, seed, *steps, w.story())
		}
		if *printStory {
			t.Logf("what happened:\n%s", w.story())
		}
	})
}

// totals are the counts of all seeds.
type totals struct {
	mu     sync.Mutex
	counts [15]int64 // guarded by mu
}

func (a *totals) add(c *counts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, n := range c.all() {
		a.counts[i] += n
	}
}

var countNames = [15]string{
	"commits", "that returned", "transactions", "kills", "faults", "reads of a whole View", "Views expired", "travels in time", "restores",
	"files compacted", "files removed", "logs set aside", "operations between the requests of another", "follows", "times taken for another history",
}

func (c *counts) all() [15]int64 {
	return [15]int64{
		c.commits.Load(), c.acked.Load(), c.landed.Load(), c.kills.Load(), c.faults.Load(), c.reads.Load(), c.expired.Load(), c.travels.Load(),
		c.restores.Load(), c.compactions.Load(), c.deleted.Load(), c.asides.Load(), c.between.Load(), c.follows.Load(), c.taken.Load(),
	}
}

func (a *totals) String() (s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, n := range a.counts {
		s += fmt.Sprintf("%s%d %s", []string{"", ", "}[min(i, 1)], n, countNames[i])
	}
	return s
}
