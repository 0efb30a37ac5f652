package pages

import (
	"math/bits"
	"slices"
	"sync"
)

// maxIdle bounds the buffers that nobody uses, in bytes, and maxIdleCount their number.
const (
	maxIdle      = 8 << 20
	maxIdleCount = 64
)

// bufferPool keeps buffers for encoded bytes, so that a scan does not allocate what it fetches. It is no sync.Pool: that one keeps what it was given
// until the collector has come twice, which is long when little garbage is made, and requests are of many sizes.
type bufferPool struct {
	mu   sync.Mutex
	idle [][]byte // oldest first; guarded by mu
	size int64    // bytes of idle; guarded by mu
}

var buffers bufferPool

// smallest is the size of the smallest buffers, as a power of two.
const smallest = 12

// class is the number of the smallest size that holds n bytes. There are four sizes from one power of two to the next: requests are of any
// length, and a buffer should fit the next one too.
func class(n int64) int {
	n = max(n, 1<<smallest)
	power := bits.Len64(uint64(n - 1))
	quarter := int64(1) << (power - 3)
	return 4*power - int((int64(1)<<power-n)/quarter)
}

// sizeOf is the size of a class: as many quarters short of a power of two as the number is of a multiple of four.
func sizeOf(class int) int64 {
	power := (class + 3) / 4
	return int64(1)<<power - int64(4*power-class)<<(power-3)
}

// get returns a buffer of n bytes with any content. It takes at most twice the memory.
func (b *bufferPool) get(n int64) []byte {
	size := sizeOf(class(n))
	b.mu.Lock()
	defer b.mu.Unlock()
	best := -1
	for i, p := range b.idle {
		if c := int64(cap(p)); c >= n && c <= 2*size && (best < 0 || c < int64(cap(b.idle[best]))) {
			best = i
		}
	}
	if best < 0 {
		return make([]byte, n, size)
	}
	return b.takeLocked(best)[:n]
}

// put gives a buffer back; nobody may use it any more.
func (b *bufferPool) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = append(b.idle, p)
	b.size += int64(cap(p))
	for b.size > maxIdle || len(b.idle) > maxIdleCount {
		b.takeLocked(0)
	}
}

// takeLocked takes the i-th buffer off the list.
func (b *bufferPool) takeLocked(i int) []byte {
	p := b.idle[i]
	b.idle = slices.Delete(b.idle, i, i+1)
	b.size -= int64(cap(p))
	return p
}
