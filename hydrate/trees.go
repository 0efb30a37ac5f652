package hydrate

import (
	"context"
	"encoding/binary"
	"log/slog"
	"slices"
	"strings"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
	"github.com/litefs-s3/litefs-s3/internal/holes"
)

const (
	// upperRequests is how many requests the upper parts of all b-trees may take before everything else. They lie scattered: beyond
	// that the walk through the files gets them as soon.
	upperRequests = 64
	// worthOrder is how much must be absent, in bytes in the bucket, before anything but the files' order is worth the
	// time: a few requests after each other, in which much of this comes whole.
	worthOrder = 8 * inFlight
	// maxDepth is how many levels a b-tree may have.
	maxDepth = 20
	// chainAhead is how many pages of an overflow chain are fetched because they probably follow each other.
	chainAhead = 256
	// treeChunk is how many leaves are read for their overflow chains at once.
	treeChunk = 4096
)

// forest fetches parts of b-trees of one View.
type forest struct {
	w        *walker
	v        *index.View
	page     []byte
	usable   int // bytes of a page
	encoding uint32
	seen     *bitmap // nodes: no page is walked twice, whatever they point to
}

// trees fetches the given tables and their indexes, and then, if upper is set, the upper parts of all b-trees.
func (w *walker) trees(ctx context.Context, v *index.View, tables []string, upper bool) error {
	f := &forest{w: w, v: v, page: make([]byte, v.PageSize), seen: newBitmap(v.Commit)}
	rows, err := f.schema(ctx)
	if err != nil {
		return err
	}
	var first, all []uint32
	for _, row := range rows {
		all = append(all, row.Root)
		if slices.ContainsFunc(tables, func(t string) bool { return strings.EqualFold(t, row.Table) }) {
			first = append(first, row.Root)
		}
	}
	for _, t := range tables {
		if !slices.ContainsFunc(rows, func(r btree.SchemaRow) bool { return strings.EqualFold(t, r.Table) }) {
			w.c.log.Warn("table to be hydrated first is not in the database", slog.String("table", t))
		}
	}
	if err := f.whole(ctx, first); err != nil || !upper {
		return err
	}
	_, err = f.upper(ctx, all, upperRequests)
	return err
}

// schema fetches sqlite_schema and returns what it says.
func (f *forest) schema(ctx context.Context) (rows []btree.SchemaRow, err error) {
	if err := f.fetch(ctx, []uint32{1}); err != nil || !f.read(1) {
		return nil, err
	}
	h, ok := btree.ParseHeader(f.page)
	if !ok {
		return nil, nil // nothing is known of its b-trees
	}
	f.usable, f.encoding = h.Usable, h.Encoding
	for level, depth := []uint32{1}, 0; len(level) > 0 && depth < maxDepth; depth++ {
		if err := f.fetch(ctx, level); err != nil {
			return nil, err
		}
		for _, pgno := range level {
			n, _ := f.node(pgno)
			for _, c := range n.Cells {
				if row, ok := btree.ParseSchemaRow(c.Payload, f.encoding); ok {
					rows = append(rows, row)
				}
			}
		}
		level = f.children(level)
	}
	return rows, nil
}

// upper fetches the interior pages of b-trees level by level, and returns the leaves below them. Of a level of leaves it fetches
// one page, to see that they are. It stops before it takes more requests than so many; 0 is any number.
func (f *forest) upper(ctx context.Context, roots []uint32, requests int) (leaves []uint32, err error) {
	var groups [][]uint32 // one tree's pages of one level each
	for _, root := range roots {
		groups = append(groups, []uint32{root})
	}
	budget := requests
	fetch := func(pgnos []uint32) (enough bool, err error) {
		if requests > 0 {
			if budget -= f.requests(pgnos); budget < 0 {
				return false, nil
			}
		}
		return true, f.fetch(ctx, pgnos)
	}
	for depth := 0; len(groups) > 0 && depth < maxDepth; depth++ {
		var probes, level []uint32
		for _, g := range groups {
			probes = append(probes, g[0])
		}
		if enough, err := fetch(probes); err != nil || !enough {
			return leaves, err
		}
		groups = slices.DeleteFunc(groups, func(g []uint32) bool {
			n, ok := f.node(g[0])
			switch {
			case !ok: // left to the walk through the files
			case n.Interior():
				level = append(level, g...)
				return false
			default:
				leaves = append(leaves, g...)
			}
			return true
		})
		if enough, err := fetch(level); err != nil || !enough {
			return leaves, err
		}
		var next [][]uint32
		for _, g := range groups {
			if children := f.children(g); len(children) > 0 {
				next = append(next, children)
			}
		}
		groups = next
	}
	return leaves, nil
}

// children returns the pages below those of one level, each once.
func (f *forest) children(level []uint32) []uint32 {
	var children []uint32
	for _, pgno := range level {
		n, ok := f.node(pgno)
		if !ok {
			continue
		}
		for _, child := range n.Children {
			if child <= f.v.Commit && f.seen.set(child) {
				children = append(children, child)
			}
		}
	}
	return children
}

// whole fetches b-trees with everything that belongs to them.
func (f *forest) whole(ctx context.Context, roots []uint32) error {
	leaves, err := f.upper(ctx, roots, 0)
	if err != nil {
		return err
	}
	f.seen = newBitmap(f.v.Commit) // upper is to go the same way again
	for chunk := range slices.Chunk(leaves, treeChunk) {
		if err := f.fetch(ctx, chunk); err != nil {
			return err
		}
		var chains []btree.Chain
		for _, pgno := range chunk {
			n, _ := f.node(pgno)
			for _, c := range n.Cells {
				if c.Overflow.Next != 0 {
					chains = append(chains, c.Overflow)
				}
			}
		}
		if err := f.overflow(ctx, chains); err != nil {
			return err
		}
	}
	return nil
}

// overflow fetches chains of pages. A chain can only be followed page by page; but its pages nearly always follow each other.
func (f *forest) overflow(ctx context.Context, chains []btree.Chain) error {
	for len(chains) > 0 {
		var guess []uint32
		for _, c := range chains {
			last := min(uint64(f.v.Commit), uint64(c.Next)+uint64(min(c.Left, chainAhead))-1)
			for pgno := uint64(c.Next); pgno <= last; pgno++ {
				guess = append(guess, uint32(pgno))
			}
		}
		if err := f.fetch(ctx, guess); err != nil {
			return err
		}
		for i := range chains {
			chains[i] = f.follow(chains[i])
		}
		chains = slices.DeleteFunc(chains, func(c btree.Chain) bool { return c.Next == 0 })
	}
	return nil
}

// follow goes along a chain as far as its pages are here. A chain whose first page is not is given up.
func (f *forest) follow(c btree.Chain) btree.Chain {
	for steps := 0; c.Left > 0 && c.Next > 1 && c.Next <= f.v.Commit; steps++ {
		if !f.read(c.Next) {
			if steps == 0 {
				return btree.Chain{}
			}
			return c
		}
		c = btree.Chain{Next: binary.BigEndian.Uint32(f.page), Left: c.Left - 1}
	}
	return btree.Chain{}
}

// fetch fetches those of the pages that are absent. What lies between them is kept, so long holes do no harm.
func (f *forest) fetch(ctx context.Context, pgnos []uint32) error {
	return f.w.fetch(ctx, f.v, slices.Values(ascending(pgnos)), holes.Max)
}

// requests is how many fetch would make.
func (f *forest) requests(pgnos []uint32) int {
	n := 0
	absent := f.w.c.lacking(f.v, slices.Values(ascending(pgnos)))
	for range plan(f.v, absent, holes.Max, f.w.window.limit, func(uint32) {}) {
		n++
	}
	return n
}

func ascending(pgnos []uint32) []uint32 { return slices.Compact(slices.Sorted(slices.Values(pgnos))) }

// node reads a page of a b-tree that is here. What it returns is good until the next call.
func (f *forest) node(pgno uint32) (btree.Node, bool) {
	if !f.read(pgno) {
		return btree.Node{}, false
	}
	return btree.Parse(f.page, pgno, f.usable)
}

// read reads a page that is here.
func (f *forest) read(pgno uint32) bool {
	version, ok := f.v.Version(pgno)
	return ok && f.w.c.ReadPage(f.v, pgno, version, f.page)
}
