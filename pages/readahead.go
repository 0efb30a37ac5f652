package pages

import (
	"context"
	"math"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// firstBefore and firstAfter are what a miss fetches around its page, in bytes, when nothing is known of the reader's way.
	firstBefore = 16 << 10
	firstAfter  = 48 << 10
	// firstDecoded bounds the same in decoded bytes: a page or two must not cost the cache a megabyte of zeros.
	firstDecoded = 512 << 10
	// smallFile is the size up to which all frames of a file are fetched at once.
	smallFile = 256 << 10
	// maxSpan is the largest single request, and minSpan the smallest one ahead of a reader.
	maxSpan = 2 << 20
	minSpan = 256 << 10
	// defaultMaxAhead bounds what one reader has under way or waiting ahead of it, in bytes of decoded pages. aheadShare
	// bounds it too: one byte in so many of the cache.
	defaultMaxAhead = 32 << 20
	aheadShare      = 4
	// firstWindow is what is fetched ahead, in bytes of decoded pages, when a reader turns out to scan, and growth how many
	// times more each time that it had to wait nevertheless.
	firstWindow = 1 << 20
	growth      = 4
	// firstGap is how many bytes the second miss of a scan may leave out, and maxGap each one after that. Misses at random
	// should not look like a scan.
	firstGap = 16 << 10
	maxGap   = 64 << 10
	// streamCount is how many scans one connection is believed to do at once: a join of several tables, or one table spread over
	// several files.
	streamCount = 6
	// patience is how many misses elsewhere a scan outlives: the other side of a join makes many between two steps of it.
	patience = 1000
)

// stream is one scan through one file, forwards or backwards. It begins as the place of a single miss; one that goes on
// where it ends makes it a scan.
//
// Reading along the file is right for table scans, because SQLite's leaves lie in the file about in the order that they are
// read in. A scan that follows pointers instead of the file looks like single misses here and gets small windows.
//
// An idle connection keeps its streams, and the next transaction goes on with them, so a stream holds no View.
type stream struct {
	file   *index.File // nil: no stream
	back   bool        // towards the beginning of the file
	window int64       // bytes of decoded pages to have ahead of the reader; 0: not known to be a scan
	legs   []leg       // where the reader is, and what was asked for ahead, in its order
	used   uint64      // the reader's clock when it was used last
}

// want is what to fetch for a page.
type want struct {
	span index.Span // to look in
	most int        // pages on either side of it
	scan bool       // they will be read soon
}

// leg is a part of a scan that was fetched at once.
type leg struct {
	flight      *flight // nil when there was nothing to fetch
	off, end    int64   // bytes from the start of the file
	first, last uint32  // pages
	size        int64   // bytes of decoded pages
}

// limitAhead is how much may lie ahead of one reader: not so much that the cache would lose it before it is read.
func (r *Reader) limitAhead() int64 {
	return min(r.source.maxAhead.Load(), r.source.cache.Budget()/aheadShare, r.room)
}

// wider is the window of a stream whose reader had to wait.
func (r *Reader) wider(st *stream) int64 {
	return min(max(growth*st.window, firstWindow), r.limitAhead())
}

// window is what to fetch for p, which is not in the cache: little at first, more when it continues a stream.
func (r *Reader) window(p index.Page) want {
	limit, scan := r.limitAhead(), false
	before, after, decoded := min(firstBefore, limit), min(firstAfter, limit), min(firstDecoded, limit)
	if p.Frame.File.Size <= smallFile {
		before, after, decoded = min(smallFile, limit), min(smallFile, limit), limit
	} else if st, back := r.continued(p); st != nil {
		scan = true
		before, after, decoded = 0, min(st.last().request(r.wider(st)), limit), limit
		if back {
			before, after = after, before
		}
	}
	span := p.Around(before, after)
	return want{span, int(decoded / int64(span.PageSize())), scan}
}

// request is the size of one request out of a window, when pages go on to be as long encoded as those of l.
func (l leg) request(window int64) int64 {
	return min(max(window/4*(l.end-l.off)/l.size, minSpan), maxSpan)
}

// continued returns the stream that p goes on with, or nil. back says in which direction.
func (r *Reader) continued(p index.Page) (st *stream, back bool) {
	for i := range r.streams {
		st := &r.streams[i]
		if st.file != p.Frame.File {
			continue
		}
		edge, most := st.last(), int64(maxGap)
		if st.window == 0 {
			most = firstGap
		}
		if gap := p.Frame.Off - edge.end; (st.window == 0 || !st.back) && gap >= 0 && gap <= most {
			return st, false
		}
		if gap := edge.off - end(p); (st.window == 0 || st.back) && gap >= 0 && gap <= most {
			return st, true
		}
	}
	return nil, false
}

// follow notes that flight f has begun for page p, and reads on ahead when this is a scan.
func (r *Reader) follow(ctx context.Context, v *index.View, p index.Page, f *flight) {
	if p.Frame.File.Size <= smallFile {
		return
	}
	r.clock++
	st, back := r.continued(p)
	window := int64(0)
	if st != nil {
		window = r.wider(st)
	} else {
		st = r.place(p)
		if l, ok := st.leg(p); ok && st.window > 0 && r.source.brought(l.flight) {
			r.room = max(st.window/2, firstDecoded) // others need the cache too
		}
	}
	here := leg{
		off: f.off, end: f.off + f.size, first: f.keys[0].pgno, last: f.keys[len(f.keys)-1].pgno,
		size: int64(len(f.keys)) * int64(v.PageSize),
	}
	legs := append(r.drop(st), here)
	*st = stream{file: p.Frame.File, back: back, window: window, legs: legs, used: r.clock}
	r.readAhead(ctx, v, st)
	r.layersAhead(ctx, v, st)
}

// place returns where to note a miss of p that continues nothing: in place of the scan that should have had it, which has
// to begin anew, or of the stream not used for longest. Scans count as used long after they were.
func (r *Reader) place(p index.Page) *stream {
	oldest, since := &r.streams[0], ^uint64(0)
	for i := range r.streams {
		st := &r.streams[i]
		if _, ok := st.leg(p); ok {
			return st
		}
		used := st.used
		if st.window > 0 {
			used += patience
		}
		if used < since {
			oldest, since = st, used
		}
	}
	return oldest
}

// leg returns the leg that p lies in.
func (st *stream) leg(p index.Page) (leg, bool) {
	if st.file != p.Frame.File {
		return leg{}, false
	}
	i := slices.IndexFunc(st.legs, func(l leg) bool { return l.off <= p.Frame.Off && p.Frame.Off < l.end })
	if i < 0 {
		return leg{}, false
	}
	return st.legs[i], true
}

// advance notes that the reader has come to page pgno without a request for it. waits says that it is not here yet. A
// scan that has come to the next of its legs earns another one, and more when it has to wait.
func (r *Reader) advance(ctx context.Context, v *index.View, pgno uint32, waits bool) {
	for i := range r.streams {
		if st := &r.streams[i]; len(st.legs) > 1 && st.legs[1].entered(pgno, st.back) {
			r.step(ctx, v, st, waits)
		}
	}
}

// entered reports whether a scan that comes to page pgno comes into the leg: near its beginning. What is read further on
// is chance, or part of something else.
func (l leg) entered(pgno uint32, back bool) bool {
	if pgno < l.first || pgno > l.last {
		return false
	}
	if back {
		return (l.last - pgno) <= (l.last-l.first)/8
	}
	return (pgno - l.first) <= (l.last-l.first)/8
}

// step moves the reader to the next leg.
func (r *Reader) step(ctx context.Context, v *index.View, st *stream, waits bool) {
	r.abandon(st.legs[0])
	st.legs = slices.Delete(st.legs, 0, 1)
	st.used = r.clock
	if waits {
		r.room = min(r.room+r.room/16, math.MaxInt64/2)
		st.window = r.wider(st)
	}
	r.readAhead(ctx, v, st)
	r.layersAhead(ctx, v, st)
}

// layersAhead fetches the View's files of middling size, once a scan has proved to be a long one: they lie over the file that is
// scanned, and hold a page of it here and there, each of which would otherwise stop the scan for a request.
func (r *Reader) layersAhead(ctx context.Context, v *index.View, st *stream) {
	if st.window < growth*firstWindow || r.layered == v.Counter() {
		return
	}
	r.layered = v.Counter()
	room := r.limitAhead() / 2
	for _, f := range v.Files() {
		if f.Size <= smallFile || f.Size > maxSpan || *f == *st.file {
			continue
		}
		span, ok := v.Whole(f)
		if !ok || span.Decoded() > room {
			continue
		}
		var missing []index.Page
		for p := range span.Pages() {
			if !r.source.here(v, p, true) {
				missing = append(missing, p)
			}
		}
		if len(missing) == 0 {
			continue
		}
		room -= span.Decoded()
		if _, ok := r.ahead(ctx, v, span, missing, purpose{scan: true}); !ok {
			return
		}
	}
}

// readAhead adds legs to a scan until its window is full.
func (r *Reader) readAhead(ctx context.Context, v *index.View, st *stream) {
	for st.size() < st.window {
		l, ok := r.nextLeg(ctx, v, st)
		if !ok {
			return
		}
		st.legs = append(st.legs, l)
	}
}

func (st *stream) last() leg { return st.legs[len(st.legs)-1] }

// size is what lies ahead of the reader, in bytes of decoded pages.
func (st *stream) size() (n int64) {
	for _, l := range st.legs[1:] {
		n += l.size
	}
	return n
}

// nextLeg asks for what follows the last leg. ok is false at the end of the file, where the View goes on in another one, and
// when the statement may make no more requests.
func (r *Reader) nextLeg(ctx context.Context, v *index.View, st *stream) (_ leg, ok bool) {
	edge := st.last().last
	if st.back {
		edge = st.last().first
	}
	from, ok := v.Lookup(edge)
	if !ok || from.Frame.File != st.file {
		return leg{}, false
	}
	size := st.last().request(st.window)
	span, near := from.Around(0, size), 0
	if st.back {
		span = from.Around(size, 0)
	}
	var pages, missing []index.Page
	for p := range span.Pages() {
		if p.Pgno == edge {
			continue
		}
		pages = append(pages, p)
		if !r.source.here(v, p, true) {
			missing = append(missing, p)
		}
	}
	if len(pages) == 0 {
		return leg{}, false
	}
	first, last := pages[0], pages[len(pages)-1]
	var f *flight
	if len(missing) > 0 {
		if st.back {
			near = len(missing) - 1
		}
		missing = around(missing, near, int(r.limitAhead()/int64(span.PageSize())))
		if st.back {
			first = missing[0]
		} else {
			last = missing[len(missing)-1]
		}
		if f, ok = r.ahead(ctx, v, span, missing, purpose{scan: true}); !ok {
			return leg{}, false
		}
	}
	return leg{
		flight: f, off: first.Frame.Off, end: end(last), first: first.Pgno, last: last.Pgno,
		size: span.Between(first, last).Decoded(),
	}, true
}

// ahead asks for pages that nobody waits for. ok is false when it may not.
func (r *Reader) ahead(ctx context.Context, v *index.View, span index.Span, pages []index.Page, why purpose) (_ *flight, ok bool) {
	if r.spend() != nil {
		return nil, false
	}
	f, err := r.source.fetchAhead(ctx, v, span, pages, why)
	if f == nil {
		r.requests-- // others bring them
	}
	return f, err == nil
}

func (r *Reader) abandon(l leg) {
	if l.flight != nil {
		r.source.abandon(l.flight)
	}
}

// drop ends a stream and gives up what it has asked for. It returns the empty list of legs.
func (r *Reader) drop(st *stream) []leg {
	legs := st.legs
	for _, l := range legs {
		r.abandon(l)
	}
	clear(legs)
	*st = stream{}
	return legs[:0]
}

func (r *Reader) dropStreams() {
	for i := range r.streams {
		r.drop(&r.streams[i])
	}
}
