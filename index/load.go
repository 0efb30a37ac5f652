package index

import (
	"context"
	"fmt"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// wholeSize is the size up to which a file is fetched whole: header, index and pages in one request.
	wholeSize = 1 << 20
	// headSize is how much of the beginning of a larger file is fetched with its index: the header, and the first pages,
	// where a database keeps its schema.
	headSize = 64 << 10
	// minTail and maxTail bound the first guess at the size of an index.
	minTail = 64 << 10
	maxTail = 8 << 20
	// tailShare is the guess: one byte in so many of a file is index. Seen: 0.2 % to 0.6 % for pages of 4 KiB.
	tailShare = 160
	// chunkSize is how much of a long index one request fetches, and chunksAhead how many requests run at once.
	chunkSize   = 2 << 20
	chunksAhead = 4
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
	tail := make([]byte, min(f.Size, max(minTail, min(maxTail, f.Size/tailShare))))
	g, gctx := errgroup.WithContext(ctx)
	if head == nil {
		head = make([]byte, min(f.Size, headSize))
		g.Go(func() error { return r.ReadAt(gctx, f.Ref(), head, 0) })
	}
	for off := 0; off < len(tail); off += chunkSize {
		p := tail[off:min(off+chunkSize, len(tail))]
		g.Go(func() error { return r.ReadAt(gctx, f.Ref(), p, f.Size-int64(len(tail))+int64(off)) })
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	h, err := decodeHeader(f, head)
	if err != nil {
		return nil, err
	}
	start, size, err := indexBounds(f, tail)
	if err != nil {
		return nil, err
	}
	d := newIndexDecoder(f, h, start, size)
	if err := feedIndex(ctx, r, d, start, start+size, tail); err != nil {
		return nil, err
	}
	seg, err := d.finish()
	if err != nil {
		return nil, err
	}
	return &loaded{seg: seg, blobs: []Blob{{File: f, Data: head}}}, nil
}

// feedIndex decodes the records in [start, end) of the file, of which tail holds the last ones. What the tail does not
// hold is fetched in chunks, a few ahead, so that an index of any length takes little memory.
func feedIndex(ctx context.Context, r objstore.RangeReader, d *indexDecoder, start, end int64, tail []byte) error {
	f := d.seg.file
	tailOff := f.Size - int64(len(tail))
	if start < tailOff {
		err := chunks(ctx, r, f, start, min(end, tailOff), func(b []byte) error { return d.feed(b, false) })
		if err != nil {
			return err
		}
		start = tailOff
	}
	return d.feed(tail[start-tailOff:end-tailOff], true)
}

// chunks calls fn with the bytes [start, end) of the file in order, piece by piece. fn must not keep them.
func chunks(ctx context.Context, r objstore.RangeReader, f *File, start, end int64, fn func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type chunk struct {
		data []byte
		err  error
	}
	var queue []chan chunk // requests under way, oldest first
	for start < end || len(queue) > 0 {
		for start < end && len(queue) < chunksAhead {
			off, n := start, min(chunkSize, end-start)
			ch := make(chan chunk, 1)
			go func() {
				p := make([]byte, n)
				err := r.ReadAt(ctx, f.Ref(), p, off)
				ch <- chunk{p, err}
			}()
			queue = append(queue, ch)
			start += n
		}
		c := <-queue[0]
		queue = queue[1:]
		if c.err == nil {
			c.err = fn(c.data)
		} else {
			c.err = fmt.Errorf("%s: %w", f, c.err)
		}
		if c.err != nil {
			cancel()
			for _, ch := range queue {
				<-ch // no request outlives the call
			}
			return c.err
		}
	}
	return nil
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
