package index

import (
	"iter"
	"slices"
)

// pageList is an ascending list of page numbers at two bytes each: the lower halves one after another in blocks, one block
// for each upper half that occurs. The zero value is empty; a list that is shared is not added to.
type pageList struct {
	lows   []uint16
	highs  []uint16 // of each block, ascending
	firsts []uint32 // of each block: the number in lows of its first page
}

// newPageList returns an empty list with room for n pages.
func newPageList(n int) pageList { return pageList{lows: make([]uint16, 0, n)} }

func (l *pageList) len() int { return len(l.lows) }

// add appends a page number, which is larger than all before it.
func (l *pageList) add(pgno uint32) {
	high := uint16(pgno >> 16)
	if last := len(l.highs) - 1; last < 0 || l.highs[last] != high {
		l.highs, l.firsts = append(l.highs, high), append(l.firsts, uint32(len(l.lows)))
	}
	l.lows = append(l.lows, uint16(pgno))
}

// at is the i-th page number, from 0.
func (l *pageList) at(i int) uint32 {
	b := 0
	for n := len(l.firsts); n > 1; {
		half := n / 2
		if l.firsts[b+half] <= uint32(i) {
			b += half
		}
		n -= half
	}
	return l.join(b, i)
}

// join is the i-th page number, which lies in block b.
func (l *pageList) join(b, i int) uint32 { return uint32(l.highs[b])<<16 | uint32(l.lows[i]) }

// search returns the place of pgno in the list. When it is not there, the number it returns means nothing.
func (l *pageList) search(pgno uint32) (int, bool) {
	b, ok := l.block(uint16(pgno >> 16))
	if !ok {
		return 0, false
	}
	first := int(l.firsts[b])
	i, ok := search(l.lows[first:l.end(b)], uint16(pgno))
	return first + i, ok
}

// ceil returns the place of pgno, or of the first page after it; the list's length when there is none.
func (l *pageList) ceil(pgno uint32) int {
	low, high := 0, len(l.lows)
	for low < high {
		middle := int(uint(low+high) / 2)
		if l.at(middle) < pgno {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// block returns the number of the block with that upper half. In lists with pages all over the database it is the
// upper half itself.
func (l *pageList) block(high uint16) (int, bool) {
	if int(high) < len(l.highs) && l.highs[high] == high {
		return int(high), true
	}
	return search(l.highs, high)
}

// end is the number in the list of the first page after block b.
func (l *pageList) end(b int) int {
	if b+1 < len(l.firsts) {
		return int(l.firsts[b+1])
	}
	return len(l.lows)
}

// all yields the page numbers.
func (l *pageList) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for b := range l.highs {
			for i := int(l.firsts[b]); i < l.end(b); i++ {
				if !yield(l.join(b, i)) {
					return
				}
			}
		}
	}
}

// trim gives back memory that was set aside for more pages than came, when it is worth a copy.
func (l *pageList) trim() {
	l.lows = trimmed(l.lows)
	if len(l.highs) < cap(l.highs) { // most layers are small, and have few pages in a block
		l.highs, l.firsts = slices.Clone(l.highs), slices.Clone(l.firsts)
	}
}

// bytes is the memory the list takes.
func (l *pageList) bytes() int64 { return int64(2*cap(l.lows) + 2*cap(l.highs) + 4*cap(l.firsts)) }

// equal reports whether two lists hold the same pages.
func (l *pageList) equal(other *pageList) bool {
	return slices.Equal(l.lows, other.lows) && slices.Equal(l.highs, other.highs) && slices.Equal(l.firsts, other.firsts)
}

// cursor goes through a list.
type cursor struct {
	list  *pageList
	i     int // in the list
	block int
	end   int // of the block
}

func (l *pageList) cursor() cursor { return cursor{list: l, block: -1} }

// next returns the page at the cursor. ok is false at the end.
func (c *cursor) next() (pgno uint32, ok bool) {
	if c.i == len(c.list.lows) {
		return 0, false
	}
	if c.i == c.end {
		c.block++
		c.end = c.list.end(c.block)
	}
	return c.list.join(c.block, c.i), true
}

// step moves on to the next page.
func (c *cursor) step() { c.i++ }

// search is slices.BinarySearch without branches to mispredict, which for random pages take most of its time. When x is
// not there, the number it returns means nothing.
func search[T uint16 | uint32](list []T, x T) (int, bool) {
	at := 0
	for n := len(list); n > 1; {
		half := n / 2
		past := (int64(x) - int64(list[at+half])) >> 63 // -1 when x is before the middle, else 0
		at += half &^ int(past)
		n -= half
	}
	return at, at < len(list) && list[at] == x
}
