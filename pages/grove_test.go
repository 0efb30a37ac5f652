package pages

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

// grove is a replica of a database with b-trees in it, as SQLite lays them out.
type grove struct {
	*replica
	pages   map[uint32][]byte
	numbers func() uint32 // of the next page
	rng     *rand.Rand
	schema  [][]byte
}

// newGrove returns an empty one. When scattered its pages are anywhere among the first so many; otherwise they follow each other.
func newGrove(scattered int) *grove {
	g := &grove{replica: newReplica(4096), pages: map[uint32][]byte{}, rng: rand.New(rand.NewPCG(11, 12))}
	next, order := 0, g.rng.Perm(scattered)
	g.numbers = func() uint32 {
		next++
		if scattered == 0 {
			return uint32(next) + 1
		}
		return uint32(order[next-1]) + 2
	}
	return g
}

// cell is a cell, and the page it points to, for interior pages.
type cell struct {
	child uint32
	data  []byte
}

// node makes a page of a b-tree.
func (g *grove) node(kind byte, cells []cell) uint32 {
	pgno := g.numbers()
	g.pages[pgno] = g.lay(kind, 0, cells)
	return pgno
}

// lay lays cells out in a page, whose head may be something else. Half of what is free does not compress. The last child of an interior page
// has no cell of its own.
func (g *grove) lay(kind byte, head int, cells []cell) []byte {
	page := make([]byte, g.pageSize)
	page[head] = kind
	at := head + 8
	if kind == btree.InteriorTable || kind == btree.InteriorIndex {
		last := cells[len(cells)-1]
		cells = cells[:len(cells)-1]
		binary.BigEndian.PutUint32(page[head+8:], last.child)
		at += 4
	}
	binary.BigEndian.PutUint16(page[head+3:], uint16(len(cells)))
	end := len(page)
	for i, c := range cells {
		data := c.data
		if c.child != 0 {
			data = append(binary.BigEndian.AppendUint32(nil, c.child), data...)
		}
		end -= len(data)
		copy(page[end:], data)
		binary.BigEndian.PutUint16(page[at+2*i:], uint16(end))
	}
	if at += 2 * len(cells); at > end {
		panic("a page is too full")
	}
	g.noise(page[at : (at+end)/2])
	return page
}

// noise fills b with what does not compress.
func (g *grove) noise(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, g.rng.Uint64())
		b = b[8:]
	}
}

func varint(n uint64) (b []byte) {
	for first := true; first || n > 0; first = false {
		c := byte(n & 0x7f)
		if !first {
			c |= 0x80
		}
		b = append([]byte{c}, b...)
		n >>= 7
	}
	return b
}

// planted is a b-tree.
type planted struct {
	root   uint32
	leaves []uint32
}

// table plants a table of so many leaves of four rows each: 4i+1 to 4i+4 lie in leaf i. chain is how many overflow pages each row has.
func (g *grove) table(leaves, fanout, chain int) (t planted) {
	var level []cell
	for i := range leaves {
		var rows []cell
		for j := range 4 { // rows
			data := varint(100)
			size := 100
			if chain > 0 {
				size = 489 + chain*4092 // keeps 489 bytes in the leaf
				data = varint(uint64(size))
			}
			data = append(data, varint(uint64(4*i+j+1))...)
			if chain == 0 {
				data = append(data, make([]byte, 100)...)
			} else {
				data = append(append(data, make([]byte, 489)...), binary.BigEndian.AppendUint32(nil, g.chain(chain))...)
			}
			rows = append(rows, cell{data: data})
		}
		leaf := g.node(btree.LeafTable, rows)
		t.leaves = append(t.leaves, leaf)
		level = append(level, cell{leaf, varint(uint64(4*i + 4))})
		if (i+1)%fanout == 0 || i == leaves-1 {
			n := min(fanout, i%fanout+1)
			under := level[len(level)-n:]
			pgno := g.node(btree.InteriorTable, under)
			level = append(level[:len(level)-n], cell{pgno, varint(uint64(4*i + 4))})
		}
	}
	t.root = g.node(btree.InteriorTable, level)
	g.declare("table", t.root)
	return t
}

// chain plants overflow pages, and returns the first.
func (g *grove) chain(n int) (first uint32) {
	var pgnos []uint32
	for range n {
		pgnos = append(pgnos, g.numbers())
	}
	for i, pgno := range pgnos {
		page := make([]byte, g.pageSize)
		if i+1 < len(pgnos) {
			binary.BigEndian.PutUint32(page, pgnos[i+1])
		}
		g.noise(page[8 : len(page)/2])
		g.pages[pgno] = page
	}
	return pgnos[0]
}

// posting is an entry of an index.
type posting struct{ key, row int32 }

// index plants an index of two levels over entries in order, so many to a leaf.
func (g *grove) index(entries []posting, per int) (t planted) {
	record := func(e posting) []byte {
		b := []byte{11, 3, 4, 4} // payload, header, two numbers of four bytes
		b = binary.BigEndian.AppendUint32(b, uint32(e.key))
		return binary.BigEndian.AppendUint32(b, uint32(e.row))
	}
	var upper []cell
	for chunk := range slices.Chunk(entries, per) {
		var cells []cell
		for _, e := range chunk {
			cells = append(cells, cell{data: record(e)})
		}
		leaf := g.node(btree.LeafIndex, cells)
		t.leaves = append(t.leaves, leaf)
		upper = append(upper, cell{leaf, record(chunk[len(chunk)-1])})
	}
	t.root = g.node(btree.InteriorIndex, upper)
	g.declare("index", t.root)
	return t
}

// declare adds a b-tree to the schema.
func (g *grove) declare(kind string, root uint32) {
	record := []byte{6, byte(13 + 2*len(kind)), 13 + 2, 13 + 2, 4, 0}
	record = append(append(record, kind...), 'a', 'b')
	record = binary.BigEndian.AppendUint32(record, root)
	g.schema = append(g.schema, append(append(varint(uint64(len(record))), varint(uint64(len(g.schema)+1))...), record...))
}

// grown commits everything.
func (g *grove) grown() *grove {
	var rows []cell
	for _, data := range g.schema {
		rows = append(rows, cell{data: data})
	}
	first := g.lay(btree.LeafTable, 100, rows)
	copy(first, "SQLite format 3\x00")
	binary.BigEndian.PutUint32(first[56:], 1)
	g.pages[1] = first
	size := uint32(0)
	for pgno := range g.pages {
		size = max(size, pgno)
	}
	for pgno, page := range g.pages {
		g.made.Store(version{pgno, 1}, page)
	}
	g.commit(size)
	return g
}

// sqlite reads b-trees in SQLite's order, and like SQLite asks for a page once only.
type sqlite struct {
	*scanner
	v    *index.View
	g    *grove
	seen map[uint32]bool
}

func (w *world) sqlite(g *grove) *sqlite {
	s := &sqlite{scanner: w.reader(), v: w.tracker.View(), g: g, seen: map[uint32]bool{}}
	s.page(1)
	return s
}

func (s *sqlite) page(pgno uint32) {
	if !s.seen[pgno] {
		s.seen[pgno] = true
		s.mustRead(s.v, pgno)
	}
}

// scan reads a b-tree from left to right, or the other way.
func (s *sqlite) scan(root uint32, back bool) {
	s.page(root)
	t, ok := btree.OpenInterior(s.g.pages[root], root)
	if !ok {
		return
	}
	children := t.Children()
	if back {
		slices.Reverse(children)
	}
	for _, child := range children {
		s.scan(child, back)
	}
}

// row looks a row of a table up, and reads the chain that it goes on in.
func (s *sqlite) row(root uint32, row int64) {
	pgno := root
	for {
		s.page(pgno)
		t, ok := btree.OpenInterior(s.g.pages[pgno], pgno)
		if !ok {
			break
		}
		pgno = t.Child(t.Route(row))
	}
	n, _ := btree.Parse(s.g.pages[pgno], pgno, 4096)
	if c := n.Cells[(row-1)%4].Overflow; c.Next != 0 {
		for next := c.Next; next != 0; next = binary.BigEndian.Uint32(s.g.pages[next]) {
			s.page(next)
		}
	}
}

// background is the context of statements that nobody interrupts.
var background = context.Background()
