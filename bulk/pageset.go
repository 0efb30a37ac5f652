package bulk

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// pageSet is a set of pages that several goroutines take pages from.
type pageSet struct {
	words []atomic.Uint64
	n     atomic.Int64
}

// newPageSet returns the set of the given pages, none of which is above commit.
func newPageSet(commit uint32, pgnos iter.Seq[uint32]) *pageSet {
	s := &pageSet{words: make([]atomic.Uint64, commit/64+1)}
	for pgno := range pgnos {
		if bit := uint64(1) << (pgno % 64); pgno <= commit && s.words[pgno/64].Or(bit)&bit == 0 {
			s.n.Add(1)
		}
	}
	return s
}

func (s *pageSet) len() int64 { return s.n.Load() }

func (s *pageSet) has(pgno uint32) bool {
	return s.words[pgno/64].Load()&(1<<(pgno%64)) != 0
}

func (s *pageSet) remove(pgno uint32) {
	if bit := uint64(1) << (pgno % 64); s.words[pgno/64].And(^bit)&bit != 0 {
		s.n.Add(-1)
	}
}

// all yields the pages, ascending.
func (s *pageSet) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range s.words {
			for word := s.words[i].Load(); word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
