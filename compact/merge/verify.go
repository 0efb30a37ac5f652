package merge

import (
	"context"
	"fmt"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Facts are what a whole file was found to be.
type Facts struct {
	Header   ltx.Header
	Size     int64 // bytes
	Pages    int64
	Checksum ltx.Checksum // of the file
	ETag     string
}

// Check reads the file back from the store, all of it, and returns an error unless it is sound: every frame is the page the index
// says and decodes to one page; pages ascend up to the commit size; a file that begins with transaction 1 holds all of
// them; nothing lies between or after; the checksum is right. The size and the ETag of f may be unknown (zero).
func Check(ctx context.Context, store objstore.RangeReader, f index.File) (Facts, error) {
	return check(ctx, store, f, nil)
}

func check(ctx context.Context, store objstore.RangeReader, f index.File, done func(pages int64)) (Facts, error) {
	if f.Size == 0 || f.ETag == "" {
		part, err := store.ReadPrefix(ctx, f.Ref(), ltx.HeaderSize)
		if err != nil {
			return Facts{}, fmt.Errorf("%s: %w", &f, err)
		}
		f.Size, f.ETag = part.Size, part.ETag
	}
	return verify(ctx, store, &f, nil, done)
}

// sink takes the pages of a file in order.
type sink interface {
	page(pgno uint32, frame, plain []byte) error
}

// verify reads a whole file and checks it against itself. also sees the pages too, and
// done is told how many there were so far; both may be nil.
func verify(ctx context.Context, source index.Bytes, f *index.File, also sink, done func(int64)) (Facts, error) {
	in, err := newInput(ctx, source, f, indexChunk)
	if err != nil {
		return Facts{}, err
	}
	in.readOver = skipGap
	w, err := newWinners(ctx, []*input{in})
	if err != nil {
		return Facts{}, err
	}
	h := in.entries.Header
	sum := new(checksum)
	sum.add(in.entries.RawHeader[:])
	g := &gatherer{winners: w, commit: h.Commit, pageSize: h.PageSize}
	pages, ahead := int64(0), batchesAhead
	if _, here := source.(*local); here {
		ahead = 1 // there is nothing to wait for, and many of these run at once
	}
	err = inOrder(ctx, ahead, g.next, func(ctx context.Context, b *batch) error {
		return b.load(ctx, h.PageSize)
	}, func(b *batch) error {
		if pages += int64(len(b.pages)); done != nil {
			done(pages)
		}
		if also != nil {
			if err := b.pour(h.PageSize, also); err != nil {
				return err
			}
		}
		return b.pour(h.PageSize, sum)
	})
	if err != nil {
		return Facts{}, err
	}
	if err := sum.addEnd(ctx, in); err != nil {
		return Facts{}, err
	}
	want := in.entries.Trailer.FileChecksum
	if got := sum.value(); got != want {
		return Facts{}, fmt.Errorf("%s: checksum is %s, its bytes make %s: %w", f, want, got, index.ErrCorrupt)
	}
	return Facts{Header: h, Size: f.Size, Pages: pages, Checksum: want, ETag: f.ETag}, nil
}

// addEnd adds what follows the frames of a file: end marker, index, the index's size, and the first half of the trailer.
func (c *checksum) addEnd(ctx context.Context, in *input) error {
	e := in.entries
	end := in.file.Size - ltx.ChecksumSize
	for off := e.IndexOff - ltx.PageHeaderSize; off < end; {
		b := make([]byte, min(end-off, 1<<20))
		if err := in.source.ReadAt(ctx, in.file.Ref(), b, off); err != nil {
			return fmt.Errorf("%s: %w", in.file, err)
		}
		if off < e.IndexOff && [ltx.PageHeaderSize]byte(b) != [ltx.PageHeaderSize]byte{} {
			return fmt.Errorf("%s: no end marker before the index at byte %d: %w", in.file, e.IndexOff, index.ErrCorrupt)
		}
		c.add(b)
		off += int64(len(b))
	}
	return nil
}

// load fetches and decodes a batch.
func (b *batch) load(ctx context.Context, pageSize uint32) error {
	if err := b.fetch(ctx); err != nil {
		return err
	}
	return b.decode(pageSize)
}

// pour hands the pages of a batch to a sink.
func (b *batch) pour(pageSize uint32, to sink) error {
	n := int(pageSize)
	for i := range b.pages {
		p := &b.pages[i]
		if err := to.page(p.pgno, p.frame, b.plain[i*n:(i+1)*n]); err != nil {
			return err
		}
	}
	return nil
}

func frameError(p *page, err error) error {
	return fmt.Errorf("page %d of %s at byte %d: %w", p.pgno, p.source.file, p.off, err)
}
