package pages

import (
	"math/bits"
	"sync"
)

// bufferPool keeps buffers for encoded bytes, by power of two, so that a scan does not allocate what it fetches.
type bufferPool struct {
	pools [40]sync.Pool // of *[]byte with cap 1<<i
}

var buffers bufferPool

// get returns a buffer of n bytes with any content.
func (b *bufferPool) get(n int64) []byte {
	class := max(bits.Len64(uint64(n-1)), 12)
	if p, ok := b.pools[class].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, int64(1)<<class)
}

// put gives a buffer back; nobody may use it any more.
func (b *bufferPool) put(p []byte) {
	p = p[:cap(p)]
	b.pools[bits.Len64(uint64(cap(p)-1))].Put(&p)
}
