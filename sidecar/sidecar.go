package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Key is the object's, below the replica's prefix. Litestream reads and removes what lies in its level directories alone.
const Key = "litefs-s3/sidecar"

const (
	// maxSize is the largest sidecar, in bytes. It is read in one request.
	maxSize = 16 << 20
	// maxBlobs bounds the frames in it.
	maxBlobs = 4 << 20
	// maxProfile bounds the pages of a profile.
	maxProfile = 8192
)

// ErrDamaged: the object is not what this package writes.
var ErrDamaged = errors.New("sidecar is damaged")

// Sidecar is what one object holds. The zero value holds nothing.
type Sidecar struct {
	TXID    index.TXID // of the state that it was made from
	Made    time.Time
	Layouts []*index.Layout // oldest first
	Blobs   []index.Blob    // whole frames of the same files
	Profile []uint32        // pages that are read first, ascending
}

// Read fetches the sidecar of a replica. One that is missing is objstore.ErrNotFound, one that cannot be right ErrDamaged.
func Read(ctx context.Context, r objstore.RangeReader) (*Sidecar, error) {
	s, _, err := read(ctx, r)
	return s, err
}

// read is Read, and returns the object's ETag, also when it is damaged.
func read(ctx context.Context, r objstore.RangeReader) (_ *Sidecar, etag string, err error) {
	part, err := r.ReadPrefix(ctx, objstore.Ref{Key: Key}, maxSize)
	if err != nil {
		return nil, "", fmt.Errorf("sidecar: %w", err)
	}
	if part.Size > int64(len(part.Data)) {
		return nil, part.ETag, fmt.Errorf("%s: %d bytes are more than %d: %w", Key, part.Size, maxSize, ErrDamaged)
	}
	s, err := Decode(part.Data)
	if err != nil {
		err = fmt.Errorf("%s: %w", Key, err)
	}
	return s, part.ETag, err
}
