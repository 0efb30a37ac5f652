package index

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"golang.org/x/sync/errgroup"
)

const (
	// maxBlobs bounds the page bytes kept from loading one plan, so that a chain of very many small files does not fill
	// the memory.
	maxBlobs = 32 << 20
	// loadsAhead bounds for the same reason how many files of a plan are loaded at once.
	loadsAhead = 128
)

// segmentCache remembers page tables as long as some View uses them, so that Views of different times share what they
// have in common.
type segmentCache struct {
	mu   sync.Mutex
	segs map[fileID]weak.Pointer[segment] // guarded by mu
}

func (c *segmentCache) get(f *File) *segment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.segs[f.id()].Value()
}

func (c *segmentCache) has(f *File) bool { return c.get(f) != nil }

func (c *segmentCache) put(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.segs == nil {
		c.segs = make(map[fileID]weak.Pointer[segment])
	}
	if len(c.segs) >= 256 && len(c.segs)&(len(c.segs)-1) == 0 { // at powers of two: forget what nobody uses
		for id, p := range c.segs {
			if p.Value() == nil {
				delete(c.segs, id)
			}
		}
	}
	c.segs[s.file.id()] = weak.Make(s)
}

// load returns the table of a chain of files, and what pages came with those that were not known yet.
func (t *Tracker) load(ctx context.Context, chain []*File) (*table, []Blob, error) {
	segs, blobs, err := t.loadSegments(ctx, chain)
	if err != nil {
		return nil, nil, err
	}
	return newTable(segs), blobs, nil
}

// loadSegments returns the page tables of a chain of files, all that are not known yet side by side, and what pages came with them.
func (t *Tracker) loadSegments(ctx context.Context, chain []*File) ([]*segment, []Blob, error) {
	segs := make([]*segment, len(chain))
	brought := make([][]Blob, len(chain))
	var room atomic.Int64
	room.Store(maxBlobs)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loadsAhead)
	for i := len(chain) - 1; i >= 0; i-- { // newest first: their pages are read first
		f := chain[i]
		if segs[i] = t.segments.get(f); segs[i] != nil {
			continue
		}
		g.Go(func() error {
			l, err := loadFile(gctx, t.store, f)
			if err != nil {
				return err
			}
			segs[i] = l.seg
			t.segments.put(l.seg)
			for _, b := range l.blobs {
				if room.Add(-int64(len(b.Data))) >= 0 {
					brought[i] = append(brought[i], b)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	slices.Reverse(brought)
	blobs := slices.Concat(brought...)
	if err := samePageSize(segs); err != nil {
		return nil, nil, err
	}
	return segs, blobs, nil
}

// samePageSize checks that all files of a chain have pages of one size.
func samePageSize(segs []*segment) error {
	for _, s := range segs[1:] {
		if s.pageSize != segs[0].pageSize {
			return fmt.Errorf("%s has pages of %d bytes, %s of %d; a replica has one page size: %w",
				segs[0].file, segs[0].pageSize, s.file, s.pageSize, ErrCorrupt)
		}
	}
	return nil
}
