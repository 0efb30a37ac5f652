package merge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

// ErrNoDatabase: the image is no SQLite database, or not a whole one.
var ErrNoDatabase = errors.New("not a whole SQLite database")

// headerSize is the length of the SQLite header at the start of page 1.
const headerSize = 100

// FromImage makes a file with every page of a database image. The image must not change meanwhile, and must stand
// alone: what is only in a write-ahead log is not in it.
func FromImage(ctx context.Context, image io.ReaderAt, size int64, to Target, opts Options) (*File, error) {
	pageSize, commit, err := measure(image, size)
	if err != nil {
		return nil, err
	}
	if to.Timestamp.IsZero() {
		to.Timestamp = time.Now()
	}
	h := to.finish(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: commit,
		MinTXID: to.Min, MaxTXID: to.Max,
	})
	s := &slicer{image: image, pageSize: pageSize, commit: commit}
	return write(ctx, to, h, opts, s.next, s.prepare)
}

// measure reads the page size and the number of pages from the SQLite header.
func measure(image io.ReaderAt, size int64) (pageSize, commit uint32, err error) {
	var h [headerSize]byte
	if size < headerSize {
		return 0, 0, fmt.Errorf("%d bytes: %w", size, ErrNoDatabase)
	}
	if _, err := image.ReadAt(h[:], 0); err != nil {
		return 0, 0, fmt.Errorf("read the database header: %w", err)
	}
	pageSize = uint32(binary.BigEndian.Uint16(h[16:]))
	if pageSize == 1 {
		pageSize = 1 << 16
	}
	if string(h[:16]) != "SQLite format 3\x00" || !ltx.IsValidPageSize(pageSize) {
		return 0, 0, fmt.Errorf("it has no SQLite header: %w", ErrNoDatabase)
	}
	if size%int64(pageSize) != 0 || size/int64(pageSize) > 1<<32-2 {
		return 0, 0, fmt.Errorf("%d bytes are no number of pages of %d bytes: %w", size, pageSize, ErrNoDatabase)
	}
	commit = uint32(size / int64(pageSize))
	// The size in the header counts only if the version that wrote it also wrote the change counter.
	inHeader := binary.BigEndian.Uint32(h[28:])
	if inHeader == 0 || string(h[24:28]) != string(h[92:96]) {
		return pageSize, commit, nil
	}
	if inHeader > commit {
		return 0, 0, fmt.Errorf("it says it has %d pages and ends after %d: %w", inHeader, commit, ErrNoDatabase)
	}
	return pageSize, inHeader, nil
}

// slicer cuts an image into batches.
type slicer struct {
	image    io.ReaderAt
	pageSize uint32
	commit   uint32
	last     uint32 // page sliced last
}

func (s *slicer) next(context.Context) (*batch, error) {
	b := newBatch()
	lock := ltx.LockPgno(s.pageSize)
	for len(b.pages)*int(s.pageSize) < maxPlain && s.last < s.commit {
		if s.last++; s.last == lock {
			if len(b.pages) > 0 {
				break // pages of a batch lie one after another
			}
			continue
		}
		b.pages = append(b.pages, page{pgno: s.last})
	}
	if len(b.pages) == 0 {
		return nil, nil
	}
	return b, nil
}

func (s *slicer) prepare(ctx context.Context, b *batch) error {
	n := int(s.pageSize)
	b.plain = sized(b.plain, n*len(b.pages))
	if _, err := s.image.ReadAt(b.plain, int64(b.pages[0].pgno-1)*int64(n)); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read page %d of the image: %w", b.pages[0].pgno, err)
	}
	ends := make([]int, len(b.pages))
	raw := b.raw[:0]
	for i := range b.pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if raw, err = index.AppendFrame(raw, b.pages[i].pgno, b.plain[i*n:(i+1)*n]); err != nil {
			return err
		}
		ends[i] = len(raw)
	}
	b.raw = raw
	start := 0
	for i, end := range ends {
		b.pages[i].frame = raw[start:end]
		start = end
	}
	return nil
}
