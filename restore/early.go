package restore

import (
	"os"
	"sync/atomic"
)

// earlyBlock is how much of a file is brought to disk at once, in bytes.
const earlyBlock = 4 << 20

// early writes a file of known size, each byte once, and has the system bring every block to disk as soon as all of it is written. So the
// disk works while the rest is fetched, and the flush at the end finds little to do. What was only begun is not safe
// yet: the flush is still needed. A block of which something is never written, as that of the lock page, is left to it.
type early struct {
	file *os.File
	left []atomic.Int64 // bytes of each block that are still to come
}

func newEarly(f *os.File, size int64) *early {
	e := &early{file: f, left: make([]atomic.Int64, (size+earlyBlock-1)/earlyBlock)}
	for i := range e.left {
		e.left[i].Store(min(earlyBlock, size-int64(i)*earlyBlock))
	}
	return e
}

// WriteAt implements io.WriterAt.
func (e *early) WriteAt(p []byte, off int64) (int, error) {
	n, err := e.file.WriteAt(p, off)
	for from, end := off, off+int64(n); from < end; {
		block := from / earlyBlock
		to := min(end, (block+1)*earlyBlock)
		if e.left[block].Add(from-to) == 0 {
			beginWriteback(e.file, block*earlyBlock, earlyBlock)
		}
		from = to
	}
	return n, err
}
