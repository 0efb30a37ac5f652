package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

const (
	// maxHole is how many bytes nobody asked for are fetched along rather than that what follows takes a request of its own.
	maxHole = 64 << 10
	// maxRange is the most that one request fetches, in bytes.
	maxRange = 2 << 20
	// parallel is how many requests run at once.
	parallel = 16
)

// stretch is one request: pages that lie near each other in one file.
type stretch struct {
	pages []index.Page // by offset
	slots []int        // where in the answer each belongs
}

func (s *stretch) off() int64 { return s.pages[0].Frame.Off }

func (s *stretch) end() int64 {
	last := s.pages[len(s.pages)-1].Frame
	return last.Off + last.Size
}

// fetch returns pages in the order asked for, those that lie near each other with one request.
func (f *forest) fetch(ctx context.Context, pgnos []uint32) ([]frame, error) {
	frames := make([]frame, len(pgnos))
	stretches, err := f.stretches(pgnos)
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, s := range stretches {
		g.Go(func() error {
			file := s.pages[0].Frame.File
			data := make([]byte, s.end()-s.off())
			if err := f.store.ReadAt(gctx, file.Ref(), data, s.off()); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			for i, p := range s.pages {
				at := p.Frame.Off - s.off()
				frames[s.slots[i]] = frame{at: p, data: slices.Clone(data[at : at+p.Frame.Size])}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i := range frames {
		if err := f.parse(&frames[i]); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// stretches looks pages up and joins those that lie near each other.
func (f *forest) stretches(pgnos []uint32) ([]*stretch, error) {
	byFile := map[*index.File][]int{}
	pages := make([]index.Page, len(pgnos))
	for i, pgno := range pgnos {
		p, ok := f.view.Lookup(pgno)
		if !ok {
			return nil, fmt.Errorf("page %d of %d has no frame at txid %s: %w", pgno, f.view.Commit, f.view.TXID, index.ErrCorrupt)
		}
		pages[i] = p
		byFile[p.Frame.File] = append(byFile[p.Frame.File], i)
	}
	var all []*stretch
	for _, slots := range byFile {
		slices.SortFunc(slots, func(a, b int) int { return cmp.Compare(pages[a].Frame.Off, pages[b].Frame.Off) })
		var s *stretch
		for _, slot := range slots {
			p := pages[slot]
			if s == nil || p.Frame.Off-s.end() > maxHole || p.Frame.Off+p.Frame.Size-s.off() > maxRange {
				s = new(stretch)
				all = append(all, s)
			}
			s.pages, s.slots = append(s.pages, p), append(s.slots, slot)
		}
	}
	return all, nil
}

// parse decodes a frame and reads what it holds. What is no page of a b-tree has no children.
func (f *forest) parse(p *frame) error {
	page := make([]byte, f.view.PageSize)
	if err := index.DecodeFrame(p.data, p.at.Pgno, page); err != nil {
		return fmt.Errorf("page %d of %s at byte %d: %w", p.at.Pgno, p.at.Frame.File, p.at.Frame.Off, err)
	}
	if p.at.Pgno == 1 {
		f.header, _ = btree.ParseHeader(page)
	}
	p.node, _ = btree.Parse(page, p.at.Pgno, f.header.Usable)
	return nil
}
