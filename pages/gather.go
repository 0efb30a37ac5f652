package pages

import (
	"cmp"
	"context"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// DefaultReadAheadLimit is what a transaction may fetch ahead in vain, in bytes of decoded pages: see [Source.SetReadAheadLimit].
	DefaultReadAheadLimit = 64 << 20
	// aheadSlots is how many requests that nobody waits for a Source has under way at once: others of the process should find room.
	aheadSlots = 32
)

// reach says how pages are gathered.
type reach struct {
	tree  *tree
	most  int64 // bytes of one request
	all   bool  // what lies between is wanted as well
	whole bool  // and so is what follows in files of middling size: they lie over the file that is scanned, with a page of it here and there
}

// gather asks ahead for those of the pages that are not here, most urgent first, in as few requests as their places in the files allow.
func (r *Reader) gather(ctx context.Context, v *index.View, pgnos []uint32, how reach) {
	r.collect(ctx, v, r.source.absent(v, pgnos, min(how.tree.allow(int64(v.PageSize)), r.allowance(v))), how)
}

// collect is gather for pages that were absent a moment ago. It changes their order.
func (r *Reader) collect(ctx context.Context, v *index.View, pages []index.Page, how reach) {
	slices.SortFunc(pages, func(p, q index.Page) int {
		return cmp.Or(cmp.Compare(p.Frame.File.Max, q.Frame.File.Max), cmp.Compare(p.Frame.File.Level, q.Frame.File.Level),
			cmp.Compare(p.Frame.Off, q.Frame.Off))
	})
	for len(pages) > 0 {
		span, n := together(pages, how.most)
		group, why := pages[:n], purpose{scan: true, tree: how.tree}
		all, middling := middling(v, span.File)
		switch {
		case how.whole && middling && all.Contains(pages[0]):
			// What else is in it will be read, much later perhaps: it stays encoded.
			n, why, span = of(span.File, pages), purpose{raw: true}, all
			group = slices.Collect(all.Pages())
		case how.all:
			group = r.between(v, span, group)
		}
		if !r.launch(ctx, v, span, group, why) {
			return
		}
		pages = pages[n:]
	}
}

// middling returns the span of all frames of a file when one request may fetch them.
func middling(v *index.View, f *index.File) (all index.Span, ok bool) {
	if f.Size > maxSpan {
		return index.Span{}, false
	}
	return v.Whole(f)
}

// launch asks for pages of a span; the b-tree whose guess it is pays. It reports whether more may be asked for.
func (r *Reader) launch(ctx context.Context, v *index.View, span index.Span, pages []index.Page, why purpose) (ok bool) {
	if len(pages) == 0 {
		return true
	}
	f, ok := r.ahead(ctx, v, span, pages, why)
	if f == nil {
		return ok
	}
	r.noteGuess(f)
	if why.tree != nil {
		r.guessed += int64(f.count)
		why.tree.pay(f.count, int64(v.PageSize))
	}
	return ok
}

// of returns how many of the pages, from the first one on, lie in a file.
func of(f *index.File, pages []index.Page) (n int) {
	for n < len(pages) && pages[n].Frame.File == f {
		n++
	}
	return n
}

// absent returns where those of the pages lie that are neither here nor under way: at most so many.
func (s *Source) absent(v *index.View, pgnos []uint32, most int) (pages []index.Page) {
	var e encoded
	for _, pgno := range pgnos {
		if len(pages) >= most {
			break
		}
		if p, ok := s.missing(v, pgno, &e); ok {
			pages = append(pages, p)
		}
	}
	return pages
}

// missing returns where a page lies that is neither here nor under way.
func (s *Source) missing(v *index.View, pgno uint32, e *encoded) (p index.Page, ok bool) {
	if p, ok = v.Lookup(pgno); !ok || s.held(v, p, e) || s.here(v, p, true) || s.coming(s.key(v, p)) {
		return index.Page{}, false
	}
	return p, true
}

// allowance is how many pages this transaction may still fetch ahead.
func (r *Reader) allowance(v *index.View) int {
	vain := max(r.guessed-r.right, 0) * int64(v.PageSize)
	return int(max(min(r.limitCourses(), r.source.aheadLimit.Load()-vain), 0) / int64(v.PageSize))
}

// together returns the span of as many of the pages, from the first one on, as one request should bring.
func together(pages []index.Page, most int64) (index.Span, int) {
	first, n := pages[0], 1
	for n < len(pages) && hole(pages[n-1], pages[n]) <= maxHole && end(pages[n])-first.Frame.Off <= most &&
		pages[n].Frame.File == first.Frame.File {
		n++
	}
	for {
		last := pages[n-1]
		span := first.Around(0, end(last)-end(first))
		if n == 1 || span.Contains(last) {
			return span.Between(first, last), n
		}
		n-- // the View has moved to other files in between
	}
}

// between returns the pages of a span that are not here. Of some, in their order in the file, that is known.
func (r *Reader) between(v *index.View, span index.Span, known []index.Page) []index.Page {
	pages := make([]index.Page, 0, len(known)*9/8)
	for p := range span.Pages() {
		switch {
		case len(known) > 0 && p.Pgno == known[0].Pgno:
			known = known[1:]
			pages = append(pages, p)
		case p.Pgno <= v.Commit && !r.source.here(v, p, true):
			pages = append(pages, p)
		}
	}
	return pages
}

// encoded is which bytes of a file are here as they came with its index: for somebody who looks for many pages, of which most lie in the
// same file.
type encoded struct {
	file     *index.File
	from, to int64
}

// held reports whether the bytes of a page came with an index.
func (s *Source) held(v *index.View, p index.Page, e *encoded) bool {
	if e.file != p.Frame.File {
		b, _ := s.cache.blob(s.fileKey(v, p.Frame.File))
		*e = encoded{p.Frame.File, b.Off, b.Off + int64(len(b.Data))}
	}
	return e.from <= p.Frame.Off && end(p) <= e.to
}

// coming reports whether a flight brings the page.
func (s *Source) coming(k key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.flights[k]
	return ok
}

// noteGuess keeps a flight to abandon it with the Reader, and forgets those that have landed.
func (r *Reader) noteGuess(f *flight) {
	r.guesses = slices.DeleteFunc(r.guesses, func(f *flight) bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	})
	r.guesses = append(r.guesses, f)
}

// dropGuesses gives up what guesses have asked for and nobody waits for.
func (r *Reader) dropGuesses() {
	for _, f := range r.guesses {
		r.source.abandon(f)
	}
	r.guesses = nil
}
