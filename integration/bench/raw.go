package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// extent is a stretch of one object.
type extent struct {
	key      string // below the replica's prefix
	off, end int64
}

func (e extent) size() int64 { return e.end - e.off }

// extentOf is what a range request asks for.
func extentOf(r slowproxy.Request) (extent, error) {
	e := extent{key: strings.TrimPrefix(r.Key, prefix+"/")}
	if _, err := fmt.Sscanf(r.Range, "bytes=%d-%d", &e.off, &e.end); err != nil {
		return e, fmt.Errorf("range %q of %s: %w", r.Range, r.Key, err)
	}
	e.end++
	return e, nil
}

// extentsOf returns what the requests have asked for, each byte once, in order.
func extentsOf(requests []slowproxy.Request) ([]extent, error) {
	var all []extent
	for _, r := range requests {
		if r.Kind != slowproxy.GetRange || r.Status != 206 {
			continue
		}
		e, err := extentOf(r)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b extent) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.off, b.off)) })
	return merged(all), nil
}

// merged joins extents that touch; they are in order.
func merged(all []extent) []extent {
	var out []extent
	for _, e := range all {
		if last := len(out) - 1; last >= 0 && out[last].key == e.key && e.off <= out[last].end {
			out[last].end = max(out[last].end, e.end)
			continue
		}
		out = append(out, e)
	}
	return out
}

func totalSize(extents []extent) (n int64) {
	for _, e := range extents {
		n += e.size()
	}
	return n
}

// parts cuts extents into pieces of at most size bytes.
func parts(extents []extent, size int64) []extent {
	var out []extent
	for _, e := range extents {
		for off := e.off; off < e.end; off += size {
			out = append(out, extent{e.key, off, min(off+size, e.end)})
		}
	}
	return out
}

// fetch gets all pieces, so many at once, and throws them away.
func fetch(ctx context.Context, store objstore.RangeReader, pieces []extent, parallel int) error {
	return spread(ctx, len(pieces), parallel, func() func(context.Context, int) error {
		var buf []byte
		return func(ctx context.Context, i int) error {
			p := pieces[i]
			buf = slices.Grow(buf[:0], int(p.size()))[:p.size()]
			return store.ReadAt(ctx, objstore.Ref{Key: p.key}, buf, p.off)
		}
	})
}

// spread has so many workers do the tasks 0 to n-1 in order. worker makes one.
func spread(ctx context.Context, n, parallel int, worker func() func(context.Context, int) error) error {
	next := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return nil // a worker says why
			}
		}
		return nil
	})
	for range parallel {
		do := worker()
		g.Go(func() error {
			for i := range next {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// decode gets the frames of the snapshot that lie in its extents, 2 MiB and 16 at a time, and decodes each: what fetching and
// decoding cost without a cache, a page table that is asked, or SQLite.
func decode(ctx context.Context, store objstore.RangeReader, v *index.View, extents []extent) error {
	base := v.Files()[0]
	spans := spansIn(v, base, extents)
	return spread(ctx, len(spans), 16, func() func(context.Context, int) error {
		var buf []byte
		page := make([]byte, v.PageSize)
		return func(ctx context.Context, i int) error {
			s := spans[i]
			buf = slices.Grow(buf[:0], int(s.Size))[:s.Size]
			if err := store.ReadAt(ctx, base.Ref(), buf, s.Off); err != nil {
				return err
			}
			for p := range s.Pages() {
				at := p.Frame.Off - s.Off
				if err := index.DecodeFrame(buf[at:at+p.Frame.Size], p.Pgno, page); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// spansIn cuts a file into spans of 2 MiB and returns those that touch the extents.
func spansIn(v *index.View, f *index.File, extents []extent) []index.Span {
	var spans []index.Span
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		p, ok := v.Lookup(pgno)
		if !ok || p.Frame.File.Key() != f.Key() {
			continue
		}
		for s, ok := p.Around(0, 2<<20), true; ok; s, ok = s.Next(2 << 20) {
			touches := func(e extent) bool { return e.key == f.Key() && e.off < s.Off+s.Size && s.Off < e.end }
			if slices.ContainsFunc(extents, touches) {
				spans = append(spans, s)
			}
		}
		return spans
	}
	return nil
}
