package pages

import (
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/btree"
)

// branch is where a way through a b-tree takes one of the children of an interior page.
type branch struct {
	pgno uint32
	at   int // which child
}

// peek returns the content of a page that is here, or nil. It asks nobody, and counts as nothing. What is not in the cache is good until the
// next call.
func (r *Reader) peek(v *index.View, pgno uint32) []byte {
	version, ok := v.Version(pgno)
	if !ok {
		return nil
	}
	s := r.source
	if page, ok := s.cache.look(s.keyOf(v, pgno, version)); ok {
		return page
	}
	if uint32(len(r.scratch)) != v.PageSize {
		r.scratch = make([]byte, v.PageSize)
	}
	if s.near().ReadPage(v, pgno, version, r.scratch) || r.unpack(v, pgno) {
		return r.scratch
	}
	return nil
}

// unpack decodes a page whose bytes came with an index into scratch.
func (r *Reader) unpack(v *index.View, pgno uint32) (ok bool) {
	p, ok := v.Lookup(pgno)
	if !ok {
		return false
	}
	frame, ok := r.source.cache.frame(r.source.fileKey(v, p.Frame.File), p.Frame)
	return ok && r.source.decodeHeld(v, p, frame, r.scratch) == nil
}

// interior opens an interior page that is here.
func (r *Reader) interior(v *index.View, pgno uint32) (btree.Interior, bool) {
	page := r.peek(v, pgno)
	if page == nil {
		return btree.Interior{}, false
	}
	return btree.OpenInterior(page, pgno)
}

// climb returns the way from the root of a b-tree down to page pgno, as far up as interior pages are known and here. It is empty when
// nothing is known of the page.
func (r *Reader) climb(v *index.View, pgno uint32) []branch {
	way := r.way[:0]
	for len(way) < maxDepth {
		parent := r.source.atlas.parent(pgno)
		if parent == 0 {
			break
		}
		t, ok := r.interior(v, parent)
		if !ok {
			break
		}
		at := t.Index(pgno)
		if at < 0 {
			break // it has moved
		}
		way = append(way, branch{parent, at})
		pgno = parent
	}
	for i, j := 0, len(way)-1; i < j; i, j = i+1, j-1 {
		way[i], way[j] = way[j], way[i]
	}
	r.way = way
	return way
}
