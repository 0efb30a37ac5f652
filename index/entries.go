package index

import (
	"context"
	"fmt"
	"io"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Entry is one record of a file's page index: where the frame of a page lies.
type Entry struct {
	Pgno uint32
	Off  int64 // bytes from the start of the file
	Size int64 // encoded bytes, page header included
}

// Bytes reads ranges of objects. It is the part of [objstore.RangeReader] that whole-file readers need.
type Bytes interface {
	// ReadAt is that of objstore.RangeReader.
	ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error
}

// Entries reads the page index of one file in order, a piece at a time, for callers that go through files of any size:
// merging and checking. It demands of every record what opening a View demands, and what cannot be right is
// [ErrCorrupt]. It is used by one goroutine at a time.
type Entries struct {
	store Bytes
	file  *File

	// Header is that of the file; RawHeader its bytes as they are stored.
	Header    ltx.Header
	RawHeader [ltx.HeaderSize]byte
	Trailer   ltx.Trailer
	IndexOff  int64 // where the records begin; frames end ltx.PageHeaderSize before
	IndexSize int64 // bytes of records, the zero byte included

	chunk    int64
	buf      []byte // records fetched and not decoded yet
	off      int64  // where in the file the bytes after buf begin
	next     int64  // where the next frame must begin
	prev     uint32
	finished bool
}

// ReadEntries fetches the two ends of a file and returns its entries. chunk is how many bytes of the index it fetches
// at once, and about what it takes of memory.
func ReadEntries(ctx context.Context, store Bytes, f *File, chunk int64) (*Entries, error) {
	if f.Size < minFileSize {
		return nil, fmt.Errorf("%s: %d bytes are no LTX file: %w", f, f.Size, ErrCorrupt)
	}
	e := &Entries{store: store, file: f, chunk: max(chunk, maxRecord), next: ltx.HeaderSize}
	tail := make([]byte, tailSize)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return store.ReadAt(gctx, f.Ref(), e.RawHeader[:], 0) })
	g.Go(func() error { return store.ReadAt(gctx, f.Ref(), tail, f.Size-tailSize) })
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if _, err := decodeHeader(f, e.RawHeader[:]); err != nil {
		return nil, err
	}
	if err := e.Header.UnmarshalBinary(e.RawHeader[:]); err != nil {
		return nil, fmt.Errorf("%s: header: %w: %w", f, err, ErrCorrupt)
	}
	if err := e.Trailer.UnmarshalBinary(tail[tailSize-ltx.TrailerSize:]); err != nil {
		return nil, fmt.Errorf("%s: trailer: %w: %w", f, err, ErrCorrupt)
	}
	var err error
	e.IndexOff, e.IndexSize, err = indexBounds(f, tail)
	e.off = e.IndexOff
	return e, err
}

// File is the one whose entries these are.
func (e *Entries) File() *File { return e.file }

// Next returns the next entry, and io.EOF after the last one.
func (e *Entries) Next(ctx context.Context) (Entry, error) {
	if e.finished {
		return Entry{}, io.EOF
	}
	if err := e.fill(ctx); err != nil {
		return Entry{}, err
	}
	entry, n, err := e.decode()
	if err != nil {
		return Entry{}, fmt.Errorf("%s: index record after page %d: %w: %w", e.file, e.prev, err, ErrCorrupt)
	}
	e.buf = e.buf[n:]
	if entry.Pgno == 0 {
		return Entry{}, e.finish()
	}
	e.prev, e.next = entry.Pgno, entry.Off+entry.Size
	return entry, nil
}

// fill makes sure that a whole record is in memory, if the file has one more.
func (e *Entries) fill(ctx context.Context) error {
	end := e.IndexOff + e.IndexSize
	if len(e.buf) >= maxRecord || e.off == end {
		return nil
	}
	n := min(e.chunk, end-e.off)
	buf := make([]byte, int64(len(e.buf))+n)
	copy(buf, e.buf)
	if err := e.store.ReadAt(ctx, e.file.Ref(), buf[len(e.buf):], e.off); err != nil {
		return fmt.Errorf("%s: %w", e.file, err)
	}
	e.buf, e.off = buf, e.off+n
	return nil
}

// decode returns the record at the beginning of buf and its length.
func (e *Entries) decode() (Entry, int, error) {
	var v [3]uint64
	n := 0
	for i := range v {
		x, m, ok := uvarint(e.buf[n:])
		if !ok {
			return Entry{}, 0, errShortIndex
		}
		v[i], n = x, n+m
		if i == 0 && x == 0 {
			return Entry{}, n, nil
		}
	}
	pgno, off, size := v[0], v[1], v[2]
	switch end := e.IndexOff - endMarkerSize; {
	case pgno > uint64(e.Header.Commit):
		return Entry{}, 0, fmt.Errorf("page %d is above the commit size %d", pgno, e.Header.Commit)
	case uint32(pgno) <= e.prev:
		return Entry{}, 0, fmt.Errorf("page %d after page %d", pgno, e.prev)
	case uint32(pgno) == ltx.LockPgno(e.Header.PageSize):
		return Entry{}, 0, fmt.Errorf("page %d is the lock page", pgno)
	case off != uint64(e.next):
		return Entry{}, 0, fmt.Errorf("page %d at byte %d instead of %d", pgno, off, e.next)
	case size < frameOverhead || size > uint64(maxFrameSize(e.Header.PageSize)) || e.next+int64(size) > end:
		return Entry{}, 0, fmt.Errorf("page %d has a frame of %d bytes", pgno, size)
	}
	return Entry{Pgno: uint32(pgno), Off: e.next, Size: int64(size)}, n, nil
}

// finish checks that the index ends where it says, and covers all frames. It returns io.EOF when it does.
func (e *Entries) finish() error {
	e.finished = true
	switch left := int64(len(e.buf)) + e.IndexOff + e.IndexSize - e.off; {
	case left > 0:
		return fmt.Errorf("%s: %d bytes after the end of the index: %w", e.file, left, ErrCorrupt)
	case e.next != e.IndexOff-endMarkerSize:
		return fmt.Errorf("%s: index covers the file up to byte %d instead of %d: %w",
			e.file, e.next, e.IndexOff-endMarkerSize, ErrCorrupt)
	}
	return io.EOF
}
