package diff

import "sync"

// gather keeps the pages that are written to it as if it were a database file.
type gather struct {
	pageSize uint32

	mu    sync.Mutex
	pages map[uint32][]byte // guarded by mu
}

// WriteAt implements io.WriterAt. p is whole pages.
func (g *gather) WriteAt(p []byte, off int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := 0; n < len(p); n += int(g.pageSize) {
		pgno := uint32((off+int64(n))/int64(g.pageSize)) + 1
		g.pages[pgno] = append([]byte(nil), p[n:n+int(g.pageSize)]...)
	}
	return len(p), nil
}
