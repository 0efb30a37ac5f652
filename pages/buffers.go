package pages

import (
	"math/bits"
	"sync"
)

// bufferPool keeps buffers for encoded bytes, by size, so that a scan does not allocate what it fetches. There are four sizes from one power
// of two to the next: large requests must not take much more than they fetch.
type bufferPool struct {
	pools [160]sync.Pool // of *[]byte with cap sizeOf its number
}

var buffers bufferPool

// smallest is the size of the smallest buffers, as a power of two.
const smallest = 12

// class is the number of the smallest size that holds n bytes.
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

// get returns a buffer of n bytes with any content.
func (b *bufferPool) get(n int64) []byte {
	c := class(n)
	if p, ok := b.pools[c].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, sizeOf(c))
}

// put gives a buffer back; nobody may use it any more.
func (b *bufferPool) put(p []byte) {
	p = p[:cap(p)]
	b.pools[class(int64(cap(p)))].Put(&p)
}
