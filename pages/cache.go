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
	entryOverhead = 160
)

// key is a page version: what it names never changes.
type key struct {
	owner   uint32 // the Source
	history uint32
	pgno    uint32
	version index.TXID
}

func (k key) shard() uint32 {
	h := uint64(k.version)*0x9E3779B97F4A7C15 ^ uint64(k.pgno)*0xC2B2AE3D27D4EB4F ^ uint64(k.owner)<<32 ^ uint64(k.history)
	return uint32(h>>32) % shardCount
}

// fileKey names an LTX file whose bytes came with its index.
type fileKey struct {
	owner    uint32
	level    int
	min, max index.TXID
	etag     string
}

// Cache keeps decoded pages of all replicas of a process within one budget. Interior pages of b-trees, which every
// lookup passes through, stay longest. It is safe for concurrent use.
type Cache struct {
	budget   atomic.Int64 // bytes
	used     atomic.Int64 // bytes, all of the below together
	interior atomic.Int64 // bytes of interior pages
	raw      rawCache
	shards   [shardCount]shard
	owners   atomic.Uint32
}

// shard is a part of the pages with a lock of its own.
type shard struct {
	mu       sync.Mutex
	leaves   *simplelru.LRU[key, []byte] // guarded by mu
	interior *simplelru.LRU[key, []byte] // guarded by mu
	_        [64]byte                    // keeps the locks of neighbours on different cache lines
}

// rawCache keeps encoded bytes that came with indexes: whole small files, and the beginnings of large ones.
type rawCache struct {
	mu    sync.Mutex
	blobs *simplelru.LRU[fileKey, index.Blob] // guarded by mu
	used  int64                               // bytes; guarded by mu
}

// NewCache returns a cache of budget bytes, overhead included. A budget of 0 keeps nothing.
func NewCache(budget int64) *Cache {
	c := new(Cache)
	c.budget.Store(budget)
	for i := range c.shards {
		c.shards[i].leaves = newLRU[key, []byte]()
		c.shards[i].interior = newLRU[key, []byte]()
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
	c.raw.shrink(c, n/4)
	c.evict(0)
}

// Used is the bytes the cache takes.
func (c *Cache) Used() int64 { return c.used.Load() }

// get returns the page, which the caller must not change.
func (c *Cache) get(k key) ([]byte, bool) {
	s := &c.shards[k.shard()]
	s.mu.Lock()
	data, ok := s.leaves.Get(k)
	if !ok {
		data, ok = s.interior.Get(k)
	}
	s.mu.Unlock()
	return data, ok
}

// put keeps data, which nobody may change from now on.
func (c *Cache) put(k key, data []byte) {
	size := int64(len(data)) + entryOverhead
	if size > c.budget.Load() {
		return
	}
	s := &c.shards[k.shard()]
	s.mu.Lock()
	if s.leaves.Contains(k) || s.interior.Contains(k) {
		s.mu.Unlock()
		return
	}
	if isInterior(k.pgno, data) {
		s.interior.Add(k, data)
		c.interior.Add(size)
	} else {
		s.leaves.Add(k, data)
	}
	s.mu.Unlock()
	c.used.Add(size)
	c.evict(k.shard())
}

// evict makes room, beginning with the shard that just grew. Leaves go first; interior pages when they take more than half.
func (c *Cache) evict(first uint32) {
	for i := uint32(0); i < 2*shardCount && c.used.Load() > c.budget.Load(); i++ {
		s := &c.shards[(first+i)%shardCount]
		leavesToo := i < shardCount // in the second round there are none left
		s.mu.Lock()
		for c.used.Load() > c.budget.Load() {
			if leavesToo && c.interior.Load() <= c.budget.Load()/2 {
				if !c.dropOldest(s.leaves, nil) {
					break
				}
			} else if !c.dropOldest(s.interior, &c.interior) && !c.dropOldest(s.leaves, nil) {
				break
			}
		}
		s.mu.Unlock()
	}
}

func (c *Cache) dropOldest(l *simplelru.LRU[key, []byte], also *atomic.Int64) bool {
	_, data, ok := l.RemoveOldest()
	if !ok {
		return false
	}
	size := int64(len(data)) + entryOverhead
	c.used.Add(-size)
	if also != nil {
		also.Add(-size)
	}
	return true
}

// drop forgets everything of one owner.
func (c *Cache) drop(owner uint32) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		c.dropOwner(s.leaves, owner, nil)
		c.dropOwner(s.interior, owner, &c.interior)
		s.mu.Unlock()
	}
	c.raw.drop(c, owner)
}

func (c *Cache) dropOwner(l *simplelru.LRU[key, []byte], owner uint32, also *atomic.Int64) {
	for _, k := range l.Keys() {
		if k.owner != owner {
			continue
		}
		data, _ := l.Peek(k)
		l.Remove(k)
		size := int64(len(data)) + entryOverhead
		c.used.Add(-size)
		if also != nil {
			also.Add(-size)
		}
	}
}

// isInterior reports whether a page leads to others: an interior page of a table or an index.
func isInterior(pgno uint32, data []byte) bool {
	at := 0
	if pgno == 1 {
		at = 100
	}
	return data[at] == 2 || data[at] == 5
}

// putRaw keeps the bytes of a file that came with its index: at most a quarter of the budget.
func (c *Cache) putRaw(k fileKey, b index.Blob) {
	size := int64(len(b.Data)) + entryOverhead
	room := c.budget.Load() / 4
	if size > room {
		return
	}
	r := &c.raw
	r.mu.Lock()
	if r.blobs.Contains(k) {
		r.mu.Unlock()
		return
	}
	r.blobs.Add(k, b)
	r.used += size
	r.mu.Unlock()
	c.used.Add(size)
	r.shrink(c, room)
	c.evict(0)
}

// frame returns the bytes of f when they came with the index of its file.
func (c *Cache) frame(k fileKey, f index.Frame) ([]byte, bool) {
	c.raw.mu.Lock()
	b, ok := c.raw.blobs.Get(k)
	c.raw.mu.Unlock()
	at := f.Off - b.Off
	if !ok || at < 0 || at+f.Size > int64(len(b.Data)) {
		return nil, false
	}
	return b.Data[at : at+f.Size], true
}

func (r *rawCache) shrink(c *Cache, room int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used > room {
		_, b, ok := r.blobs.RemoveOldest()
		if !ok {
			return
		}
		r.forgot(c, b)
	}
}

func (r *rawCache) drop(c *Cache, owner uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.blobs.Keys() {
		if k.owner == owner {
			b, _ := r.blobs.Peek(k)
			r.blobs.Remove(k)
			r.forgot(c, b)
		}
	}
}

// forgot takes b off the accounts. The caller holds r.mu.
func (r *rawCache) forgot(c *Cache, b index.Blob) {
	size := int64(len(b.Data)) + entryOverhead
	r.used -= size
	c.used.Add(-size)
}
