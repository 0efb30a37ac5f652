package pages

import (
	"slices"
	"sync"
)

// recorder notes which pages are read.
type recorder struct {
	mu    sync.Mutex
	most  int
	pgnos map[uint32]struct{} // guarded by mu
}

func (r *recorder) note(pgno uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pgnos) < r.most {
		r.pgnos[pgno] = struct{}{}
	}
}

// Record begins to note which pages readers ask for, at most so many different ones. It costs each read a lock until Touched is called.
func (s *Source) Record(most int) {
	s.recorder.Store(&recorder{most: most, pgnos: make(map[uint32]struct{})})
}

// Touched ends what Record began, and returns the pages, ascending. Without Record there are none.
func (s *Source) Touched() []uint32 {
	r := s.recorder.Swap(nil)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pgnos := make([]uint32, 0, len(r.pgnos))
	for pgno := range r.pgnos {
		pgnos = append(pgnos, pgno)
	}
	slices.Sort(pgnos)
	return pgnos
}
