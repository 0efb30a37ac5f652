package pages

import (
	"context"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

const (
	// courseCount is how many scans along pointers one connection is believed to do at once.
	courseCount = 4
	// orderly is how many leaves have to be read in order to make a scan, and pace how many times as much as was read in order is
	// fetched ahead. A scan that has to wait gets so many times more: haste. One that began with the first leaf of a b-tree goes through all
	// of it, as a rule, and gets certain times as much at once.
	orderly = 4
	pace    = 4
	haste   = 8
	certain = 64
	// maxSkip is how many leaves a scan may leave out: SQLite had them.
	maxSkip = 32
	// maxEnds is how many interior pages are read elsewhere before a scan that came to the end of what is known counts as ended.
	maxEnds = 16
	// minBatch and maxBatch bound what is asked for at once, in bytes of decoded pages: a few large requests cost less than many small
	// ones, and some have to be under way at once.
	minBatch = 512 << 10
	maxBatch = 7 << 20
	// courseShare is the part of the cache, one byte in so many, that may lie ahead of scans along pointers: what they ask for is read, or was
	// when they were there. Those that one connection does at once share it.
	courseShare = 2
)

// course is a scan through the leaves of a b-tree in the order of its pointers, in whatever files they lie. It begins as the place of
// a single leaf that had to be fetched; leaves that are read in order from there make it a scan.
type course struct {
	tree   *tree
	here   walk   // the reader
	next   uint32 // leaf that it comes to next, in either direction until there is one; 0 is not known
	prev   uint32
	run    int64  // leaves read in order
	window int64  // bytes of decoded pages to have ahead
	whole  bool   // began with the first leaf
	edge   walk   // what was asked for; of no meaning before there is a window
	guess  uint32 // and beyond it, up to this page,
	begin  uint32 // from this one on
	stuck  int64  // the edge lacks an interior page, and looks for it again when the reader has come here
	ends   int    // interior pages that were read elsewhere since it came to the end of what is known
	used   uint64 // by the reader's clock
}

// passed notes that a page was read, which waits says the reader had to wait for: scans move on.
func (r *Reader) passed(ctx context.Context, v *index.View, pgno uint32, waits bool) {
	for i := range r.courses {
		c := &r.courses[i]
		if c.tree == nil || pgno != c.next && (pgno != c.prev || c.prev == 0) {
			continue
		}
		if pgno == c.prev {
			c.turn()
		}
		r.move(v, c)
		r.quicken(v, c, waits)
		r.extend(ctx, v, c)
		return
	}
}

// turn makes a course that has just begun one from right to left.
func (c *course) turn() {
	c.here.back, c.whole = !c.here.back, false
	c.next, c.prev = c.prev, 0
}

// move takes the reader one leaf on.
func (r *Reader) move(v *index.View, c *course) {
	if _, _, ok := c.here.step(r, v); !ok {
		c.next = 0
		return
	}
	c.run++
	c.used, c.prev, c.ends = r.clock, 0, 0
	c.next = r.following(v, &c.here)
}

// following returns the leaf after the one that w stands at; 0 when it is not known.
func (r *Reader) following(v *index.View, w *walk) uint32 {
	if l := *w.parent(); l.move(w.direction()) {
		return l.children[l.at]
	}
	next := w.clone()
	if _, _, ok := next.step(r, v); !ok {
		return 0
	}
	return next.leaf()
}

// findNext is for scans that came to the end of what is known: an interior page was read.
func (r *Reader) findNext(v *index.View) {
	for i := range r.courses {
		c := &r.courses[i]
		if c.tree == nil || c.next != 0 {
			continue
		}
		if c.next = r.following(v, &c.here); c.next == 0 {
			if c.ends++; c.ends > maxEnds {
				*c = course{}
			}
		}
	}
}

// quicken makes the window wider: with what was read in order, and more when the reader has to wait.
func (r *Reader) quicken(v *index.View, c *course, waits bool) {
	if c.run < orderly {
		return
	}
	if c.window == 0 {
		c.edge = c.here.clone()
	}
	c.window = max(c.window, pace*c.run*int64(v.PageSize))
	if waits {
		r.room = max(min(r.room+r.room/16, 1<<62), firstDecoded)
		times := int64(haste)
		if c.whole {
			times = certain
		}
		c.window = max(times*c.window, minBatch)
	}
	c.window = min(c.window, r.limitCourses())
}

// limitCourses is how much may lie ahead of one course.
func (r *Reader) limitCourses() int64 {
	n := int64(0)
	for i := range r.courses {
		if c := &r.courses[i]; c.window > 0 && c.next != 0 && c.used+patience > r.clock {
			n++
		}
	}
	return min(r.source.maxAhead.Load(), r.source.cache.Budget()/(courseShare*max(n, 1)), r.room)
}

// ahead is what lies ahead of the reader, in pages.
func (c *course) ahead() int64 {
	n := c.edge.steps - c.here.steps
	if leaf := c.edge.leaf(); c.guess > leaf {
		n += int64(c.guess - leaf)
	}
	return n
}

// extend asks ahead until the window is full.
func (r *Reader) extend(ctx context.Context, v *index.View, c *course) {
	if c.window == 0 || c.here.steps < c.stuck && c.here.steps < c.edge.steps { // who has come to the edge has read what it lacked
		return
	}
	if c.edge.steps < c.here.steps {
		c.edge, c.guess = c.here.clone(), 0
	}
	size := int64(v.PageSize)
	batch := min(max(c.window/4, minBatch), maxBatch, c.window) / size
	for window := c.window / size; ; {
		ahead := c.ahead()
		if ahead > window-min(batch, window/2) {
			break
		}
		if !r.batch(ctx, v, c, int(batch)) || c.ahead() <= ahead {
			return // at the end of what is known, or is allowed
		}
	}
}

// batch asks for the next n leaves. ok is false when nothing more may be asked for.
func (r *Reader) batch(ctx context.Context, v *index.View, c *course, n int) (ok bool) {
	least := min(n, max(n/2, int(minBatch/v.PageSize))) // rather later than in small pieces
	if n = min(n, r.allowance(v), c.tree.allow(int64(v.PageSize))); n < least {
		return false
	}
	pages, passed, e := make([]index.Page, 0, n), 0, encoded{}
	for passed < n {
		lacking, among, ok := c.edge.step(r, v)
		if !ok {
			c.stuck = c.here.steps + max(1, int64(n)/16)
			if lacking != 0 {
				more := r.unknown(c, lacking, among, n-passed)
				pages = append(pages, r.source.absent(v, more, len(more))...)
			}
			break
		}
		leaf := c.edge.leaf()
		if c.guessed(leaf) {
			continue // and does not count: a request should bring as much as is asked for at once
		}
		passed++
		if p, missing := r.source.missing(v, leaf, &e); missing {
			pages = append(pages, p)
		}
	}
	r.collect(ctx, v, pages, reach{
		tree: c.tree, most: maxBatch, all: dense(c.edge.parent().children), whole: c.window >= growth*firstWindow,
	})
	return true
}

// unknown returns what to fetch where the edge lacks an interior page: that page, and the n pages that are probably leaves; or when
// nothing is probable the interior pages that follow.
func (r *Reader) unknown(c *course, lacking uint32, among level, n int) []uint32 {
	leaf := c.edge.leaf()
	bound := c.edge.beyond(among)
	if bound == 0 {
		per := int64(len(c.edge.parent().children))
		return append([]uint32{lacking}, among.ahead(int(c.window/minBatch/max(per/128, 1))+1, c.edge.back)...)
	}
	if c.guess < leaf {
		c.guess, c.begin = leaf, leaf+1
	}
	pgnos := make([]uint32, 1, n+1)
	pgnos[0] = lacking
	for ; n > 0 && c.guess < bound; n-- {
		c.guess++
		pgnos = append(pgnos, c.guess)
	}
	if len(pgnos) > 1 {
		c.stuck = 0 // there is more to guess
		return pgnos
	}
	return nil
}

// guessed reports whether a page was asked for as one that is probably a leaf.
func (c *course) guessed(pgno uint32) bool { return c.begin <= pgno && pgno <= c.guess }

// plot notes that a page, which had to be fetched, was read, and the way to it: if it is a leaf a scan may begin there.
func (r *Reader) plot(v *index.View, t *tree, pgno uint32, way []branch, page []byte) {
	if kind := btree.Kind(page, pgno); kind != btree.LeafTable && kind != btree.LeafIndex {
		return
	}
	t.depth.Store(int32(len(way)))
	c := r.courseFor(pgno)
	if c == nil {
		return
	}
	w, ok := r.walkTo(v, way)
	if !ok {
		return
	}
	back := w
	back.back = true
	*c = course{
		tree: t, here: w, run: 1, used: r.clock, whole: first(way), next: r.following(v, &w), prev: r.following(v, &back),
	}
}

// first reports whether a way leads to the first leaf of what is known of a b-tree.
func first(way []branch) bool {
	return !slices.ContainsFunc(way, func(b branch) bool { return b.at > 0 })
}

// courseFor returns where to note a leaf: nil when a scan has come to it.
func (r *Reader) courseFor(pgno uint32) *course {
	oldest, since := &r.courses[0], ^uint64(0)
	for i := range r.courses {
		c := &r.courses[i]
		if c.tree == nil {
			return c
		}
		if c.here.leaf() == pgno {
			return nil
		}
		used := c.used
		if c.window > 0 {
			used += patience
		}
		if used < since {
			oldest, since = c, used
		}
	}
	return oldest
}

// coursing returns the scan that comes to page pgno next, when it has to be fetched.
func (r *Reader) coursing(v *index.View, pgno uint32, way []branch) *course {
	for i := range r.courses {
		c := &r.courses[i]
		if c.tree == nil {
			continue
		}
		if c.next == 0 {
			c.next = r.following(v, &c.here)
		}
		if c.next == pgno || c.prev == pgno && pgno != 0 || c.skipTo(pgno, way) {
			return c
		}
	}
	return nil
}

// skipTo moves a scan over leaves that SQLite had, so that the next one is pgno. It reports whether it could.
func (c *course) skipTo(pgno uint32, way []branch) bool {
	p := c.here.parent()
	if c.run < orderly || len(way) == 0 || way[len(way)-1].pgno != p.pgno {
		return false
	}
	at := way[len(way)-1].at
	n := (at - p.at) * c.here.direction()
	if n < 2 || n > maxSkip || at >= len(p.children) || p.children[at] != pgno {
		return false // the last: the interior page is another one by now
	}
	p.at += (n - 1) * c.here.direction()
	c.here.steps += int64(n - 1)
	c.next, c.prev = pgno, 0
	return true
}

// lost reports whether the scan had asked for the page that it comes to next, which is not here: the cache was too small for both.
func (c *course) lost() bool { return c.window > 0 && c.edge.steps > c.here.steps }
