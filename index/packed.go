package index

import (
	"encoding/binary"
	"fmt"

	"github.com/superfly/ltx"
)

// Layouts are the page tables of the files that the View reads from, oldest first.
func (v *View) Layouts() []*Layout {
	segs := v.table.Load().segs
	layouts := make([]*Layout, len(segs))
	for i, s := range segs {
		layouts[i] = &Layout{s}
	}
	return layouts
}

// SameFile reports whether a and b are the same bytes under the same name. Where a store has no ETags nobody can tell.
func SameFile(a, b *File) bool { return a.id() == b.id() && a.ETag != "" }

// AppendTable appends the page table to b, about two bytes a page for a file that holds every page. The file itself is not in it.
//
// The table is a list of numbers: what the file's header says, how many frames there are, their pages if they are not simply
// 1, 2, 3, and their sizes. Where frames lie follows from that.
func (l *Layout) AppendTable(b []byte) []byte {
	s := l.seg
	for _, n := range []uint64{
		uint64(s.pageSize), uint64(s.commit), uint64(s.timestamp), uint64(s.walOffset), uint64(s.walSize),
		uint64(s.salt1), uint64(s.salt2), uint64(s.n), spelt(s),
	} {
		b = binary.AppendUvarint(b, n)
	}
	prev := uint32(0)
	for pgno := range s.pgnos.all() {
		b = binary.AppendUvarint(b, uint64(pgno-prev))
		prev = pgno
	}
	for i := range s.n {
		b = binary.AppendUvarint(b, uint64(s.size(i)))
	}
	return b
}

// spelt is 1 when the page numbers of a segment are stored.
func spelt(s *segment) uint64 {
	if s.spelt {
		return 1
	}
	return 0
}

// DecodeTable reads what AppendTable has written for f, and nothing else. It demands all that is demanded of a table from the file itself, and
// that f is exactly as long as a file with such frames is: frames lie one after another, and the index behind them follows from their
// sizes. What cannot be right is ErrCorrupt.
func DecodeTable(f *File, b []byte) (*Layout, error) {
	own := *f
	d := tableDecoder{rest: b}
	seg, err := d.segment(&own)
	if err != nil {
		return nil, fmt.Errorf("%s: stored page table: %w: %w", f, err, ErrCorrupt)
	}
	return &Layout{seg}, nil
}

// tableDecoder takes numbers off the front of a stored page table. After the end everything is zero, and short is set.
type tableDecoder struct {
	rest  []byte
	short bool
}

func (d *tableDecoder) number() uint64 {
	v, n, ok := uvarint(d.rest)
	if !ok {
		d.rest, d.short = nil, true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *tableDecoder) segment(f *File) (*segment, error) {
	pageSize, commit := d.number(), d.number()
	h := header{
		timestamp: int64(d.number()), walOffset: int64(d.number()), walSize: int64(d.number()),
		salt1: uint32(d.number()), salt2: uint32(d.number()),
	}
	n, spelt := d.number(), d.number()
	switch {
	case d.short:
		return nil, errShortIndex
	case pageSize > ltx.MaxPageSize || !ltx.IsValidPageSize(uint32(pageSize)):
		return nil, fmt.Errorf("pages of %d bytes", pageSize)
	case commit == 0 || commit > 1<<32-1:
		return nil, fmt.Errorf("database of %d pages", commit)
	}
	h.pageSize, h.commit = uint32(pageSize), uint32(commit)
	if n > uint64(densePages(h.pageSize, h.commit)) || n > uint64(len(d.rest)) || spelt > 1 {
		return nil, fmt.Errorf("%d frames in %d bytes", n, len(d.rest))
	}
	s := &segment{file: f, header: h, n: int(n), anchors: make([]int64, 0, (n+anchorEvery-1)/anchorEvery)}
	if spelt == 1 {
		if err := d.pgnos(s); err != nil {
			return nil, err
		}
	}
	end, err := d.sizes(s)
	switch {
	case err != nil:
		return nil, err
	case len(d.rest) > 0:
		return nil, fmt.Errorf("%d bytes after its end", len(d.rest))
	case end != f.Size:
		return nil, fmt.Errorf("it is that of a file of %d bytes, and this one has %d", end, f.Size)
	case f.Min == 1 && !s.dense():
		return nil, fmt.Errorf("page %d is missing from a file that must hold all", s.firstMissing())
	}
	return s, nil
}

// pgnos reads page numbers that are stored.
func (d *tableDecoder) pgnos(s *segment) error {
	s.pgnos, s.spelt = newPageList(s.n), true
	pgno, lock := uint64(0), uint64(ltx.LockPgno(s.pageSize))
	for i := range s.n {
		step := d.number()
		pgno += step
		if step == 0 || step > uint64(s.commit) || pgno > uint64(s.commit) || pgno == lock {
			return fmt.Errorf("frame %d is of page %d, of %d", i, pgno, s.commit)
		}
		s.pgnos.add(uint32(pgno))
	}
	s.pgnos.trim()
	return nil
}

// sizes reads the frame sizes, and returns how long a file with such frames is.
func (d *tableDecoder) sizes(s *segment) (fileSize int64, err error) {
	most := maxFrameSize(s.pageSize)
	if most <= 0xffff {
		s.narrow = make([]uint16, s.n)
	} else {
		s.wide = make([]uint32, s.n)
	}
	var index growing
	off, rest, pgnos := int64(ltx.HeaderSize), d.rest, s.pgnos.cursor()
	for i := range s.n {
		size, n, ok := uvarint(rest)
		if !ok || size < frameOverhead || size > uint64(most) || off > s.file.Size {
			return 0, fmt.Errorf("frame %d has %d bytes, at byte %d of %d", i, size, off, s.file.Size)
		}
		rest = rest[n:]
		if i%anchorEvery == 0 {
			s.anchors = append(s.anchors, off)
		}
		if s.narrow != nil {
			s.narrow[i] = uint16(size)
		} else {
			s.wide[i] = uint32(size)
		}
		pgno, ok := pgnos.next()
		if ok {
			pgnos.step()
		} else {
			pgno = densePgno(s.pageSize, i)
		}
		index.add(uint64(pgno), uint64(off), int64(n))
		off += int64(size)
	}
	d.rest = rest
	return off + endMarkerSize + index.bytes + 1 + tailSize, nil
}

// growing is how many bytes an LTX index takes so far: three numbers for each frame, of which two only grow.
type growing struct {
	bytes     int64
	pgno, off struct {
		size int64  // bytes that such a number takes
		most uint64 // the largest that takes no more
	}
}

func (g *growing) add(pgno, off uint64, size int64) {
	for pgno > g.pgno.most {
		g.pgno.size, g.pgno.most = g.pgno.size+1, g.pgno.most<<7|0x7f
	}
	for off > g.off.most {
		g.off.size, g.off.most = g.off.size+1, g.off.most<<7|0x7f
	}
	g.bytes += g.pgno.size + g.off.size + size
}
