package index

import (
	"iter"
	"sort"
	"sync/atomic"
	"time"

	"github.com/superfly/ltx"
)

// View is the database at one TXID. What it says never changes: the size, and the version of every page. Where a
// version's bytes lie may: when a file disappears, [Tracker.Rehome] finds the same versions in the files that replaced it.
//
// A View is safe for concurrent use.
type View struct {
	TXID     TXID
	Time     time.Time // of the newest transaction, by the writer's clock
	PageSize uint32    // bytes
	Commit   uint32    // database size in pages

	// History counts how often the replica under the prefix was replaced by another one while this process looked on.
	// Versions of two histories have nothing to do with each other.
	History uint32

	table atomic.Pointer[table]
}

func newView(t *table, history uint32) *View {
	top := t.segs[len(t.segs)-1]
	v := &View{
		TXID:     top.file.Max,
		Time:     time.UnixMilli(top.timestamp).UTC(),
		PageSize: top.pageSize,
		Commit:   top.commit,
		History:  history,
	}
	v.table.Store(t)
	return v
}

// Counter is what page 1 shows as change counter: the same for two Views exactly when SQLite may keep the
// pages it has cached. Its highest bit is 0: counters with that bit are a writer's, for commits that no View has yet.
func (v *View) Counter() uint32 {
	// An odd constant far from 0 keeps the TXIDs of two histories apart.
	return (uint32(v.TXID) + v.History*0x9E3779B9) &^ (1 << 31)
}

// LockPgno is the page that SQLite never stores, at 1 GiB.
func (v *View) LockPgno() uint32 { return LockPgno(v.PageSize) }

// LockPgno is that page of a database whose pages have so many bytes.
func LockPgno(pageSize uint32) uint32 { return ltx.LockPgno(pageSize) }

// Page is where one page of a View lies. The zero value is no page.
type Page struct {
	Pgno    uint32
	Version TXID // the content is that of this TXID, and of all after it up to the View's
	Frame   Frame

	table *table
	place place
}

// Lookup returns where page pgno lies. ok is false above the commit size, for the lock page, and for a page that
// no file holds, which within the commit size means that the replica is corrupt.
func (v *View) Lookup(pgno uint32) (_ Page, ok bool) {
	if pgno == 0 || pgno > v.Commit {
		return Page{}, false
	}
	t := v.table.Load()
	p, ok := t.find(pgno)
	if !ok {
		return Page{}, false
	}
	return t.page(pgno, p), true
}

// Version is the Version of page pgno alone, for callers that may have the page already.
func (v *View) Version(pgno uint32) (_ TXID, ok bool) {
	if pgno == 0 || pgno > v.Commit {
		return 0, false
	}
	t := v.table.Load()
	p, ok := t.find(pgno)
	if !ok {
		return 0, false
	}
	return t.version(p), true
}

func (t *table) page(pgno uint32, p place) Page {
	return Page{Pgno: pgno, Version: t.version(p), Frame: t.segs[p.seg].frame(p.i), table: t, place: p}
}

// Files are the files that the View reads from, oldest first.
func (v *View) Files() []*File {
	t := v.table.Load()
	files := make([]*File, len(t.segs))
	for i, s := range t.segs {
		files[i] = s.file
	}
	return files
}

// TableBytes is the memory of the View's page table: of the complete file below, and of the newer ones above it.
// Views share both.
func (v *View) TableBytes() (base, layers int64) { return v.table.Load().bytes() }

// Span is a stretch of neighbouring frames of one file: one range of bytes. The zero value is empty.
type Span struct {
	File *File
	Off  int64 // bytes from the start of the file
	Size int64 // bytes

	table       *table
	seg         int
	first, last int // frames, last included
}

// Around returns the span of whole frames that holds p, and at most before bytes before it and after bytes after it.
func (p Page) Around(before, after int64) Span {
	s := p.table.segs[p.place.seg]
	first := p.place.i
	if before > 0 {
		first = min(first, s.frameFrom(p.Frame.Off-before))
	}
	last := p.place.i
	if after > 0 {
		last = max(last, s.frameFrom(p.Frame.Off+p.Frame.Size+after+1)-1)
		if off, size := s.span(last); last > p.place.i && off+size > p.Frame.Off+p.Frame.Size+after {
			last--
		}
	}
	return p.table.span(p.place.seg, first, last)
}

// Next returns the span of about size bytes that follows s in its file. ok is false at the end of the file.
func (s Span) Next(size int64) (_ Span, ok bool) {
	if s.table == nil {
		return Span{}, false
	}
	seg := s.table.segs[s.seg]
	first := s.last + 1
	if first >= seg.n {
		return Span{}, false
	}
	off, _ := seg.span(first)
	last := max(first, seg.frameFrom(off+size)-1)
	return s.table.span(s.seg, first, last), true
}

func (t *table) span(seg, first, last int) Span {
	s := t.segs[seg]
	off, _ := s.span(first)
	end, size := s.span(last)
	return Span{File: s.file, Off: off, Size: end + size - off, table: t, seg: seg, first: first, last: last}
}

// frameFrom returns the number of the first frame that begins at off or later; s.n when there is none.
func (s *segment) frameFrom(off int64) int {
	anchor := max(sort.Search(len(s.anchors), func(i int) bool { return s.anchors[i] >= off })-1, 0)
	i := anchor * anchorEvery
	if i >= s.n {
		return s.n
	}
	for at := s.anchors[anchor]; i < s.n && at < off; i++ {
		at += s.size(i)
	}
	return i
}

func (s *segment) size(i int) int64 {
	if s.narrow != nil {
		return int64(s.narrow[i])
	}
	return int64(s.wide[i])
}

// Contains reports whether the frame of p lies in the span.
func (s Span) Contains(p Page) bool {
	return s.table != nil && p.table == s.table && p.place.seg == s.seg && s.first <= p.place.i && p.place.i <= s.last
}

// Pages yields the pages whose newest version in the View lies in the span, in file order. Frames that a newer file
// has superseded are left out.
func (s Span) Pages() iter.Seq[Page] {
	return func(yield func(Page) bool) {
		if s.table == nil {
			return
		}
		s.table.pagesIn(s.seg, s.first, s.last)(yield)
	}
}

func (t *table) pagesIn(seg, first, last int) iter.Seq[Page] {
	return func(yield func(Page) bool) {
		s := t.segs[seg]
		off, _ := s.span(first)
		for i := first; i <= last; i++ {
			pgno, size := s.pgno(i), s.size(i)
			if p, ok := t.find(pgno); ok && p == (place{seg, i}) {
				page := Page{Pgno: pgno, Version: t.version(p), Frame: Frame{s.file, off, size}, table: t, place: p}
				if !yield(page) {
					return
				}
			}
			off += size
		}
	}
}

// Held yields the pages of the View whose frames lie whole in b, with their bytes.
func (v *View) Held(b Blob) iter.Seq2[Page, []byte] {
	return func(yield func(Page, []byte) bool) {
		t := v.table.Load()
		seg := t.indexOf(b.File)
		if seg < 0 {
			return
		}
		s, end := t.segs[seg], b.Off+int64(len(b.Data))
		first, last := s.frameFrom(b.Off), s.frameFrom(end)-1
		if first > last {
			return
		}
		t.pagesIn(seg, first, last)(func(p Page) bool {
			if p.Pgno > v.Commit || p.Frame.Off+p.Frame.Size > end {
				return true
			}
			at := p.Frame.Off - b.Off
			return yield(p, b.Data[at:at+p.Frame.Size])
		})
	}
}

// Whole returns the span of all frames of f. ok is false when v does not read from f.
func (v *View) Whole(f *File) (_ Span, ok bool) {
	t := v.table.Load()
	seg := t.indexOf(f)
	if seg < 0 || t.segs[seg].n == 0 {
		return Span{}, false
	}
	return t.span(seg, 0, t.segs[seg].n-1), true
}

// Between returns the part of the span from the frame of first to that of last; both lie in it.
func (s Span) Between(first, last Page) Span {
	return s.table.span(s.seg, first.place.i, last.place.i)
}

// Decoded is the size of the pages in the span once decoded, in bytes.
func (s Span) Decoded() int64 { return int64(s.last-s.first+1) * int64(s.PageSize()) }

// PageSize is the size of a decoded page in bytes.
func (s Span) PageSize() uint32 { return s.table.segs[s.seg].pageSize }

// Pgnos returns the first and the last page that have a frame in the span.
func (s Span) Pgnos() (first, last uint32) {
	seg := s.table.segs[s.seg]
	return seg.pgno(s.first), seg.pgno(s.last)
}
