package sim

import (
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// journal is what the bucket was asked, when, and what became of it: two runs of a seed are the same when their journals are.
type journal struct {
	mu  sync.Mutex
	sum uint64 // of all lines so far; guarded by mu
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%x %d ", j.sum, time.Now().UnixNano())
	fmt.Fprintf(h, format, args...)
	j.sum = h.Sum64()
}

// Sum stands for all of it.
func (j *journal) Sum() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sum
}
