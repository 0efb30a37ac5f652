package pages

import (
	"math"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// walk goes along the leaves of a b-tree, as far as the interior pages above them are here.
type walk struct {
	levels []level // from the uppermost page that is known to the parent of the leaves
	back   bool    // right to left
	steps  int64   // leaves passed
}

// level is an interior page on the way to a leaf.
type level struct {
	pgno     uint32
	children []uint32 // never changed
	at       int      // the one on the way
}

// walkTo returns a walk that stands at a leaf, given the way down to it. ok is false when pages of the way are not here any more.
func (r *Reader) walkTo(v *index.View, way []branch) (w walk, ok bool) {
	for _, b := range way {
		children := r.children(v, b.pgno)
		if b.at >= len(children) {
			return walk{}, false
		}
		w.levels = append(w.levels, level{b.pgno, children, b.at})
	}
	return w, len(w.levels) > 0
}

// children returns those of an interior page; nil when it is not here.
func (r *Reader) children(v *index.View, pgno uint32) []uint32 {
	t, ok := r.interior(v, pgno)
	if !ok {
		return nil
	}
	return t.Children()
}

func (w *walk) clone() walk { return walk{slices.Clone(w.levels), w.back, w.steps} }

// leaf is where the walk stands.
func (w *walk) leaf() uint32 {
	l := w.parent()
	return l.children[l.at]
}

// parent is the page above it.
func (w *walk) parent() *level { return &w.levels[len(w.levels)-1] }

// move goes n children on; ok is false past either end, and then nothing has moved.
func (l *level) move(n int) (ok bool) {
	if at := l.at + n; at >= 0 && at < len(l.children) {
		l.at = at
		return true
	}
	return false
}

func (w *walk) direction() int {
	if w.back {
		return -1
	}
	return 1
}

// step goes to the next leaf. When it cannot, lacking is the interior page that has to be here first, and among says at which level its
// siblings are; it is 0 at the end of the b-tree, or of what is known of it.
func (w *walk) step(r *Reader, v *index.View) (lacking uint32, among level, ok bool) {
	if w.parent().move(w.direction()) {
		w.steps++
		return 0, level{}, true
	}
	top := len(w.levels) - 2
	for top >= 0 && !w.levels[top].fits(w.direction()) {
		top--
	}
	if top < 0 {
		return 0, level{}, false
	}
	upper := w.levels[top]
	upper.move(w.direction())
	below := []level{upper}
	for range w.levels[top+1:] {
		from := below[len(below)-1]
		pgno := from.children[from.at]
		children := r.children(v, pgno)
		if len(children) == 0 {
			return pgno, from, false
		}
		next := level{pgno: pgno, children: children}
		if w.back {
			next.at = len(children) - 1
		}
		below = append(below, next)
	}
	w.levels = append(w.levels[:top], below...)
	w.steps++
	return 0, level{}, true
}

func (l level) fits(n int) bool { return l.move(n) }

// ahead returns the next n children of l after the one on the way.
func (l level) ahead(n int, back bool) (pgnos []uint32) {
	step := 1
	if back {
		step = -1
	}
	for len(pgnos) < n && l.move(step) {
		pgnos = append(pgnos, l.children[l.at])
	}
	return pgnos
}

// dense reports whether the pages follow each other in the file: about every number between is one of them. It is so in what was written
// in order.
func dense(pgnos []uint32) bool {
	low, high := uint32(math.MaxUint32), uint32(0)
	for _, pgno := range pgnos {
		low, high = min(low, pgno), max(high, pgno)
	}
	return len(pgnos) > 0 && uint64(high-low) <= uint64(len(pgnos))*5/4+2
}

// beyond returns up to which page leaves probably follow each other, when the walk stands at the last leaf that is known, lacks the next
// interior page, and l holds its siblings. In a b-tree that was written in order interior pages lie among the leaves below them, at even
// distances. It is 0 when nothing can be said.
func (w *walk) beyond(l level) uint32 {
	known := w.parent().children
	if w.back || !dense(known) {
		return 0
	}
	most := uint32(len(known))*5/4 + 2
	last := l.children[l.at]
	if leaf := w.leaf(); max(leaf, last)-min(leaf, last) > most {
		return 0
	}
	bound := uint32(0)
	for _, next := range l.children[l.at+1:] {
		if next <= last || next-last > most {
			break
		}
		bound, last = next, next
	}
	return bound
}
