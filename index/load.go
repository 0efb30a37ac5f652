package index

import (
	"context"
	"fmt"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// wholeSize is the size up to which a file is fetched whole: header, index and pages in one request.
	wholeSize = 1 << 20
	// headSize is how much of the beginning of a larger file is fetched with its index: the header, and the first pages,
	// where a database keeps its schema.
	headSize = 64 << 10
	// minTail and maxTail bound the first guess at the size of an index: the second is that of three million pages.
	minTail = 64 << 10
	maxTail = 32 << 20
	// maxTails bounds the guesses of all openings of the process that are under way. Beyond it they are of one request, and the rest is
	// fetched when it is known to be there.
	maxTails = 4 * maxTail
	// tailShare is the guess: one byte in so many of a file is index. Seen: 0.2 % to 0.6 % for pages of 4 KiB.
	tailShare = 160
	// chunkSize is how much of a long index one request fetches, and chunksAhead how many requests run at once for what was not
	// guessed.
	chunkSize   = 2 << 20
	chunksAhead = 8
)

// Blob is a piece of an LTX file that came with its index and may hold whole frames.
type Blob struct {
	File *File
	Off  int64
	Data []byte
}

// loaded is a file's page table, and what else came on the way.
type loaded struct {
	seg   *segment
	blobs []Blob
}

// loadFile fetches and decodes the page table of a listed file: one request when the file is small, else two side by
// side, and further ones when the index is longer than guessed.
func loadFile(ctx context.Context, r objstore.RangeReader, f *File) (*loaded, error) {
	own := *f // a page table outlives the listing it was found in
	f = &own
	if f.Size < minFileSize {
		return nil, fmt.Errorf("%s: %d bytes are no LTX file: %w", f, f.Size, ErrCorrupt)
	}
	if f.Size <= wholeSize {
		data := make([]byte, f.Size)
		if err := r.ReadAt(ctx, f.Ref(), data, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		return parseWhole(f, data)
	}
	return loadEnds(ctx, r, f, nil)
}

// parseWhole decodes the page table of a file that is in memory.
func parseWhole(f *File, data []byte) (*loaded, error) {
	h, err := decodeHeader(f, data)
	if err != nil {
		return nil, err
	}
	start, size, err := indexBounds(f, data)
	if err != nil {
		return nil, err
	}
	d := newIndexDecoder(f, h, start, size)
	if err := d.feed(data[start:start+size], true); err != nil {
		return nil, err
	}
	seg, err := d.finish()
	if err != nil {
		return nil, err
	}
	return &loaded{seg: seg, blobs: []Blob{{File: f, Data: data}}}, nil
}

// loadEnds decodes the page table of a large file from its two ends. head is the beginning when it is already here.
func loadEnds(ctx context.Context, r objstore.RangeReader, f *File, head []byte) (*loaded, error) {
	ahead := &pieces{store: r, file: f}
	defer ahead.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before close
	var first *piece
	if head == nil {
		first = ahead.fetch(ctx, 0, min(f.Size, headSize))
	}
	tail, err := ahead.fetchEnd(ctx).wait()
	if err != nil {
		return nil, err
	}
	start, size, err := indexBounds(f, tail)
	if err != nil {
		return nil, err
	}
	ahead.dropBefore(start)
	if first != nil {
		if head, err = first.wait(); err != nil {
			return nil, err
		}
	}
	h, err := decodeHeader(f, head)
	if err != nil {
		return nil, err
	}
	d := newIndexDecoder(f, h, start, size)
	if err := ahead.feed(ctx, d, start, start+size); err != nil {
		return nil, err
	}
	seg, err := d.finish()
	if err != nil {
		return nil, err
	}
	return &loaded{seg: seg, blobs: []Blob{{File: f, Data: head}}}, nil
}

// loadNext fetches the L0 file of one TXID, whose size is not known, if it is there: the news itself. A missing file is
// objstore.ErrNotFound.
func loadNext(ctx context.Context, r objstore.RangeReader, txid TXID) (*loaded, error) {
	f := &File{Level: 0, Min: txid, Max: txid}
	part, err := r.ReadPrefix(ctx, objstore.Ref{Key: f.Key()}, wholeSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	f.Size, f.ETag = part.Size, part.ETag
	if part.Size < minFileSize || len(part.Data) < ltx.HeaderSize {
		return nil, fmt.Errorf("%s: %d bytes are no LTX file: %w", f, part.Size, ErrCorrupt)
	}
	if int64(len(part.Data)) == part.Size {
		return parseWhole(f, part.Data)
	}
	return loadEnds(ctx, r, f, part.Data)
}

// readHeader fetches nothing but the header of a listed file.
func readHeader(ctx context.Context, r objstore.RangeReader, f *File) (header, error) {
	b := make([]byte, ltx.HeaderSize)
	if f.Size < int64(len(b)) {
		return header{}, fmt.Errorf("%s: %d bytes are no LTX file: %w", f, f.Size, ErrCorrupt)
	}
	if err := r.ReadAt(ctx, f.Ref(), b, 0); err != nil {
		return header{}, fmt.Errorf("%s: %w", f, err)
	}
	return decodeHeader(f, b)
}
