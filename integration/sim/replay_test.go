package sim

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// alone makes a seed run as it will run again: one goroutine at a time, and memory is collected when the world says so, since page tables
// that nobody uses any more are remembered for as long as it is not.
func alone(t *testing.T) {
	procs, gc := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(gc)
	})
}

// collect collects memory while everybody rests.
func (w *world) collect() {
	w.settle()
	runtime.GC()
}
