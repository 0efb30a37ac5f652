package hydrate

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
)

// rawBuffers are the buffers for what is on its way, by power of two, with a bound on all of them that are in use.
type rawBuffers struct {
	room *semaphore.Weighted // bytes

	mu   sync.Mutex
	free [40][][]byte // of 1<<i bytes; guarded by mu
	used int64        // bytes of those in use; guarded by mu
	idle int64        // bytes of free; guarded by mu
}

// get waits until a buffer of n bytes may be used. It has any content.
func (b *rawBuffers) get(ctx context.Context, n int64) ([]byte, error) {
	class := bits.Len64(uint64(n - 1))
	if err := b.room.Acquire(ctx, 1<<class); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += 1 << class
	if last := len(b.free[class]) - 1; last >= 0 {
		p := b.free[class][last]
		b.free[class] = b.free[class][:last]
		b.idle -= 1 << class
		return p[:n], nil
	}
	if b.used+b.idle > inFlight {
		b.dropLocked()
	}
	return make([]byte, n, 1<<class), nil
}

// put gives a buffer back; nobody may use it any more.
func (b *rawBuffers) put(p []byte) {
	class := bits.Len64(uint64(cap(p) - 1))
	b.mu.Lock()
	b.free[class] = append(b.free[class], p[:0])
	b.used -= 1 << class
	b.idle += 1 << class
	b.mu.Unlock()
	b.room.Release(1 << class)
}

// drop gives the memory of the buffers back that are not in use.
func (b *rawBuffers) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked()
}

func (b *rawBuffers) dropLocked() {
	clear(b.free[:])
	b.idle = 0
}
