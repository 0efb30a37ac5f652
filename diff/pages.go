package diff

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// History tells what was changed when. An *index.Tracker is one.
type History interface {
	// Since tells which pages head has that differ from the database at txid, of whose history files are: those and perhaps
	// others. ok is false when files are of another history, or when it cannot be told any more.
	Since(ctx context.Context, head *index.View, txid index.TXID, files []index.File) (changed iter.Seq[uint32], ok bool, err error)
}

// Pages are the pages that may differ between two moments of a database.
type Pages struct {
	From, To index.TXID
	// Changed are the pages of the later moment that the earlier one has too, and perhaps with other content, ascending.
	Changed []uint32
	// Added are above the size of the earlier moment, Removed above that of the later one. Both may be empty: First > Last then.
	Added, Removed Range
	// Exact is false when nothing told what has changed: Changed is every page then.
	Exact bool
}

// Range is pages that follow each other.
type Range struct{ First, Last uint32 }

// Len is the number of pages.
func (r Range) Len() int { return int(int64(r.Last) - int64(r.First) + 1) }

// Len is the number of pages that may differ.
func (p *Pages) Len() int { return len(p.Changed) + p.Added.Len() + p.Removed.Len() }

// Later yields the pages of the later moment that may differ, ascending; Earlier those of the earlier one.
func (p *Pages) Later() iter.Seq[uint32] { return p.with(p.Added) }

// Earlier yields the pages of the earlier moment that may differ, ascending.
func (p *Pages) Earlier() iter.Seq[uint32] { return p.with(p.Removed) }

func (p *Pages) with(r Range) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, pgno := range p.Changed {
			if !yield(pgno) {
				return
			}
		}
		for i := range r.Len() {
			if !yield(r.First + uint32(i)) {
				return
			}
		}
	}
}

// Between returns the pages that may differ between two Views of one history, the earlier one first. It fetches no page.
func Between(ctx context.Context, h History, from, to *index.View) (*Pages, error) {
	switch {
	case from.PageSize != to.PageSize:
		return nil, fmt.Errorf("the database has pages of %d bytes at txid %s and of %d at %s: they cannot be compared page by page",
			from.PageSize, from.TXID, to.PageSize, to.TXID)
	case from.TXID > to.TXID:
		return nil, fmt.Errorf("txid %s comes after %s; give the earlier moment first", from.TXID, to.TXID)
	}
	p := &Pages{
		From: from.TXID, To: to.TXID, Exact: true,
		Added: Range{from.Commit + 1, to.Commit}, Removed: Range{to.Commit + 1, from.Commit},
	}
	if p.Added.Len() < 0 {
		p.Added = Range{1, 0}
	}
	if p.Removed.Len() < 0 {
		p.Removed = Range{1, 0}
	}
	if from.History != to.History {
		p.Exact = false
		p.Changed = slices.Collect(both(from, to, bulk.All(to)))
		return p, nil
	}
	p.Changed = slices.Collect(both(from, to, byVersion(from, to)))
	if len(p.Changed) == 0 || from.TXID == to.TXID {
		return p, nil
	}
	since, ok, err := h.Since(ctx, to, from.TXID, filesOf(from))
	if err != nil {
		return nil, fmt.Errorf("pages changed from txid %s to %s: %w", from.TXID, to.TXID, err)
	}
	if ok {
		p.Changed = inBoth(p.Changed, slices.Collect(since))
	} else {
		p.Exact = len(p.Changed) < int(min(from.Commit, to.Commit)) // the versions alone told something
	}
	return p, nil
}

// byVersion yields the pages of to that are not known to be as they were at from.
func byVersion(from, to *index.View) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for pgno := range bulk.All(to) {
			if version, ok := to.Version(pgno); (!ok || version > from.TXID) && !yield(pgno) {
				return
			}
		}
	}
}

// both yields those of the pages that from has too.
func both(from, to *index.View, pgnos iter.Seq[uint32]) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for pgno := range pgnos {
			if pgno <= min(from.Commit, to.Commit) && !yield(pgno) {
				return
			}
		}
	}
}

// inBoth returns what two ascending lists have in common.
func inBoth(a, b []uint32) []uint32 {
	return slices.DeleteFunc(a, func(pgno uint32) bool {
		_, ok := slices.BinarySearch(b, pgno)
		return !ok
	})
}

func filesOf(v *index.View) (files []index.File) {
	for _, f := range v.Files() {
		files = append(files, *f)
	}
	return files
}
