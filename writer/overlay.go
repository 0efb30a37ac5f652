package writer

import (
	"iter"
	"sort"

	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// overlay says where in the commit log the newest version of a page lies, for pages that are committed and not in the bucket.
// It is a tree over the bits of page numbers and never changes: with, upTo and after return another one that shares what is the same. So a
// Snapshot costs nothing to keep, and a commit costs memory for the pages it wrote.
//
// The zero value is empty.
type overlay struct {
	root  any // *inner or *leaf; nil when empty
	depth int // of inner nodes above the leaves
}

const (
	fanBits = 4
	fan     = 1 << fanBits
)

type inner [fan]any // *inner, or *leaf just above the ground; nil when empty

type leaf [fan]ref

// ref is where a page lies. Its zero value is no page.
type ref struct {
	tx   *commitlog.Tx
	slot uint32
	sum  uint32
}

// entry is a page's ref with its number.
type entry struct {
	pgno uint32
	ref
}

func (e entry) read(dst []byte) error {
	return e.tx.ReadPage(int(e.slot), commitlog.Entry{Pgno: e.pgno, Sum: e.sum}, dst)
}

// covers is the number of pages that a tree of that depth has room for.
func covers(depth int) uint64 { return 1 << (fanBits * (depth + 1)) }

// get returns where pgno lies.
func (o overlay) get(pgno uint32) (entry, bool) {
	if uint64(pgno) >= covers(o.depth) {
		return entry{}, false
	}
	node := o.root
	for d := o.depth; ; d-- {
		switch n := node.(type) {
		case *inner:
			node = n[pgno>>(fanBits*d)&(fan-1)]
		case *leaf:
			r := n[pgno&(fan-1)]
			return entry{pgno, r}, r.tx != nil
		default:
			return entry{}, false
		}
	}
}

// with returns the overlay with the pages of one more transaction, which cuts off what lies above its size.
func (o overlay) with(rec commitlog.Recorded) overlay {
	o = o.upTo(rec.Commit)
	if len(rec.Entries) == 0 {
		return o
	}
	highest := rec.Entries[len(rec.Entries)-1].Pgno
	for uint64(highest) >= covers(o.depth) {
		if o.root != nil {
			o.root = &inner{0: o.root}
		}
		o.depth++
	}
	return overlay{insert(o.root, o.depth, rec.Tx, rec.Entries, 0), o.depth}
}

// insert returns the node with the entries laid over it. All of them belong below it; first is the slot of the first one.
func insert(node any, depth int, tx *commitlog.Tx, entries []commitlog.Entry, first int) any {
	if depth == 0 {
		var n leaf
		if old, ok := node.(*leaf); ok {
			n = *old
		}
		for i, e := range entries {
			n[e.Pgno&(fan-1)] = ref{tx, uint32(first + i), e.Sum}
		}
		return &n
	}
	var n inner
	if old, ok := node.(*inner); ok {
		n = *old
	}
	for len(entries) > 0 {
		shift := fanBits * depth
		child := entries[0].Pgno >> shift
		count := sort.Search(len(entries), func(i int) bool { return entries[i].Pgno>>shift != child })
		n[child&(fan-1)] = insert(n[child&(fan-1)], depth-1, tx, entries[:count], first)
		entries, first = entries[count:], first+count
	}
	return &n
}

// upTo returns the overlay without the pages above the highest.
func (o overlay) upTo(highest uint32) overlay {
	if uint64(highest) >= covers(o.depth)-1 {
		return o
	}
	return overlay{keep(o.root, o.depth, 0, func(lo, hi uint32) fate {
		switch {
		case hi <= highest:
			return keepAll
		case lo > highest:
			return dropAll
		}
		return lookInside
	}, nil), o.depth}
}

// after returns the overlay without the pages whose newest version is of the transaction seq or an older one.
func (o overlay) after(seq uint64) overlay {
	look := func(uint32, uint32) fate { return lookInside }
	return overlay{keep(o.root, o.depth, 0, look, func(r ref) bool { return r.tx.Seq > seq }), o.depth}
}

// fate is what becomes of a stretch of pages.
type fate int

const (
	lookInside fate = iota
	keepAll
	dropAll
)

// keep returns the node with what is to be kept of it, and shares it when that is everything. The node stands for
// pages from lo on. Single pages that the stretch does not decide are asked for with page, when that is not nil.
func keep(node any, depth int, lo uint32, stretch func(lo, hi uint32) fate, page func(ref) bool) any {
	if node == nil {
		return nil
	}
	hi := lo + uint32(covers(depth)-1)
	switch stretch(lo, hi) {
	case keepAll:
		return node
	case dropAll:
		return nil
	}
	if old, ok := node.(*leaf); ok {
		return keepLeaf(old, lo, stretch, page)
	}
	old := node.(*inner)
	n, some, same := inner{}, false, true
	for i, child := range old {
		n[i] = keep(child, depth-1, lo+uint32(i)<<(fanBits*depth), stretch, page)
		some = some || n[i] != nil
		same = same && n[i] == child
	}
	switch {
	case same:
		return node
	case !some:
		return nil
	}
	return &n
}

func keepLeaf(old *leaf, lo uint32, stretch func(lo, hi uint32) fate, page func(ref) bool) any {
	n, some, same := leaf{}, false, true
	for i, r := range old {
		pgno := lo + uint32(i)
		if r.tx == nil {
			continue
		}
		if stretch(pgno, pgno) == dropAll || page != nil && !page(r) {
			same = false
			continue
		}
		n[i], some = r, true
	}
	switch {
	case same && some:
		return old
	case !some:
		return nil
	}
	return &n
}

// all yields the pages, ascending.
func (o overlay) all() iter.Seq[entry] {
	return func(yield func(entry) bool) { walk(o.root, o.depth, 0, yield) }
}

func walk(node any, depth int, lo uint32, yield func(entry) bool) bool {
	switch n := node.(type) {
	case *inner:
		for i, child := range n {
			if !walk(child, depth-1, lo+uint32(i)<<(fanBits*depth), yield) {
				return false
			}
		}
	case *leaf:
		for i, r := range n {
			if r.tx != nil && !yield(entry{lo + uint32(i), r}) {
				return false
			}
		}
	}
	return true
}

// len is the number of pages. It counts them.
func (o overlay) len() (n int) {
	for range o.all() {
		n++
	}
	return n
}
