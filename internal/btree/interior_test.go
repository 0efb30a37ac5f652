package btree

import (
	"encoding/binary"
	"math"
	"testing"
)

// interior makes an interior page of a table: children and the largest rows below all but the last of them.
func interior(children []uint32, bounds []byte) []byte {
	page := make([]byte, 512)
	page[0] = InteriorTable
	binary.BigEndian.PutUint16(page[3:], uint16(len(bounds)))
	binary.BigEndian.PutUint32(page[8:], children[len(children)-1])
	at := len(page)
	for i, bound := range bounds {
		at -= 5
		binary.BigEndian.PutUint32(page[at:], children[i])
		page[at+4] = bound
		binary.BigEndian.PutUint16(page[12+2*i:], uint16(at))
	}
	return page
}

func TestInterior(t *testing.T) {
	t.Parallel()
	n, ok := OpenInterior(interior([]uint32{7, 9, 8}, []byte{10, 20}), 2)
	if !ok || !n.Table() || n.Len() != 3 {
		t.Fatalf("got %v children, %v", n.Len(), ok)
	}
	for _, c := range []struct {
		row   int64
		child int
	}{{math.MinInt64, 0}, {-1, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 2}, {math.MaxInt64, 2}} {
		if got := n.Route(c.row); got != c.child {
			t.Errorf("row %d: child %d, want %d", c.row, got, c.child)
		}
	}
	for i, pgno := range []uint32{7, 9, 8} {
		if got := n.Index(pgno); got != i || n.Child(i) != pgno {
			t.Errorf("page %d is child %d, want %d", pgno, got, i)
		}
	}
	if n.Index(10) != -1 {
		t.Error("page 10 is a child")
	}
	if _, ok := OpenInterior(make([]byte, 512), 2); ok {
		t.Error("an empty page is an interior page")
	}
}

// leaf makes a leaf of an index of records.
func leaf(records ...[]byte) []byte {
	page := make([]byte, 512)
	page[0] = LeafIndex
	binary.BigEndian.PutUint16(page[3:], uint16(len(records)))
	at := len(page)
	for i, r := range records {
		at -= len(r) + 1
		page[at] = byte(len(r))
		copy(page[at+1:], r)
		binary.BigEndian.PutUint16(page[8+2*i:], uint16(at))
	}
	return page
}

func TestEntries(t *testing.T) {
	t.Parallel()
	got := Entries(leaf(
		[]byte{3, 13 + 2, 1, 'a', 5},          // 'a', 5
		[]byte{3, 13 + 2, 1, 'a', 0xff},       // 'a', -1
		[]byte{3, 13 + 2, 2, 'a', 1, 0},       // 'a', 256: another length of number, and the same key
		[]byte{3, 13 + 2, 9, 'b'},             // 'b', 1
		[]byte{3, 13 + 2, 13 + 2, 'b', 'c'},   // the last column is no number
		[]byte{3, 13 + 20, 1, 'b'},            // cut
		[]byte{4, 13 + 2, 0, 1, 'b', 7},       // 'b', NULL, 7
		[]byte{2, 1, 9},                       // 9 alone
		[]byte{1},                             // nothing
		[]byte{9, 0x80, 0x80, 0x80, 0x80, 80}, // a header that is cut
	), 2, 512)
	want := []Entry{{5, false}, {-1, true}, {256, true}, {1, false}, {7, false}, {9, false}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if Entries(interior([]uint32{1, 2}, []byte{3}), 2, 512) != nil {
		t.Error("an interior page has entries")
	}
}

// Nothing that a page holds makes reading it in place panic, or say what is not in it.
func FuzzInterior(f *testing.F) {
	f.Add(interior([]uint32{7, 9, 8}, []byte{10, 20}), uint32(2), int64(15))
	f.Add(leaf([]byte{3, 13 + 2, 1, 'a', 5}), uint32(2), int64(15))
	f.Add([]byte{}, uint32(1), int64(0))
	f.Fuzz(func(t *testing.T, page []byte, pgno uint32, row int64) {
		Entries(page, pgno, len(page))
		n, ok := OpenInterior(page, pgno)
		if !ok {
			return
		}
		if i := n.Route(row); i < 0 || i >= n.Len() {
			t.Errorf("child %d of %d", i, n.Len())
		}
		children := n.Children()
		if len(children) > len(page) {
			t.Errorf("%d children in %d bytes", len(children), len(page))
		}
		for i, child := range children {
			if at := n.Index(child); at < 0 || at > i {
				t.Errorf("child %d is found at %d", i, at)
			}
			n.Bound(i)
		}
	})
}
