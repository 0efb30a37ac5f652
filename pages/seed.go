package pages

import (
	"cmp"
	"maps"
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
				s.keep(v, p, page, purpose{})
			}
		}
	}
}

// Prefetch begins to fetch those pages of v that are not at hand: all at once, those that lie near each other in one request, and at most so many
// bytes. Who needs one meanwhile waits for that request. What goes wrong is nobody's trouble.
func (s *Source) Prefetch(v *index.View, pgnos []uint32, most int64) {
	for _, pages := range s.missing(v, pgnos) {
		span, ok := v.Whole(pages[0].Frame.File)
		for ok && len(pages) > 0 {
			n := stretch(pages)
			size := end(pages[n-1]) - pages[0].Frame.Off
			if most -= size; most < 0 {
				return
			}
			if _, err := s.fetchAhead(s.ctx, v, span, slices.Clone(pages[:n]), purpose{scan: true}); err != nil {
				return // closed
			}
			pages = pages[n:]
		}
	}
}

// maxStretch is the most that one request of Prefetch fetches, in bytes.
const maxStretch = 2 << 20

// stretch returns how many of the pages, which are in file order, one request is good for.
func stretch(pages []index.Page) int {
	n := 1
	for n < len(pages) && hole(pages[n-1], pages[n]) <= maxHole && end(pages[n])-pages[0].Frame.Off <= maxStretch {
		n++
	}
	return n
}

// missing returns the pages that have to be fetched: of each file in file order, the newest files first.
func (s *Source) missing(v *index.View, pgnos []uint32) [][]index.Page {
	byFile := map[*index.File][]index.Page{}
	for _, pgno := range pgnos {
		p, ok := v.Lookup(pgno)
		if !ok || s.here(v, p, false) {
			continue
		}
		if !s.held(v, p) {
			byFile[p.Frame.File] = append(byFile[p.Frame.File], p)
		}
	}
	files := slices.SortedFunc(maps.Keys(byFile), func(a, b *index.File) int { return cmp.Compare(b.Max, a.Max) })
	missing := make([][]index.Page, len(files))
	for i, f := range files {
		missing[i] = byFile[f]
		slices.SortFunc(missing[i], func(a, b index.Page) int { return cmp.Compare(a.Frame.Off, b.Frame.Off) })
		missing[i] = slices.CompactFunc(missing[i], func(a, b index.Page) bool { return a.Pgno == b.Pgno })
	}
	return missing
}
