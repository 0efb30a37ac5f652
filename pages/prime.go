package pages

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

// maxRoots is how many b-trees a database may have for their uppermost pages to be fetched before they are asked for.
const maxRoots = 64

// prime looks at page 1 when it has been fetched: what the schema says there of b-trees is where every statement begins, so their roots are
// asked for at once, in the background. Roots that a second page of the schema names come when they are needed.
func (r *Reader) prime(v *index.View, p index.Page, page []byte) {
	s := r.source
	if p.Pgno != 1 || s.primed.Swap(uint64(p.Version)+1) == uint64(p.Version)+1 {
		return
	}
	h, ok := btree.ParseHeader(page)
	if !ok {
		return
	}
	s.reserved.Store(int32(len(page) - h.Usable))
	if r.limitAhead() <= 0 || r.limit > 0 {
		return // requests are counted
	}
	n, _ := btree.Parse(page, 1, h.Usable)
	var roots []uint32
	for _, c := range n.Cells {
		if row, ok := btree.ParseSchemaRow(c.Payload, h.Encoding); ok && row.Root <= v.Commit {
			roots = append(roots, row.Root)
		}
	}
	roots = append(roots, n.Children...) // of the schema itself
	if roots = distinct(roots); len(roots) <= maxRoots {
		// Not with the context of who reads: an open ends before its first statement begins.
		r.gather(context.Background(), v, roots, reach{tree: s.trees.of(1), most: minSpan})
	}
}
