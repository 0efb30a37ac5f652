package writer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/page1"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// pageHeader is what page 1 in the bucket says and SQLite is shown otherwise.
type pageHeader struct {
	write, read byte
}

// restore makes page 1 as SQLite writes it, who was shown a rollback journal, say again what it says in the bucket.
func (h *pageHeader) restore(page []byte) {
	if h != nil && (page[page1.WriteVersion] != h.write || page[page1.ReadVersion] != h.read) {
		page1.SetVersions(page, h.write, h.read)
	}
}

// statedPageSize is the page size that page 1 states; 0 when it is no page 1.
func statedPageSize(page []byte) uint32 {
	n := uint32(binary.BigEndian.Uint16(page[page1.PageSize:]))
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
			return &pageHeader{write: page[page1.WriteVersion], read: page[page1.ReadVersion]}, nil
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
