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

// flight is one fetch under way: a range of one file and the pages in it. Whoever wants a page of it waits for done.
type flight struct {
	span   index.Span
	wanted []index.Page // the pages to decode, in file order
	keys   []key        // theirs
	cancel context.CancelFunc
	done   chan struct{} // closed when pages and err are set

	refs int // who wants it; guarded by Source.mu

	pages [][]byte // decoded, one for each of wanted; nil after an error
	err   error
}

// page returns the decoded page, after done.
func (f *flight) page(pgno uint32) ([]byte, bool) {
	i, ok := slices.BinarySearchFunc(f.wanted, pgno, func(p index.Page, n uint32) int { return cmp.Compare(p.Pgno, n) })
	if !ok || f.pages == nil {
		return nil, false
	}
	return f.pages[i], true
}

// join returns the flight that brings page k, if one is under way, and takes a reference to it.
func (s *Source) join(k key) (*flight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.flights[k]
	if ok {
		f.refs++
	}
	return f, ok
}

// start begins to fetch the pages of v in span that are neither cached nor under way, and returns the flight with one
// reference taken. must, when not nil, is a page that has to be among them, unless another flight brings it: that flight is returned
// then. The result is nil when there is nothing to fetch.
func (s *Source) start(v *index.View, span index.Span, must *index.Page) (*flight, error) {
	var wanted []index.Page
	for p := range span.Pages() {
		// To look is to use: what is here already must not be evicted before the reader comes to it.
		if _, ok := s.cache.get(s.key(v, p.Pgno, p.Version)); !ok || must != nil && p.Pgno == must.Pgno {
			wanted = append(wanted, p)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if must != nil {
		if f, ok := s.flights[s.key(v, must.Pgno, must.Version)]; ok {
			f.refs++
			return f, nil
		}
	}
	f := &flight{done: make(chan struct{}), refs: 1}
	for _, p := range wanted {
		k := s.key(v, p.Pgno, p.Version)
		if _, ok := s.flights[k]; !ok {
			f.wanted, f.keys = append(f.wanted, p), append(f.keys, k)
		}
	}
	if len(f.wanted) == 0 {
		return nil, nil
	}
	for _, k := range f.keys {
		s.flights[k] = f
	}
	// What is here already need not come again at either end.
	f.span = span.Between(f.wanted[0], f.wanted[len(f.wanted)-1])
	ctx, cancel := context.WithCancel(s.ctx)
	f.cancel = cancel
	s.wg.Go(func() { s.fly(ctx, f) })
	return f, nil
}

// release gives a reference back. Nobody wants a flight without references: its request is cancelled.
func (s *Source) release(f *flight) {
	s.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last {
		s.forget(f) // whoever comes now starts a flight of its own
	}
	s.mu.Unlock()
	if last {
		f.cancel()
	}
}

// fly fetches and decodes, fills the cache, and tells who waits.
func (s *Source) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	s.fetched.Add(1)
	pages, err := s.fetch(ctx, f)
	if err == nil {
		for i, k := range f.keys {
			s.cache.put(k, pages[i])
		}
	}
	s.mu.Lock()
	s.forget(f)
	s.mu.Unlock()
	f.pages, f.err = pages, err
	close(f.done)
}

// forget takes f off the list. The caller holds mu.
func (s *Source) forget(f *flight) {
	for _, k := range f.keys {
		if s.flights[k] == f {
			delete(s.flights, k)
		}
	}
}

func (s *Source) fetch(ctx context.Context, f *flight) ([][]byte, error) {
	raw := buffers.get(f.span.Size)
	defer buffers.put(raw)
	if err := s.store.ReadAt(ctx, f.span.File.Ref(), raw, f.span.Off); err != nil {
		return nil, fmt.Errorf("page %d and those around it, of %s at byte %d: %w", f.wanted[0].Pgno, f.span.File, f.span.Off, err)
	}
	s.bytes.Add(f.span.Size)
	pages := make([][]byte, len(f.wanted))
	size := int(f.span.PageSize())
	for i, p := range f.wanted {
		page := make([]byte, size)
		at := p.Frame.Off - f.span.Off
		if err := index.DecodeFrame(raw[at:at+p.Frame.Size], p.Pgno, page); err != nil {
			return nil, fmt.Errorf("page %d of %s at byte %d: %w", p.Pgno, p.Frame.File, p.Frame.Off, err)
		}
		pages[i] = page
	}
	return pages, nil
}
