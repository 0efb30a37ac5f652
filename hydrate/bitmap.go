package hydrate

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// bitmap is a set of pages. It is safe for concurrent use.
type bitmap struct {
	words []atomic.Uint64 // page n is bit n-1
}

const wordBits = 64

// newBitmap returns an empty set with room for pages 1 to pages.
func newBitmap(pages uint32) *bitmap {
	return &bitmap{words: make([]atomic.Uint64, (uint64(pages)+wordBits-1)/wordBits)}
}

// at returns where the bit of pgno is. Page 0 is nowhere.
func at(pgno uint32) (word int, mask uint64) {
	return int((pgno - 1) / wordBits), 1 << ((pgno - 1) % wordBits)
}

// room is the highest page the set can hold.
func (b *bitmap) room() uint64 { return uint64(len(b.words)) * wordBits }

func (b *bitmap) has(pgno uint32) bool {
	w, mask := at(pgno)
	return w < len(b.words) && b.words[w].Load()&mask != 0
}

// set adds a page, which must have room, and reports whether it was not there.
func (b *bitmap) set(pgno uint32) bool {
	w, mask := at(pgno)
	return b.words[w].Load()&mask == 0 && b.words[w].Or(mask)&mask == 0
}

// clear removes a page and reports whether it was there.
func (b *bitmap) clear(pgno uint32) bool {
	w, mask := at(pgno)
	return w < len(b.words) && b.words[w].Load()&mask != 0 && b.words[w].And(^mask)&mask != 0
}

// count is the number of pages in the set.
func (b *bitmap) count() int {
	n := 0
	for i := range b.words {
		n += bits.OnesCount64(b.words[i].Load())
	}
	return n
}

// copyFor returns a copy with room for pages 1 to pages; what lies above is left out.
func (b *bitmap) copyFor(pages uint32) *bitmap {
	c := newBitmap(pages)
	for i := range min(len(b.words), len(c.words)) {
		c.words[i].Store(b.words[i].Load())
	}
	c.trim(pages)
	return c
}

// trim removes all pages above last.
func (b *bitmap) trim(last uint32) {
	for pgno := range b.from(last) {
		b.clear(pgno)
	}
}

// all yields the pages of the set, ascending. A page that is added or removed meanwhile may be yielded or not.
func (b *bitmap) all() iter.Seq[uint32] { return b.from(0) }

// from yields the pages above last.
func (b *bitmap) from(last uint32) iter.Seq[uint32] {
	return b.scan(last, b.room(), func(i int) uint64 { return b.words[i].Load() })
}

// missing yields the pages 1 to last that are not in the set.
func (b *bitmap) missing(last uint32) iter.Seq[uint32] {
	return b.scan(0, uint64(last), func(i int) uint64 {
		if i >= len(b.words) {
			return ^uint64(0)
		}
		return ^b.words[i].Load()
	})
}

// without yields the pages that are in b and not in other.
func (b *bitmap) without(other *bitmap) iter.Seq[uint32] {
	return b.scan(0, b.room(), func(i int) uint64 {
		word := b.words[i].Load()
		if i < len(other.words) {
			word &^= other.words[i].Load()
		}
		return word
	})
}

// scan yields the pages above after, up to last, whose bits word returns.
func (b *bitmap) scan(after uint32, last uint64, word func(i int) uint64) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		first := uint64(after) / wordBits
		for i := first; i*wordBits < last; i++ {
			set := word(int(i))
			if i == first {
				set &= ^uint64(0) << (after % wordBits)
			}
			for ; set != 0; set &= set - 1 {
				pgno := i*wordBits + uint64(bits.TrailingZeros64(set)) + 1
				if pgno > last || !yield(uint32(pgno)) {
					return
				}
			}
		}
	}
}
