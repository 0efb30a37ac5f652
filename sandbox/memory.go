package sandbox

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

// memory is that of one instance. All of it is reserved at the beginning, so it never moves, and growing copies nothing; the system gives
// it pages as they are touched.
type memory struct {
	all     []byte
	refused atomic.Bool // it wanted to be larger
}

func newMemory(limit int64) *memory { return &memory{all: make([]byte, limit&^0xffff)} }

var _ experimental.LinearMemory = (*memory)(nil)

// Reallocate makes the memory so large, or refuses: the module then gets -1 from memory.grow.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		m.refused.Store(true)
		return nil
	}
	return m.all[:size:size]
}

// Free has nothing to do: the collector finds it.
func (m *memory) Free() {}
