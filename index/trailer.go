package index

import (
	"encoding/binary"
	"fmt"

	"github.com/superfly/ltx"
)

const (
	// endMarkerSize is the zero page header between the last frame and the index.
	endMarkerSize = ltx.PageHeaderSize
	// tailSize is what follows the index records: the records' length and the trailer.
	tailSize = 8 + ltx.TrailerSize
	// minFileSize is an LTX file without pages: header, end marker, one zero byte of index, tail.
	minFileSize = ltx.HeaderSize + endMarkerSize + 1 + tailSize
	// minRecord and maxRecord bound one index record: three varints.
	minRecord = 3
	maxRecord = 3 * binary.MaxVarintLen64
	// maxAhead is the largest number of frames for which memory is set aside before they are seen.
	maxAhead = 32 << 20
)

// decodeHeader reads the LTX header in b and checks it against the file's name.
func decodeHeader(f *File, b []byte) (header, error) {
	var h ltx.Header
	if err := h.UnmarshalBinary(b); err != nil {
		return header{}, fmt.Errorf("%s: header: %w: %w", f, err, ErrCorrupt)
	}
	if err := h.Validate(); err != nil {
		return header{}, fmt.Errorf("%s: header: %w: %w", f, err, ErrCorrupt)
	}
	if h.MinTXID != f.Min || h.MaxTXID != f.Max {
		return header{}, fmt.Errorf("%s: header says %s-%s: %w", f, h.MinTXID, h.MaxTXID, ErrCorrupt)
	}
	if h.Commit == 0 {
		return header{}, fmt.Errorf("%s: header: database of no pages: %w", f, ErrCorrupt)
	}
	return header{
		pageSize: h.PageSize, commit: h.Commit, timestamp: h.Timestamp,
		walOffset: h.WALOffset, walSize: h.WALSize, salt1: h.WALSalt1, salt2: h.WALSalt2,
	}, nil
}

// indexBounds finds the index records of a file of the given size from its last bytes. Records lie at
// [start, start+size), the zero byte that ends them included.
func indexBounds(f *File, tail []byte) (start, size int64, err error) {
	if f.Size < minFileSize || len(tail) < tailSize {
		return 0, 0, fmt.Errorf("%s: %d bytes are no LTX file: %w", f, f.Size, ErrCorrupt)
	}
	n := binary.BigEndian.Uint64(tail[len(tail)-tailSize:])
	room := f.Size - ltx.HeaderSize - endMarkerSize - tailSize
	if n < 1 || n > uint64(room) {
		return 0, 0, fmt.Errorf("%s: index of %d bytes in a file of %d: %w", f, n, f.Size, ErrCorrupt)
	}
	return f.Size - tailSize - int64(n), int64(n), nil
}

// indexDecoder turns index records into a segment as they arrive, in pieces of any size.
//
// The format makes frames follow each other from the header to the end marker, so every record is checked to begin
// where the one before ended, and the last to end where the index says frames end: an index that passes cannot send
// a reader outside the frames or into another page by mistake.
type indexDecoder struct {
	seg      *segment
	next     int64  // where the next frame must begin
	end      int64  // where the frames must end
	maxFrame int64  // largest frame size believed
	prev     uint32 // page of the last record
	rest     []byte // the beginning of a record whose end has not come yet
	finished bool   // the zero byte has come
}

func newIndexDecoder(f *File, h header, start, size int64) *indexDecoder {
	// No number alone can be trusted, and the smallest of them is an upper bound.
	pages := min(int64(densePages(h.pageSize, h.commit)), size/minRecord, start/frameOverhead, maxAhead)
	seg := &segment{file: f, header: h}
	if maxFrameSize(h.pageSize) <= 0xffff {
		seg.narrow = make([]uint16, 0, pages)
	} else {
		seg.wide = make([]uint32, 0, pages)
	}
	seg.anchors = make([]int64, 0, (pages+anchorEvery-1)/anchorEvery)
	return &indexDecoder{seg: seg, next: ltx.HeaderSize, end: start - endMarkerSize, maxFrame: maxFrameSize(h.pageSize)}
}

// feed decodes the records in b, which follows what was fed before. last marks the end of the records.
func (d *indexDecoder) feed(b []byte, last bool) error {
	if len(d.rest) > 0 { // one record that lies across, or all when that is little
		n := min(len(b), maxRecord)
		joined := append(d.rest, b[:n]...)
		left, err := d.records(joined, last && n == len(b))
		if err != nil {
			return err
		}
		d.rest = nil
		if n == len(b) {
			d.keep(left)
			return nil
		}
		b = b[n-len(left):]
	}
	left, err := d.records(b, last)
	d.keep(left)
	return err
}

// keep holds the beginning of a record until its end comes.
func (d *indexDecoder) keep(b []byte) {
	if len(b) > 0 {
		d.rest = append(make([]byte, 0, 2*maxRecord), b...)
	}
}

// records decodes the records in b and returns what it leaves: less than the longest record, and nothing when these are the last ones.
func (d *indexDecoder) records(b []byte, last bool) ([]byte, error) {
	for !d.finished && (len(b) >= maxRecord || last) {
		b = b[d.inTurn(b):]
		n, err := d.record(b)
		if err != nil {
			return nil, fmt.Errorf("%s: index record %d: %w: %w", d.seg.file, d.seg.n, err, ErrCorrupt)
		}
		b = b[n:]
	}
	if d.finished && len(b) > 0 {
		return nil, fmt.Errorf("%s: %d bytes after the end of the index: %w", d.seg.file, len(b), ErrCorrupt)
	}
	return b, nil
}

// record decodes one record at the beginning of b and returns its length.
func (d *indexDecoder) record(b []byte) (int, error) {
	pgno, n, ok := uvarint(b)
	if !ok {
		return 0, errShortIndex
	}
	if pgno == 0 {
		d.finished = true
		return n, nil
	}
	off, m, ok := uvarint(b[n:])
	if !ok {
		return 0, errShortIndex
	}
	n += m
	size, m, ok := uvarint(b[n:])
	if !ok {
		return 0, errShortIndex
	}
	n += m
	switch {
	case pgno > uint64(d.seg.commit):
		return 0, fmt.Errorf("page %d is above the commit size %d", pgno, d.seg.commit)
	case uint32(pgno) <= d.prev:
		return 0, fmt.Errorf("page %d after page %d", pgno, d.prev)
	case uint32(pgno) == ltx.LockPgno(d.seg.pageSize):
		return 0, fmt.Errorf("page %d is the lock page", pgno)
	case off != uint64(d.next):
		return 0, fmt.Errorf("page %d at byte %d instead of %d", pgno, off, d.next)
	case size < frameOverhead || size > uint64(d.maxFrame) || d.next+int64(size) > d.end:
		return 0, fmt.Errorf("page %d has a frame of %d bytes", pgno, size)
	}
	d.seg.add(uint32(pgno), d.next, uint32(size))
	d.prev = uint32(pgno)
	d.next += int64(size)
	return n, nil
}

// finish returns the segment after the last feed.
func (d *indexDecoder) finish() (*segment, error) {
	s := d.seg
	if !d.finished {
		return nil, fmt.Errorf("%s: index does not end: %w", s.file, ErrCorrupt)
	}
	if d.next != d.end {
		return nil, fmt.Errorf("%s: index covers the file up to byte %d instead of %d: %w", s.file, d.next, d.end, ErrCorrupt)
	}
	if s.file.Min == 1 && !s.dense() {
		return nil, fmt.Errorf("%s: page %d is missing from a file that must hold all %d pages: %w",
			s.file, s.firstMissing(), s.commit, ErrCorrupt)
	}
	s.trim()
	return s, nil
}

// firstMissing is the lowest page of the database that the segment does not hold.
func (s *segment) firstMissing() uint32 {
	for i := range s.n {
		if s.pgno(i) != densePgno(s.pageSize, i) {
			return densePgno(s.pageSize, i)
		}
	}
	return densePgno(s.pageSize, s.n)
}

type indexError string

func (e indexError) Error() string { return string(e) }

const errShortIndex = indexError("number is cut or too long")

// uvarint decodes a varint of at most 64 bits. The one-to-three-byte cases, nearly all there are, come first.
func uvarint(b []byte) (v uint64, n int, ok bool) {
	if len(b) >= 3 {
		switch {
		case b[0] < 0x80:
			return uint64(b[0]), 1, true
		case b[1] < 0x80:
			return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2, true
		case b[2] < 0x80:
			return uint64(b[0]&0x7f) | uint64(b[1]&0x7f)<<7 | uint64(b[2])<<14, 3, true
		}
	}
	v, n = binary.Uvarint(b)
	return v, n, n > 0
}
