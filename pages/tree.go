package pages

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// firstCredit is what may be fetched ahead in a b-tree of which nothing is known, in bytes of decoded pages, and maxCredit the most
	// that it can earn.
	firstCredit = 16 << 20
	maxCredit   = 64 << 20
	// penance is how many misses it takes to earn one page, for a b-tree without credit.
	penance = 8
	// maxTrees bounds how many b-trees are told apart.
	maxTrees = 1024
)

// tree is the account of one b-tree: what was fetched ahead costs credit, and what of it was read earns twice as much. So as long as half
// of the guesses are right they go on; when they are not they end, and begin again after some time with a few.
type tree struct {
	root   uint32
	depth  atomic.Int32 // levels of interior pages; 0 is not known
	credit atomic.Int64 // bytes
	asked  atomic.Int64 // pages that were fetched ahead
	used   atomic.Int64 // of these, pages that were read
}

// TreeStats is how well the guesses about one b-tree were.
type TreeStats struct {
	Root    uint32 // page; of a b-tree whose upper pages were not seen the uppermost one that was; 1 is for the roots of all others
	Guessed int64  // pages fetched ahead because of what interior pages and indexes say
	Right   int64  // of these, pages that were read
}

// allow returns how many pages may be fetched ahead.
func (t *tree) allow(pageSize int64) int { return int(max(t.credit.Load(), 0) / pageSize) }

// pay is for n pages that are fetched ahead.
func (t *tree) pay(n int, pageSize int64) {
	t.asked.Add(int64(n))
	t.credit.Add(-int64(n) * pageSize)
}

// earn is for one of them that was read.
func (t *tree) earn(pageSize int64) {
	t.used.Add(1)
	t.reward(2 * pageSize)
}

// missed is for a page that was not fetched ahead.
func (t *tree) missed(pageSize int64) { t.reward(pageSize / penance) }

// reward may lose something in a race, which does not matter.
func (t *tree) reward(n int64) {
	if c := t.credit.Load(); c < maxCredit {
		t.credit.Store(min(c+n, maxCredit))
	}
}

// trees are the b-trees that were met.
type trees struct {
	mu   sync.Mutex
	open map[uint32]*tree // by root; guarded by mu
}

// of returns the account of the b-tree with that root.
func (ts *trees) of(root uint32) *tree {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t, ok := ts.open[root]
	if ok {
		return t
	}
	if ts.open == nil || len(ts.open) >= maxTrees {
		ts.open = make(map[uint32]*tree)
	}
	t = &tree{root: root}
	t.credit.Store(firstCredit)
	ts.open[root] = t
	return t
}

// stats are those of all b-trees in which something was fetched ahead.
func (ts *trees) stats() (all []TreeStats) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.open {
		if n := t.asked.Load(); n > 0 {
			all = append(all, TreeStats{Root: t.root, Guessed: n, Right: t.used.Load()})
		}
	}
	slices.SortFunc(all, func(a, b TreeStats) int { return cmp.Compare(a.Root, b.Root) })
	return all
}
