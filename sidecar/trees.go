package sidecar

import (
	"context"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// maxDepth is how many levels a b-tree may have.
const maxDepth = 20

// forest walks the upper parts of the b-trees of a View, from the top down.
type forest struct {
	store  objstore.RangeReader
	view   *index.View
	frames map[uint32]frame // pages to be packed
	bytes  int64            // of their frames
	header btree.Header
	seen   map[uint32]bool
}

// frame is one page as it lies in its file.
type frame struct {
	at   index.Page
	data []byte
	node btree.Node
}

// upperPages returns page 1, sqlite_schema, and the interior pages of all b-trees, the upper levels first, as long as their frames
// take at most so many bytes.
func upperPages(ctx context.Context, store objstore.RangeReader, v *index.View, most int64) ([]index.Blob, error) {
	f := &forest{store: store, view: v, frames: map[uint32]frame{}, seen: map[uint32]bool{}}
	roots, err := f.schema(ctx, most)
	if err != nil {
		return nil, err
	}
	if err := f.interior(ctx, roots, most); err != nil {
		return nil, err
	}
	return f.blobs(), nil
}

// schema packs page 1 and the pages of sqlite_schema, and returns the roots of all other b-trees.
func (f *forest) schema(ctx context.Context, most int64) (roots []uint32, err error) {
	level := []uint32{1}
	for depth := 0; len(level) > 0 && depth < maxDepth; depth++ {
		pages, err := f.fetch(ctx, f.fitting(level, most))
		if err != nil {
			return nil, err
		}
		level = nil
		for _, p := range pages {
			f.pack(p)
			for _, c := range p.node.Cells {
				if row, ok := btree.ParseSchemaRow(c.Payload, f.header.Encoding); ok {
					roots = append(roots, row.Root)
				}
			}
			level = append(level, f.fresh(p.node.Children)...)
		}
	}
	return f.fresh(roots), nil
}

// interior packs the interior pages below and with roots, one level of all b-trees after the other. The pages of one level of a
// b-tree are all leaves or none is: one of them tells.
func (f *forest) interior(ctx context.Context, roots []uint32, most int64) error {
	groups := make([][]uint32, len(roots)) // one b-tree's pages of one level each
	for i, root := range roots {
		groups[i] = []uint32{root}
	}
	for depth := 0; len(groups) > 0 && depth < maxDepth && f.bytes < most; depth++ {
		probes := make([]uint32, len(groups))
		for i, g := range groups {
			probes[i] = g[0]
		}
		tops, err := f.fetch(ctx, probes)
		if err != nil {
			return err
		}
		var inner [][]uint32
		for i, p := range tops {
			if p.node.Interior() {
				inner = append(inner, groups[i])
			}
		}
		slices.SortStableFunc(inner, func(a, b []uint32) int { return len(a) - len(b) }) // most b-trees whole rather than the largest
		pages, err := f.fetch(ctx, f.fitting(slices.Concat(inner...), most))
		if err != nil {
			return err
		}
		groups = f.below(inner, pages)
	}
	return nil
}

// fitting returns the first pages, as many as there is room for.
func (f *forest) fitting(pgnos []uint32, most int64) []uint32 {
	room := most - f.bytes
	for i, pgno := range pgnos {
		p, _ := f.view.Lookup(pgno)
		if room -= p.Frame.Size; room < 0 {
			return pgnos[:i]
		}
	}
	return pgnos
}

// below packs the pages of one level and returns the next one, b-tree by b-tree. pages are those of groups, in order, as far as there is
// room.
func (f *forest) below(groups [][]uint32, pages []frame) (next [][]uint32) {
	for _, g := range groups {
		n := min(len(g), len(pages))
		var children []uint32
		for _, p := range pages[:n] {
			f.pack(p)
			children = append(children, f.fresh(p.node.Children)...)
		}
		pages = pages[n:]
		if len(children) > 0 {
			next = append(next, children)
		}
	}
	return next
}

// pack keeps a page.
func (f *forest) pack(p frame) {
	if _, ok := f.frames[p.at.Pgno]; !ok {
		f.frames[p.at.Pgno] = p
		f.bytes += int64(len(p.data))
	}
}

// fresh returns those pages that may be part of the database and that nothing has pointed to before.
func (f *forest) fresh(pgnos []uint32) (fresh []uint32) {
	for _, pgno := range pgnos {
		if pgno > 1 && pgno <= f.view.Commit && pgno != f.view.LockPgno() && !f.seen[pgno] {
			f.seen[pgno] = true
			fresh = append(fresh, pgno)
		}
	}
	return fresh
}

// blobs are the packed frames, those that follow each other in a file together.
func (f *forest) blobs() []index.Blob {
	all := make([]index.Blob, 0, len(f.frames))
	for _, p := range f.frames {
		all = append(all, index.Blob{File: p.at.Frame.File, Off: p.at.Frame.Off, Data: p.data})
	}
	slices.SortFunc(all, compareBlobs)
	joined := all[:0]
	for _, b := range all {
		if last := len(joined) - 1; last >= 0 && joined[last].File == b.File && joined[last].Off+int64(len(joined[last].Data)) == b.Off {
			joined[last].Data = append(joined[last].Data, b.Data...) // its frame's own
			continue
		}
		joined = append(joined, b)
	}
	return joined
}
