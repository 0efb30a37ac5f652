package writer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// verdict is what is found under the key of a batch.
type verdict int

const (
	absent verdict = iota // nothing
	ours                  // what was put, or what was sealed before a crash
	partly                // the beginning of what was put, and no more
	theirs                // anything else
)

// compareChunk is how much is read at a time, in bytes.
const compareChunk = 1 << 20

// compare reads the object of the batch back and says whose it is.
func (b *batch) compare(ctx context.Context, r objstore.RangeReader) (verdict, objstore.Ref, error) {
	ref := objstore.Ref{Key: b.key()}
	head, err := r.ReadPrefix(ctx, ref, compareChunk)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return absent, ref, nil
	case err != nil:
		return absent, ref, fmt.Errorf("read back: %w", err)
	}
	ref.ETag = head.ETag
	if head.Size > b.body.size && head.Size != b.seal.Size {
		return theirs, ref, nil
	}
	sum, same, err := b.compareBytes(ctx, r, ref, head)
	switch {
	case errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged):
		return absent, ref, fmt.Errorf("read back: it changes meanwhile: %w", err)
	case err != nil:
		return absent, ref, fmt.Errorf("read back: %w", err)
	case same && head.Size == b.body.size, bytes.Equal(sum.Sum(nil), b.seal.Digest):
		return ours, ref, nil
	case same:
		return partly, ref, nil
	}
	return theirs, ref, nil
}

// compareBytes hashes the whole object, and says whether our file begins with it.
func (b *batch) compareBytes(ctx context.Context, r objstore.RangeReader, ref objstore.Ref, head objstore.Part) (hash.Hash, bool, error) {
	sum, same := sha256.New(), head.Size <= b.body.size
	chunk, want := head.Data, make([]byte, len(head.Data))
	for off := int64(0); ; {
		sum.Write(chunk)
		if same {
			n, err := b.body.ReadAt(want[:len(chunk)], off)
			if n < len(chunk) && !errors.Is(err, io.EOF) {
				return nil, false, err
			}
			same = n == len(chunk) && bytes.Equal(want[:n], chunk)
		}
		off += int64(len(chunk))
		if off >= head.Size {
			return sum, same, nil
		}
		chunk = chunk[:min(int64(len(chunk)), head.Size-off)]
		if err := r.ReadAt(ctx, ref, chunk, off); err != nil {
			return nil, false, err
		}
	}
}

// confirm reads the end of an object back that was put: some stores say that all is well and have nothing.
func (b *batch) confirm(ctx context.Context, r objstore.RangeReader, etag string) (bool, error) {
	part, err := r.ReadSuffix(ctx, objstore.Ref{Key: b.key(), ETag: etag}, tailSize)
	switch {
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrChanged):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read back: %w", err)
	}
	return part.Size == b.body.size && bytes.Equal(part.Data, b.body.tail), nil
}
