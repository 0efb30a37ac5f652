package diff

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

// Tree is a b-tree that has some of the pages asked for.
type Tree struct {
	Type  string `json:"type"` // "table" or "index"
	Name  string `json:"name"` // "sqlite_schema" for the one that begins at page 1
	Table string `json:"table"`
	Root  uint32 `json:"root"`  // page
	Pages int    `json:"pages"` // of those asked for that are its
}

// Forest is what Trees found.
type Forest struct {
	Trees []Tree `json:"trees"` // those with pages, in the order of sqlite_schema
	// Elsewhere are the pages asked for that were found in no tree: free ones, and pages inside of long values whose row did not change.
	Elsewhere []uint32 `json:"elsewhere"`
}

const (
	// maxDepth is how many levels a b-tree may have.
	maxDepth = 20
	// pagesAtOnce bounds the pages that are in memory.
	pagesAtOnce = 4096
	// chainAhead is how many pages of an overflow chain are fetched because they probably follow each other.
	chainAhead = 64
)

// Trees tells which b-trees of v the given pages belong to.
func Trees(ctx context.Context, src bulk.Source, v *index.View, pgnos iter.Seq[uint32]) (*Forest, error) {
	w := &walk{ctx: ctx, src: src, v: v, pages: map[uint32][]byte{}, owner: map[uint32]int{}, asked: map[uint32]bool{}}
	for pgno := range pgnos {
		if pgno > 0 && pgno <= v.Commit && pgno != v.LockPgno() {
			w.asked[pgno] = true
		}
	}
	if err := w.schema(); err != nil {
		return nil, fmt.Errorf("tables at txid %s: %w", v.TXID, err)
	}
	if err := w.trees(); err != nil {
		return nil, fmt.Errorf("tables at txid %s: %w", v.TXID, err)
	}
	return w.result(), nil
}

// walk goes down all b-trees of a View side by side, level by level.
type walk struct {
	ctx   context.Context
	src   bulk.Source
	v     *index.View
	head  btree.Header
	rows  []btree.SchemaRow
	pages map[uint32][]byte // fetched last
	owner map[uint32]int    // of pages that were met: number of the row
	asked map[uint32]bool
}

// fetch reads pages in place of those read before.
func (w *walk) fetch(pgnos []uint32) error {
	got := &gather{pageSize: w.v.PageSize, pages: map[uint32][]byte{}}
	_, err := bulk.Copy(w.ctx, w.src, w.v, slices.Values(pgnos), got, bulk.Options{})
	w.pages = got.pages
	return err
}

// node reads a page that was fetched; one that is no page of a b-tree is an empty leaf.
func (w *walk) node(pgno uint32) btree.Node {
	n, _ := btree.Parse(w.pages[pgno], pgno, w.head.Usable)
	return n
}

// schema reads sqlite_schema.
func (w *walk) schema() error {
	if err := w.fetch([]uint32{1}); err != nil {
		return err
	}
	head, ok := btree.ParseHeader(w.pages[1])
	if !ok {
		return fmt.Errorf("page 1 is not that of a SQLite database: %w", index.ErrCorrupt)
	}
	w.head = head
	w.rows = []btree.SchemaRow{{Type: "table", Name: "sqlite_schema", Table: "sqlite_schema", Root: 1}}
	w.owner[1] = 0
	level := []uint32{1}
	for depth := 0; len(level) > 0 && depth < maxDepth; depth++ {
		if err := w.fetch(level); err != nil {
			return err
		}
		var next []uint32
		var chains []btree.Chain
		for _, pgno := range level {
			n := w.node(pgno)
			for _, c := range n.Cells {
				if row, ok := btree.ParseSchemaRow(c.Payload, w.head.Encoding); ok && row.Root <= w.v.Commit {
					w.rows = append(w.rows, row)
				}
			}
			next, chains = append(next, w.claim(0, n.Children)...), chainsOf(chains, n)
		}
		if err := w.overflow(0, chains); err != nil {
			return err
		}
		level = next
	}
	return nil
}

// claim gives pages that nobody has to a tree, and returns them: no page is walked twice, whatever points to it.
func (w *walk) claim(row int, pgnos []uint32) (claimed []uint32) {
	for _, pgno := range pgnos {
		if _, taken := w.owner[pgno]; !taken && pgno > 1 && pgno <= w.v.Commit && pgno != w.v.LockPgno() {
			w.owner[pgno] = row
			claimed = append(claimed, pgno)
		}
	}
	return claimed
}

// group is the pages of one level of one tree.
type group struct {
	row   int
	pgnos []uint32
}

// trees walks all trees but sqlite_schema down to their leaves.
func (w *walk) trees() error {
	var groups []group
	for i := 1; i < len(w.rows); i++ {
		if claimed := w.claim(i, []uint32{w.rows[i].Root}); len(claimed) > 0 {
			groups = append(groups, group{i, claimed})
		}
	}
	for depth := 0; len(groups) > 0 && depth < maxDepth; depth++ {
		next, err := w.down(groups)
		if err != nil {
			return err
		}
		groups = next
	}
	return nil
}

// down returns the groups of the next level. Of each group one page is read to see whether it is one of leaves, for all leaves of a tree
// lie at one depth; of leaves only those asked for are read.
func (w *walk) down(groups []group) (next []group, err error) {
	var probes []uint32
	for _, g := range groups {
		probes = append(probes, g.pgnos[0])
	}
	if err := w.fetch(probes); err != nil {
		return nil, err
	}
	var interior, leaves []group
	for _, g := range groups {
		if n := w.node(g.pgnos[0]); n.Interior() {
			interior = append(interior, g)
		} else {
			leaves = append(leaves, g)
		}
	}
	for _, g := range interior {
		below, err := w.children(g)
		if err != nil {
			return nil, err
		}
		if len(below.pgnos) > 0 {
			next = append(next, below)
		}
	}
	for _, g := range leaves {
		if err := w.leaves(g); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// children returns the pages below a group of interior pages.
func (w *walk) children(g group) (below group, err error) {
	below.row = g.row
	for chunk := range slices.Chunk(g.pgnos, pagesAtOnce) {
		if err := w.fetch(chunk); err != nil {
			return below, err
		}
		var chains []btree.Chain
		for _, pgno := range chunk {
			n := w.node(pgno)
			below.pgnos, chains = append(below.pgnos, w.claim(g.row, n.Children)...), chainsOf(chains, n)
		}
		if err := w.overflow(g.row, chains); err != nil {
			return below, err
		}
	}
	return below, nil
}

// leaves reads those of a group of leaves that are asked for, for the overflow pages that they lead to.
func (w *walk) leaves(g group) error {
	asked := slices.DeleteFunc(g.pgnos, func(pgno uint32) bool { return !w.asked[pgno] })
	for chunk := range slices.Chunk(asked, pagesAtOnce) {
		if err := w.fetch(chunk); err != nil {
			return err
		}
		var chains []btree.Chain
		for _, pgno := range chunk {
			chains = chainsOf(chains, w.node(pgno))
		}
		if err := w.overflow(g.row, chains); err != nil {
			return err
		}
	}
	return nil
}

// chainsOf appends the overflow chains that begin in a node.
func chainsOf(chains []btree.Chain, n btree.Node) []btree.Chain {
	for _, c := range n.Cells {
		if c.Overflow.Next != 0 {
			chains = append(chains, c.Overflow)
		}
	}
	return chains
}

// overflow gives the pages of chains to a tree, as far as they are asked for: none is followed through a page that is not.
func (w *walk) overflow(row int, chains []btree.Chain) error {
	for {
		chains = slices.DeleteFunc(chains, func(c btree.Chain) bool { return c.Left <= 0 || !w.asked[c.Next] })
		if len(chains) == 0 {
			return nil
		}
		var guess []uint32 // the pages of a chain nearly always follow each other
		for _, c := range chains {
			for i := range min(c.Left, chainAhead) {
				if pgno := int64(c.Next) + i; pgno <= int64(w.v.Commit) && w.asked[uint32(pgno)] {
					guess = append(guess, uint32(pgno))
				}
			}
		}
		if err := w.fetch(guess); err != nil {
			return err
		}
		for i := range chains {
			chains[i] = w.follow(row, chains[i])
		}
	}
}

// follow goes along a chain as far as its pages are here and nobody's.
func (w *walk) follow(row int, c btree.Chain) btree.Chain {
	for c.Left > 0 && w.asked[c.Next] {
		page, ok := w.pages[c.Next]
		if !ok {
			return c
		}
		if len(w.claim(row, []uint32{c.Next})) == 0 {
			return btree.Chain{}
		}
		c = btree.Chain{Next: binary.BigEndian.Uint32(page), Left: c.Left - 1}
	}
	return btree.Chain{}
}

// result counts what belongs where.
func (w *walk) result() *Forest {
	counts := make([]int, len(w.rows))
	f := &Forest{Trees: []Tree{}, Elsewhere: []uint32{}}
	for pgno := range w.asked {
		if row, ok := w.owner[pgno]; ok {
			counts[row]++
		} else {
			f.Elsewhere = append(f.Elsewhere, pgno)
		}
	}
	slices.Sort(f.Elsewhere)
	for i, row := range w.rows {
		if counts[i] > 0 {
			f.Trees = append(f.Trees, Tree{Type: row.Type, Name: row.Name, Table: row.Table, Root: row.Root, Pages: counts[i]})
		}
	}
	return f
}
