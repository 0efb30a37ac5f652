package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Key is where the lease lies below the replica's prefix.
const Key = "lock.json"

// maxSize bounds what is read of the object. Ours has about 200 bytes.
const maxSize = 64 << 10

// Store is what a lease asks of the store.
type Store interface {
	objstore.RangeReader
	objstore.Putter
}

// Info is what the object says.
type Info struct {
	Generation int64     `json:"generation"`
	ExpiresAt  time.Time `json:"expires_at"`
	Owner      string    `json:"owner"`
	Nonce      string    `json:"nonce,omitempty"`
	Released   bool      `json:"released,omitempty"`
}

// Free reports whether anybody may take the lease at that time.
func (i Info) Free(now time.Time) bool { return i.Released || !now.Before(i.ExpiresAt) }

// found is the object as it was read. Its etag is empty when there is none.
type found struct {
	Info
	etag string
}

// decode reads an object's body. What is not a lease is ErrDamaged.
func decode(b []byte) (Info, error) {
	var i Info
	if err := json.Unmarshal(b, &i); err != nil {
		return Info{}, fmt.Errorf("%s: %w: %w", Key, err, ErrDamaged)
	}
	if i.Generation < 1 || i.ExpiresAt.IsZero() {
		return Info{}, fmt.Errorf("%s: no generation or no expires_at in it: %w", Key, ErrDamaged)
	}
	return i, nil
}

// get reads the object. None is a found without an etag; one that is damaged has an etag all the same.
func get(ctx context.Context, store objstore.RangeReader) (found, error) {
	part, err := store.ReadPrefix(ctx, objstore.Ref{Key: Key}, maxSize)
	if errors.Is(err, objstore.ErrNotFound) {
		return found{}, nil
	}
	if err != nil {
		return found{}, fmt.Errorf("read the lease: %w", err)
	}
	if part.ETag == "" {
		return found{}, fmt.Errorf("%s has no etag, without which nobody can take a lease over safely: %w", Key, objstore.ErrUnsupported)
	}
	i, err := decode(part.Data)
	return found{i, part.ETag}, err
}

// put writes the object over the one that was found, or where there was none.
func put(ctx context.Context, store objstore.Putter, over found, i Info) (found, error) {
	body, err := json.Marshal(i)
	if err != nil {
		return found{}, err
	}
	opts := objstore.PutOptions{IfMatch: over.etag, OnlyCreate: over.etag == ""}
	etag, err := store.Put(ctx, Key, bytes.NewReader(body), opts)
	if err != nil {
		return found{}, fmt.Errorf("write the lease: %w", err)
	}
	return found{i, etag}, nil
}
