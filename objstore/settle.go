package objstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// settleChunk is the number of bytes compared at a time.
const settleChunk = 1 << 20

// settle decides what became of a conditional Put whose condition was met broken after an earlier try that may have
// arrived: it was our own doing if the object is what body holds. Otherwise broken is the answer.
func (s *retrying) settle(ctx context.Context, key string, body io.ReadSeeker, size int64, broken error) (string, error) {
	etag, same, err := holds(ctx, s, key, body, size)
	switch {
	case errors.Is(err, ErrNotFound) || errors.Is(err, ErrChanged):
		return "", broken // somebody else is at it
	case err != nil:
		return "", fmt.Errorf("whether an earlier try arrived could not be found out: %w", err)
	case !same:
		return "", broken
	}
	return etag, nil
}

// holds says whether the object at key has exactly the size bytes of body, and its ETag.
func holds(ctx context.Context, r RangeReader, key string, body io.ReadSeeker, size int64) (string, bool, error) {
	head, err := r.ReadPrefix(ctx, Ref{Key: key}, settleChunk)
	if err != nil || head.Size != size {
		return "", false, err
	}
	sum := md5.New()
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", false, fmt.Errorf("rewind body: %w", err)
	}
	if _, err := io.Copy(sum, body); err != nil {
		return "", false, fmt.Errorf("read body: %w", err)
	}
	if head.ETag == hex.EncodeToString(sum.Sum(nil)) {
		return head.ETag, true, nil
	}
	// The ETag need not be the MD5: parts, encryption, other stores.
	same, err := sameBytes(ctx, r, Ref{Key: key, ETag: head.ETag}, head.Data, body, size)
	return head.ETag, same, err
}

// sameBytes compares body with an object of the same size that begins with head.
func sameBytes(ctx context.Context, r RangeReader, ref Ref, head []byte, body io.ReadSeeker, size int64) (bool, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("rewind body: %w", err)
	}
	chunk := head
	for off := int64(0); ; {
		want := make([]byte, len(chunk))
		if _, err := io.ReadFull(body, want); err != nil {
			return false, fmt.Errorf("read body: %w", err)
		}
		off += int64(len(chunk))
		if !bytes.Equal(want, chunk) || off == size {
			return bytes.Equal(want, chunk), nil
		}
		chunk = make([]byte, min(settleChunk, size-off))
		if err := r.ReadAt(ctx, ref, chunk, off); err != nil {
			return false, err
		}
	}
}
