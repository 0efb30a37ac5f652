package hydrate

import (
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// picture is what the copy is at one moment. It is published as a whole; the owner changes the set of present pages in place,
// within the rules of the package's description.
type picture struct {
	view    *index.View
	present *bitmap // pages whose content in the file is that of view
	used    *bitmap // pages read since the hand of eviction passed; nil when nothing is evicted

	// holes counts how often bytes of present pages were taken from the file. A page may be evicted and fetched again between a
	// reader's two looks, and the bytes it read be neither: the count tells.
	holes uint64
}

// newPicture returns one with a set that may grow a while before it must be copied.
func newPicture(v *index.View, present *bitmap, evicts bool) *picture {
	p := &picture{view: v, present: present}
	if evicts {
		p.used = newBitmap(roomFor(v.Commit))
	}
	return p
}

// roomFor is the room of a set for a database of that many pages.
func roomFor(commit uint32) uint32 {
	return uint32(min(uint64(commit)+uint64(commit)/8+1024, 1<<32-1))
}

// next returns the picture for a later View. It shares the sets as long as they have room.
func (p *picture) next(v *index.View) *picture {
	n := &picture{view: v, present: p.present, used: p.used, holes: p.holes}
	if uint64(v.Commit) > p.present.room() {
		n.present = p.present.copyFor(roomFor(v.Commit))
		if p.used != nil {
			n.used = p.used.copyFor(roomFor(v.Commit))
		}
	}
	return n
}

// holds reports whether the file has page pgno at version, which v says is its own.
func (p *picture) holds(v *index.View, pgno uint32, version index.TXID) bool {
	return p.present.has(pgno) && p.knows(v, pgno, version)
}

// knows reports whether version, which v says is its own, is that of page pgno in the picture's View.
func (p *picture) knows(v *index.View, pgno uint32, version index.TXID) bool {
	return v == p.view || p.wants(v.History, pgno, version)
}

// wants is knows for a version of a history.
func (p *picture) wants(history, pgno uint32, version index.TXID) bool {
	if history != p.view.History {
		return false
	}
	mine, ok := p.view.Version(pgno)
	return ok && mine == version
}

// total is the number of pages to be present: the lock page is never stored.
func (p *picture) total() int {
	if p.view.Commit >= p.view.LockPgno() {
		return int(p.view.Commit) - 1
	}
	return int(p.view.Commit)
}

// size is the size of the database file in bytes.
func (p *picture) size() int64 { return pageOffset(p.view.Commit+1, p.view.PageSize) }

// pageOffset is where a page lies in the database file, in bytes.
func pageOffset(pgno, pageSize uint32) int64 { return (int64(pgno) - 1) * int64(pageSize) }

// changed returns the present pages of p whose content at v is another one, or may be. v is later, of the same history.
func (p *picture) changed(v *index.View, blobs []index.Blob) []uint32 {
	differs := func(pgno uint32) bool {
		if !p.present.has(pgno) {
			return false
		}
		before, _ := p.view.Version(pgno)
		after, ok := v.Version(pgno)
		return !ok || before != after
	}
	candidates := p.present.all()
	if newer, ok := newerPages(v, p.view.TXID, blobs); ok {
		candidates = slices.Values(newer)
	}
	var pgnos []uint32
	for pgno := range candidates {
		if differs(pgno) {
			pgnos = append(pgnos, pgno)
		}
	}
	return pgnos
}

// newerPages returns the pages that v reads from files which end after txid: no others have changed since. ok is false when
// that cannot be told from what came with those files.
func newerPages(v *index.View, txid index.TXID, blobs []index.Blob) (pgnos []uint32, ok bool) {
	for _, f := range v.Files() {
		if f.Max <= txid {
			continue
		}
		i := slices.IndexFunc(blobs, func(b index.Blob) bool { return isWhole(b, f) })
		if i < 0 {
			return nil, false
		}
		for page := range v.Held(blobs[i]) {
			pgnos = append(pgnos, page.Pgno)
		}
	}
	return pgnos, true
}

// isWhole reports whether b is all of f.
func isWhole(b index.Blob, f *index.File) bool {
	return b.Off == 0 && int64(len(b.Data)) == f.Size && b.File.Key() == f.Key() && b.File.ETag == f.ETag
}
