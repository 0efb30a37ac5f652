package inspect

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// File is one LTX file, as the listing shows it and as far as it has been looked into.
type File struct {
	index.File
	Header *ltx.Header // nil until Headers has read it
	Pages  int         // frames in the file; 0 until Pages has counted them
}

// Time is when the file's last transaction was written, by the writer's clock, or zero when the header was not read.
func (f *File) Time() time.Time {
	if f.Header == nil {
		return time.Time{}
	}
	return time.UnixMilli(f.Header.Timestamp).UTC()
}

// parallel bounds the files that are looked into at once.
const parallel = 32

// Headers reads the header of each file.
func Headers(ctx context.Context, r objstore.RangeReader, files []*File) error {
	return each(ctx, files, func(ctx context.Context, f *File) error {
		part, err := r.ReadPrefix(ctx, f.Ref(), ltx.HeaderSize)
		if err != nil {
			return err
		}
		h, _, err := ltx.DecodeHeader(bytes.NewReader(part.Data))
		if err != nil {
			return fmt.Errorf("header: %v: %w", err, index.ErrCorrupt)
		}
		if h.MinTXID != f.Min || h.MaxTXID != f.Max {
			return fmt.Errorf("its header says transactions %s-%s: %w", h.MinTXID, h.MaxTXID, index.ErrCorrupt)
		}
		f.Header = &h
		return nil
	})
}

// Pages counts the pages in each file.
func Pages(ctx context.Context, r objstore.RangeReader, files []*File) error {
	return each(ctx, files, func(ctx context.Context, f *File) error {
		records, err := readIndex(ctx, r, f)
		if err != nil {
			return err
		}
		f.Pages, err = countRecords(records)
		return err
	})
}

func each(ctx context.Context, files []*File, look func(context.Context, *File) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, f := range files {
		g.Go(func() error {
			if err := look(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", &f.File, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// indexEnd is what follows the records of a page index: their size, and the trailer.
const indexEnd = 8 + ltx.TrailerSize

// readIndex fetches the records of the page index, in one request if the guess at their size is right.
func readIndex(ctx context.Context, r objstore.RangeReader, f *File) ([]byte, error) {
	guess := max(64<<10, f.Size/100)
	for range 2 {
		part, err := r.ReadSuffix(ctx, f.Ref(), guess)
		if err != nil {
			return nil, err
		}
		end := int64(len(part.Data)) - indexEnd
		if end < 0 {
			return nil, fmt.Errorf("%d bytes are no LTX file: %w", part.Size, index.ErrCorrupt)
		}
		size := binary.BigEndian.Uint64(part.Data[end:])
		switch {
		case size > uint64(part.Size-indexEnd):
			return nil, fmt.Errorf("a page index of %d bytes in a file of %d: %w", size, part.Size, index.ErrCorrupt)
		case int64(size) <= end:
			return part.Data[end-int64(size) : end], nil
		}
		guess = int64(size) + indexEnd
	}
	return nil, fmt.Errorf("the page index has no fixed size: %w", index.ErrCorrupt)
}

// countRecords counts page number, offset and size, three numbers a record, up to the page number 0.
func countRecords(records []byte) (int, error) {
	for n := 0; ; n++ {
		for field := range 3 {
			value, length := binary.Uvarint(records)
			if length <= 0 {
				return 0, fmt.Errorf("the page index ends in record %d: %w", n, index.ErrCorrupt)
			}
			records = records[length:]
			if field == 0 && value == 0 {
				return n, nil
			}
		}
	}
}
