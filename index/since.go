package index

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// Landmarks are files by which the head's history is known again when those of a View are merged and gone: the newest of each
// level in the last listing.
func (t *Tracker) Landmarks() []File { return slices.Clone(t.landmarks()) }

// Since tells which pages of head differ from the database at txid, from whose time the files are: those that files made since
// then hold, and perhaps others, ascending. ok is false when those files are of another history, or when files that tell what has
// changed are gone. Most of the time it asks nobody: head's own files tell.
func (t *Tracker) Since(ctx context.Context, head *View, txid TXID, files []File) (changed iter.Seq[uint32], ok bool, err error) {
	if txid > head.TXID || len(files) == 0 {
		return nil, false, nil
	}
	table := head.table.Load()
	here := (&Catalog{Files: append(table.files(), t.landmarks()...)}).sorted()
	if here.recognises(files) {
		if segs, ok := table.since(txid); ok {
			return pagesOf(segs), true, nil
		}
	}
	for attempt := range openAttempts {
		c, err := ListAll(ctx, t.store)
		if err != nil {
			return nil, false, err
		}
		if !c.recognises(files) {
			return nil, false, nil
		}
		segs, err := t.segmentsSince(ctx, c, head, txid)
		switch {
		case err == nil:
			return pagesOf(segs), true, nil
		case !replanHelps(err):
			return nil, false, err
		case attempt == openAttempts-1:
			t.opts.Log.WarnContext(ctx, "files that tell what has changed are gone", "since", txid.String(), "err", err)
		}
	}
	return nil, false, nil
}

// recognises reports whether the files are of the history that the listing shows: one at least is still there, and none has
// other bytes.
func (c *Catalog) recognises(files []File) bool {
	seen, changed := c.recognise(files)
	return seen && !changed
}

// since returns the segments that hold what has changed after txid. ok is false when the table does not tell.
func (t *table) since(txid TXID) (_ []*segment, ok bool) {
	i := slices.IndexFunc(t.segs, func(s *segment) bool { return s.file.Max > txid })
	switch {
	case i < 0:
		return nil, true
	case i == 0:
		return nil, false // the changes are somewhere among all pages
	}
	return t.segs[i:], true
}

// segmentsSince loads the page tables of files that lead from txid to head.
func (t *Tracker) segmentsSince(ctx context.Context, c *Catalog, head *View, txid TXID) ([]*segment, error) {
	if txid == head.TXID {
		return nil, nil
	}
	files := append(slices.Clone(c.Files), head.table.Load().files()...) // the listing may be late
	chain, err := newPlannerFrom(txid, files, t.segments.has).chain(head.TXID)
	if err != nil {
		return nil, fmt.Errorf("what has changed between txid %s and %s: %w: %w", txid, head.TXID, ErrGap, err)
	}
	segs, _, err := t.loadSegments(ctx, chain)
	return segs, err
}

// pagesOf yields the pages that the segments hold, ascending.
func pagesOf(segs []*segment) iter.Seq[uint32] {
	var pgnos []uint32
	for _, s := range segs {
		pages := s.pages()
		pgnos = slices.AppendSeq(pgnos, pages.all())
	}
	slices.Sort(pgnos)
	return slices.Values(slices.Compact(pgnos))
}
