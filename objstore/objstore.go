package objstore

import (
	"context"
	"io"
	"time"
)

// Ref names the bytes of one object.
type Ref struct {
	Key string
	// ETag, when not empty, is the version wanted: a read of another version is ErrChanged. It is opaque, without
	// quotes, and as List, ReadSuffix, ReadPrefix and Put return it.
	ETag string
}

// Info is what a listing says of one object.
type Info struct {
	Key      string
	Size     int64     // bytes
	ETag     string    // empty if the store has none
	Modified time.Time // when the store got the object; not when its content was made
}

// Part is a piece of an object together with what the store said of the whole.
type Part struct {
	Data []byte
	Off  int64 // bytes from the start of the object to Data[0]
	Size int64 // bytes in the whole object
	ETag string
}

// RangeReader reads pieces of objects. Its methods are safe for concurrent use.
type RangeReader interface {
	// ReadAt fills p with bytes [off, off+len(p)) of the object: all of them or an error, never a short count.
	// A missing object is ErrNotFound, another version than ref.ETag is ErrChanged, one that ends early is
	// ErrShortObject. After an error the content of p is undefined. An empty p reads nothing and asks nothing.
	ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error

	// ReadSuffix returns the last n bytes of the object, or all of it when it has fewer. n must be positive.
	ReadSuffix(ctx context.Context, ref Ref, n int64) (Part, error)

	// ReadPrefix returns the first n bytes of the object, or all of it when it has fewer. n must be positive.
	ReadPrefix(ctx context.Context, ref Ref, n int64) (Part, error)
}

// Lister lists keys. List is safe for concurrent use.
type Lister interface {
	// List returns one page of the objects whose keys begin with prefix and are greater than startAfter, in byte
	// order. It is one request to the store. An empty startAfter begins at the first key.
	List(ctx context.Context, prefix, startAfter string) (Page, error)
}

// Page is one answer of List. When More is set, the next page starts after the last key of Objects.
type Page struct {
	Objects []Info
	More    bool
}

// PutOptions are the conditions and facts of one Put. The zero value replaces whatever is there.
type PutOptions struct {
	// OnlyCreate makes Put fail with ErrExists when the key is taken. Of several racing callers one wins.
	OnlyCreate bool
	// IfMatch, when not empty, makes Put fail with ErrChanged unless the object's ETag is this one.
	IfMatch string
	// Timestamp, when not zero, is kept beside the object as Litestream keeps it: metadata
	// "litestream-timestamp" on S3, the modification time in a directory.
	Timestamp time.Time
}

// Putter writes objects. Put is safe for concurrent use.
type Putter interface {
	// Put stores everything body holds, from byte 0, under key, and returns the new ETag. Readers see the old object
	// or the new one, never a part. A body can be read several times: a retry begins at byte 0 again. After an error
	// that is neither ErrExists nor ErrChanged nor ErrAccess the object may or may not be there: read it back.
	Put(ctx context.Context, key string, body io.ReadSeeker, opts PutOptions) (etag string, err error)
}

// Deleter removes objects. Delete is safe for concurrent use.
type Deleter interface {
	// Delete removes the objects. A key that is not there counts as removed. When some could not be removed the error
	// joins one OpError for each of them.
	Delete(ctx context.Context, keys ...string) error
}

// Store is everything a backend or decorator does. Callers ask for the part they use.
type Store interface {
	RangeReader
	Lister
	Putter
	Deleter
}

// ListAll returns every object whose key begins with prefix and is greater than startAfter, page after page.
func ListAll(ctx context.Context, l Lister, prefix, startAfter string) ([]Info, error) {
	var all []Info
	for {
		page, err := l.List(ctx, prefix, startAfter)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Objects...)
		if !page.More || len(page.Objects) == 0 {
			return all, nil
		}
		startAfter = page.Objects[len(page.Objects)-1].Key
	}
}
