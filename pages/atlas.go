package pages

import (
	"sync"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/internal/btree"
)

const (
	// sheetPages is how many pages share a sheet of the atlas.
	sheetPages = 1024
	// maxSheets bounds an atlas: 8 MiB, for about two million pages. It begins anew then.
	maxSheets = 2048
	// maxDepth is how many levels a b-tree may have.
	maxDepth = 20
)

// atlas knows which page lies below which: what interior pages said when they were decoded. It is what makes a guess out of a page
// number, so it may be old, and wrong: whoever asks looks at the parent as well. It is safe for concurrent use.
type atlas struct {
	mu     sync.RWMutex
	sheets map[uint32]*sheet // guarded by mu
}

// sheet holds the parents of neighbouring pages.
type sheet [sheetPages]atomic.Uint32

// learn notes what lies below an interior page; other pages say nothing.
func (a *atlas) learn(pgno uint32, page []byte) {
	t, ok := btree.OpenInterior(page, pgno)
	if !ok {
		return
	}
	var on *sheet // of the child before: its neighbours lie on it, too
	at := uint32(0)
	for i := range t.Len() {
		child := t.Child(i)
		if child <= 1 || child == pgno {
			continue
		}
		if n := child / sheetPages; on == nil || n != at {
			on, at = a.sheet(n), n
		}
		on[child%sheetPages].Store(pgno)
	}
}

// sheet returns one that may be written.
func (a *atlas) sheet(n uint32) *sheet {
	a.mu.RLock()
	s, ok := a.sheets[n]
	a.mu.RUnlock()
	if ok {
		return s
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.sheets[n]; ok {
		return s
	}
	if a.sheets == nil || len(a.sheets) >= maxSheets {
		a.sheets = make(map[uint32]*sheet)
	}
	s = new(sheet)
	a.sheets[n] = s
	return s
}

// parent returns the page that pgno lies below, or 0.
func (a *atlas) parent(pgno uint32) uint32 {
	a.mu.RLock()
	s, ok := a.sheets[pgno/sheetPages]
	a.mu.RUnlock()
	if !ok {
		return 0
	}
	return s[pgno%sheetPages].Load()
}
