package pages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// errClosed: the Source is closed.
var errClosed = errors.New("replica is closed")

// maxHole is how many bytes nobody asked for are fetched along, between two pages that somebody did, rather than that
// the second one takes a request of its own.
const maxHole = 128 << 10

// flight is one fetch under way: a range of one file and the pages in it. Whoever wants a page of it waits for done.
//
// A scan keeps the flights it asked for ahead after they have landed, and an idle connection keeps its scans. So a flight
// that has landed holds no page but for those who still wait, and none ever holds a View.
type flight struct {
	file   *index.File
	off    int64 // bytes from the start of the file
	size   int64 // bytes
	count  int   // pages
	ahead  bool  // nobody waited for it when it began
	cancel context.CancelFunc
	urgent chan struct{} // closed when somebody waits for what was asked for ahead
	done   chan struct{} // closed when it has landed

	// Guarded by Source.mu; who waits may read what it finds.
	keys    []key       // of the pages it brings, in file order
	waiting int         // readers that wait for a page
	wanted  bool        // by the scan that asked for it ahead
	stop    func() bool // ends the watch on that scan's context
	landed  bool
	pages   []result // one for each of keys
	err     error    // of all of them
}

// result is one page of a flight.
type result struct {
	data []byte
	kept *entry // that has it too; nil when none does
	err  error  // what is wrong with its frame
}

// page returns a page of the flight after done. The caller waits for it.
func (f *flight) page(k key) ([]byte, error) {
	if f.err != nil {
		return nil, fmt.Errorf("page %d, in %w", k.pgno, f.err)
	}
	i, ok := slices.BinarySearchFunc(f.keys, k.pgno, func(k key, pgno uint32) int { return cmp.Compare(k.pgno, pgno) })
	if !ok {
		return nil, fmt.Errorf("page %d is not among those fetched", k.pgno)
	}
	return f.pages[i].data, f.pages[i].err
}

// join returns the flight that brings page k, if one is under way. The caller waits for it from now on.
func (s *Source) join(k key) (*flight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joinLocked(k)
}

func (s *Source) joinLocked(k key) (*flight, bool) {
	f, ok := s.flights[k]
	if ok {
		f.waiting++
		f.hurryLocked()
	}
	return f, ok
}

// fetch begins a flight for page p of v, and for what else is wanted around it that is neither cached nor under way.
// The caller waits for it from now on. own is false when nothing had to begin: another flight brings p, or has just
// brought it. The request does not end with ctx.
func (s *Source) fetch(ctx context.Context, v *index.View, p index.Page, w want) (f *flight, own bool, err error) {
	var wanted []index.Page
	for q := range w.span.Pages() {
		if q.Pgno == p.Pgno || !s.here(v, q, w.scan) {
			wanted = append(wanted, q)
		}
	}
	k := s.key(v, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.joinLocked(k); ok {
		return f, false, nil
	}
	if data, ok := s.cache.look(k); ok {
		return &flight{keys: []key{k}, pages: []result{{data: data}}, done: closed, waiting: 1, landed: true}, false, nil
	}
	wanted = s.unclaimedLocked(v, wanted)
	at := slices.IndexFunc(wanted, func(q index.Page) bool { return q.Pgno == p.Pgno })
	f, err = s.launchLocked(ctx, v, w.span, around(wanted, at, w.most), purpose{scan: w.scan})
	if err != nil {
		return nil, false, err
	}
	f.waiting = 1
	return f, true, nil
}

// here reports whether a page need not be fetched. One that a scan is about to read then stays in the cache until it does.
func (s *Source) here(v *index.View, p index.Page, scan bool) bool {
	return s.cached(s.key(v, p), scan) || s.near().Has(v, p.Pgno, p.Version)
}

// cached is here for the cache alone.
func (s *Source) cached(k key, scan bool) bool {
	if scan {
		return s.cache.await(k)
	}
	return s.cache.has(k)
}

// closed is the done of flights that never were.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// fetchAhead begins a flight for those of wanted, pages of v in span, that are not under way. It ends with ctx unless
// somebody waits for it then. It is nil when there is nothing to fetch.
func (s *Source) fetchAhead(ctx context.Context, v *index.View, span index.Span, wanted []index.Page, why purpose) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wanted = s.lackingLocked(v, wanted, why); len(wanted) == 0 {
		return nil, nil
	}
	why.ahead = true
	f, err := s.launchLocked(ctx, v, span, wanted, why)
	if err != nil {
		return nil, err
	}
	f.wanted = true
	f.stop = context.AfterFunc(ctx, func() { s.abandon(f) })
	s.ahead.Add(1)
	return f, nil
}

// unclaimedLocked returns the pages that no flight brings.
func (s *Source) unclaimedLocked(v *index.View, pages []index.Page) []index.Page {
	return slices.DeleteFunc(pages, func(p index.Page) bool {
		_, ok := s.flights[s.key(v, p)]
		return ok
	})
}

// lackingLocked is unclaimedLocked for pages that were found absent one after the other: since then a flight may have landed that brought some.
// Encoded ones are wanted for their bytes, whether or not some of them are in the cache.
func (s *Source) lackingLocked(v *index.View, pages []index.Page, why purpose) []index.Page {
	var e encoded
	return slices.DeleteFunc(s.unclaimedLocked(v, pages), func(p index.Page) bool {
		return s.held(v, p, &e) || !why.raw && s.cached(s.key(v, p), why.scan)
	})
}

// around returns those pages that lie around the one at place i without a hole worth a request: at most n on either side.
func around(pages []index.Page, i, n int) []index.Page {
	first, last := i, i
	for first > max(0, i-n) && hole(pages[first-1], pages[first]) <= maxHole {
		first--
	}
	for last < min(len(pages)-1, i+n) && hole(pages[last], pages[last+1]) <= maxHole {
		last++
	}
	return pages[first : last+1]
}

// hole is the number of bytes between the frames of two pages of one file.
func hole(p, q index.Page) int64 { return q.Frame.Off - end(p) }

// end is where in its file the frame of p ends.
func end(p index.Page) int64 { return p.Frame.Off + p.Frame.Size }

// purpose is what a flight is for.
type purpose struct {
	scan  bool  // its pages are about to be read, one after the other
	ahead bool  // nobody waits for it
	raw   bool  // its bytes are kept as they come, in place of pages of which few will be read
	tree  *tree // whose guess it is; nil when it is none
}

// launchLocked begins a flight for the pages, which lie in span, are not empty, and no flight brings. cause is of who wants them first.
func (s *Source) launchLocked(cause context.Context, v *index.View, span index.Span, pages []index.Page, why purpose) (*flight, error) {
	if s.closed {
		return nil, errClosed
	}
	span = span.Between(pages[0], pages[len(pages)-1])
	ctx, cancel := context.WithCancel(s.ctx)
	f := &flight{
		file: span.File, off: span.Off, size: span.Size, count: len(pages), ahead: why.ahead,
		keys: make([]key, len(pages)), cancel: cancel, urgent: make(chan struct{}), done: make(chan struct{}),
	}
	for i, p := range pages {
		f.keys[i] = s.key(v, p)
		s.flights[f.keys[i]] = f
	}
	s.wg.Go(func() {
		defer s.turn(ctx, f)()
		s.fetched.Add(1)
		results, err := s.read(onBehalf{ctx, cause, why.ahead}, v, span, pages, why)
		s.land(f, results, err)
	})
	return f, nil
}

// turn returns when a flight may make its request: what was asked for ahead waits until not too many others do that nobody waits for, or
// somebody does. The caller calls done at its end.
func (s *Source) turn(ctx context.Context, f *flight) (done func()) {
	if f.ahead {
		select {
		case s.slots <- struct{}{}:
			return func() { <-s.slots }
		case <-f.urgent:
		case <-ctx.Done():
		}
	}
	return func() {}
}

// hurryLocked says that somebody waits for the flight.
func (f *flight) hurryLocked() {
	select {
	case <-f.urgent:
	default:
		close(f.urgent)
	}
}

// read fetches span, decodes the pages in it and keeps them. A frame that cannot be decoded spoils no other.
func (s *Source) read(ctx context.Context, v *index.View, span index.Span, pages []index.Page, why purpose) ([]result, error) {
	raw := buffers.get(span.Size)
	defer buffers.put(raw)
	if err := s.store.ReadAt(ctx, span.File.Ref(), raw, span.Off); err != nil {
		return nil, fmt.Errorf("%s at byte %d: %w", span.File, span.Off, err)
	}
	s.bytes.Add(span.Size)
	results := make([]result, len(pages))
	for i, p := range pages {
		at := p.Frame.Off - span.Off
		r := &results[i]
		r.data, r.err = decode(p, raw[at:at+p.Frame.Size], span.PageSize())
		if r.err == nil && !why.raw {
			r.kept = s.keep(v, p, r.data, why) // at once: what goes out of the cache for it leaves its buffer to the next page
		}
	}
	if why.raw {
		s.keepRaw(v, span, raw, pages, results, why)
	}
	return results, nil
}

// keepRaw keeps the bytes of a span in place of the pages in them, if all of these are right and there is room.
func (s *Source) keepRaw(v *index.View, span index.Span, raw []byte, pages []index.Page, results []result, why purpose) {
	right := !slices.ContainsFunc(results, func(r result) bool { return r.err != nil })
	why.raw = right && s.cache.putRaw(s.fileKey(v, span.File), index.Blob{File: span.File, Off: span.Off, Data: slices.Clone(raw)})
	for i := range results {
		if r := &results[i]; r.err == nil {
			r.kept = s.keep(v, pages[i], r.data, why)
		}
	}
}

func decode(p index.Page, frame []byte, pageSize uint32) ([]byte, error) {
	page := pageBuffers.get(pageSize)
	if err := index.DecodeFrame(frame, p.Pgno, page); err != nil {
		return nil, fmt.Errorf("page %d of %s at byte %d: %w", p.Pgno, p.Frame.File, p.Frame.Off, err)
	}
	return page, nil
}

// land tells who waits. The pages are in the cache already: whoever comes now finds them there.
func (s *Source) land(f *flight, results []result, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(f)
	f.landed = true
	f.pages, f.err = results, err
	if s.closed {
		f.err = errClosed // and not that its context was cancelled
	}
	if f.stop != nil {
		f.stop()
	}
	f.cancel()
	close(f.done)
	s.checkLocked(f)
}

// leave ends the waiting of one reader.
func (s *Source) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	s.checkLocked(f)
}

// abandon says that a scan no longer wants what it asked for ahead.
func (s *Source) abandon(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.wanted = false
	s.checkLocked(f)
}

// brought reports whether a flight has brought what it was for. No flight counts as one that has.
func (s *Source) brought(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f == nil || f.landed && f.err == nil
}

// checkLocked cancels a flight that nobody wants any more, and lets go of the pages of one that has landed and that
// nobody waits for any more.
func (s *Source) checkLocked(f *flight) {
	switch {
	case f.waiting > 0:
	case f.landed:
		for _, r := range f.pages {
			r.kept.own()
		}
		f.keys, f.pages = nil, nil
	case !f.wanted:
		s.forgetLocked(f) // whoever comes now begins a flight of its own
		f.cancel()
	}
}

// forgetLocked takes f off the list.
func (s *Source) forgetLocked(f *flight) {
	for _, k := range f.keys {
		if s.flights[k] == f {
			delete(s.flights, k)
		}
	}
}
