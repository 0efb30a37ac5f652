package pages

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// shardCount spreads readers over so many locks.
	shardCount = 32
	// entryOverhead is about what the cache itself takes for an entry, in bytes.
	entryOverhead = 192
	// freshShare is the part of the budget, one in so many bytes, that pages which nobody asked for may take while others would have to go.
	freshShare = 8
	// maxWorth is how many rounds a page can earn. Flags beside it: awaited, the page was not read yet; guessed, and a guess brought it.
	maxWorth = 3
	awaited  = 1 << 8
	guessed  = 1 << 9
	// maxSpared is how many pages are spared in a row, however much they are worth keeping.
	maxSpared = 1000
	// crowd is how many pages a choice is made from.
	crowd = 64
)

// key is a page version: what it names never changes.
type key struct {
	version index.TXID
	pgno    uint32
	owner   uint32 // the Source
	history uint32
}

// shard mixes well, because neighbouring pages come together and must not meet in a few shards: the constants are those
// of splitmix64.
func (k key) shard() uint32 {
	h := uint64(k.version)*0x9E3779B97F4A7C15 + uint64(k.pgno) + uint64(k.owner)<<32 + uint64(k.history)<<48
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return uint32(h>>32) % shardCount
}

// Cache keeps decoded pages of all replicas of a process within one budget. It is safe for concurrent use.
//
// Pages stand in line, and the one that came first goes first, unless it is worth another round: because it was read
// more than once, because a scan is about to read it, or because it is an interior page of a b-tree, which every lookup
// passes through. So a scan, which reads each page once, leaves what others use alone.
//
// Neighbours of a page, which came because bytes on the way cost little, stand in a line of their own, the fresh ones. They go before all
// others, but for a small part of the cache, and change lines when their turn comes and they were read. So a page that was asked for
// once is not pushed out by twenty that nobody asked for.
type Cache struct {
	budget   atomic.Int64 // bytes
	used     atomic.Int64 // bytes, all of the below together; never more than the budget
	interior atomic.Int64 // bytes of interior pages
	fresh    atomic.Int64 // bytes of fresh pages
	raw      rawCache
	shards   [shardCount]shard
	clock    atomic.Uint64 // counts pages that came or were spared
	owners   atomic.Uint32
}

// shard is a part of the pages with a lock of its own.
type shard struct {
	mu    sync.RWMutex
	pages *line    // guarded by mu
	fresh *line    // pages that nobody had asked for when they came; guarded by mu
	_     [64]byte // keeps the locks of neighbours on different cache lines
}

// line is pages in the order in which they came, or were spared.
type line = simplelru.LRU[key, *entry]

// entry is a page in the cache.
type entry struct {
	data     []byte // never changes while the entry is in the cache; see release
	interior bool
	fresh    bool   // which line it stands in; guarded by the shard's mu
	came     uint64 // by the cache's clock; guarded by the shard's mu
	// worth is how often the page is spared when its turn comes to go, plus one: reading it again earns a round. What a
	// scan is about to read is worth most until it was read.
	worth atomic.Int32
	tree  *tree // whose guess brought it; nil when none did

	sole atomic.Bool // whoever has brought the page holds it no more
	lent atomic.Bool // somebody was given data itself, for as long as he likes
}

// NewCache returns a cache of budget bytes, overhead included. A budget of 0 keeps nothing.
func NewCache(budget int64) *Cache {
	c := new(Cache)
	c.budget.Store(budget)
	for i := range c.shards {
		c.shards[i].pages, c.shards[i].fresh = newLRU[key, *entry](), newLRU[key, *entry]()
	}
	c.raw.blobs = newLRU[fileKey, index.Blob]()
	return c
}

// newLRU returns a list without a bound on the number of entries: the bound here is bytes.
func newLRU[K comparable, V any]() *simplelru.LRU[K, V] {
	l, err := simplelru.NewLRU[K, V](math.MaxInt, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return l
}

// Budget is the bytes the cache may take.
func (c *Cache) Budget() int64 { return c.budget.Load() }

// SetBudget changes the bytes the cache may take, and gives back what is too much.
func (c *Cache) SetBudget(n int64) {
	c.budget.Store(n)
	c.raw.shrink(c, n/rawShare)
	for i := uint32(0); c.used.Load() > c.budget.Load() && c.dropOne(i); i++ { // of each shard in turn
	}
}

// Used is the bytes the cache takes.
func (c *Cache) Used() int64 { return c.used.Load() }

// get copies the page into dst. guess says that it was fetched ahead by a guess, and is read for the first time.
func (c *Cache) get(k key, dst []byte) (guess, ok bool) {
	s := &c.shards[k.shard()]
	s.mu.RLock()
	e, ok := s.findLocked(k)
	if ok {
		copy(dst, e.data) // with the lock: see release
	}
	s.mu.RUnlock()
	if !ok {
		return false, false
	}
	// What is lost here in a race does not matter.
	switch n := e.worth.Load(); {
	case n >= awaited:
		e.worth.Store(1)
		if guess = n&guessed != 0; guess {
			e.tree.earn(int64(len(e.data)))
		}
	case n < maxWorth:
		e.worth.Store(n + 1)
	}
	return guess, true
}

// look returns the page without counting that as a read. The caller must not change it.
func (c *Cache) look(k key) ([]byte, bool) {
	s := &c.shards[k.shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.findLocked(k)
	if !ok {
		return nil, false
	}
	e.lend()
	return e.data, true
}

// await reports whether the page is here. If it is, it will be read soon: it should not go before.
func (c *Cache) await(k key) bool {
	e, ok := c.find(k)
	if !ok {
		return false
	}
	// One that waited for long, and was spared meanwhile, begins anew.
	switch n := e.worth.Load(); {
	case n < maxWorth:
		e.worth.Store(awaited + maxWorth)
	case n >= awaited:
		e.worth.Store(n - n%awaited + maxWorth)
	}
	return true
}

// has reports whether the page is here.
func (c *Cache) has(k key) bool {
	_, ok := c.find(k)
	return ok
}

func (c *Cache) find(k key) (*entry, bool) {
	s := &c.shards[k.shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.findLocked(k)
}

func (s *shard) findLocked(k key) (*entry, bool) {
	if e, ok := s.pages.Peek(k); ok || s.fresh.Len() == 0 {
		return e, ok
	}
	return s.fresh.Peek(k)
}

// line is where the entry stands, or is to stand. The caller holds s.mu.
func (s *shard) line(fresh bool) *line {
	if fresh {
		return s.fresh
	}
	return s.pages
}

// put keeps data, which nobody may change from now on. soon says that it will be read soon. Who knows that nobody else holds data says so to the
// entry.
func (c *Cache) put(k key, data []byte, soon bool) *entry {
	e := &entry{data: data}
	if soon {
		e.worth.Store(awaited + maxWorth)
	}
	c.add(k, e)
	return e
}

// putGuess is put for a page that a guess about b-tree t has brought.
func (c *Cache) putGuess(k key, data []byte, t *tree) *entry {
	e := &entry{data: data, tree: t}
	e.worth.Store(guessed + awaited + maxWorth)
	c.add(k, e)
	return e
}

func (c *Cache) add(k key, e *entry) {
	e.interior, e.came = isInterior(k.pgno, e.data), c.clock.Add(1)
	e.fresh = !e.interior && e.worth.Load() == 0
	if !c.reserve(e.size(), k.shard()) {
		return
	}
	s := &c.shards[k.shard()]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.findLocked(k); ok {
		c.used.Add(-e.size())
		return
	}
	s.line(e.fresh).Add(k, e)
	c.count(e, e.size())
}

// count adds size bytes to what is known of pages like e.
func (c *Cache) count(e *entry, size int64) {
	if e.interior {
		c.interior.Add(size)
	}
	if e.fresh {
		c.fresh.Add(size)
	}
}

// size is what the entry takes.
func (e *entry) size() int64 { return int64(len(e.data)) + entryOverhead }

// reserve takes size bytes of the budget, and makes room for them in the shard and, page by page, in those that follow.
// When there is no room to make it takes nothing.
func (c *Cache) reserve(size int64, shard uint32) bool {
	for size <= c.budget.Load() {
		used := c.used.Load()
		switch {
		case used+size <= c.budget.Load():
			if !c.used.CompareAndSwap(used, used+size) {
				continue
			}
			if c.used.Load() <= c.budget.Load() {
				return true
			}
			c.used.Add(-size) // SetBudget came in between
		case !c.dropOne(shard):
			return false
		default:
			shard++
		}
	}
	return false
}

// dropOne removes the page that came first, as far as can be seen from the shard, but spares those worth keeping: they go
// to the end of the line, and it looks on from the next shard, lest one that holds little else lose what it is worth in a single call. Fresh ones
// go before all others while they take more than their part. It reports whether there was one.
func (c *Cache) dropOne(from uint32) bool {
	for tries := uint32(0); ; tries++ {
		fresh := c.fresh.Load() > c.budget.Load()/freshShare
		s := c.oldest(from+tries, fresh)
		if s == nil {
			fresh = !fresh
			s = c.oldest(from+tries, fresh)
		}
		if s == nil {
			return false
		}
		if c.turn(s, fresh, tries < maxSpared) {
			return true
		}
	}
}

// oldest returns the shard with the page that came first, of as many shards as it takes to see a crowd: chance does not
// spread few pages evenly. It is nil when there are no pages at all.
func (c *Cache) oldest(from uint32, fresh bool) (oldest *shard) {
	since := uint64(math.MaxUint64)
	for i, seen := uint32(0), 0; i < shardCount && seen < crowd; i++ {
		s := &c.shards[(from+i)%shardCount]
		s.mu.RLock()
		if _, e, ok := s.line(fresh).GetOldest(); ok && e.came < since {
			oldest, since = s, e.came
		}
		seen += s.line(fresh).Len()
		s.mu.RUnlock()
	}
	return oldest
}

// turn removes the page that came first of one line of s, or spares it.
func (c *Cache) turn(s *shard, fresh, maySpare bool) (removed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, e, ok := s.line(fresh).GetOldest()
	switch {
	case !ok:
		return false
	case fresh && e.worth.Load() > 0:
		c.settle(s, k, e)
		return false
	case maySpare && c.spare(e):
		e.came = c.clock.Add(1)
		s.line(fresh).Get(k) // moves it
		return false
	}
	s.line(fresh).RemoveOldest()
	c.removed(e)
	return true
}

// settle moves a fresh page that was read to the others. The caller holds s.mu.
func (c *Cache) settle(s *shard, k key, e *entry) {
	s.fresh.Remove(k)
	c.fresh.Add(-e.size())
	e.fresh, e.came = false, c.clock.Add(1)
	s.pages.Add(k, e)
}

// spare reports whether a page whose turn it is to go may stay for another round, which costs it a part of its worth.
// Interior pages stay while they take no more than half of the budget.
func (c *Cache) spare(e *entry) bool {
	if e.interior && c.interior.Load() <= c.budget.Load()/2 {
		return true
	}
	n := e.worth.Load()
	if n%awaited <= 1 {
		return false
	}
	e.worth.Store(n - 1)
	return true
}

// remove takes a page out. The caller holds s.mu.
func (c *Cache) remove(s *shard, k key, e *entry) {
	s.line(e.fresh).Remove(k)
	c.removed(e)
}

// removed takes a page off the accounts that has just gone out of its line. The caller holds the shard's mu.
func (c *Cache) removed(e *entry) {
	c.used.Add(-e.size())
	c.count(e, -e.size())
	e.release()
}

// drop forgets everything of one owner.
func (c *Cache) drop(owner uint32) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, k := range append(s.pages.Keys(), s.fresh.Keys()...) {
			if e, ok := s.findLocked(k); ok && k.owner == owner {
				c.remove(s, k, e)
			}
		}
		s.mu.Unlock()
	}
	c.raw.drop(c, owner)
}

// isInterior reports whether a page leads to others: an interior page of a table or an index.
func isInterior(pgno uint32, data []byte) bool {
	at := 0
	if pgno == 1 {
		at = 100
	}
	return data[at] == 2 || data[at] == 5
}
