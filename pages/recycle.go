package pages

import (
	"math/bits"
	"sync"
)

// A page that goes out of the cache leaves its buffer to one that comes, so that a scan does not make as much garbage as it reads: the collector lets
// garbage grow to as much as there is of everything else before it looks.
//
// A buffer may be used again when nobody can be reading it. Readers copy a page while they hold the lock of its shard, and what goes out goes out
// with that lock. Beyond that there are two holders: the flight that has brought the page, until it has landed and nobody waits for it (own), and those who
// were given the slice itself, who are not followed: their pages are left to the collector (lend).

// own says that what has brought the page holds it no more.
func (e *entry) own() {
	if e != nil {
		e.sole.Store(true)
	}
}

// lend says that somebody holds the page for as long as he likes. It comes before he has it, and while the page is in the cache the caller holds the
// lock of its shard, or has brought the page and not said own yet.
func (e *entry) lend() {
	if e != nil && !e.lent.Load() {
		e.lent.Store(true)
	}
}

// release leaves the buffer to another page, if nobody else holds it. The entry has just gone out of the cache, and the caller holds the lock of
// its shard.
func (e *entry) release() {
	if e.sole.Load() && !e.lent.Load() {
		pageBuffers.put(e.data)
	}
}

// pagePool keeps buffers of whole pages, by size.
type pagePool struct {
	pools [17]sync.Pool // of *[]byte of two to the power of its number bytes
}

var pageBuffers pagePool

// get returns a buffer for a page, with any content. Sizes of pages are powers of two.
func (p *pagePool) get(size uint32) []byte {
	if b, ok := p.pools[bits.Len32(size)-1].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, size)
}

// put gives a buffer back; nobody may use it any more.
func (p *pagePool) put(b []byte) {
	if n := len(b); n > 0 && n&(n-1) == 0 && n < 1<<len(p.pools) {
		p.pools[bits.Len(uint(n))-1].Put(&b)
	}
}
