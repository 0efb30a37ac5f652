package btree

import (
	"encoding/binary"
	"math"
	"sort"
)

// Interior is an interior page, read in place: nothing of it is copied, and finding a child takes no more than looking at it. Whatever the
// page holds, what it says lies within the page, and a child that cannot be is 0.
type Interior struct {
	page     []byte
	pointers int // where the list of cells begins, in bytes
	cells    int
	right    uint32 // last child
	table    bool
}

// OpenInterior reads a page. ok is false when it is no interior page of a b-tree.
func OpenInterior(page []byte, pgno uint32) (t Interior, ok bool) {
	start := 0
	if pgno == 1 {
		start = headerSize
	}
	if len(page) < start+12 || page[start] != InteriorTable && page[start] != InteriorIndex {
		return Interior{}, false
	}
	t = Interior{
		page: page, pointers: start + 12, cells: int(binary.BigEndian.Uint16(page[start+3:])),
		right: binary.BigEndian.Uint32(page[start+8:]), table: page[start] == InteriorTable,
	}
	return t, t.pointers+2*t.cells <= len(page)
}

// Kind returns the kind of a page; it means something only for pages of a b-tree.
func Kind(page []byte, pgno uint32) byte {
	if pgno == 1 && len(page) > headerSize {
		return page[headerSize]
	}
	return page[0]
}

// Table reports whether the b-tree is a table's, with row numbers for keys.
func (t Interior) Table() bool { return t.table }

// Len is the number of children.
func (t Interior) Len() int { return t.cells + 1 }

// Child returns the i-th child, from 0; 0 when the page does not say.
func (t Interior) Child(i int) uint32 {
	if i >= t.cells {
		return t.right
	}
	cell := t.cell(i)
	if len(cell) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(cell)
}

func (t Interior) cell(i int) []byte {
	off := int(binary.BigEndian.Uint16(t.page[t.pointers+2*i:]))
	if off < t.pointers || off > len(t.page) {
		return nil
	}
	return t.page[off:]
}

// Children returns all children, left to right.
func (t Interior) Children() []uint32 {
	children := make([]uint32, t.Len())
	for i := range children {
		children[i] = t.Child(i)
	}
	return children
}

// Index returns which child pgno is, or -1.
func (t Interior) Index(pgno uint32) int {
	for i := range t.Len() {
		if t.Child(i) == pgno {
			return i
		}
	}
	return -1
}

// Bound returns the largest row number that lies below the i-th child of a table's page.
func (t Interior) Bound(i int) int64 {
	if i >= t.cells {
		return math.MaxInt64
	}
	cell := t.cell(i)
	if len(cell) < 4 {
		return math.MaxInt64
	}
	bound, _ := varint(cell[4:])
	return int64(bound)
}

// Route returns which child of a table's page a row lies below.
func (t Interior) Route(row int64) int {
	return sort.Search(t.cells, func(i int) bool { return t.Bound(i) >= row })
}
