package pages

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

const (
	// maxChain is how many pages of one chain are asked for ahead, on the guess that they follow each other.
	maxChain = 256
	// mostChained is how many pages of the chains of further rows are asked for when rows are read in order.
	mostChained = 256
)

// thread is where long values are read: rows that do not fit into a leaf go on in a chain of overflow pages. Only the first page of a chain
// is known, and how many there are; but they nearly always follow each other.
type thread struct {
	leaf uint32 // that was read last
	of   uint32 // the leaf of the last chain that had to be fetched
	cell int    // of it
	rows int    // whose chains are asked for at once
}

// pull asks ahead for the chain that begins with a page, when that lies in the leaf that was read last; and for those of the rows that
// follow, when rows are read in order. ok is false when it begins no chain that is known of.
func (r *Reader) pull(ctx context.Context, v *index.View, pgno uint32) (ok bool) {
	th := &r.threads
	page := r.peek(v, th.leaf)
	if page == nil {
		return false
	}
	n, ok := btree.Parse(page, th.leaf, r.usable(v))
	if !ok {
		return false
	}
	for i, c := range n.Cells {
		if c.Overflow.Next != pgno {
			continue
		}
		th.follow(i)
		root := th.leaf
		if way := r.climb(v, th.leaf); len(way) > 0 {
			root = way[0].pgno
		}
		r.gather(ctx, v, chains(v, n.Cells[i:min(i+1+th.rows, len(n.Cells))]), reach{tree: r.source.trees.of(root), most: maxSpan})
		return true
	}
	return false
}

// follow notes that the chain of a row had to be fetched.
func (th *thread) follow(cell int) {
	if th.of == th.leaf && th.cell < cell || th.of != th.leaf && th.rows > 0 {
		th.rows = max(1, 2*th.rows)
	} else {
		th.rows = 0
	}
	th.of, th.cell = th.leaf, cell
}

// chains returns the pages that the rows probably go on in.
func chains(v *index.View, cells []btree.Cell) (pgnos []uint32) {
	for i, c := range cells {
		if c.Overflow.Next == 0 || i > 0 && len(pgnos) >= mostChained {
			continue
		}
		first := uint64(c.Overflow.Next)
		for pgno := first; pgno < first+uint64(max(min(c.Overflow.Left, maxChain), 0)) && pgno <= uint64(v.Commit); pgno++ {
			pgnos = append(pgnos, uint32(pgno))
		}
	}
	return pgnos
}
