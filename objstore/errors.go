package objstore

import (
	"errors"
	"fmt"
)

// What can be wrong with a request, as far as callers act on it. Test with errors.Is.
var (
	// ErrNotFound: the object is not there, in a bucket that is. Not worth a retry; plan again.
	ErrNotFound = errors.New("object not found")
	// ErrNoBucket: the bucket or directory itself is not there. It is not ErrNotFound: somebody who waits for the next
	// object to appear must not take it for "no news".
	ErrNoBucket = errors.New("bucket not found")
	// ErrChanged: the object is there with another ETag than the one asked for.
	ErrChanged = errors.New("object has changed")
	// ErrExists: a create-only put found the key taken.
	ErrExists = errors.New("object exists already")
	// ErrShortObject: the object ends before the range asked for does.
	ErrShortObject = errors.New("object is shorter than the range asked for")
	// ErrAccess: the credentials are missing, wrong or lack the right. Not worth a retry.
	ErrAccess = errors.New("access denied")
	// ErrReadOnly: this backend never writes.
	ErrReadOnly = errors.New("store is read-only")
	// ErrUnsupported: the store cannot do this, for instance list over plain HTTP or honour a condition.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrTemporary: the store or the way to it failed in a manner that may pass: throttled, 5xx, timed out, cut.
	ErrTemporary = errors.New("store unavailable")
)

// OpError says what was asked of which object: the key is the whole one, as the backend knows it. Its text never holds
// credentials or signed URLs.
type OpError struct {
	Op  string // "get", "list", "put", "delete"
	Key string // the key or the prefix
	Err error
}

func (e *OpError) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Key, e.Err) }

func (e *OpError) Unwrap() error { return e.Err }
