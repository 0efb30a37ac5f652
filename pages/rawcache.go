package pages

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/litefs-s3/litefs-s3/index"
)

// rawShare is the part of the cache's budget, one in so many bytes, that encoded bytes may take.
const rawShare = 4

// fileKey names an LTX file whose bytes came with its index. A store may have no ETags: then size and history tell the
// files of two replicas apart.
type fileKey struct {
	owner, history uint32
	level          int
	min, max       index.TXID
	size           int64
	etag           string
}

// rawCache keeps encoded bytes: those that came with indexes, of whole small files and the beginnings of large ones, and files of
// middling size that a scan goes through.
type rawCache struct {
	mu    sync.Mutex
	blobs *simplelru.LRU[fileKey, index.Blob] // guarded by mu
	used  int64                               // bytes; guarded by mu
}

// putRaw keeps the bytes of a file, at most a quarter of the budget. Of two pieces of a file the larger one stays. It reports whether
// the bytes are here now.
func (c *Cache) putRaw(k fileKey, b index.Blob) bool {
	size, room := blobSize(b), c.budget.Load()/rawShare
	r := &c.raw
	if size > room {
		return false
	}
	r.shrink(c, room-size)
	if !c.reserve(size, uint32(k.max)) { // anywhere, but not always in the same place
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.blobs.Peek(k); ok {
		if len(old.Data) >= len(b.Data) {
			c.used.Add(-size)
			return old.Off <= b.Off && b.Off+int64(len(b.Data)) <= old.Off+int64(len(old.Data))
		}
		r.forgot(c, old)
	}
	r.blobs.Add(k, b)
	r.used += size
	return true
}

// frame returns the bytes of f when they came with the index of its file.
func (c *Cache) frame(k fileKey, f index.Frame) ([]byte, bool) {
	b, ok := c.blob(k)
	at := f.Off - b.Off
	if !ok || at < 0 || at+f.Size > int64(len(b.Data)) {
		return nil, false
	}
	return b.Data[at : at+f.Size], true
}

// blob returns what is kept of a file as it came.
func (c *Cache) blob(k fileKey) (index.Blob, bool) {
	c.raw.mu.Lock()
	defer c.raw.mu.Unlock()
	return c.raw.blobs.Get(k)
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
	r.used -= blobSize(b)
	c.used.Add(-blobSize(b))
}

func blobSize(b index.Blob) int64 { return int64(len(b.Data)) + entryOverhead }
