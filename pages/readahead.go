package pages

import (
	"context"
	"sync"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// firstBefore and firstAfter are what a miss fetches around its page, in bytes, when nothing is known of the reader's way.
	firstBefore = 16 << 10
	firstAfter  = 48 << 10
	// smallFile is the size up to which all frames of a file are fetched at once.
	smallFile = 256 << 10
	// maxSpan is the largest single request, and minSpan the smallest one ahead of a reader.
	maxSpan = 2 << 20
	minSpan = 128 << 10
	// defaultMaxAhead bounds what one reader has under way or waiting ahead of it, in bytes of decoded pages.
	defaultMaxAhead = 32 << 20
	// growth is how many times larger a window gets when the reader has used half of it.
	growth = 4
	// streamCount is how many scans one connection is believed to do at once: a join of several tables, or one table spread over
	// several files.
	streamCount = 6
)

// stream is one scan through one file: what was fetched for it last, and how far to go on.
//
// Reading along the file is right for table scans, because SQLite's leaves lie in the file about in the order that they are
// read in. A scan that follows pointers instead of the file looks like single misses here and gets small windows.
type stream struct {
	last    index.Span // fetched or under way last; the next fetch begins behind it
	view    *index.View
	first   uint32 // a read of a page from first on, up to end,
	end     uint32 // means that the scan goes on
	window  int64  // bytes of decoded pages to have ahead of the reader
	ahead   []*hold
	passed  int64 // bytes of decoded pages fetched ahead and used since the window grew
	stopped bool  // at the end of the file, or out of budget
	used    uint64
}

// window is what to fetch around p, which is not in the cache: little at first, more when p lies just behind what was
// fetched before.
func (r *Reader) window(p index.Page) index.Span {
	if p.Frame.File.Size <= smallFile {
		return p.Around(smallFile, smallFile)
	}
	limit := r.limitAhead()
	for i := range r.streams {
		if st := &r.streams[i]; st.continuedBy(p) || st.covers(p) {
			return p.Around(0, min(max(st.window/2, firstAfter), maxSpan, limit))
		}
	}
	return p.Around(min(firstBefore, limit), min(firstAfter, limit))
}

// limitAhead is how much may lie ahead of one reader: never so much that the cache would lose it before it is read.
func (r *Reader) limitAhead() int64 {
	return min(r.source.maxAhead.Load(), r.source.cache.Budget()/2)
}

// continuedBy reports whether p begins in the file where the stream has ended, or a little further on.
func (st *stream) continuedBy(p index.Page) bool {
	if st.view == nil || st.last.File != p.Frame.File {
		return false
	}
	gap := p.Frame.Off - (st.last.Off + st.last.Size)
	return gap >= 0 && gap <= max(st.window, firstAfter)
}

// covers reports whether p lies in what the stream has read ahead: it was lost from a small cache before it was used.
func (st *stream) covers(p index.Page) bool {
	return st.view != nil && st.last.File == p.Frame.File && st.window > firstAfter && st.first <= p.Pgno && p.Pgno <= st.end
}

// follow notes that flight f was started for page p, and reads on ahead when this is a scan.
func (r *Reader) follow(ctx context.Context, v *index.View, f *flight, p index.Page) {
	if p.Frame.File.Size <= smallFile || !f.span.Contains(p) {
		return
	}
	r.clock++
	st := r.streamFor(p)
	if st.view == v && st.covers(p) {
		st.used = r.clock
		return
	}
	if st.continuedBy(p) && st.view == v {
		st.window = min(max(growth*st.window, growth*firstAfter), r.limitAhead())
	} else {
		r.dropStream(st)
		*st = stream{view: v, window: min(firstAfter, r.limitAhead())}
	}
	st.used = r.clock
	st.last = f.span
	st.stopped = false
	st.first, st.end = p.Pgno, 0
	_, st.end = f.span.Pgnos()
	if st.window > firstAfter {
		r.readAhead(ctx, st)
	}
}

// streamFor returns the stream that p continues, or the one not used for longest.
func (r *Reader) streamFor(p index.Page) *stream {
	oldest := &r.streams[0]
	for i := range r.streams {
		st := &r.streams[i]
		if st.continuedBy(p) || st.covers(p) {
			return st
		}
		if st.used < oldest.used {
			oldest = st
		}
	}
	return oldest
}

// advance notes that page pgno was read without a miss. A scan that has come into what was fetched ahead earns more.
func (r *Reader) advance(ctx context.Context, v *index.View, pgno uint32) {
	for i := range r.streams {
		st := &r.streams[i]
		if st.view == v && st.first < pgno && pgno <= st.end && st.window > firstAfter {
			st.first = pgno
			if !st.stopped && st.pass(pgno, r.source) {
				r.readAhead(ctx, st)
			}
			return
		}
	}
}

// pass lets go of the fetches that the reader has passed, and widens the window when half of it was used. It reports whether
// there is room for more.
func (st *stream) pass(pgno uint32, s *Source) bool {
	n := 0
	for n < len(st.ahead) {
		if _, end := st.ahead[n].flight.span.Pgnos(); pgno <= end {
			break
		}
		st.passed += st.ahead[n].flight.span.Decoded()
		st.ahead[n].release()
		n++
	}
	st.ahead = st.ahead[n:]
	if st.passed >= st.window/2 {
		st.window, st.passed = growth*st.window, 0
		return true
	}
	return n > 0
}

// readAhead starts fetches behind the last one until the window is full.
func (r *Reader) readAhead(ctx context.Context, st *stream) {
	s := r.source
	st.window = min(st.window, r.limitAhead())
	ahead := int64(0)
	for _, h := range st.ahead {
		ahead += h.flight.span.Decoded()
	}
	for ahead < st.window {
		span, ok := st.last.Next(min(maxSpan, max(minSpan, st.window/4)))
		if !ok || r.spend() != nil {
			st.stopped = true
			return
		}
		st.last = span
		_, st.end = span.Pgnos()
		ahead += span.Decoded()
		f, err := s.start(st.view, span, nil)
		if err != nil {
			return
		}
		if f == nil {
			r.requests-- // all of it is here or under way
			continue
		}
		s.ahead.Add(1)
		st.ahead = append(st.ahead, s.hold(ctx, f))
	}
}

func (r *Reader) dropStreams() {
	for i := range r.streams {
		r.dropStream(&r.streams[i])
	}
}

// dropStream gives up what was asked for ahead.
func (r *Reader) dropStream(st *stream) {
	for _, h := range st.ahead {
		h.release()
	}
	*st = stream{}
}

// hold is one reference to a flight that nobody waits for yet. The end of the statement's context gives it back, or the reader.
type hold struct {
	flight *flight
	source *Source
	once   sync.Once
	stop   func() bool // no more need to watch the context
}

// hold takes over the reference of f that start has given.
func (s *Source) hold(ctx context.Context, f *flight) *hold {
	h := &hold{flight: f, source: s}
	h.stop = context.AfterFunc(ctx, h.give)
	return h
}

func (h *hold) release() {
	h.stop()
	h.give()
}

func (h *hold) give() { h.once.Do(func() { h.source.release(h.flight) }) }
