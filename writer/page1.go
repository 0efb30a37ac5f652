package writer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Offsets in page 1; see "The Database Header" of SQLite's file format.
const (
	offPageSize     = 16 // 1 stands for 65536
	offWriteVersion = 18 // 1 is a rollback journal, 2 a write-ahead log
	offReadVersion  = 19
	offReserved     = 20 // bytes at the end of each page that SQLite leaves alone
)

// pageHeader is what page 1 in the bucket says and SQLite is shown otherwise.
type pageHeader struct {
	write, read byte
}

// restore makes page 1 as SQLite writes it, who was shown a rollback journal, say again what it says in the bucket.
func (h *pageHeader) restore(page []byte) {
	if h == nil || page[offWriteVersion] == h.write && page[offReadVersion] == h.read {
		return
	}
	intact := checksummed(page)
	page[offWriteVersion], page[offReadVersion] = h.write, h.read
	if intact {
		s := checksum(page[:len(page)-checksumSize])
		copy(page[len(page)-checksumSize:], s[:])
	}
}

// checksumSize is what SQLite's checksum VFS, which is part of the driver, reserves at the end of each page.
const checksumSize = 8

// checksummed reports whether the page ends with a checksum, and the right one.
func checksummed(page []byte) bool {
	if page[offReserved] != checksumSize {
		return false
	}
	at := len(page) - checksumSize
	return checksum(page[:at]) == [checksumSize]byte(page[at:])
}

// checksum is that of https://sqlite.org/cksumvfs.html.
func checksum(b []byte) (sum [checksumSize]byte) {
	var s1, s2 uint32
	for ; len(b) >= 8; b = b[8:] {
		s1 += binary.LittleEndian.Uint32(b) + s2
		s2 += binary.LittleEndian.Uint32(b[4:]) + s1
	}
	binary.LittleEndian.PutUint32(sum[:], s1)
	binary.LittleEndian.PutUint32(sum[4:], s2)
	return sum
}

// statedPageSize is the page size that page 1 states; 0 when it is no page 1.
func statedPageSize(page []byte) uint32 {
	n := uint32(binary.BigEndian.Uint16(page[offPageSize:]))
	if n == 1 {
		return 65536
	}
	return n
}

// readHeader reads page 1 of v from the bucket. Files that vanish meanwhile were merged: it looks again.
func (w *Writer) readHeader(ctx context.Context) (*pageHeader, error) {
	const attempts = 3
	var err error
	for range attempts {
		v := w.view()
		if v == nil {
			return nil, nil
		}
		var page []byte
		if page, err = w.readFirst(ctx, v); err == nil {
			return &pageHeader{write: page[offWriteVersion], read: page[offReadVersion]}, nil
		}
		if !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, objstore.ErrChanged) {
			break
		}
		if err := w.replica.Load().Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("page 1 of the newest state: %w", err)
}

func (w *Writer) readFirst(ctx context.Context, v *index.View) ([]byte, error) {
	p, ok := v.Lookup(1)
	if !ok {
		return nil, fmt.Errorf("it has no frame: %w", index.ErrCorrupt)
	}
	frame := make([]byte, p.Frame.Size)
	if err := w.store.ReadAt(ctx, p.Frame.File.Ref(), frame, p.Frame.Off); err != nil {
		return nil, err
	}
	page := make([]byte, v.PageSize)
	return page, index.DecodeFrame(frame, 1, page)
}
