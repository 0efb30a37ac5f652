package index

import (
	"slices"

	"github.com/superfly/ltx"
)

// anchorEvery is how many frames share one stored offset. The offset of a frame is that of its anchor plus the sizes
// between: 32 on average, which costs less than a cache miss.
const anchorEvery = 64

// header is what a segment keeps of its file's LTX header.
type header struct {
	pageSize  uint32
	commit    uint32 // database size in pages after the file
	timestamp int64  // Unix milliseconds
	walOffset int64
	walSize   int64
	salt1     uint32
	salt2     uint32
}

// segment is the page table of one file: which pages it holds, and where. It is immutable once decoded.
//
// Frames lie one after another from the header on, so only their sizes are stored, and an offset now and then.
type segment struct {
	file *File
	header
	lent bool // not read from the file: see Options.Layouts

	n       int      // pages
	spelt   bool     // page numbers are stored; else they are 1, 2, 3 and so on
	pgnos   pageList // then
	narrow  []uint16 // frame sizes in bytes; nil when one is larger than 65535
	wide    []uint32 // frame sizes then
	anchors []int64  // offset of every anchorEvery-th frame
}

// dense reports whether the segment holds every page of the database: 1 to commit, the lock page excepted. Such a
// segment needs nothing below it.
func (s *segment) dense() bool {
	return !s.spelt && uint32(s.n) == densePages(s.pageSize, s.commit)
}

// densePages is the number of frames a complete file of that commit size has.
func densePages(pageSize, commit uint32) uint32 {
	if commit >= ltx.LockPgno(pageSize) {
		return commit - 1
	}
	return commit
}

// densePgno is the page in the i-th frame, from 0, when pages follow each other from 1.
func densePgno(pageSize uint32, i int) uint32 {
	pgno := uint32(i) + 1
	if pgno >= ltx.LockPgno(pageSize) {
		pgno++
	}
	return pgno
}

// pgno is the page in the i-th frame.
func (s *segment) pgno(i int) uint32 {
	if !s.spelt {
		return densePgno(s.pageSize, i)
	}
	return s.pgnos.at(i)
}

// find returns the number of the frame that holds pgno.
func (s *segment) find(pgno uint32) (int, bool) {
	if s.spelt {
		return s.pgnos.search(pgno)
	}
	lock := ltx.LockPgno(s.pageSize)
	i := int(pgno) - 1
	switch {
	case pgno == lock:
		return 0, false
	case pgno > lock:
		i--
	}
	return i, i >= 0 && i < s.n
}

// ceil returns the number of the first frame that holds pgno or a later page; s.n when there is none.
func (s *segment) ceil(pgno uint32) int {
	if s.spelt {
		return s.pgnos.ceil(pgno)
	}
	i := int(pgno) - 1
	if pgno > ltx.LockPgno(s.pageSize) {
		i--
	}
	return min(max(i, 0), s.n)
}

// span returns where the i-th frame lies.
func (s *segment) span(i int) (off, size int64) {
	anchor := i / anchorEvery
	off = s.anchors[anchor]
	if s.narrow != nil {
		for _, n := range s.narrow[anchor*anchorEvery : i] {
			off += int64(n)
		}
		return off, int64(s.narrow[i])
	}
	for _, n := range s.wide[anchor*anchorEvery : i] {
		off += int64(n)
	}
	return off, int64(s.wide[i])
}

func (s *segment) frame(i int) Frame {
	off, size := s.span(i)
	return Frame{File: s.file, Off: off, Size: size}
}

// bytes is the memory the segment's table takes.
func (s *segment) bytes() int64 {
	return s.pgnos.bytes() + int64(2*cap(s.narrow)+4*cap(s.wide)+8*cap(s.anchors))
}

// add appends a frame. Sizes and order were checked by the decoder.
func (s *segment) add(pgno uint32, off int64, size uint32) {
	if s.n%anchorEvery == 0 {
		s.anchors = append(s.anchors, off)
	}
	if !s.spelt && pgno != densePgno(s.pageSize, s.n) {
		s.spell()
	}
	if s.spelt {
		s.pgnos.add(pgno)
	}
	switch {
	case s.wide != nil:
		s.wide = append(s.wide, size)
	case size <= 0xffff:
		s.narrow = append(s.narrow, uint16(size))
	default:
		s.widen()
		s.wide = append(s.wide, size)
	}
	s.n++
}

// spell turns the implied page numbers so far into stored ones.
func (s *segment) spell() {
	s.pgnos = s.list(max(cap(s.narrow), cap(s.wide), s.n+1))
	s.spelt = true
}

// list returns the implied page numbers so far as a list with room for so many.
func (s *segment) list(room int) pageList {
	l := newPageList(room)
	for i := range s.n {
		l.add(densePgno(s.pageSize, i))
	}
	return l
}

// pages returns the segment's page numbers, spelt out.
func (s *segment) pages() pageList {
	if s.spelt {
		return s.pgnos
	}
	return s.list(s.n)
}

func (s *segment) widen() {
	s.wide = make([]uint32, s.n, max(cap(s.narrow), s.n+1))
	for i, n := range s.narrow {
		s.wide[i] = uint32(n)
	}
	s.narrow = nil
}

// trim gives back memory that was set aside for more frames than came, when it is worth a copy.
func (s *segment) trim() {
	s.narrow, s.wide, s.anchors = trimmed(s.narrow), trimmed(s.wide), trimmed(s.anchors)
	s.pgnos.trim()
}

// trimmed returns list without the memory that it does not use, unless that is little.
func trimmed[T any](list []T) []T {
	if waste := cap(list) - len(list); waste > 64 && waste > len(list)/16 {
		return slices.Clone(list)
	}
	return list
}
