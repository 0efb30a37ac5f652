package pages

import (
	"cmp"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// seedShare is the part of the cache, one byte in so many, that Seed fills at most.
const seedShare = 4

// Seed keeps pages whose bytes are at hand: those whose newest version in v is a frame in one of the blobs. Others, and those that cannot be
// right, are left out: they are fetched when somebody asks for them.
func (s *Source) Seed(v *index.View, blobs []index.Blob) {
	leave, ok := s.enter()
	if !ok {
		return
	}
	defer leave()
	room := s.cache.Budget() / seedShare
	for _, b := range blobs {
		for p, frame := range v.Held(b) {
			if room -= int64(v.PageSize) + entryOverhead; room < 0 {
				return
			}
			if page, err := decode(p, frame, v.PageSize); err == nil && !s.here(v, p, false) {
				s.keep(v, p, page, purpose{}).own()
			}
		}
	}
}

// Prefetch begins to fetch those pages of v that are not at hand: all at once, those that lie near each other in one request, and at most so many
// bytes. Who needs one meanwhile waits for that request. What goes wrong is nobody's trouble.
func (s *Source) Prefetch(v *index.View, pgnos []uint32, most int64) {
	pages := s.absent(v, pgnos, len(pgnos))
	slices.SortFunc(pages, func(p, q index.Page) int {
		return cmp.Or(cmp.Compare(q.Frame.File.Max, p.Frame.File.Max), cmp.Compare(p.Frame.File.Level, q.Frame.File.Level),
			cmp.Compare(p.Frame.Off, q.Frame.Off))
	})
	pages = slices.CompactFunc(pages, func(p, q index.Page) bool { return p.Pgno == q.Pgno })
	for len(pages) > 0 {
		span, n := together(pages, maxSpan)
		if most -= span.Size; most < 0 {
			return
		}
		if _, err := s.fetchAhead(s.ctx, v, span, pages[:n], purpose{scan: true}); err != nil {
			return // closed
		}
		pages = pages[n:]
	}
}
