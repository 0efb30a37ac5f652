//go:build !race

package sim

import "testing"

// TestSim_Replays runs seeds twice and compares what the bucket was asked. Goroutines that wake in the same instant, and others that wait for the
// disk, still may come in another order on a busy machine: one to three seeds of a hundred do. Without what alone does it is all of them. The race
// detector makes the scheduler choose at random, so it has no part in this.
func TestSim_Replays(t *testing.T) {
	alone(t)
	n, same := 10, 0
	if testing.Short() {
		n = 4
	}
	for i := range n {
		seed := *firstSeed + 1000 + uint64(i)
		a, b := runSeed(t, seed, new(totals)), runSeed(t, seed, new(totals))
		if a == b {
			same++
		} else {
			t.Logf("seed %d: journals %016x and %016x", seed, a, b)
		}
	}
	t.Logf("%d of %d seeds were the same", same, n)
	if same < n/2 {
		t.Errorf("%d of %d seeds went otherwise the second time", n-same, n)
	}
}
