package pages

import (
	"context"
	"math"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

const (
	// bookCount is how many leaves of indexes a connection may take row numbers from at once.
	bookCount = 12
	// maxRows bounds how many rows are resolved at once, and maxCandidates how many pages, when it is not clear which of several keys is
	// being looked up.
	maxRows       = 512
	maxCandidates = 64
	// firstRows is how many rows are fetched ahead when an index is read in its order, beyond a key, and mostRows how many at last.
	firstRows = 8
	mostRows  = 256
)

// book is a leaf of an index that was read, and how far the rows that it names were looked up. SQLite reads the entries in order, and for
// each of them the row; so where one row is known to be looked up, those of the entries that follow are next.
type book struct {
	leaf    uint32
	version index.TXID
	parsed  bool
	entries []btree.Entry
	at      int    // the entry whose row was read last; -1 is none
	asked   int    // rows of entries before this one were asked for
	rows    int    // to ask for beyond a key
	rest    []int  // entries whose rows lie below interior pages that are not here yet
	tree    *tree  // that the rows are in
	mark    uint32 // when this page of it is read more is asked for; 0 is none
	marked  int    // the entry whose row is there
}

// open notes what kind of page was read.
func (r *Reader) open(v *index.View, pgno uint32, page []byte) {
	switch btree.Kind(page, pgno) {
	case btree.InteriorTable, btree.InteriorIndex:
		r.findNext(v)
	case btree.LeafTable:
		r.threads.leaf = pgno
	case btree.LeafIndex:
		r.threads.leaf = pgno
		r.openBook(pgno)
	}
}

// openBook puts a leaf of an index before all others.
func (r *Reader) openBook(pgno uint32) {
	if r.books[0].leaf == pgno {
		return
	}
	for i := range r.books {
		if r.books[i].leaf == pgno {
			b := r.books[i]
			copy(r.books[1:i+1], r.books[:i])
			r.books[0] = b
			return
		}
	}
	copy(r.books[1:], r.books[:])
	r.books[0] = book{leaf: pgno}
}

// parse reads the entries, if that has not been done. It reports whether there are any.
func (r *Reader) parse(v *index.View, b *book) bool {
	version, _ := v.Version(b.leaf)
	if b.parsed && b.version == version {
		return len(b.entries) > 0
	}
	page := r.peek(v, b.leaf)
	if page == nil {
		return false
	}
	*b = book{leaf: b.leaf, version: version, parsed: true, at: -1}
	b.entries = btree.Entries(page, b.leaf, r.usable(v))
	return len(b.entries) > 0
}

// usable is how many bytes of a page SQLite uses.
func (r *Reader) usable(v *index.View) int { return int(v.PageSize) - int(r.source.reserved.Load()) }

// consult looks for the row that a page of a table is read for among the entries of the indexes that were read, and asks ahead for the rows
// that come after it. way leads to the page, from the root of b-tree t.
func (r *Reader) consult(ctx context.Context, v *index.View, t *tree, way []branch) {
	low, high, ok := r.rows(v, way)
	if !ok {
		return
	}
	leaf := int32(len(way)) == t.depth.Load()
	for i := range r.books {
		b := &r.books[i]
		if at := b.after(t, low, high, leaf); at >= 0 {
			b.come(t, at)
			r.rowsAhead(ctx, v, b)
			return
		}
	}
	for i := range r.books {
		b := &r.books[i]
		if b.leaf == 0 || !r.parse(v, b) {
			continue
		}
		keys, others := b.keys(low, high)
		if leaf && len(keys) == 0 {
			keys = slices.DeleteFunc(others, func(at int) bool { return !r.reached(v, t, b, at) })
		}
		switch {
		case len(keys) == 0:
		case len(keys) > 1 && !leaf:
			r.candidates(ctx, v, t, b, keys)
			return
		default:
			b.come(t, keys[0])
			r.rowsAhead(ctx, v, b)
			return
		}
	}
}

// rows returns which rows lie below the page that way leads to: above low, up to high.
func (r *Reader) rows(v *index.View, way []branch) (low, high int64, ok bool) {
	low, high = math.MinInt64, math.MaxInt64
	for _, b := range way {
		n, ok := r.interior(v, b.pgno)
		if !ok || !n.Table() {
			return 0, 0, false
		}
		high = min(high, n.Bound(b.at))
		if b.at > 0 {
			low = max(low, n.Bound(b.at-1))
		}
	}
	return low, high, len(way) > 0
}

// after returns an entry that goes on where the last row was looked up, or where asking ahead has ended, and whose row is in the range: -1
// is none. A range of many rows, above a leaf, says less than one of few.
func (b *book) after(t *tree, low, high int64, few bool) int {
	if b.at < 0 || b.tree != t {
		return -1
	}
	last := b.asked
	if few {
		last += firstRows
	}
	for i := b.at + 1; i <= last && i < len(b.entries); i++ {
		if row := b.entries[i].Row; low < row && row <= high {
			return i
		}
	}
	return -1
}

// keys returns the entries that begin a new key and whose row is in the range: a lookup by key reads the first of them first. others are
// those within a key.
func (b *book) keys(low, high int64) (keys, others []int) {
	for i, e := range b.entries {
		switch {
		case e.Row <= low || e.Row > high:
		case e.Same:
			others = append(others, i)
		default:
			keys = append(keys, i)
		}
	}
	return keys, others
}

// reached reports whether the rows of a key that come before an entry are all here, as they are when it is the next one to be looked up.
func (r *Reader) reached(v *index.View, t *tree, b *book, at int) bool {
	for i := at - 1; i >= 0 && b.entries[i+1].Same; i-- {
		if pgno, _ := r.descend(v, t.root, b.entries[i].Row); r.peek(v, pgno) == nil {
			return false
		}
	}
	return true
}

// come notes which entry's row is read. One that goes on where others were says that the index is read in order.
func (b *book) come(t *tree, at int) {
	if b.tree == t && b.at >= 0 && b.at < at && at <= b.asked+firstRows {
		b.rows = min(max(2*b.rows, firstRows), mostRows)
	} else {
		b.rows, b.asked, b.rest = 0, at+1, nil
	}
	b.at, b.tree, b.asked, b.mark = at, t, max(b.asked, at+1), 0
}

// until returns the end of the key that begins, or goes on, at an entry.
func (b *book) until(at int) int {
	i := at + 1
	for i < len(b.entries) && b.entries[i].Same {
		i++
	}
	return i
}

// rowsAhead asks for the rows of entries that follow the last one: those of the same key, and more when the index is read in order.
func (r *Reader) rowsAhead(ctx context.Context, v *index.View, b *book) {
	last := min(max(b.until(b.at), b.at+1+b.rows), b.at+1+maxRows, len(b.entries))
	var wanted []int
	for i := b.asked; i < last; i++ {
		wanted = append(wanted, i)
	}
	b.asked = max(b.asked, last)
	if half := (b.at + last) / 2; b.rows > 0 && half > b.at {
		b.mark, _ = r.descend(v, b.tree.root, b.entries[half].Row)
		b.marked = half
	}
	r.resolve(ctx, v, b, append(b.rest, wanted...))
	if last == len(b.entries) {
		r.nextLeaf(ctx, v, b)
	}
}

// resolve asks for the pages that the rows of the entries lie in. Where only an interior page above is known, it asks for that, and keeps
// the entry for when it is here.
func (r *Reader) resolve(ctx context.Context, v *index.View, b *book, entries []int) {
	var pgnos, rest = r.pgnos[:0], []int(nil)
	for _, i := range entries {
		pgno, depth := r.descend(v, b.tree.root, b.entries[i].Row)
		if pgno == 0 {
			continue
		}
		pgnos = append(pgnos, pgno)
		if d := b.tree.depth.Load(); d == 0 || depth < d {
			rest = append(rest, i)
		}
	}
	b.rest, r.pgnos = rest, pgnos
	r.gather(ctx, v, pgnos, reach{tree: b.tree, most: minSpan})
}

// goOn resolves rows further when the interior pages they lie below have come, and asks for more when half of the last ones were read.
func (r *Reader) goOn(ctx context.Context, v *index.View, pgno uint32) {
	for i := range r.books {
		b := &r.books[i]
		if len(b.rest) > 0 {
			if pgno, depth := r.descend(v, b.tree.root, b.entries[b.rest[0]].Row); pgno == 0 || depth >= b.tree.depth.Load() {
				r.resolve(ctx, v, b, b.rest)
			}
		}
		if b.mark == pgno && b.mark != 0 {
			b.come(b.tree, b.marked)
			r.rowsAhead(ctx, v, b)
		}
	}
}

// descend goes down a table's b-tree to a row, as far as pages are here. It returns the page where that ends, and how many interior pages
// lie above it; 0 when it ends nowhere.
func (r *Reader) descend(v *index.View, root uint32, row int64) (pgno uint32, depth int32) {
	pgno = root
	for depth < maxDepth {
		page := r.peek(v, pgno)
		if page == nil {
			return pgno, depth
		}
		n, ok := btree.OpenInterior(page, pgno)
		switch {
		case !ok:
			return pgno, depth // a leaf, and here
		case !n.Table():
			return 0, 0
		}
		pgno = n.Child(n.Route(row))
		depth++
	}
	return 0, 0
}

// candidates asks for the interior pages above the rows of several keys, of which one is being looked up. They are few, and will be
// needed for others.
func (r *Reader) candidates(ctx context.Context, v *index.View, t *tree, b *book, keys []int) {
	pgnos := r.pgnos[:0]
	for _, at := range keys {
		for i := at; i < b.until(at) && len(pgnos) < maxRows; i++ {
			if pgno, depth := r.descend(v, t.root, b.entries[i].Row); pgno != 0 && depth < max(t.depth.Load(), 1) {
				pgnos = append(pgnos, pgno)
			}
		}
	}
	r.pgnos = pgnos
	if pgnos = distinct(pgnos); len(pgnos) <= maxCandidates {
		r.gather(ctx, v, pgnos, reach{tree: t, most: minSpan})
	}
}

// nextLeaf asks for the leaf of the index that follows: the key goes on there, or SQLite has to look whether it does.
func (r *Reader) nextLeaf(ctx context.Context, v *index.View, b *book) {
	way := r.climb(v, b.leaf)
	if len(way) == 0 {
		return
	}
	w, ok := r.walkTo(v, way)
	if !ok {
		return
	}
	t := r.source.trees.of(way[0].pgno)
	if pgno := r.following(v, &w); pgno != 0 {
		r.gather(ctx, v, []uint32{pgno}, reach{tree: t, most: minSpan})
	}
}

// distinct returns each page once, in the order of their first places.
func distinct(pgnos []uint32) []uint32 {
	seen := make(map[uint32]bool, len(pgnos))
	kept := pgnos[:0]
	for _, pgno := range pgnos {
		if !seen[pgno] {
			seen[pgno] = true
			kept = append(kept, pgno)
		}
	}
	return kept
}
