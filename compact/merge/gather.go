package merge

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
)

// gatherer turns winners into batches: which ranges of which inputs hold the next few megabytes of the output. Stretches
// that newer files have superseded are read over when they are short, and else left out.
type gatherer struct {
	winners  *winners
	commit   uint32 // pages above it are dropped
	pageSize uint32
}

// next returns the next batch, nil at the end.
func (g *gatherer) next(ctx context.Context) (*batch, error) {
	b := newBatch()
	last := map[*input]int{} // the newest span of each input
	for raw := int64(0); raw < maxRaw && len(b.pages)*int(g.pageSize) < maxPlain; {
		i, entry, ok, err := g.winners.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if entry.Pgno <= g.commit {
			raw += b.add(g.winners.inputs[i], entry, last)
		}
	}
	if len(b.pages) == 0 {
		return nil, nil
	}
	return b, nil
}

// add appends a page and returns how many bytes more are to be fetched for it.
func (b *batch) add(in *input, entry index.Entry, last map[*input]int) int64 {
	p := page{pgno: entry.Pgno, off: entry.Off, size: entry.Size, source: in}
	if at, ok := last[in]; ok {
		s := &b.spans[at]
		if gap := entry.Off - s.off - s.size; gap <= in.readOver {
			p.span = at
			b.pages = append(b.pages, p)
			s.size += gap + entry.Size
			return gap + entry.Size
		}
	}
	p.span = len(b.spans)
	last[in] = p.span
	b.pages = append(b.pages, p)
	b.spans = append(b.spans, span{source: in, off: entry.Off, size: entry.Size})
	return entry.Size
}
