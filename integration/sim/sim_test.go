package sim

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var (
	oneSeed    = flag.Uint64("sim.seed", 0, "run this seed only")
	seeds      = flag.Int("sim.seeds", 20, "run so many seeds")
	firstSeed  = flag.Uint64("sim.first", 1, "run seeds from this one on")
	steps      = flag.Int("sim.steps", 150, "steps of each seed before the faults end")
	processes  = flag.Int("sim.procs", 0, "share the seeds among so many processes, and print the figures without -v, too; 0 is this one")
	printStory = flag.Bool("sim.print", false, "print what happened, also when all was well")
	traceLines = flag.Int("sim.trace", 60, "lines of what happened that a failure shows; 0 is all")
)

// TestSim runs worlds in which everything goes wrong that can. See the package's doc.go.
func TestSim(t *testing.T) {
	begin, all, n := time.Now(), new(totals), *seeds
	if testing.Short() {
		n = max(n/8, 1)
	}
	switch {
	case *oneSeed != 0:
		alone(t)
		runSeed(t, *oneSeed, all)
		return
	case *processes > 0:
		runProcesses(t, n, all)
	default:
		runSeeds(t, n, all)
	}
	if isChild() {
		all.send()
		return
	}
	report := t.Logf
	if *processes > 0 {
		report = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	report("%d seeds of %d steps in %s: %s", n, *steps, time.Since(begin).Round(time.Second), all)
}

// runSeeds runs n worlds, one after the other.
func runSeeds(t *testing.T, n int, all *totals) {
	alone(t)
	for i := range n {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runSeed(t, seed, all) })
	}
}

// runSeed runs one world, and returns what stands for all that its bucket was asked.
func runSeed(t *testing.T, seed uint64, all *totals) (journal uint64) {
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		for i := 0; i < *steps && w.failed() == nil; i++ {
			w.step()
			if i%8 == 0 {
				w.collect()
			}
		}
		if w.failed() == nil {
			w.heal()
		}
		w.end()
		all.add(w.counts.all())
		journal = w.journal.Sum()
		if err := w.failed(); err != nil {
			t.Fatalf("%v\nreplay: make sim SEED=%d STEPS=%d; it is this very world again if its journal is %016x\n%s", err, seed, *steps, journal, w.story())
		}
		if *printStory {
			t.Logf("what happened:\n%s\njournal %016x", w.story(), journal)
		}
	})
	return journal
}

// totals are the counts of all seeds.
type totals struct {
	mu     sync.Mutex
	counts [len(countNames)]int64 // guarded by mu
}

func (a *totals) add(counts [len(countNames)]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, n := range counts {
		a.counts[i] += n
	}
}

var countNames = [...]string{
	"commits", "that returned", "transactions", "kills", "faults", "reads of a whole View", "Views expired", "travels in time", "restores",
	"files compacted", "files removed", "logs set aside", "operations between the requests of another", "follows", "times taken for another history",
}

func (c *counts) all() [len(countNames)]int64 {
	return [len(countNames)]int64{
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
